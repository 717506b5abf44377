"""Registers that need no room in the register file, because their value is known: a number or a parameter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ptxbench.emulator import warpgroups
from ptxbench.emulator.flow import Block, FlowStep
from ptxbench.emulator.parse import float_bits
from ptxbench.emulator.syntax import Address, Immediate, Register, Symbol
from ptxbench.emulator.types import PRED, Type, bits_of

COPIES = ("mov.", "cvta.global.", "cvta.to.global.")
"""Instructions whose result is their operand, if the registers are equally wide: global addresses are generic ones."""


def numbers_in(steps: Sequence[FlowStep], registers: Mapping[str, Type]) -> dict[str, int]:
    """The bits of each register whose only write is an unguarded `mov` of a number.

    NVRTC keeps shuffle distances and masks in such registers.
    """
    writers: dict[str, list[FlowStep]] = {}
    in_file = warpgroups.used(steps)
    for step in steps:
        for name in step.writes:
            writers.setdefault(name, []).append(step)
    result = {}
    for name, (step, *others) in writers.items():
        instruction = step.instruction
        kind = registers[name]
        moved = instruction.opcode.startswith("mov.") and isinstance(instruction.operands[0], Register)
        if moved and not others and instruction.guard is None and kind is not PRED and name not in in_file:
            source = instruction.operands[1]
            if isinstance(source, Immediate):
                result[name] = literal_bits(source, kind, floating=instruction.opcode.endswith(("f32", "f64")))
    return result


def parameters_in(
    steps: Sequence[FlowStep], first: Block, registers: Mapping[str, Type], params: Collection[str]
) -> dict[str, FlowStep]:
    """The registers that hold a parameter in every lane after the first block, with the instruction that loads it. Each
    block loads the parameter again."""
    others = (*steps[: first.first], *steps[first.last :])
    unfit = set().union(*(step.writes for step in others)) | first.live_in | warpgroups.used(steps)
    loads: dict[str, FlowStep] = {}
    for step in steps[first.first : first.last]:
        load = parameter_load(step, loads, registers, params)
        for name in step.writes:
            loads.pop(name, None)
            if load is not None and name not in unfit:
                loads[name] = load
    return loads


def parameter_load(
    step: FlowStep, loads: Mapping[str, FlowStep], registers: Mapping[str, Type], params: Collection[str]
) -> FlowStep | None:
    """The step itself if it loads a parameter; the step in `loads` whose result it copies; else None."""
    opcode, operands = step.entry.opcode, step.instruction.operands
    if step.instruction.guard is not None or not opcode.startswith(("ld.param.", *COPIES)):
        return None
    target, source = operands[:2]
    if not isinstance(target, Register) or registers[target.name] is PRED:
        return None
    if isinstance(source, Register) and bits_of(registers[source.name]).bits == bits_of(registers[target.name]).bits:
        return loads.get(source.name)
    if isinstance(source, Address) and isinstance(source.base, Symbol) and source.base.name in params:
        return step
    return None


def literal_bits(literal: Immediate, kind: Type, *, floating: bool) -> int:
    """The bit pattern of a number as an operand of type `kind`."""
    if kind is PRED:
        return int(bool(literal.value))
    if literal.bits == kind.bits:
        return int(literal.value)
    if floating or isinstance(literal.value, float) or literal.bits:
        return float_bits(literal, kind.bits)
    return int(literal.value) & (1 << kind.bits) - 1
