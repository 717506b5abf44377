"""The basic blocks of a kernel's machine code, and their successors. Knows SASS as nvdisasm prints it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ptxbench.toolchain.lines import MachineInstruction

How = Literal["falls", "jumps", "branches", "table", "leaves", "synchronizes", "calls", "returns"]

ENDS: Mapping[str, How] = {
    "BRA": "jumps", "JMP": "jumps", "BRX": "table", "BRXU": "table", "JMX": "table", "JMXU": "table", "EXIT": "leaves",
    "KILL": "leaves", "BPT": "leaves", "BSYNC": "synchronizes", "CALL": "calls", "RET": "returns",
}  # fmt: skip
"""Opcodes that end a block, and what they do."""

LABELLED = ("BSSY", "WARPSYNC", "LEPC")
"""Opcodes that have a label and continue with the next instruction."""

OF_PTXAS = "$__internal_"
"""The prefix of labels of functions that ptxas adds to a kernel, such as the slow path of a division."""

LABEL = re.compile(r"(?:\.L_|\$)[\w$.]+")
GUARD = re.compile(r"@(!?)(U?P(?:T|\d+))\s+")
BARRIER = re.compile(r"\bB\d+\b")
OPERAND = re.compile(r"\bU?P\d+\b|!U?PT\b")


@dataclass(frozen=True)
class Operation:
    """A parsed instruction. `guard`: the predicate before it, such as P0 or !UP1; None if it is always true."""

    instruction: MachineInstruction
    guard: str | None
    opcode: str
    name: str
    operands: str

    @property
    def line(self) -> int | None:
        return self.instruction.line

    @property
    def never(self) -> bool:
        """True for padding such as `@!PT LDS RZ, [RZ]`, which does nothing."""
        return self.guard == "!PT"


@dataclass(frozen=True)
class MachineBlock:
    """`successors`: indices of blocks. `uniform`: whether a branch at its end takes all lanes of a warp to one place.

    `callees`: the blocks that a call at its end starts; execution then continues at its successor.
    """

    index: int
    operations: tuple[Operation, ...]
    how: How = "falls"
    conditional: bool = False
    uniform: bool = True
    successors: tuple[int, ...] = ()
    callees: tuple[int, ...] = ()

    @property
    def last(self) -> Operation:
        return self.operations[-1]


@dataclass(frozen=True)
class Graph:
    """The blocks of a kernel in code order. `unknown`: why some successor is not known; None if all are known.

    `helper_blocks`: the blocks of the functions that ptxas added, whose lines nvdisasm does not report.
    """

    blocks: tuple[MachineBlock, ...]
    helper_blocks: frozenset[int] = frozenset()
    unknown: str | None = None


def operation(instruction: MachineInstruction) -> Operation:
    text = instruction.text
    guard = GUARD.match(text)
    rest = text[guard.end() :] if guard else text
    opcode, _, operands = rest.partition(" ")
    name = opcode.split(".")[0]
    predicate = None if guard is None or guard.groups() == ("", "PT") else guard[1] + guard[2]
    return Operation(instruction, predicate, opcode, name, operands)


def graph(code: Sequence[MachineInstruction]) -> Graph:
    """The blocks of this code and their successors."""
    operations = [operation(instruction) for instruction in code]
    operation_of_label = {
        label: index for index, decoded in enumerate(operations) for label in decoded.instruction.labels
    }
    starts = {
        0,
        *operation_of_label.values(),
        *(i + 1 for i, decoded in enumerate(operations) if decoded.name in ENDS),
    } - {len(operations)}
    cuts = sorted(starts)
    block_of_operation = {start: number for number, start in enumerate(cuts)}
    block_of_label = {label: block_of_operation[index] for label, index in operation_of_label.items()}
    blocks = [
        MachineBlock(number, tuple(operations[start:end]))
        for number, (start, end) in enumerate(zip(cuts, [*cuts[1:], len(operations)], strict=True))
    ]
    problems: list[str] = []
    blocks = [ending(block, block_of_label, len(blocks), problems) for block in blocks]
    blocks = synchronized([jumped(block, blocks) for block in blocks], block_of_label)
    lent = [number for label, number in block_of_label.items() if label.startswith(OF_PTXAS)]
    return Graph(tuple(blocks), reachable(blocks, lent), problems[0] if problems else None)


def jumped(block: MachineBlock, blocks: Sequence[MachineBlock]) -> MachineBlock:
    """Turn a call that never returns into a jump: ptxas uses such calls for jumps over long distances."""
    if block.how != "calls" or not block.callees:
        return block
    if any(blocks[index].how == "returns" for index in reachable(blocks, block.callees)):
        return block
    if not block.conditional:
        return replace(block, how="jumps", successors=block.callees, callees=())
    uniform = is_uniform(block.last)
    successors = unique(block.callees, block.successors)
    return replace(block, how="branches", uniform=uniform, successors=successors, callees=())


def reachable(blocks: Sequence[MachineBlock], starts: Iterable[int]) -> frozenset[int]:
    """The blocks that a warp can reach from these, without following calls."""
    seen: set[int] = set()
    pending = list(starts)
    while pending:
        if (index := pending.pop()) not in seen:
            seen.add(index)
            pending += blocks[index].successors
    return frozenset(seen)


def ending(block: MachineBlock, block_of_label: Mapping[str, int], count: int, problems: list[str]) -> MachineBlock:
    """The block with its ending; the target of a BSYNC is found later."""
    last = block.last
    how = ENDS.get(last.name, "falls")
    following = (block.index + 1,) if block.index + 1 < count else ()
    targets = tuple(
        dict.fromkeys(block_of_label[label] for label in LABEL.findall(last.operands) if label in block_of_label)
    )
    guarded = last.guard is not None
    if how == "falls":
        if LABEL.search(last.operands) and last.name not in LABELLED:
            problems.append(f"unknown control instruction {last.opcode}")
        return replace(block, successors=following)
    if how == "jumps":
        tested = guarded or OPERAND.search(last.operands) is not None or re.search(r"\.(DIV|CONV)\b", last.opcode)
        if not targets:
            problems.append(f"{last.opcode} at {last.instruction.address:#x} leads out of the kernel")
        if not tested:
            return replace(block, how=how, successors=targets)
        successors = unique(targets, following)
        return replace(block, how="branches", conditional=True, uniform=is_uniform(last), successors=successors)
    if how == "table":
        if not targets:
            problems.append(f"the targets of {last.opcode} at {last.instruction.address:#x} are unknown")
        return replace(
            block, how=how, conditional=True, uniform=last.name.endswith("U"),
            successors=unique(targets, following if guarded else ()),
        )  # fmt: skip
    if how == "calls":
        if not targets:
            problems.append(f"{last.opcode} at {last.instruction.address:#x} calls an unknown function")
        return replace(block, how=how, conditional=guarded, successors=following, callees=targets)
    return replace(
        block, how=how, conditional=guarded, successors=following if guarded or how == "synchronizes" else ()
    )


def unique(*groups: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(block for group in groups for block in group))


def is_uniform(last: Operation) -> bool:
    """Whether the condition of a branch uses only uniform predicates."""
    predicates = OPERAND.findall(last.operands) + ([last.guard] if last.guard else [])
    return ".U" in last.opcode or (
        bool(predicates) and all(predicate.lstrip("!").startswith("UP") for predicate in predicates)
    )


def synchronized(blocks: list[MachineBlock], block_of_label: Mapping[str, int]) -> list[MachineBlock]:
    """Add the successors of each BSYNC: the labels of the BSSY of its barrier that reach it."""
    pending: dict[int, dict[str, frozenset[int]]] = {0: {}}
    for block in blocks:
        for callee in block.callees:
            pending.setdefault(callee, {})
    reach: dict[int, dict[str, frozenset[int]]] = {}
    machine_blocks = list(blocks)
    while pending:
        index, incoming = pending.popitem()
        before = reach.get(index, {})
        merged = {
            name: before.get(name, frozenset()) | incoming.get(name, frozenset()) for name in {*before, *incoming}
        }
        if index in reach and merged == before:
            continue
        reach[index] = merged
        state = dict(merged)
        for decoded in machine_blocks[index].operations:
            if decoded.name == "BSSY" and (barrier := BARRIER.search(decoded.operands)):
                state[barrier[0]] = frozenset(
                    block_of_label[x] for x in LABEL.findall(decoded.operands) if x in block_of_label
                )
        last = machine_blocks[index].last
        if last.name == "BSYNC" and (barrier := BARRIER.search(last.operands)) and state.get(barrier[0]):
            following = machine_blocks[index].successors if last.guard else ()
            machine_blocks[index] = replace(
                machine_blocks[index], successors=unique(tuple(sorted(state[barrier[0]])), following)
            )
        for successor in machine_blocks[index].successors:
            pending[successor] = joined(pending.get(successor, {}), state)
    return machine_blocks


def joined(left: Mapping[str, frozenset[int]], right: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    return {name: left.get(name, frozenset()) | right.get(name, frozenset()) for name in {*left, *right}}
