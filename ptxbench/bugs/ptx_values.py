"""Bugs of a PTX kernel in the values that it computes: narrowed numbers and swapped operands."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

from ptxbench.bugs.ptx import Edits, InstructionPlace, number_of

COMPUTES = ("fma", "mul", "add", "sub", "div", "sqrt", "rcp", "rsqrt", "ex2", "lg2", "tanh", "max", "min", "cvt", "ld")
"""Instructions whose result can be narrowed."""


def narrowed(place: InstructionPlace) -> Edits:
    """A result rounded to a narrower type, and back."""
    words, operands = place.words, place.operands
    if words[0] not in COMPUTES or "param" in words or not operands or not operands[0].startswith("%"):
        return
    target, guard, type_ = operands[0], place.guard, place.type
    exact: tuple[str, ...] = ()  # types that hold the result exactly
    if words[0] == "cvt":
        type_, exact = words[-2], {"f16": ("f16", "tf32"), "bf16": ("bf16", "tf32")}.get(type_, ())
    if type_ == "f32" and "f16" not in exact:
        yield (
            "precision",
            "to f16 and back",
            place.block(
                ".reg .b16 %bug_half;",
                place.text(),
                f"{guard}cvt.rn.f16.f32 %bug_half, {target};",
                f"{guard}cvt.f32.f16 {target}, %bug_half;",
            ),
        )
    for name, mask in (("bf16", "0xffff0000"), ("tf32", "0xffffe000")):
        if type_ == "f32" and name not in exact:
            yield (
                "precision",
                f"cut to {name}",
                place.block("", place.text(), f"{guard}and.b32 {target}, {target}, {mask};"),
            )
    if type_ == "f64":
        yield (
            "precision",
            "to f32 and back",
            place.block(
                ".reg .f32 %bug_single;",
                place.text(),
                f"{guard}cvt.rn.f32.f64 %bug_single, {target};",
                f"{guard}cvt.f64.f32 {target}, %bug_single;",
            ),
        )
    elif type_ in ("u64", "s64") and words[0] in ("mul", "mad") and "wide" not in words:
        yield (
            "precision",
            "cut to 32 bits",
            place.block("", place.text(), f"{guard}and.b64 {target}, {target}, 0xffffffff;"),
        )


def constants(place: InstructionPlace) -> Edits:
    """A constant with the precision of bf16."""
    for number, operand in enumerate(place.operands):
        if match := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})", operand):
            new = f"0f{int(match[1], 16) & 0xFFFF0000:08x}"
            if new.lower() != operand.lower():
                value = struct.unpack(">f", bytes.fromhex(match[1]))[0]
                yield "precision", f"constant {value:.6g} cut to bf16", place.with_operand(number, new)


def carries(place: InstructionPlace) -> Edits:
    """A carry that is lost."""
    words = place.words
    if words[0] in ("addc", "madc", "subc"):
        without_carry = ".".join([words[0][:-1], *words[1:]])
        yield "precision", f"carry lost, {words[0]} to {words[0][:-1]}", place.text(without_carry)
    if words[0] in ("mul", "mad", "madc") and words[1] in ("hi", "lo") and place.type in ("u32", "s32", "u64", "s64"):
        other = {"hi": "lo", "lo": "hi"}[words[1]]
        yield "operands", f"{words[1]} to {other}", place.text(".".join([words[0], other, *words[2:]]))


def rounding(place: InstructionPlace) -> Edits:
    """A conversion to a narrower type or to an integer that rounds towards zero."""
    words = place.words
    if words[0] == "cvt" and words[1] in ("rn", "rni"):
        other = words[1].replace("rn", "rz")
        yield "precision", f"{words[1]} to {other}", place.text(".".join(["cvt", other, *words[2:]]))


def swapped(place: InstructionPlace) -> Edits:
    """Two operands exchanged."""
    words, operands = place.words, place.operands
    if words[0] in ("sub", "subc", "div", "rem", "selp", "shl", "shr", "setp") and len(operands) >= 3:
        symmetric = operands[1] == operands[2] or words[1] in ("eq", "ne")
        needs_register = words[0] not in ("sub", "selp") and number_of(operands[2]) is not None
        if not symmetric and not needs_register:
            swap = [operands[0], operands[2], operands[1], *operands[3:]]
            yield "operands", f"{operands[1]} and {operands[2]} swapped", place.text(operands=swap)
    elif words[0] in ("fma", "mad") and len(operands) == 4 and "wide" not in words and operands[1] != operands[3]:
        swap = [operands[0], operands[3], operands[2], operands[1]]
        yield "operands", f"{operands[1]} and {operands[3]} swapped", place.text(operands=swap)


def vectors(place: InstructionPlace) -> Edits:
    """The first two elements of a vector exchanged."""
    if place.words[0] not in ("ld", "st", "mov", "red", "atom", "ldmatrix"):
        return
    for number, operand in enumerate(place.operands):
        if operand.startswith("{"):
            parts = [part.strip() for part in operand.strip("{} \n").split(",")]
            if len(parts) > 1 and parts[0] != parts[1] and "_" not in parts[:2]:
                new = "{" + ", ".join([parts[1], parts[0], *parts[2:]]) + "}"
                yield "operands", f"{parts[0]} and {parts[1]} swapped", place.with_operand(number, new)


OTHER_OPERATION = {"min": "max", "max": "min", "add": "sub", "sub": "add", "and": "or", "or": "xor", "xor": "or"}


def operations(place: InstructionPlace) -> Edits:
    """Another operation than the right one: min as max, add as sub."""
    words = place.words
    if words[0] in OTHER_OPERATION and "cc" not in words:
        other = OTHER_OPERATION[words[0]]
        yield "operands", f"{words[0]} to {other}", place.text(".".join([other, *words[1:]]))


VALUE_RULES: Sequence[Callable[[InstructionPlace], Edits]] = (
    narrowed,
    constants,
    carries,
    rounding,
    swapped,
    vectors,
    operations,
)
