"""Bugs of a PTX kernel: planted in its instructions, whatever the kernel does.

A rule is a function from a place, one instruction, to edits of it; RULES lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ptxbench.audit.kernel import EditedKernel, Statement, read_kernel, registers
from ptxbench.bugs.bug import Bug
from ptxbench.bugs.lines import CodeLines, numbered

Edits = Iterator[tuple[str, str, str]]
"""Kind, words, and the text that replaces the instruction."""

OPPOSITE = {
    "lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "eq": "ne", "ne": "eq",
    "lo": "ls", "ls": "lo", "hi": "hs", "hs": "hi",
    "ltu": "leu", "leu": "ltu", "gtu": "geu", "geu": "gtu", "equ": "neu", "neu": "equ",
}  # fmt: skip
"""Replacements of comparisons: strict to not strict, equal to not equal."""

ELEMENT_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8, "128": 16, "x2": 4}
"""Bytes of an element by the end of the type's name."""


@dataclass(frozen=True)
class InstructionPlace:
    """One instruction of a kernel."""

    kernel: EditedKernel
    index: int
    statement: Statement
    loaded: frozenset[str] = frozenset()
    """The registers of the kernel whose value depends on a loaded value."""

    @cached_property
    def parts(self) -> tuple[str, str, list[str]]:
        return self.statement.parts

    @property
    def guard(self) -> str:
        return self.parts[0]

    @property
    def opcode(self) -> str:
        return self.parts[1]

    @property
    def words(self) -> list[str]:
        return self.opcode.split(".")

    @property
    def operands(self) -> list[str]:
        return self.parts[2]

    @property
    def type(self) -> str:
        return self.words[-1]

    def text(self, opcode: str | None = None, operands: Sequence[str] | None = None, guard: str | None = None) -> str:
        """The instruction with another opcode, other operands or another guard."""
        new_operands = self.operands if operands is None else operands
        new_guard = self.guard if guard is None else guard
        return f"{new_guard}{opcode or self.opcode} {', '.join(new_operands)}".rstrip() + ";"

    def with_operand(self, number: int, new: str) -> str:
        return self.text(operands=[*self.operands[:number], new, *self.operands[number + 1 :]])

    def block(self, declarations: str, *lines: str) -> str:
        """Instructions that replace this one, with their own registers."""
        return " ".join(["{", declarations, *lines, "}"])

    @property
    def reads(self) -> set[str]:
        """Registers that it reads, except its guard and the parts of an address that it writes to."""
        return registers(self.statement.instruction.operands[1:]) if self.statement.instruction else set()

    @property
    def written(self) -> set[str]:
        if not self.statement.instruction or self.opcode.startswith(("st.", "red.", "bra", "ret", "cp.", "call")):
            return set()
        return registers(self.statement.instruction.operands[:1])


def bugs(text: str, entry: str) -> list[Bug]:
    """Every bug that can be planted in the kernel `entry`, in the order of the text. Raises as `read_kernel` does."""
    from ptxbench.bugs.ptx_order import ORDER_RULES
    from ptxbench.bugs.ptx_values import VALUE_RULES

    kernel = read_kernel(text, entry)
    lines = CodeLines(text)
    loaded = from_memory(kernel)
    planted = []
    for index, statement in enumerate(kernel.instructions):
        place = InstructionPlace(kernel, index, statement, loaded)
        for rule in (*RULES, *VALUE_RULES, *ORDER_RULES):
            for kind, edit, new in rule(place):
                if new != statement.text:
                    planted.append(lines.bug(kind, edit, [(*statement.span, new)]))
    return list(numbered(planted))


def number_of(operand: str) -> int | None:
    """The value of an integer that is written as an operand."""
    return int(operand, 0) if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|[1-9]\d*|0)", operand) else None


# ---- comparisons and bounds


def comparisons(place: InstructionPlace) -> Edits:
    """`setp.lt` as `setp.le`, `eq` as `ne`."""
    words = place.words
    if words[0] not in ("setp", "set") or words[1] not in OPPOSITE:
        return
    other = OPPOSITE[words[1]]
    yield "comparison", f"{words[1]} to {other}", place.text(".".join([words[0], other, *words[2:]]))


def from_memory(kernel: EditedKernel) -> frozenset[str]:
    """The registers whose value depends on a loaded value, not counting addresses."""
    places = [InstructionPlace(kernel, index, statement) for index, statement in enumerate(kernel.instructions)]
    loaded = {name for place in places if re.match(r"ld\.global", place.opcode) for name in place.written}
    while (
        dependent := {
            name
            for place in places
            if not place.opcode.startswith("ld") and place.reads & loaded
            for name in place.written
        }
        - loaded
    ):
        loaded |= dependent
    return frozenset(loaded)


def other_sign(type_: str) -> str:
    return {"u": "s", "s": "u"}[type_[0]] + type_[1:]


def signs(place: InstructionPlace) -> Edits:
    """A negative number read as a large one; for values from memory also the reverse.

    Not an unsigned index read as signed: no launch that ends in time has 2^31 of anything.
    """
    words, type_ = place.words, place.type
    unsigned = type_[0] == "u" and not place.reads & place.loaded
    if unsigned or not re.fullmatch(r"[us](8|16|32|64)", type_):
        return
    ordered = words[0] in ("setp", "set") and words[1] in ("lt", "le", "gt", "ge")
    if ordered or words[0] in ("min", "max", "shr") or place.opcode.startswith("mul.hi"):
        new = other_sign(type_)
        yield "comparison", f"{type_} to {new}", place.text(".".join([*words[:-1], new]))
    elif words[0] == "cvt" and (words[-2][0] == "f" or words[-2][1:] > type_[1:]):
        new = other_sign(type_)
        yield "comparison", f"from {type_} to from {new}", place.text(".".join([*words[:-1], new]))


def guards(place: InstructionPlace) -> Edits:
    """A negated guard."""
    if place.guard:
        name = place.guard.strip().lstrip("@!").strip()
        inverted = f"@{name} " if "!" in place.guard else f"@!{name} "
        yield "comparison", f"guard {inverted.strip()}", place.text(guard=inverted)


def bounds(place: InstructionPlace) -> Edits:
    """The bound of an integer comparison, one more and one less."""
    words, type_ = place.words, place.type
    if words[0] != "setp" or not re.fullmatch(r"[usb](16|32|64)", type_) or words[1] in ("eq", "ne"):
        return
    bound = place.operands[2]
    value = number_of(bound)
    for sign, step in (("-", -1), ("+", 1)):
        if value is not None:
            if value + step >= 0 or type_[0] == "s":
                yield "bound", f"{bound} to {value + step}", place.with_operand(2, str(value + step))
        elif bound.startswith("%"):
            yield (
                "bound",
                f"{bound} to {bound} {sign} 1",
                place.block(
                    f".reg .{type_} %bug_bound;",
                    f"add.{'s' if type_[0] == 'b' else type_[0]}{type_[1:]} %bug_bound, {bound}, {step};",
                    place.with_operand(2, "%bug_bound"),
                ),
            )


# ---- addresses and indices

ADDRESS = re.compile(r"\[\s*(?P<base>[%\w$.]+)\s*(?:\+\s*(?P<offset>-?\w+)\s*)?\]")


def element_bytes(type_: str) -> int:
    return next((size for end, size in ELEMENT_BYTES.items() if type_.endswith(end)), 4)


def addresses(place: InstructionPlace) -> Edits:
    """The address of an access one element further."""
    if not re.match(r"(ld|st|red|atom|ldmatrix|cp\.async\.c)\b", place.opcode) or ".param" in place.opcode:
        return
    for number, operand in enumerate(place.operands):
        match = ADDRESS.fullmatch(operand)
        if not match or (offset := number_of(match["offset"] or "0")) is None:
            continue
        size = 16 if place.opcode.startswith(("cp.", "ldmatrix")) else element_bytes(place.type)
        for step in (size, -size) if offset else (size,):
            words = f"[{match['base']}{f' + {offset}' if offset else ''}] {'+' if step > 0 else '-'} {abs(step)}"
            yield "offset", words, place.with_operand(number, f"[{match['base']} + {offset + step}]")


def indices(place: InstructionPlace) -> Edits:
    """A constant of integer arithmetic, plus one, or halved if it is a mask or a shift."""
    words, type_ = place.words, place.type
    if not re.fullmatch(r"[usb](32|64)", type_):
        return
    arithmetic = words[0] in ("add", "sub", "mul", "mad", "shl", "shr", "and") and "cc" not in words
    for number, operand in enumerate(place.operands):
        if not arithmetic or number == 0 or (value := number_of(operand)) is None or value == 0:
            continue
        new = value // 2 if words[0] == "and" else value + (4 if type_[1:] == "64" and words[0] == "add" else 1)
        yield "offset", f"{words[0]} {operand} to {new}", place.with_operand(number, str(new))


# ---- lanes


def lanes(place: InstructionPlace) -> Edits:
    """Masks, distances and clamps of warp instructions."""
    words, operands = place.words, place.operands
    if words[:2] == ["shfl", "sync"]:
        for other in {"up": ["down"], "down": ["up"], "bfly": ["down"], "idx": ["bfly"]}[words[2]]:
            yield "lanes", f"{words[2]} to {other}", place.text(".".join(["shfl.sync", other, *words[3:]]))
        if (distance := number_of(operands[2])) is not None:
            # Not the next number for a butterfly: 17, 8, 4, 2 and 1 reach all lanes, as 16, 8, 4, 2 and 1 do.
            new = distance + 1 if words[2] != "bfly" else distance // 2 or 2
            yield "lanes", f"distance {distance} to {new}", place.with_operand(2, str(new))
        if (clamp := number_of(operands[3])) is not None:
            new = 0x1010 if clamp == 0 else clamp >> 1
            yield "lanes", f"clamp {operands[3]} to {new}", place.with_operand(3, str(new))
        yield from masks(place, 4)
    elif words[0] in ("vote", "match", "redux") and "sync" in words:
        if words[0] == "vote" and words[2] in ("any", "all"):
            other = {"any": "all", "all": "any"}[words[2]]
            yield "lanes", f"{words[2]} to {other}", place.text(".".join(["vote.sync", other, *words[3:]]))
        yield from masks(place, len(operands) - 1)
    elif place.opcode.startswith(("bar.warp.sync", "elect.sync")):
        yield from masks(place, len(operands) - 1)


def masks(place: InstructionPlace, number: int) -> Edits:
    mask = number_of(place.operands[number])
    if mask is None:
        return
    for new in (mask >> 1, mask & 0xFFFF if mask > 0xFFFF else mask & 0xF):
        if new != mask:
            yield "lanes", f"mask {place.operands[number]} to {new:#x}", place.with_operand(number, hex(new))


# ---- what is skipped, and what is stale


def tails(place: InstructionPlace) -> Edits:
    """A loop that runs once, a skipped section, or a skipped store of the last lane or CTA."""
    words = place.words
    function = place.kernel.function
    if words[0] == "bra" and place.guard:
        target = function.labels.get(place.operands[0])
        if target is not None and target <= place.index:
            yield "tail", "loop left after one round", ""
        else:
            yield "tail", f"always to {place.operands[0]}", place.text(guard="")
    if words[0] in ("st", "red") and "param" not in words:
        if place.guard:
            yield "tail", "guarded store dropped", ""
        else:
            declared = ".reg .pred %bug_p; .reg .u32 %bug_t, %bug_n;"
            not_last_lane = (
                "mov.u32 %bug_t, %laneid;", "activemask.b32 %bug_n;", "bfind.u32 %bug_n, %bug_n;",
                "setp.ne.u32 %bug_p, %bug_t, %bug_n;",
            )  # fmt: skip
            yield "tail", "not by the last lane", place.block(declared, *not_last_lane, place.text(guard="@%bug_p "))
            not_last_cta = (
                "mov.u32 %bug_t, %ctaid.x;", "mov.u32 %bug_n, %nctaid.x;", "sub.u32 %bug_n, %bug_n, 1;",
                "setp.ne.u32 %bug_p, %bug_t, %bug_n;",
            )  # fmt: skip
            if "shared" not in words:
                yield "tail", "not by the last CTA", place.block(declared, *not_last_cta, place.text(guard="@%bug_p "))


def stale(place: InstructionPlace) -> Edits:
    """A removed instruction, so that its register keeps its old value; or another register read."""
    if place.written and not place.opcode.startswith(("ld.param", "cvta", "mbarrier", "createpolicy")):
        yield "stale", "dropped", ""
    instruction = place.statement.instruction
    if instruction is None or place.opcode.startswith(("bra", "cvta", "ld.param")):
        return
    types = place.kernel.function.registers
    for number, operand in enumerate(place.operands):
        first_source = 0 if not place.written else 1
        if number < first_source or operand not in types:
            continue
        if (other := earlier(place, operand)) is not None:
            yield "stale", f"{other} for {operand}", place.with_operand(number, other)


def earlier(place: InstructionPlace, name: str) -> str | None:
    """The last other register of the type of `name` that was written before."""
    types = place.kernel.function.registers
    for statement in reversed(place.kernel.instructions[: place.index]):
        written = InstructionPlace(place.kernel, 0, statement).written
        for other in sorted(written):
            if other != name and types.get(other) == types[name] and other not in place.operands:
                return other
    return None


RULES: Sequence[Callable[[InstructionPlace], Edits]] = (
    comparisons,
    signs,
    guards,
    bounds,
    addresses,
    indices,
    lanes,
    tails,
    stale,
)
