"""Finds each instruction's table entry; reports all unknown instructions in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ptxbench.emulator import old_ptx
from ptxbench.emulator.flow import FlowStep, flow_step
from ptxbench.emulator.inline import CALL, CALL_THROUGH, ENTER, RETURN, RETURNED, START
from ptxbench.emulator.isa import TABLE, find, nearest
from ptxbench.emulator.isa.operands import mismatch
from ptxbench.emulator.isa.table import Entry, FlowKind, OperandForm
from ptxbench.emulator.isa.unsupported import why
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.syntax import Address, Function, Immediate, Instruction, Module, Operand, Register, Sink, Vector
from ptxbench.errors import UnsupportedInstruction

FLOWS: Mapping[str, FlowKind] = {
    START: "branch", ENTER: "enter", CALL: "call", CALL_THROUGH: "call", RETURNED: "returned", RETURN: "return",
}  # fmt: skip
TARGETS = (ENTER, RETURNED)
"""Instructions whose register operands are written."""
ACCESSES = ("ld", "ldu", "st", "atom", "red", "prefetch", "prefetchu", "applypriority", "discard", "mbarrier")
IN_32_BITS = re.compile(r"\.(shared|local|const|param)\b")
MASKED_STORE = re.compile(r"st\.(.*\.)?(v8\.[busf]32|v4\.[busf]64)$")


def own_entry(instruction: Instruction) -> Entry | None:
    """The entry of an instruction that inline.py has added; None for all others.

    Only a call through a register is counted, because a direct call is not counted either when it is inlined.
    """
    opcode = instruction.opcode
    if opcode not in FLOWS:
        return None
    kind = "label" if opcode == START else "target" if opcode in TARGETS else "value"
    counted = "control" if opcode == CALL_THROUGH else ""
    forms = tuple(OperandForm(f"r{k}", kind, None) for k in range(len(instruction.operands)))
    return Entry(opcode.partition(":")[0], forms, own_entry, {}, frozenset(), "", "", counted, FLOWS[opcode])


def resolve(function: Function, module: Module) -> list[FlowStep]:
    """Each instruction with its entry; `module`: that of the function.

    Raises UnsupportedInstruction with all unknown instructions; PtxSyntaxError for an operand of a wrong type.
    """
    steps, unknown = [], []
    for instruction in function.instructions:
        entry = own_entry(instruction) or find_in(module, instruction)
        if entry is None:
            unknown.append(instruction)
        elif is_masked_store(instruction):
            steps.append(masked_store(instruction, entry))
        else:
            steps.append(flow_step(instruction, entry))
    if unknown:
        raise UnsupportedInstruction("; ".join(describe_unknown(unknown)))
    for step in steps:
        if step.instruction.opcode in FLOWS:
            continue
        complaint = mismatch(step.entry, whole(step), function.registers) or wrong_address(step, function, module)
        if complaint:
            raise syntax_error(step.instruction.line, complaint)
    return steps


def find_in(module: Module, instruction: Instruction) -> Entry | None:
    """The entry of an instruction, of which old PTX has another spelling."""
    found = (find(replace(instruction, opcode=opcode)) for opcode in old_ptx.spellings(instruction.opcode, module))
    return next((entry for entry in found if entry), None)


def wrong_address(step: FlowStep, function: Function, module: Module) -> str | None:
    """A complaint if an address is a number, or if one that is generic or of global memory is in a register of 32 bits.

    ptxas accepts numbers in local memory and in fences, and such registers in asynchronous copies and matrix
    instructions.
    """
    kind = step.entry.words[0]
    may_be_number = "local" in step.entry.words or kind == "fence"
    narrow = kind in ACCESSES and module.address_size == 64 and not IN_32_BITS.search(step.entry.opcode)
    for operand in step.instruction.operands:
        base = operand.base if isinstance(operand, Address) else None
        if isinstance(base, Immediate) and not may_be_number:
            return "only an address in local memory can be a number."
        if narrow and isinstance(base, Register) and function.registers[base.name].bits == 32:
            return f"the address '{base.name}' has 32 bits, but .address_size is 64."
    return None


def is_masked_store(instruction: Instruction) -> bool:
    """Whether it is a store of 32 bytes in which elements are `_`, which are not stored. ptxas accepts `_` in no other
    store. (PTX ISA, "st".)"""
    if not MASKED_STORE.match(instruction.opcode):
        return False
    elements = [part for operand in instruction.operands if isinstance(operand, Vector) for part in operand.parts]
    absent = sum(isinstance(part, Sink) for part in elements)
    return 0 < absent < len(elements)


def masked_store(instruction: Instruction, entry: Entry) -> FlowStep:
    """The step of such a store, whose vector has only the elements that are stored; its entry says which these are."""
    vector = stored(instruction)
    present = tuple(number for number, part in enumerate(vector.parts) if not isinstance(part, Sink))
    parts = tuple(vector.parts[number] for number in present)
    return flow_step(with_stored(instruction, parts), replace(entry, arguments={**entry.arguments, "present": present}))


def stored(instruction: Instruction) -> Vector:
    """The vector of a store."""
    return next(operand for operand in instruction.operands if isinstance(operand, Vector))


def with_stored(instruction: Instruction, parts: tuple[Operand, ...]) -> Instruction:
    """The store with these elements."""
    vector = stored(instruction)
    operands = tuple(replace(vector, parts=parts) if operand is vector else operand for operand in instruction.operands)
    return replace(instruction, operands=operands)


def whole(step: FlowStep) -> Instruction:
    """The instruction of a step; if elements are not stored, with others in their place."""
    if "present" not in step.entry.arguments:
        return step.instruction
    parts = stored(step.instruction).parts
    missing = int(step.entry.arguments["vec"][1:]) - len(parts)
    return with_stored(step.instruction, parts + parts[:1] * missing)


def operands_of(entry: Entry) -> str:
    """The operands of an entry as the manual writes them: `d|p, [a], {b}`."""

    def text(form: OperandForm) -> str:
        name = f"{form.name}|{form.predicate}" if form.predicate else form.name
        return f"[{name}]" if form.kind == "address" else f"{{{name}}}" if form.vector else name

    return ", ".join(map(text, entry.operands))


def describe_unknown(unknown: Sequence[Instruction]) -> list[str]:
    """One sentence for each opcode, with the first line that has it."""
    first = {instruction.opcode: instruction for instruction in reversed(unknown)}
    sentences = []
    for opcode, instruction in sorted(first.items(), key=lambda item: item[1].line):
        line, missing, close = instruction.line, why(opcode), nearest(opcode)
        if missing:
            sentences.append(f"line {line}: '{opcode}' is not supported: {missing.reason}")
        elif opcode in close:
            forms = " or ".join(operands_of(entry) for entry in TABLE[opcode][:2]) or "no operands"
            sentences.append(f"line {line}: '{opcode}' does not take these operands; expected {forms}")
        else:
            hint = f"; nearest: {', '.join(close)}" if close else ""
            sentences.append(f"line {line}: unknown instruction '{opcode}'{hint}")
    return sentences
