"""The operand types that an instruction accepts: the rules by which ptxas rejects others.

A register must have the size and the kind of the instruction's type: bits match everything, signed and unsigned
integers match each other. `ld`, `st`, `ldu` and `cvt` accept wider registers too (PTX ISA, "Operand Size
Exceeding Instruction-Type Size"). Where the manual leaves something open, the rule is from experiments with ptxas.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ptxbench.emulator.isa.table import Entry, OperandForm
from ptxbench.emulator.syntax import (
    Dual,
    Immediate,
    Instruction,
    Not,
    Operand,
    Register,
    Selected,
    Sink,
    Special,
    Symbol,
    Vector,
    plain,
)
from ptxbench.emulator.types import LANES, PRED, TYPES, U32, Type

TAKES_WIDER = ("ld", "st", "ldu", "cvt")
EXACT = re.compile(r"\.(bf16|tf32|u?e\dm\d|s2f6)")
"""A `cvt` from or to one of these types is newer than the rule of wider registers, and does not follow it."""
MAY_DISCARD = ("atom", "setp", "match", "elect", "lop3", "mbarrier")
"""Instructions whose result may be `_`. In a vector, and as the second result, it is always allowed."""
OF_INTEGERS = re.compile(r"cvt(\.sat)?\.[us]\d+\.[us]\d+$")
"""Besides mov, only these read predefined registers."""
REGISTERS_ALONE = re.compile(r"v\w+[24]\.|movmatrix\.|stackrestore\.|mma\.")
"""These accept no number as a source outside vectors; the first are the video instructions on halves and bytes."""
NUMBERS = ("selector",)
"""The operands of these instructions that are numbers nevertheless."""
NAMES_VARIABLE = re.compile(r"mov\.|call\.|cvta\.(?!to\.)|mapa\.|getctarank\.")
WIDE_SPECIAL = re.compile(r"%(clock64|globaltimer|current_graph_exec|pm\d_64)")
"""The predefined registers of 64 bits; %gridid can be read as 32 or 64 bits."""
PREDICATES = ("%is_explicit_cluster",)
HELD_IN = {
    "f16": ("f16", "b16"), "f16x2": ("f16x2", "b32"), "s16x2": ("f16x2", "b32"), "u16x2": ("f16x2", "b32"),
    "bf16": ("bf16", "b16"), "bf16x2": ("bf16x2", "b32"), "tf32": ("b32",), "f32x2": ("b64",), "e2m1x2": ("b8",),
    **dict.fromkeys(("e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "ue8m0x2", "s2f6x2"), ("b16",)),
}  # fmt: skip
"""Types that the emulator treats as bits -> the registers that hold them."""


def mismatch(entry: Entry, instruction: Instruction, registers: Mapping[str, Type]) -> str | None:
    """What is wrong with an operand, as a sentence; None if ptxas accepts all of them."""
    for rule, operand in zip(rules_of(entry), instruction.operands, strict=True):
        if rule is None or (isinstance(operand, Register) and rule.accepted.get(registers[operand.name])):
            continue
        for complaint in rule.complaints(operand, registers):
            return complaint
    return None


@functools.lru_cache(maxsize=4096)
def rules_of(entry: Entry) -> tuple[OperandRule | None, ...]:
    """The rule of each operand; None for addresses and labels."""
    return tuple(
        None if form.kind in ("address", "label") else rule_of(entry.opcode, form, entry.counted == "matrix")
        for form in entry.operands
    )


@functools.cache
def rule_of(opcode: str, form: OperandForm, matrix: bool = False) -> OperandRule:
    """The rule of one operand; cached, because a kernel has few different ones."""
    return OperandRule(opcode, form, matrix)


class OperandRule:
    """The values that one operand of an opcode accepts. `matrix`: whether it is a matrix instruction."""

    def __init__(self, opcode: str, form: OperandForm, matrix: bool) -> None:
        self.opcode = opcode
        self.form = form
        self.root = opcode.split(".")[0]
        self.target = form.kind == "target"
        self.in_vector = form.vector
        self.wider = self.root in TAKES_WIDER and form.name != "policy" and not opcode.startswith("st.async")
        if self.root == "cvt" and EXACT.search(opcode):
            self.wider = False
        self.names_variable = bool(NAMES_VARIABLE.match(opcode)) and (self.root, form.name) != ("mapa", "b")
        self.fragment = fragment(opcode, form.name) if matrix and form.vector and form.name in "dabc" else None
        header_value = re.search(r"\.v([248])\b", opcode)
        self.count = int(header_value[1]) if header_value else 0
        self.accepted: dict[Type, bool] = {}
        """The results of `takes`, by register type."""

    def complaints(self, operand: Operand, registers: Mapping[str, Type]) -> Iterator[str]:
        if isinstance(operand, Vector):
            yield from self.vector(operand, registers)
        elif isinstance(operand, Dual):
            yield from self.single(operand.first, registers)
            if not isinstance(operand.second, Sink):
                second = OperandForm(self.form.predicate, self.form.kind, PRED)
                yield from rule_of(self.opcode, second).single(operand.second, registers)
        else:
            yield from self.single(operand, registers)

    def vector(self, vector: Vector, registers: Mapping[str, Type]) -> Iterator[str]:
        register_types = [registers[part.name] for part in vector.parts if isinstance(part, Register)]
        if len({register_type.bits for register_type in register_types}) > 1:
            yield "the registers of a vector must have one size."
        element = self
        if self.root == "mov" and not self.count and self.form.type is not None:  # packed: the parts share the bits
            bits = self.form.type.bits / len(vector.parts)
            if bits not in (8, 16, 32, 64):
                yield f"'{self.opcode}' has {self.form.type.bits} bits, not {len(vector.parts)} parts."
                return
            element = rule_of(self.opcode, replace(self.form, type=TYPES[f"b{int(bits)}"]))
        if self.count and len(vector.parts) != self.count:
            yield f"'{self.opcode}' takes a vector of {self.count}, not of {len(vector.parts)}."
        if all(isinstance(part, Sink) for part in vector.parts):
            yield "a vector of '_' alone has no type."
        for part in vector.parts:
            if self.fragment is not None and isinstance(part, Immediate) and not self.target:
                if not register_types or is_whole(part) == register_types[0].floating:
                    yield "a number must be of the type of the vector's registers."
            else:
                yield from element.single(part, registers)

    def single(self, operand: Operand, registers: Mapping[str, Type]) -> Iterator[str]:
        """Errors of an operand that is not a vector."""
        expected = self.form.type
        if isinstance(operand, Sink):
            if not self.target:
                yield "'_' has no value to read."
            elif not self.in_vector and self.root not in MAY_DISCARD:
                yield f"'{self.opcode}' needs a register for its result, not '_'."
            return
        if self.target and not isinstance(operand, Register | Selected):
            yield f"'{self.opcode}' needs a register for its result."
            return
        if isinstance(operand, Not):
            operand = operand.operand
            if not isinstance(operand, Register) or registers[operand.name] is not PRED:
                yield "'!' needs a predicate."
                return
        operand, _, _ = plain(operand)
        if expected is None:  # two kinds are allowed: a predicate or a number
            if isinstance(operand, Register) and registers[operand.name] is PRED:
                return
            expected = U32
        if isinstance(operand, Register):
            register_type = registers[operand.name]
            if register_type not in self.accepted:
                self.accepted[register_type] = self.takes(expected, register_type)
            if not self.accepted[register_type]:
                allowed = self.type_words(expected)
                yield f"'{operand.name}' is .{register_type}, but '{self.opcode}' takes {allowed} here."
        elif isinstance(operand, Immediate):
            alone = bool(REGISTERS_ALONE.match(self.opcode)) or self.form.name == "metadata"
            if alone and not (self.in_vector or self.form.name in NUMBERS):
                yield f"'{self.opcode}' takes a register here, not a number."
            elif not takes_number(expected, operand):
                shown = "a whole number" if is_whole(operand) else "a floating-point number"
                yield f"'{self.opcode}' takes {self.type_words(expected)} here, not {shown}."
        elif isinstance(operand, Special):
            yield from self.special(expected, operand)
        elif isinstance(operand, Symbol) and (expected.floating or expected.name in HELD_IN or expected is PRED):
            yield f"'{self.opcode}' takes {self.type_words(expected)} here, not the address of '{operand.name}'."
        elif isinstance(operand, Symbol) and not operand.offset and not self.names_variable:
            yield f"'{self.opcode}' takes a register here; move the address of '{operand.name}' into one."

    def takes(self, expected: Type, register_type: Type) -> bool:
        """Whether a register of type `register_type` is allowed where the instruction's type is `expected`."""
        if PRED in (expected, register_type) or expected.name == "b128":
            return expected == register_type
        if self.fragment is not None:
            return register_type.name in self.fragment
        fits = register_type.bits >= expected.bits if self.wider else register_type.bits == expected.bits
        if expected.name in HELD_IN:
            integers = (
                self.in_vector and expected.name == "f16" and register_type.kind in "us" and register_type.bits == 16
            )
            return (
                register_type.name in HELD_IN[expected.name]
                or integers
                or (self.wider and fits and is_bits(register_type))
            )
        if expected.kind == "b":
            return fits
        if expected.floating:
            same = register_type.bits == expected.bits and (
                register_type.floating or (self.in_vector and register_type.kind in "us")
            )
            return same or (fits and is_bits(register_type))
        return fits and (register_type.kind in "us" or is_bits(register_type) or register_type.name == "f16x2")

    def special(self, expected: Type, operand: Special) -> Iterator[str]:
        if operand.name == "WARP_SZ":  # a number with a name
            yield from self.single(Immediate(LANES), registers={})
        elif (expected is PRED) != (operand.name in PREDICATES) or expected.floating or expected.name in HELD_IN:
            yield f"'{self.opcode}' takes {self.type_words(expected)} here, which '{operand.name}' is not."
        elif not (self.in_vector or self.root == "mov" or OF_INTEGERS.match(self.opcode)):
            yield f"'{self.opcode}' cannot read '{operand.name}'; mov it into a register."
        elif operand.name != "%gridid":
            bits = 1 if expected is PRED else 64 if WIDE_SPECIAL.fullmatch(operand.name) else 32
            narrow = self.in_vector or (self.root != "cvt" and bits == 64)
            if expected.bits > bits or (narrow and expected.bits < bits):
                yield f"'{operand.name}' has {bits} bits, but '{self.opcode}' takes {self.type_words(expected)} here."

    def type_words(self, expected: Type) -> str:
        """The register types that `takes` allows, in words."""
        if expected is PRED:
            return "a predicate"
        if self.fragment is not None:
            return " or ".join(f".{name}" for name in self.fragment)
        if expected.name in HELD_IN:
            return " or ".join(f".{name}" for name in HELD_IN[expected.name])
        return f".{expected} or wider" if self.wider else f".{expected}"


WORDS = ("b32", "u32", "s32", "f32", "f16x2")
FRAGMENTS = {
    "f16": ("b32", "f16x2"), "bf16": ("b32",), "tf32": ("b32",), "f32": ("b32", "f32"), "s32": ("b32", "u32", "s32"),
    "f64": ("b64", "f64", "u64", "s64"),
}  # fmt: skip
"""Types of a matrix -> the registers that hold its fragment; WORDS hold those of all others."""
SPARSE = {"sp", "sp::ordered_metadata"}
SPARSE_WORDS = {"f16": ("f32",), "bf16": ("bf16", "f32"), "tf32": ("tf32", "f32")}
"""Types of a sparse A -> the types of matrices whose fragments any WORDS hold."""
ELEMENT = re.compile(r"[subf]\d+|bf16|tf32|e\dm\d")


def fragment(opcode: str, operand: str) -> tuple[str, ...]:
    """The register types that may hold a fragment, one of the vectors of a matrix instruction."""
    name, *modifiers = opcode.split(".")
    kinds = [modifier for modifier in modifiers if ELEMENT.fullmatch(modifier)]
    if name.endswith("matrix"):
        return WORDS
    if operand in "ab" and "block_scale" in modifiers:
        return ("b32",)
    if (
        name == "mma"
        and SPARSE.intersection(modifiers)
        and kinds["dabc".index(operand)] in SPARSE_WORDS.get(kinds[1], ())
    ):
        return WORDS
    integers = FRAGMENTS["s32"] if name == "wmma" and kinds[0] in ("s8", "u8", "s32") else WORDS
    if name == "wgmma" and operand == "a" and len(kinds) == 3 and kinds[1].startswith("e"):
        return ("b32",)
    if len(kinds) == 1:  # wmma.load, wmma.store
        return FRAGMENTS.get(kinds[0], integers)
    if len(kinds) == 2:  # wmma.mma of f16 names only the results and the addends
        kinds[1:1] = ["f16", "f16"]
    return FRAGMENTS.get(kinds["dabc".index(operand)], integers)


def is_bits(type: Type) -> bool:
    """Whether a register is declared as bits; only the emulator treats narrow floats as bits."""
    return type.kind == "b" and type.name.startswith("b") and not type.name.startswith("bf")


def is_whole(literal: Immediate) -> bool:
    return isinstance(literal.value, int) and not literal.bits


def takes_number(expected: Type, literal: Immediate) -> bool:
    """Whether a number is allowed where the instruction's type is `expected`."""
    if expected.name in HELD_IN:
        return False
    if expected.floating:
        return not is_whole(literal)
    if is_whole(literal):
        return True
    if expected.kind != "b":
        return False
    return literal.bits == expected.bits or (expected.bits == 64 and not literal.bits)
