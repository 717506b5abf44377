"""The roots of a whole kernel, with every function that it may call: what calls pass from function to function."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

from ptxbench.check.roots import FETCHED, OperandRoots, Roots, State, merge, names_of, rooted
from ptxbench.emulator.callgraph import Call, CallGraph, addressed, is_call, is_provided, read_call
from ptxbench.emulator.syntax import Function, Instruction, Masked, Module, Operand, Register, Symbol, Variable, symbols
from ptxbench.errors import PtxbenchError


def reachable(module: Module, entry: Function) -> dict[str, Function]:
    """The entry and the functions that it may call, by name; with a call through a register, all functions whose
    address is taken anywhere."""
    functions: dict[str, Function] = {}
    waiting = [entry]
    while waiting:
        function = waiting.pop()
        if function.name in functions or not function.defined:
            continue
        functions[function.name] = function
        if len(module.functions) == 1:
            continue
        for instruction in function.instructions:
            names = [name for operand in instruction.operands for name in symbols(operand)]
            if is_call(instruction) and isinstance(read_call(instruction).target, Register):
                names += [
                    *addressed(module),
                    *(name for call_target in function.call_targets.values() for name in call_target),
                ]
            waiting += [module.functions[name] for name in names if name in module.functions]
    return functions


def roots_of(
    module: Module, functions: Mapping[str, Function], entry: str, members: Mapping[str, Roots] | None = None
) -> dict[str, list[OperandRoots]]:
    """The roots of each instruction, by function name. The arguments of all calls of a function are united. `members`:
    the roots of addresses in structs among the kernel's parameters, keyed as in `AccessPlace.keys`."""
    return CallRootsOfModule(module, functions).follow(entry, members or {})


class CallRootsOfModule:
    """The roots of the arguments and results of functions, over all calls."""

    def __init__(self, module: Module, functions: Mapping[str, Function]) -> None:
        self.module = module
        self.functions = functions
        self.graph = CallGraph(module)
        self.starts: dict[str, State] = {}
        self.ends: dict[str, State] = {}
        self.callers: dict[str, set[str]] = {}
        self.waiting: list[str] = []
        names_in_variable = {name: frozenset(pointers(variable)) for name, variable in module.variables.items()}
        self.pointers = {name: names for name, names in names_in_variable.items() if names}

    def follow(self, entry: str, members: Mapping[str, Roots]) -> dict[str, list[OperandRoots]]:
        """The roots of the operands of each function that the kernel `entry` may call, and of the kernel itself."""
        aligned = frozenset(param.name for param in self.functions[entry].params).union(*members.values())
        self.starts[entry] = dict(members)
        self.waiting = [entry]
        uses = {}
        while self.waiting:
            name = self.waiting.pop()
            function = self.functions[name]
            uses[name], end = rooted(
                function, self.starts[name], functools.partial(self.call, function), self.pointers, aligned
            )
            if merge(self.ends.setdefault(name, {}), end):
                self.waiting += sorted(self.callers.get(name, ()))
        return uses

    def call(self, caller: Function, instruction: Instruction, state: State) -> State:
        """The roots of a call's results."""
        try:
            call = read_call(instruction)
        except PtxbenchError:
            return {}
        results: State = {}
        targets = self.targets(caller, call)
        for target in targets:
            param_roots = dict(passed(call.arguments, target.params, state))
            self.callers.setdefault(target.name, set()).add(caller.name)
            is_new = target.name not in self.starts
            if merge(self.starts.setdefault(target.name, {}), param_roots) or is_new:
                self.waiting.append(target.name)
            merge(results, dict(result_roots(target.returns, call.returned, self.ends.get(target.name, {}))))
        if not targets:
            merge(results, dict(unknown(call.returned)))
        return results

    def targets(self, caller: Function, call: Call) -> Sequence[Function]:
        if is_provided(self.module, call):
            return ()
        try:
            names: Sequence[str] = self.graph.targets(caller, call)
        except PtxbenchError:  # the launch reports it
            names = ()
        return [self.functions[name] for name in names if name in self.functions]


def pointers(variable: Variable) -> Iterator[str]:
    """The names whose addresses are in a variable from the start."""
    for value in variable.initial:
        symbol = value.value if isinstance(value, Masked) else value
        if isinstance(symbol, Symbol):
            yield symbol.name


def parts(state: Mapping[str, Roots], name: str) -> Iterator[tuple[str, Roots]]:
    """The entries of a state for a parameter or a register: the part of the key after the name, and the roots."""
    if name in state:
        yield "", state[name]
    for key, roots in state.items():
        if match := re.fullmatch(rf"{re.escape(name)}(\+-?\d+)", key):
            yield match[1], roots


def passed(operands: Sequence[Operand], params: Sequence[Variable], state: State) -> Iterator[tuple[str, Roots]]:
    """The roots of a function's parameters at its start, by key."""
    for operand, param in zip(operands, params, strict=False):
        if isinstance(operand, Symbol):
            for suffix, roots in parts(state, operand.name):
                yield f"{param.name}{suffix}", roots
        elif roots := names_of(operand).roots(state):
            yield (param.name if param.space == "reg" else f"{param.name}+0"), roots


def unknown(returned: Sequence[Operand]) -> Iterator[tuple[str, Roots]]:
    """The results of a function without a body."""
    for operand in returned:
        if isinstance(operand, Symbol | Register):
            yield (f"{operand.name}+0" if isinstance(operand, Symbol) else operand.name), frozenset({FETCHED})


def result_roots(
    returns: Sequence[Variable], returned: Sequence[Operand], end: Mapping[str, Roots]
) -> Iterator[tuple[str, Roots]]:
    """The roots of a call's results, by key; `end`: the state in which the function returns."""
    for variable, operand in zip(returns, returned, strict=False):
        if isinstance(operand, Symbol | Register):
            for suffix, roots in parts(end, variable.name):
                yield (f"{operand.name}{suffix}" if isinstance(operand, Symbol) else operand.name), roots
