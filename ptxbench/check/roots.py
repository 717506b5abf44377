"""The parameters, variables and predefined registers from which a kernel's values are computed: what it may access.

A forward analysis over basic blocks: a write replaces the roots of a register, a guarded write adds to them, and where
paths join the roots are united. A value from memory or from other lanes only has the root FETCHED.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from ptxbench.check.low_bits import LowBits, low_bits
from ptxbench.emulator.syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Operand,
    Register,
    Special,
    Symbol,
    Vector,
    parts,
    registers,
)
from ptxbench.emulator.types import TYPES

Roots = frozenset[str]
State = dict[str, Roots]
"""The roots of each register; a register that is not listed has none."""

NOTHING: Roots = frozenset()
FETCHED = "*"
"""The root of a value from memory or from other lanes."""
JUST_FETCHED: Roots = frozenset({FETCHED})

NO_RESULT = (
    "st.",
    "red.",
    "bra",
    "brx",
    "bar.",
    "barrier.",
    "ret",
    "exit",
    "call",
    "cp.",
    "prefetch",
    "membar",
    "fence",
)
"""Instructions whose first operand is not written."""

LOADS = ("ld.", "ldu.", "atom.", "ldmatrix", "shfl", "mma.", "wmma.", "mbarrier.", "multimem.")
"""Instructions with results that do not depend only on their operands; loads of a parameter are exceptions."""

ENDS = ("bra", "brx", "ret", "exit", "trap")


class OperandRoots(NamedTuple):
    """The roots of an instruction's operands and of its guard, before it runs."""

    operands: tuple[Roots, ...]
    guard: Roots = NOTHING


CallRoots = Callable[[Instruction, State], Mapping[str, Roots]]
"""The roots of a call's results, given the state before the call."""


def rooted(
    function: Function,
    at_start: Mapping[str, Roots] | None = None,
    calls: CallRoots = lambda call, state: {},
    pointers: Mapping[str, Roots] | None = None,
    aligned: Roots = NOTHING,
) -> tuple[list[OperandRoots], State]:
    """For each instruction the roots that it uses, none if it is unreachable; and the state at the function's returns.

    `at_start`: the state at the start, with parameters of calls, and of a kernel those that are structs, keyed as in
    `AccessPlace.keys`. `pointers`: for each variable that holds addresses from the start, the variables at these
    addresses. `aligned`: parameters that are the addresses of arrays.
    """
    blocks = BlockStates(function)
    at_start = at_start or {}
    passing = TransferFunction(function, calls, pointers or {}, aligned, at_start)
    before: dict[int, State] = {0: dict(at_start)}
    waiting = [0]  # a heap in the order of the text, so that most blocks are visited once
    end: State = {}
    uses = [OperandRoots((NOTHING,) * len(instruction.operands)) for instruction in function.instructions]
    while waiting:
        block = heappop(waiting)
        if waiting and waiting[0] == block:
            continue
        state = dict(before[block])
        for index in blocks.indices(block):
            uses[index] = passing.step(state, index)
        if function.returns:
            merge(end, state)
        for successor in blocks.successors(block):
            if successor not in before:
                before[successor] = dict(state)
                heappush(waiting, successor)
            elif merge(before[successor], state):
                heappush(waiting, successor)
    returned = {variable.name for variable in function.returns}
    return uses, {name: roots for name, roots in end.items() if name.partition("+")[0] in returned}


WORD = 4
"""Bytes of a parameter that are tracked separately."""


class AccessPlace(NamedTuple):
    """The place of a load or store of a call's parameter: the parameter, the offset in it, the bytes of an element."""

    name: str
    offset: int
    size: int

    def keys(self, number: int) -> list[str]:
        """The keys in a state for the bytes of element `number`."""
        first = self.offset + number * self.size
        return [f"{self.name}+{word}" for word in range(first // WORD, (first + self.size - 1) // WORD + 1)]


class OperandNames(NamedTuple):
    """The names in an operand: its registers, and its direct roots (predefined registers and variables)."""

    registers: Sequence[str]
    direct: Roots

    def roots(self, state: Mapping[str, Roots]) -> Roots:
        if not self.registers:
            return self.direct
        first, *others = [state.get(name, NOTHING) for name in self.registers]
        return first.union(self.direct, *others) if others or self.direct else first


NO_NAMES = OperandNames((), NOTHING)


def names_of(operand: Operand) -> OperandNames:
    """The names in an operand."""
    if isinstance(operand, Register):
        return OperandNames((operand.name,), NOTHING)
    if isinstance(operand, Symbol | Special):
        return OperandNames((), frozenset({operand.name}))
    if isinstance(operand, Immediate):
        return NO_NAMES
    inner = [names_of(part) for part in parts(operand)]
    names = tuple(name for part in inner for name in part.registers)
    return OperandNames(names, NOTHING.union(*(part.direct for part in inner)))


class Transfer(NamedTuple):
    """An instruction as the analysis needs it, prepared once because it may be visited several times.

    `place`: if it loads or stores a parameter of a call; `written`: the registers that it writes.
    """

    instruction: Instruction
    place: AccessPlace | None
    operands: Sequence[OperandNames]
    written: Sequence[str]
    is_computed: bool
    """Whether the result depends only on the operands."""
    low_bits: LowBits
    may_load_address: bool
    """Whether it may load an address that a variable holds from the start."""


class TransferFunction:
    """The effect of instructions on a state, with the parameters of calls."""

    def __init__(
        self,
        function: Function,
        calls: CallRoots,
        pointers: Mapping[str, Roots],
        aligned: Roots,
        at_start: Mapping[str, Roots],
    ) -> None:
        self.pointers, self.aligned = pointers, aligned
        self.constants = constants(function)
        call_params = () if function.entry else (*function.params, *function.returns)
        self.slots = {
            variable.name for variable in (*call_params, *function.variables.values()) if variable.space == "param"
        } | {key.partition("+")[0] for key in at_start if "+" in key}
        self.calls = calls
        self.transfers = [self.transfer(instruction) for instruction in function.instructions]

    def transfer(self, instruction: Instruction) -> Transfer:
        opcode, operands = instruction.opcode, instruction.operands
        has_result = operands and not opcode.startswith(NO_RESULT)
        return Transfer(
            instruction,
            self.place(instruction),
            [names_of(operand) for operand in operands],
            tuple(written_registers(operands[0])) if has_result else (),
            not opcode.startswith(LOADS) or opcode.startswith("ld.param"),
            low_bits(instruction, [value_of(operand, self.constants) for operand in operands[1:]]),
            bool(self.pointers) and opcode.startswith("ld.") and "64" in opcode,
        )

    def step(self, state: State, index: int) -> OperandRoots:
        """The roots that an instruction uses; its effect on them is added to the state."""
        transfer = self.transfers[index]
        instruction, place = transfer.instruction, transfer.place
        roots = tuple([names.roots(state) for names in transfer.operands])
        guard = NOTHING if instruction.guard is None else state.get(instruction.guard.name, NOTHING)
        if instruction.opcode.startswith("call"):
            state.update(self.calls(instruction, state))
        elif place is None:
            self.compute(state, transfer, roots)
        elif instruction.opcode.startswith("st."):
            for number, operand in enumerate(vector_parts(instruction.operands[1])):
                for name in place.keys(number):
                    state[name] = state.get(name, NOTHING) | names_of(operand).roots(state)
        else:
            for number, operand in enumerate(vector_parts(instruction.operands[0])):
                loaded = NOTHING.union(*(state.get(name, NOTHING) for name in place.keys(number)))
                for name in written_registers(operand):
                    state[name] = loaded
        return OperandRoots(roots, guard)

    def compute(self, state: State, transfer: Transfer, operands: Sequence[Roots]) -> None:
        """The effect of an instruction that computes or loads a result, unless it has none. `operands`: their roots."""
        if not transfer.written:
            return
        new = JUST_FETCHED
        if transfer.is_computed or transfer.may_load_address:
            used = NOTHING.union(*operands[1:])
            new = transfer.low_bits.roots(used, self.aligned) if transfer.is_computed else new
            if transfer.may_load_address:
                new = new.union(*(self.pointers[name] for name in used & self.pointers.keys()))
        for name in transfer.written:
            roots = new | state.get(name, NOTHING) if transfer.instruction.guard is not None else new
            if roots:
                state[name] = roots
            else:
                state.pop(name, None)

    def place(self, instruction: Instruction) -> AccessPlace | None:
        """The place of a load or store of a call's parameter; None for other instructions."""
        if not instruction.opcode.startswith(("ld.param", "st.param")):
            return None
        for operand in instruction.operands:
            if isinstance(operand, Address) and isinstance(operand.base, Symbol) and operand.base.name in self.slots:
                bits = TYPES[instruction.opcode.rsplit(".", 1)[-1]].bits
                return AccessPlace(operand.base.name, operand.base.offset + operand.offset, max(1, bits // 8))
        return None


def vector_parts(operand: Operand) -> Sequence[Operand]:
    return operand.parts if isinstance(operand, Vector) else (operand,)


def merge(into: State, other: Mapping[str, Roots]) -> bool:
    """Add the roots of another path to `into`; returns whether that adds anything new."""
    grown = False
    for name, roots in other.items():
        present = into.get(name, NOTHING)
        if present is not roots and not roots <= present:
            into[name] = present | roots
            grown = True
    return grown


def written_registers(operand: Operand) -> Sequence[str]:
    """The registers of an operand that an instruction writes. A register in an address is only read."""
    return () if isinstance(operand, Address) else registers(operand)


class BlockStates:
    """The basic blocks of a function, each known by the index of its first instruction."""

    def __init__(self, function: Function) -> None:
        self.function = function
        count = len(function.instructions)
        after = {index + 1 for index, instruction in enumerate(function.instructions) if ends_block(instruction)}
        self.starts = sorted({0, *function.labels.values(), *after} - {count}) if count else []
        self.following = dict(zip(self.starts, [*self.starts[1:], count], strict=True))

    def indices(self, block: int) -> range:
        return range(block, self.following.get(block, block))

    def successors(self, block: int) -> Sequence[int]:
        """The successors of a block."""
        count = len(self.function.instructions)
        if block not in self.following:
            return ()
        last = self.function.instructions[self.following[block] - 1]
        candidates = [self.following[block]] if not ends_block(last) or last.guard is not None else []
        for operand in last.operands if last.opcode.startswith(("bra", "brx")) else ():
            if isinstance(operand, Symbol):
                names = self.function.branch_targets.get(operand.name, (operand.name,))
                candidates += [self.function.labels[name] for name in names if name in self.function.labels]
        return [candidate for candidate in candidates if candidate < count]

    def after(self, block: int) -> set[int]:
        """The blocks that are reachable from a block; itself if it is in a loop."""
        reached: set[int] = set()
        waiting = [*self.successors(block)]
        while waiting:
            if (successor := waiting.pop()) not in reached:
                reached.add(successor)
                waiting += self.successors(successor)
        return reached

    def of(self, index: int) -> int:
        """The block of an instruction."""
        return self.starts[bisect(self.starts, index) - 1]

    def may_follow(self, first: int, second: int) -> bool:
        """Whether instruction `second` may execute after instruction `first`, by their indices."""
        block, other = self.of(first), self.of(second)
        return (block == other and first < second) or other in self.after(block)


def ends_block(instruction: Instruction) -> bool:
    """Whether a block ends with this instruction."""
    return instruction.opcode.split(".")[0] in ENDS


def constants(function: Function) -> dict[str, int]:
    """The registers with a constant integer value: written once, by a mov of it."""
    written: dict[str, list[int | None]] = {}
    for instruction in function.instructions:
        if not instruction.operands or instruction.opcode.startswith(NO_RESULT):
            continue
        target, *sources = instruction.operands
        plain = instruction.opcode.startswith("mov.") and instruction.guard is None and len(sources) == 1
        value = sources[0].value if plain and isinstance(sources[0], Immediate) else None
        for name in written_registers(target):
            written.setdefault(name, []).append(value if isinstance(value, int) else None)
    return {name: value for name, (value, *more) in written.items() if value is not None and not more}


def value_of(operand: Operand, known: Mapping[str, int]) -> int | None:
    """The constant integer value of an operand; None if it is not known. `known`: as from `constants`."""
    if isinstance(operand, Immediate):
        return operand.value if isinstance(operand.value, int) else None
    return known.get(operand.name) if isinstance(operand, Register) else None
