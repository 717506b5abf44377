"""Which functions a kernel can reach, and which of them are called rather than inlined.

A direct call is inlined unless its function is in a cycle of calls (recursion), is the target of a call through a
register, allocates on the stack, or the kernel would grow too large: see `plan`. Knows nothing of other instructions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.syntax import (
    Function,
    Group,
    Instruction,
    Module,
    Operand,
    Register,
    Symbol,
    Variable,
    symbols,
)
from ptxbench.errors import PtxSyntaxError, UnsupportedInstruction

HOST_FUNCTIONS = ("vprintf", "__assertfail", "malloc", "free")
"""Functions that the emulator provides; a call of one becomes the instruction `call.NAME`."""
ALLOCATING = ("alloca", "stacksave", "stackrestore")
NO_BODY = "has no body in this file, and the emulator links no other files"
MOST_INLINED = 20_000
"""The most instructions of a kernel with every call inlined; above it, all its functions are called."""
MOST_NESTED = 100
"""The greatest depth of nested inlined calls."""

Signature = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]
"""State space and bytes of each parameter and each returned value: caller and function must agree on them."""


def signature(params: Sequence[Variable], returns: Sequence[Variable]) -> Signature:
    """The signature. A predicate in a register counts as one byte."""
    passed, returned = (
        tuple((variable.space, max(variable.size_bytes, 1)) for variable in variables)
        for variables in (params, returns)
    )
    return passed, returned


@dataclass(frozen=True)
class Call:
    """The operands of a call. `label`: the .callprototype or .calltargets of a call through a register. `uniform`:
    whether .uni promises that all lanes call the same function."""

    line: int
    target: Operand
    arguments: tuple[Operand, ...]
    returned: tuple[Operand, ...]
    label: str | None
    uniform: bool = False


def is_call(instruction: Instruction) -> bool:
    return instruction.opcode.split(".")[0] == "call"


def read_call(instruction: Instruction) -> Call:
    """`call (returned), target, (arguments), label`; only the target is required. Raises PtxSyntaxError."""
    operands = list(instruction.operands)
    returned = operands.pop(0).parts if operands and isinstance(operands[0], Group) else ()  # type: ignore[union-attr]
    if not operands or not isinstance(operands[0], Symbol | Register):
        raise syntax_error(instruction.line, "expected the name of a function, or a register, after 'call'.")
    target = operands.pop(0)
    arguments = operands.pop(0).parts if operands and isinstance(operands[0], Group) else ()  # type: ignore[union-attr]
    label = operands.pop(0) if operands else None
    if operands or not (label is None or isinstance(label, Symbol)):
        raise syntax_error(instruction.line, "expected ';' after the parameters of the call.")
    if isinstance(target, Register) and label is None:
        raise syntax_error(
            instruction.line, "a call through a register needs the label of a .callprototype or .calltargets."
        )
    uniform = "uni" in instruction.opcode.split(".")
    return Call(instruction.line, target, arguments, returned, label.name if label is not None else None, uniform)


def is_provided(module: Module, call: Call) -> bool:
    """Whether the emulator provides the called function, and the module does not define one of the same name."""
    if not isinstance(call.target, Symbol) or call.target.name not in HOST_FUNCTIONS:
        return False
    function = module.functions.get(call.target.name)
    return function is None or not function.defined


def calls_of(module: Module, function: Function) -> Iterator[Call]:
    """The calls of a function, except those of functions that the emulator provides."""
    for instruction in function.instructions:
        if is_call(instruction):
            call = read_call(instruction)
            if not is_provided(module, call):
                yield call


def callee(module: Module, call: Call) -> Function:
    """The function that a direct call names. Raises UnsupportedInstruction if it has no body."""
    assert isinstance(call.target, Symbol)
    function = module.functions.get(call.target.name)
    if function is None or not function.defined:
        raise UnsupportedInstruction(f"line {call.line}: '{call.target.name}' {NO_BODY}.")
    if function.entry:
        raise syntax_error(call.line, f"'{function.name}' is a kernel; only a .func can be called.")
    if len(call.arguments) != len(function.params) or len(call.returned) != len(function.returns):
        raise wrong_number(call, f"'{function.name}'", function.params, function.returns)
    return function


def wrong_number(
    call: Call, callee_name: str, params: Sequence[Variable], returns: Sequence[Variable]
) -> PtxSyntaxError:
    return syntax_error(
        call.line,
        f"{callee_name} takes {len(params)} and returns {len(returns)}; the call has {len(call.arguments)} and "
        f"{len(call.returned)}.",
    )


class CallGraph:
    """The call graph of a module's functions."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.pointed_to = tuple(dict.fromkeys(addressed(module)))

    def formals(self, caller: Function, call: Call) -> tuple[tuple[Variable, ...], tuple[Variable, ...]]:
        """Parameters and returned values of a call through a register. Raises PtxSyntaxError."""
        if call.label in caller.prototypes:
            prototype = caller.prototypes[call.label]
            callee_name, params, returns = f"the prototype '{call.label}'", prototype.params, prototype.returns
        elif call.label in caller.call_targets:
            first = self.listed_targets(caller, call)[0]
            callee_name, params, returns = f"'{first.name}'", first.params, first.returns
        else:
            raise syntax_error(call.line, f"'{call.label}' is not the label of a .callprototype or .calltargets.")
        if len(call.arguments) != len(params) or len(call.returned) != len(returns):
            raise wrong_number(call, callee_name, params, returns)
        return params, returns

    def listed_targets(self, caller: Function, call: Call) -> list[Function]:
        """The functions of the call's .calltargets."""
        assert call.label is not None
        functions = []
        for name in caller.call_targets[call.label]:
            function = self.module.functions.get(name)
            if function is None or not function.defined or function.entry:
                raise syntax_error(call.line, f"'{name}' in the .calltargets '{call.label}' is not a function.")
            functions.append(function)
        return functions

    def targets(self, caller: Function, call: Call) -> tuple[str, ...]:
        """The functions that a call may reach. A call through a register reaches the functions of its signature that
        are in its .calltargets, or, without .calltargets, whose address the module takes."""
        if isinstance(call.target, Symbol):
            return (callee(self.module, call).name,)
        call_signature = signature(*self.formals(caller, call))
        if call.label in caller.prototypes:
            functions = [self.module.functions[name] for name in self.pointed_to]
        else:
            functions = self.listed_targets(caller, call)
        return tuple(
            function.name for function in functions if signature(function.params, function.returns) == call_signature
        )


def addressed(module: Module) -> Iterator[str]:
    """The functions whose address is taken by an initialiser or an instruction."""
    function_names = {name for name, function in module.functions.items() if function.defined and not function.entry}
    if not function_names:
        return
    for variable in module.variables.values():
        for value in variable.initial:
            if isinstance(value, Symbol) and value.name in function_names:
                yield value.name
    for function in module.functions.values():
        for instruction in function.instructions:
            if not is_call(instruction):
                yield from (
                    name for operand in instruction.operands for name in symbols(operand) if name in function_names
                )


@dataclass(frozen=True)
class CallPlan:
    """`called`: the functions that are called, not inlined; callees first, except in cycles.

    `cycle`: a number for each function; functions that call each other in a cycle share it.
    """

    graph: CallGraph
    called: tuple[str, ...] = ()
    cycle: Mapping[str, int] = field(default_factory=dict)

    def may_come_back(self, caller: str, targets: Sequence[str]) -> bool:
        """Whether a call of one of `targets` may reach `caller` again before it returns."""
        return any(self.cycle[target] == self.cycle.get(caller) for target in targets)


def plan(module: Module, kernel: Function) -> CallPlan:
    """Decide which functions of a kernel are called and which are inlined.

    Functions in cycles, functions that allocate on the stack (their return frees that memory), and targets of calls
    through registers are called. If inlining the others gives more than MOST_INLINED instructions or more than
    MOST_NESTED nested calls, every function is called. Raises PtxSyntaxError, and UnsupportedInstruction for a function
    without a body.
    """
    graph = CallGraph(module)
    edges: dict[str, list[str]] = {}
    inlinable: dict[str, list[str]] = {}
    indirect: set[str] = set()

    def record_calls(name: str) -> list[str]:
        function = module.functions[name]
        edges[name], inlinable[name] = [], []
        for call in calls_of(module, function):
            targets = graph.targets(function, call)
            edges[name].extend(targets)
            if isinstance(call.target, Symbol):
                inlinable[name].extend(targets)
            else:
                indirect.update(targets)
        return list(dict.fromkeys(edges[name]))

    order, cycle = components(kernel.name, record_calls)
    members = Counter(cycle.values())
    called = indirect | {
        name
        for name in order
        if members[cycle[name]] > 1
        or name in edges[name]
        or (name != kernel.name and allocates(module.functions[name]))
    }
    expanded: dict[str, int] = {}
    depth: dict[str, int] = {}
    for name in order:
        inner = [target for target in inlinable[name] if target not in called]
        expanded[name] = len(module.functions[name].instructions) + sum(expanded[target] for target in inner)
        depth[name] = 1 + max((depth[target] for target in inner), default=0)
    roots = [*called, kernel.name]
    if sum(expanded[name] for name in roots) > MOST_INLINED or max(depth[name] for name in roots) > MOST_NESTED + 1:
        called = set(order) - {kernel.name}
    return CallPlan(graph, tuple(name for name in order if name in called), cycle)


def allocates(function: Function) -> bool:
    """Whether a function uses the stack itself."""
    return any(instruction.opcode.split(".")[0] in ALLOCATING for instruction in function.instructions)


def components(start: str, successors: Callable[[str], list[str]]) -> tuple[list[str], dict[str, int]]:
    """The functions reachable from `start`, successors first except in cycles, and a number for each cycle.

    Tarjan's algorithm with an explicit stack: chains of calls may be thousands long.
    """
    order: list[str] = []
    cycle: dict[str, int] = {}
    index: dict[str, int] = {start: 0}
    low: dict[str, int] = {start: 0}
    open_names = [start]
    path = [(start, iter(successors(start)))]
    while path:
        name, unvisited = path[-1]
        for successor in unvisited:
            if successor not in index:
                index[successor] = low[successor] = len(index)
                open_names.append(successor)
                path.append((successor, iter(successors(successor))))
                break
            if successor not in cycle:
                low[name] = min(low[name], index[successor])
        else:
            path.pop()
            order.append(name)
            if path:
                low[path[-1][0]] = min(low[path[-1][0]], low[name])
            if low[name] == index[name]:
                while name not in cycle:
                    cycle[open_names.pop()] = index[name]
    return order, cycle
