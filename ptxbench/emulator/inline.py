"""A kernel with all the functions that it calls: small ones are inlined, the others become routines.

An inlined body replaces its call. A routine is translated once and placed before its callers: the lowest program
counter is then in the innermost function, and lanes that diverge inside it reconverge at its return. Formal parameters
of an inlined function are aliases of the caller's .param variables; registers, labels and variables get a prefix.
(PTX ISA, "call", "Abstracting the ABI".)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ptxbench.emulator.callgraph import (
    Call,
    CallPlan,
    Signature,
    callee,
    is_call,
    is_provided,
    plan,
    read_call,
    signature,
)
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Element,
    Function,
    Group,
    Immediate,
    Instruction,
    Module,
    Negated,
    Not,
    Operand,
    Register,
    Selected,
    Sink,
    Sum,
    Symbol,
    Variable,
    Vector,
)

START, ENTER, CALL, CALL_THROUGH, RETURNED, RETURN = (
    "bra:start", "call:enter", "call:direct", "call:through", "call:back", "ret:go",
)  # fmt: skip
"""Internal instructions that no text can contain: the jump to a kernel after its routines, the first instruction of a
routine, a call (direct or through a register), the instruction after a call, and the last of a routine."""
FRAME_SPACES = ("local", "param")
"""State spaces of variables that each activation of a function has separately."""


@dataclass(frozen=True)
class CallSite:
    """A call that is not inlined. `caller` is "" in the kernel itself.

    `arguments` and `results` are the caller's .param variables or registers, in signature order.
    """

    caller: str
    targets: tuple[str, ...]
    signature: Signature
    arguments: tuple[Symbol | Register, ...]
    results: tuple[Symbol | Register, ...]
    address: Register | None
    comes_back: bool
    """Whether the caller may run again before the call returns, so that its registers must be saved."""
    uniform: bool = False
    """Whether .uni promises that all lanes of a warp call the same function."""


@dataclass
class Routine:
    """A function that is called. `label`: of its first instruction; `variables`: of its frame."""

    name: str
    label: str
    signature: Signature
    formals: tuple[Variable, ...]
    """Parameters, then returned values, by their names in the kernel."""
    variables: dict[str, Variable] = field(default_factory=dict)


@dataclass(frozen=True)
class InlinedProgram:
    """A kernel and its routines as one function, with its call sites by the index of CALL and of RETURNED."""

    function: Function
    routines: dict[str, Routine] = field(default_factory=dict)
    sites: dict[int, CallSite] = field(default_factory=dict)


def link(module: Module, kernel: Function) -> InlinedProgram:
    """`kernel` with all functions that it calls. Raises PtxSyntaxError, and UnsupportedInstruction for missing
    bodies."""
    if not any(is_call(instruction) for instruction in kernel.instructions):
        return InlinedProgram(kernel)
    return Linker(module, kernel, plan(module, kernel)).link()


class Linker:
    def __init__(self, module: Module, kernel: Function, plan: CallPlan) -> None:
        self.module, self.kernel, self.plan = module, kernel, plan
        self.inlined = 0
        self.result = replace(
            kernel, registers={}, variables={}, instructions=[], labels={}, branch_targets={}, prototypes={},
            call_targets={},
        )  # fmt: skip
        self.routines: dict[str, Routine] = {}
        self.sites: dict[int, CallSite] = {}
        self.root = ""
        """The routine whose body is being written; "" for the kernel's."""

    def link(self) -> InlinedProgram:
        called = [self.module.functions[name] for name in self.plan.called]
        if called:
            self.emit(Instruction(self.kernel.line, START, (Symbol(START),)))
        for function in called:
            prefix = f"{function.name}:"
            formals = tuple(
                replace(formal, name=prefix + formal.name) for formal in (*function.params, *function.returns)
            )
            self.routines[function.name] = Routine(
                function.name, prefix + ENTER, signature(function.params, function.returns), formals
            )
        for function in called:
            self.routine(function)
        self.root = ""
        if called:
            self.place((START,))
        self.body(self.kernel, "", {}, "")
        return InlinedProgram(self.result, self.routines, self.sites)

    def routine(self, function: Function) -> None:
        self.root, prefix = function.name, f"{function.name}:"
        routine = self.routines[function.name]
        end = prefix + RETURN
        self.place((routine.label,))
        inward = routine.formals[: len(function.params)]
        outward = routine.formals[len(function.params) :]
        self.emit(Instruction(function.line, ENTER, registers_among(inward)))
        symbols = {variable.name: Symbol(prefix + variable.name) for variable in (*function.params, *function.returns)}
        self.body(function, prefix, symbols, end)
        self.place((end,))
        self.emit(Instruction(self.result.instructions[-1].line, RETURN, registers_among(outward)))

    def emit(self, instruction: Instruction) -> None:
        self.result.instructions.append(instruction)

    def body(self, function: Function, prefix: str, actual: Mapping[str, Symbol], end: str) -> None:
        """Append the body of `function`; a return in it goes to the label `end` ("" in the kernel itself)."""
        self.result.registers.update((prefix + name, kind) for name, kind in function.registers.items())
        once_prefix = f"{function.name}:" if prefix else ""
        for name, variable in function.variables.items():
            self.declare(replace(variable, name=(prefix if variable.space in FRAME_SPACES else once_prefix) + name))
        self.result.branch_targets.update(
            (prefix + name, tuple(prefix + label for label in labels))
            for name, labels in function.branch_targets.items()
        )
        labels_at: dict[int, list[str]] = {}
        for label, index in function.labels.items():
            labels_at.setdefault(index, []).append(prefix + label)
        rename = Renamer(function, prefix, once_prefix, actual)
        for index, instruction in enumerate(function.instructions):
            self.place(labels_at.get(index, ()))
            renamed = rename.instruction(instruction)
            if is_call(instruction):
                self.call(function, read_call(instruction), renamed)
            elif end and instruction.opcode in ("ret", "ret.uni"):
                opcode = instruction.opcode.replace("ret", "bra")
                self.emit(replace(renamed, opcode=opcode, operands=(Symbol(end),)))
            else:
                self.emit(renamed)
        self.place(labels_at.get(len(function.instructions), ()))

    def declare(self, variable: Variable) -> None:
        """Add a variable to the kernel or to the current routine's frame. A variable of the CTA is added once."""
        frame = self.routines[self.root].variables if self.root else self.result.variables
        (frame if variable.space in FRAME_SPACES else self.result.variables)[variable.name] = variable

    def place(self, labels: list[str] | tuple[str, ...]) -> None:
        self.result.labels.update((label, len(self.result.instructions)) for label in labels)

    def call(self, caller: Function, written: Call, renamed: Instruction) -> None:
        """`written`: the call as in the text. `renamed`: the same with the names used in the kernel."""
        call = read_call(renamed)
        if isinstance(written.target, Symbol) and is_provided(self.module, written):
            operands = [
                Address(operand) if isinstance(operand, Symbol) else operand
                for operand in (*self.taken_results(call, written.target.name), *call.arguments)
            ]
            self.emit(replace(renamed, opcode=f"call.{written.target.name}", operands=tuple(operands)))
            return
        function = None
        if isinstance(written.target, Symbol):
            function = callee(self.module, written)
            params, returns = function.params, function.returns
        else:
            params, returns = self.plan.graph.formals(caller, written)
        self.inlined += 1
        prefix = f"{function.name if function else 'call'}#{self.inlined}:"
        end = prefix + "end"
        if renamed.guard is not None:  # a branch around the call
            around = "bra.uni" if ".uni" in renamed.opcode else "bra"
            self.emit(Instruction(call.line, around, (Symbol(end),), renamed.guard, not renamed.negated))
        if function is not None and function.name not in self.routines:
            self.inline(function, call, prefix)
        else:
            targets = self.plan.graph.targets(caller, written)
            self.go(call, params, returns, targets, prefix)
        self.place((end,))

    def taken_results(self, call: Call, name: str) -> Sequence[Operand]:
        """The operands for the results of the provided function `name`: a variable that nothing reads for `_`."""
        function = self.module.functions.get(name)
        if function is None or len(function.returns) != len(call.returned):
            return call.returned
        self.inlined += 1
        return [
            self.parameter_storage(formal, operand, f"{name}#{self.inlined}:{formal.name}")
            if isinstance(operand, Sink)
            else operand
            for formal, operand in zip(function.returns, call.returned, strict=True)
        ]

    def inline(self, function: Function, call: Call, prefix: str) -> None:
        actual: dict[str, Symbol] = {}
        for formal, operand in zip(
            (*function.params, *function.returns), (*call.arguments, *call.returned), strict=True
        ):
            if formal.space == "param" and isinstance(operand, Symbol):
                actual[formal.name] = operand
            elif formal.space == "param":
                actual[formal.name] = Symbol(prefix + formal.name)
                self.declare(replace(formal, name=prefix + formal.name))
        for formal, operand in zip(function.params, call.arguments, strict=True):
            self.copy_argument(formal, operand, prefix + formal.name, call.line, inward=True)
        self.body(function, prefix, actual, prefix + "return")
        self.place((prefix + "return",))
        for formal, operand in zip(function.returns, call.returned, strict=True):
            self.copy_argument(formal, operand, prefix + formal.name, call.line, inward=False)

    def go(
        self,
        call: Call,
        params: tuple[Variable, ...],
        returns: tuple[Variable, ...],
        targets: tuple[str, ...],
        prefix: str,
    ) -> None:
        """A call of a routine: parameters are copied from the caller's variables and registers to the routine's
        frame."""
        names = iter(f"{prefix}{k}" for k in range(len(params) + len(returns)))
        arguments = tuple(
            self.parameter_storage(formal, operand, next(names))
            for formal, operand in zip(params, call.arguments, strict=True)
        )
        results = tuple(
            self.parameter_storage(formal, out, next(names)) for formal, out in zip(returns, call.returned, strict=True)
        )
        for formal, operand, storage in zip(params, call.arguments, arguments, strict=True):
            if storage != operand:
                self.copy_argument(formal, operand, storage.name, call.line, inward=True)
        address = call.target if isinstance(call.target, Register) else None
        site = CallSite(
            self.root, targets, signature(params, returns), arguments, results, address,
            self.plan.may_come_back(self.root, targets), call.uniform,
        )  # fmt: skip
        self.sites[len(self.result.instructions)] = self.sites[len(self.result.instructions) + 1] = site
        read = ((address,) if address else ()) + tuple(
            argument for argument in arguments if isinstance(argument, Register)
        )
        self.emit(Instruction(call.line, CALL_THROUGH if address else CALL, read))
        self.emit(Instruction(call.line, RETURNED, tuple(result for result in results if isinstance(result, Register))))
        for formal, operand, storage in zip(returns, call.returned, results, strict=True):
            if storage != operand:
                self.copy_argument(formal, operand, storage.name, call.line, inward=False)

    def parameter_storage(self, formal: Variable, operand: Operand, name: str) -> Symbol | Register:
        """The caller's storage for a parameter: its own .param variable, or a variable or register `name`."""
        if formal.space == "reg":
            self.result.registers[name] = formal.type
            return Register(name)
        if isinstance(operand, Symbol):
            return operand
        self.declare(replace(formal, name=name))
        return Symbol(name)

    def copy_argument(self, formal: Variable, operand: Operand, name: str, line: int, *, inward: bool) -> None:
        """Copy a value that is not in a .param variable of the caller: a register or a number. `_` takes no result."""
        discarded = isinstance(operand, Sink) and not inward
        if discarded or (formal.space == "param" and isinstance(operand, Symbol)):
            return
        if formal.space == "param":
            address = Address(Symbol(name))
            kind = f".param.{formal.type}"
            move = (
                Instruction(line, f"st{kind}", (address, operand))
                if inward
                else Instruction(line, f"ld{kind}", (operand, address))
            )
        else:
            register = Register(name)
            move = Instruction(line, f"mov.{formal.type}", (register, operand) if inward else (operand, register))
        self.emit(move)


def registers_among(formals: tuple[Variable, ...]) -> tuple[Register, ...]:
    return tuple(Register(formal.name) for formal in formals if formal.space == "reg")


class Renamer:
    """Renames operands of a function's instructions for the kernel."""

    def __init__(self, function: Function, prefix: str, once_prefix: str, actual: Mapping[str, Symbol]) -> None:
        """`prefix`: for names that each call has separately; `once_prefix`: for names that exist once, such as .shared
        variables."""
        self.prefix = prefix
        self.actual = actual
        self.names = {
            **dict.fromkeys((*function.labels, *function.branch_targets), prefix),
            **{
                name: prefix if variable.space in FRAME_SPACES else once_prefix
                for name, variable in function.variables.items()
            },
        }

    def instruction(self, instruction: Instruction) -> Instruction:
        guard = instruction.guard
        return replace(
            instruction,
            operands=tuple(self.operand(operand) for operand in instruction.operands),
            guard=Register(self.prefix + guard.name) if guard is not None else None,
        )

    def symbol(self, symbol: Symbol) -> Symbol:
        if symbol.name in self.actual:
            argument = self.actual[symbol.name]
            return Symbol(argument.name, argument.offset + symbol.offset)
        return Symbol(self.names.get(symbol.name, "") + symbol.name, symbol.offset)

    def operand(self, operand: Operand) -> Operand:
        if isinstance(operand, Register):
            return Register(self.prefix + operand.name)
        if isinstance(operand, Symbol):
            return self.symbol(operand)
        if isinstance(operand, Address):
            base = self.operand(operand.base)
            assert isinstance(base, Register | Symbol | Immediate | Element)
            return Address(base, operand.offset)
        if isinstance(operand, Vector | Group):
            return replace(operand, parts=tuple(self.operand(part) for part in operand.parts))
        if isinstance(operand, Dual):
            return Dual(self.operand(operand.first), self.operand(operand.second))
        if isinstance(operand, Not | Negated):
            return replace(operand, operand=self.operand(operand.operand))
        if isinstance(operand, Element):
            index = self.operand(operand.index)
            assert isinstance(index, Register | Sum)
            return Element(self.symbol(operand.symbol), index, operand.scale)
        if isinstance(operand, Selected | Sum):
            return replace(operand, register=Register(self.prefix + operand.register.name))
        return operand
