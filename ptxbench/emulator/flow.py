"""Basic blocks and liveness of one function, and why its CTAs must run in order."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from ptxbench.emulator import ordering
from ptxbench.emulator.isa import Entry
from ptxbench.emulator.syntax import Function, Instruction, Operand, Special, Symbol, Vector, registers


class FlowStep(NamedTuple):
    """An instruction with its table entry, and the registers that it uses."""

    instruction: Instruction
    entry: Entry
    operand_reads: frozenset[str]
    """Registers in the source operands and the guard."""
    reads: frozenset[str]
    """Registers read. A guarded write also reads its register: the old value stays if the guard is false. So do the
    products of a warpgroup, which may add to it."""
    writes: frozenset[str]


def flow_step(instruction: Instruction, entry: Entry) -> FlowStep:
    """The instruction with this entry."""
    sources: list[str] = []
    targets: list[str] = []
    for form, operand in zip(entry.operands, instruction.operands, strict=True):
        (targets if form.kind == "target" else sources).extend(registers(operand))
    adds = instruction.guard is not None or entry.flow == "warpgroup"
    if instruction.guard is not None:
        sources.append(instruction.guard.name)
    if entry.carry in ("out", "both"):
        targets.append(CARRY)
    operand_reads, writes = frozenset(sources), frozenset(targets)
    reads = operand_reads | writes if adds else operand_reads
    return FlowStep(
        instruction, entry, operand_reads, reads | {CARRY} if entry.carry in ("in", "both") else reads, writes
    )


@dataclass
class Block:
    """Instructions `first` to `last` (exclusive) of the function's steps, which run together.

    A block that starts with a `sync` instruction waits there for the lanes of its mask. `successors` are block numbers;
    the number of blocks means the end of the function.
    """

    first: int
    last: int
    successors: tuple[int, ...] = ()
    loop_head: bool = False
    live_in: frozenset[str] = frozenset()
    after_others: bool = False
    """Whether other threads may change what the first instruction reads or overwrites just before it: a swap, the
    second of two loads, or the store of an update. If CTAs take turns, the turn ends before it."""
    announces: bool = False
    """Whether the first instruction may announce an update. If CTAs take turns, the turn ends before it, too."""
    parts: bool = False
    """Whether its lanes have met, and next use memory without a race whatever their order: one half may go first."""
    live_out: frozenset[str] = frozenset()


CARRY = "%carry"
"""The name, in our files only, of the register with the carry bit CC.CF. (PTX ISA, "Extended-Precision Integer".)"""


def branch_target(instruction: Instruction, function: Function) -> int:
    """The index of the target instruction of a `bra`."""
    target = instruction.operands[0]
    assert isinstance(target, Symbol)
    return function.labels[target.name]


def switch_targets(instruction: Instruction, function: Function) -> list[int]:
    """The indices of the target instructions of a `brx.idx`, in list order."""
    table = instruction.operands[1]
    assert isinstance(table, Symbol)
    return [function.labels[label] for label in function.branch_targets[table.name]]


WARPGROUP_FENCE = "wgmma.fence.sync.aligned"
"""It counts as a read of the registers of all products of warpgroups."""


def fragments(step: FlowStep) -> set[str]:
    """The registers in an instruction's vectors: of a product of a warpgroup, D, and A if it is in registers."""
    vectors = [operand for operand in step.instruction.operands if isinstance(operand, Vector)]
    return {name for vector in vectors for name in registers(vector)}


LONGEST_BLOCK = 2000
"""Most instructions per block: LLVM's time grows faster than the block. Every shipped kernel stays below."""


def is_swap(step: FlowStep) -> bool:
    """Whether an instruction swaps: the warp's turn may end before it, because the value may change before that."""
    words = step.entry.words
    return words[0] == "atom" and ("cas" in words or "exch" in words)


AWAITED = frozenset(("volatile", "relaxed", "release", "mmio"))


def may_pause(step: FlowStep) -> bool:
    """Whether the warp's turn may end before an instruction: a swap, or a store that other threads may wait for, which
    then see the store before it but not this one."""
    words = step.entry.words
    awaited = words[0] == "st" and words[1] in AWAITED and "local" not in words
    return awaited or is_swap(step)


CHANGED = frozenset(("volatile", "relaxed", "acquire", "mmio"))


def is_watching(step: FlowStep) -> bool:
    """Whether an instruction loads what other CTAs may store meanwhile."""
    words = step.entry.words
    return words[0] == "ld" and words[1] in CHANGED and not {"local", "shared", "shared::cta"}.intersection(words)


def is_strong(step: FlowStep) -> bool:
    """Whether an instruction is a load or a store that may happen at the same time as those of other lanes."""
    words = step.entry.words
    return words[0] in ("ld", "st") and "local" not in words and not (AWAITED | CHANGED).isdisjoint(words)


def strong_follows(steps: Sequence[FlowStep], index: int) -> bool:
    """Whether such an access follows an instruction before the next branch, barrier or meeting of the warp."""
    for step in steps[index + 1 :]:
        if step.entry.flow:
            return False
        if is_strong(step):
            return True
    return False


def loads_again(steps: Sequence[FlowStep], index: int, labels: Collection[int]) -> bool:
    """Whether an instruction is such a load, after another one and with no branch between: a value that is loaded
    before its flag may be older than the flag."""
    if not is_watching(steps[index]):
        return False
    for earlier in range(index - 1, -1, -1):
        if earlier + 1 in labels or steps[earlier].entry.flow:
            return False
        if is_watching(steps[earlier]):
            return True
    return False


def updating_stores(steps: Sequence[FlowStep], labels: Collection[int]) -> Iterator[int]:
    """The strong stores that may end an update: after a strong load of the same address, or with no branch between the
    two. Another thread may store between them, and this store then undoes that."""
    loaded: set[Operand] = set()
    straight = False  # whether no branch is between the last such load and this instruction
    for index, step in enumerate(steps):
        straight = straight and index not in labels and not step.entry.flow
        if not is_strong(step):
            continue
        if step.entry.words[0] == "ld":
            loaded.add(step.instruction.operands[1])
            straight = True
        elif straight or step.instruction.operands[0] in loaded:
            yield index


def unused_atomics(steps: Sequence[FlowStep]) -> frozenset[int]:
    """The atomics whose result no instruction reads; NVRTC writes `red` so."""
    used = set().union(*(step.reads for step in steps))
    return frozenset(i for i, step in enumerate(steps) if step.entry.words[0] == "atom" and not step.writes & used)


def announcing_atomics(steps: Sequence[FlowStep]) -> Iterator[int]:
    """The atomics that may announce an update of other memory: a ticket that is drawn after it. If CTAs update before
    others draw, the last ticket need not be that of the last update."""
    unused = unused_atomics(steps)
    updated = False  # whether an update of global memory is between the last barrier and this instruction
    for index, step in enumerate(steps):
        words = step.entry.words
        if step.entry.flow == "barrier":
            updated = False
        elif {"local", "shared", "shared::cta"}.isdisjoint(words):
            if updated and words[0] == "atom" and index not in unused and not is_swap(step):
                yield index
            updated = updated or words[0] in ("red", "atom") or (words[0] == "st" and is_strong(step))


def loads_after_updates(steps: Sequence[FlowStep], labels: Collection[int]) -> Iterator[int]:
    """The strong loads after an atomic on global memory, with no branch between. Others may see the update, and change
    what is loaded before it is: as where a thread arrives at a barrier of the grid, and then reads its generation."""
    straight = False  # whether no branch is between the last such atomic and this instruction
    for index, step in enumerate(steps):
        straight = straight and index not in labels and not step.entry.flow
        if straight and is_watching(step):
            yield index
            straight = False
        words = step.entry.words
        straight |= words[0] in ("red", "atom") and {"local", "shared", "shared::cta"}.isdisjoint(words)


def blocks(function: Function, steps: Sequence[FlowStep]) -> list[Block]:
    """The function's basic blocks in program order, with their liveness."""
    labels = frozenset(function.labels.values())
    again = {index for index in range(len(steps)) if loads_again(steps, index, labels)}
    changeable = again.union(updating_stores(steps, labels))
    announcing = frozenset((*announcing_atomics(steps), *loads_after_updates(steps, labels)))
    leaders = {0, *again, *announcing}
    partings = set()
    for index, step in enumerate(steps):
        if step.entry.flow == "branch":
            leaders.add(branch_target(step.instruction, function))
        if step.entry.flow == "switch":
            leaders.update(switch_targets(step.instruction, function))
        if step.entry.flow in ("branch", "switch", "exit", "barrier", "call", "return"):
            leaders.add(index + 1)
        if step.entry.flow == "enter" or may_pause(step):
            leaders.add(index)
        if step.entry.flow in ("warp_sync", "warp_barrier", "barrier_reduction", "cluster_wait", "register_pool"):
            leaders.add(index)
            if step.instruction.guard is not None:  # lanes with a false guard continue at the next block
                leaders.add(index + 1)
            if strong_follows(steps, index):
                leaders.add(index + 1)
                partings.add(index + 1)
    if len(steps) > LONGEST_BLOCK:
        borders = sorted(leaders | {len(steps)})
        for first, last in itertools.pairwise(borders):
            leaders.update(range(first + LONGEST_BLOCK, last, LONGEST_BLOCK))
    warp_together = False  # after an instruction that gathers the warp, the warp stays together to the block's end
    for index, step in enumerate(steps):
        warp_together = warp_together and index not in leaders
        if step.entry.flow == "warpgroup":
            leaders.update((index, index + 1))
        if step.entry.flow == "aligned" and not warp_together:
            leaders.add(index)
            warp_together = True
    starts = sorted(leader for leader in leaders if leader < len(steps))
    block_of_index = {start: i for i, start in enumerate(starts)} | {len(steps): len(starts)}
    result = [Block(first, last) for first, last in zip(starts, [*starts[1:], len(steps)], strict=True)]
    for i, block in enumerate(result):
        begins = steps[block.first]
        block.after_others = is_swap(begins) or block.first in changeable
        block.announces = block.first in announcing
        block.parts = block.last in partings
        pauses = may_pause(begins) or block.after_others or block.announces
        block.loop_head |= begins.entry.flow == "enter" or pauses  # recursion: a loop
        block.successors = tuple(block_of_index[index] for index in successors(steps, block, function))
        for successor in block.successors:
            if successor <= i:
                result[successor].loop_head = True
    analyse_liveness(result, steps)
    return result


def successors(steps: Sequence[FlowStep], block: Block, function: Function) -> list[int]:
    """Indices of the instructions that may follow the block."""
    last = steps[block.last - 1]
    if last.entry.flow == "branch":
        target = branch_target(last.instruction, function)
        return [target] if last.instruction.guard is None else [target, block.last]
    if last.entry.flow == "switch":
        return switch_targets(last.instruction, function) + ([] if last.instruction.guard is None else [block.last])
    if last.entry.flow == "return" or (last.entry.flow == "exit" and last.instruction.guard is None):
        return []
    return [block.last]  # for a call: where it returns to


def analyse_liveness(all_blocks: Sequence[Block], steps: Sequence[FlowStep]) -> None:
    """Backward data flow: live_in = read before written, or live_out and not written."""
    fragment_registers = set().union(*(fragments(step) for step in steps if step.entry.flow == "warpgroup"))
    used: list[set[str]] = []
    killed: list[set[str]] = []
    for block in all_blocks:
        use: set[str] = set()
        kill: set[str] = set()
        for step in steps[block.first : block.last]:
            use |= step.reads - kill
            if step.entry.opcode == WARPGROUP_FENCE:
                use |= fragment_registers - kill
            kill |= step.writes
        used.append(use)
        killed.append(kill)
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(all_blocks))):
            block = all_blocks[i]
            out = frozenset().union(*(all_blocks[s].live_in for s in block.successors if s < len(all_blocks)))
            into = frozenset(used[i] | (out - killed[i]))
            if (into, out) != (block.live_in, block.live_out):
                block.live_in, block.live_out, changed = into, out, True


def order_reason(steps: Sequence[FlowStep]) -> str | None:
    """Why CTAs must run one after the other, by rank, to give the same bytes on every run; None if there is no reason.

    The reasons: printing; malloc, because the kernel may look at its addresses; a load that may wait for another CTA;
    and atomics on global memory, except those of one commutative integer operation whose old value is unused (NVRTC
    writes these as `atom` too). CTAs that store to each other's bytes are detected at run time: see runtime/records.py.
    """
    used = set().union(*(step.reads for step in steps))
    updates: dict[tuple[object, ...], str] = {}
    for step in steps:
        root, *parts = step.entry.words
        if root not in ORDERED:
            continue
        use = f"line {step.instruction.line} uses {step.instruction.opcode}"
        if step.entry.opcode in ORDERED_CALLS:
            return f"line {step.instruction.line} {ORDERED_CALLS[step.entry.opcode]}"
        if step.entry.opcode.startswith("cp.reduce") and "shared::cluster" not in parts:
            return f"{use}, whose result depends on the order"
        if root == "tensormap" and step.entry.spaces[:1] != ("shared",):
            return f"{use} on a tensor map that other CTAs may use"
        if root not in ("atom", "red", "ld") or any(part.startswith(("shared", "local")) for part in parts):
            continue
        if root == "ld":
            if WAITING.intersection(parts):
                return f"{use}, which may wait for another CTA"
            continue
        operation = COMMUTING.intersection(parts)
        kind = next(form.type for form in step.entry.operands if form.name == "b")
        assert kind is not None
        if not operation or kind.floating or "f16" in kind.name or step.writes & used:
            return f"{use}, whose result depends on the order"
        updates.setdefault((*operation, kind.bits, kind.signed and "add" not in operation), use)
    if len(updates) > 1:
        first, second, *_ = updates.values()
        return f"{first} and {second}, whose result depends on the order"
    return None


ORDERED = ("call", "cp", "tensormap", "atom", "red", "ld")
"""The first words of opcodes that may be a reason."""
ORDERED_CALLS = {"call.vprintf": "prints", "call.malloc": "calls malloc", "call.free": "calls free"}
WAITING = {"volatile", "acquire", "relaxed", "mmio"}
"""Qualifiers of loads that may be repeated until another thread stores."""
COMMUTING = {"add", "min", "max", "and", "or", "xor"}


def orders_partly(entries: Iterable[Entry]) -> bool:
    """Whether some threads of a CTA may synchronize without all the others, other than as a warp (ordering.py)."""
    return any(
        ordering.orders_partly(entry.opcode, entry.flow != "warp_barrier" and "b" in entry.names) for entry in entries
    )


def is_clock(operand: Operand) -> TypeGuard[Special]:
    """Whether it is a clock, which advances by what the warp executes."""
    return isinstance(operand, Special) and operand.name.startswith(("%clock", "%globaltimer"))


def schedule_obstacle(steps: Sequence[FlowStep]) -> str | None:
    """Why results may legitimately depend on the schedule; None if there is no reason.

    Integer atomics commute if their old values are unused; NVRTC writes these as `atom` too.
    """
    used = set().union(*(step.reads for step in steps))
    for step in steps:
        parts = step.entry.words
        atomic = parts[0] in ("atom", "red")
        old_value_used = atomic and bool(step.writes & used)
        float_sum = (atomic or step.entry.opcode.startswith("cp.reduce")) and (
            parts[-1].startswith(("f", "bf")) or ("tensor" in parts and "add" in parts)  # of the tensor map's type
        )
        depends_on_arrivals = parts[0] == "activemask" or (parts[0] in ("vote", "shfl") and "sync" not in parts)
        if old_value_used or float_sum or depends_on_arrivals or step.entry.opcode in ORDERED_CALLS:
            return f"line {step.instruction.line} uses {step.entry.opcode}"
        if clock := next(filter(is_clock, step.instruction.operands), None):
            return f"line {step.instruction.line} reads {clock.name}"
    return None
