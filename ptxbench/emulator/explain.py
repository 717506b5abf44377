"""The error for a fault, in words: line, thread, CTA, and what the thread did."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from ptxbench import errors
from ptxbench.emulator import memory
from ptxbench.emulator.findings import VERBS, SanitizerFinding, bad_access, coordinates
from ptxbench.emulator.layout import Translation
from ptxbench.emulator.meant import meant_buffer
from ptxbench.emulator.messages import OF_CLUSTER, OF_POOL, Fault, LaunchReply, LaunchRequest
from ptxbench.emulator.parse import choose, parse, parsed
from ptxbench.emulator.places import OwnPlaces
from ptxbench.emulator.runtime import (
    boxes,
    bulk_checks,
    changed_maps,
    clusters,
    context,
    copies,
    fill,
    mbarriers,
    messages,
    policies,
    register_pool,
    scales,
    sparse,
    warpgroup,
    watch,
)
from ptxbench.emulator.types import LANES
from ptxbench.emulator.variables import function_addresses, reads_workspace
from ptxbench.emulator.variation import function_shift
from ptxbench.errors import Deadlock, FuelExhausted, KernelTrap, MemoryFault, UnsupportedInstruction

COMPLAINTS = {
    **dict(enumerate(mbarriers.COMPLAINTS)),
    **clusters.COMPLAINTS,
    **messages.COMPLAINTS,
    **warpgroup.COMPLAINTS,
    **boxes.COMPLAINTS,
    **bulk_checks.COMPLAINTS,
    **changed_maps.COMPLAINTS,
    **copies.COMPLAINTS,
    **fill.COMPLAINTS,
    **policies.COMPLAINTS,
    **register_pool.COMPLAINTS,
    **scales.COMPLAINTS,
    **sparse.COMPLAINTS,
}
"""By the reason of a MISUSED fault."""


MOST_FINDINGS = 3
"""Findings of the sanitizer that the message of a fault names."""


def explain(
    answer: LaunchReply,
    fault: Fault,
    layout: memory.Layout,
    job: LaunchRequest,
    findings: Sequence[SanitizerFinding] = (),
) -> errors.KernelError:
    """The error for a fault, with its line, thread and CTA, and the first `findings`, which may be its cause."""
    error = explained(answer, fault, layout, job)
    if not findings:
        return error
    words = " ".join(finding.message for finding in findings[:MOST_FINDINGS])
    with_findings = type(error)(f"{error} Found before: {words}")
    with_findings.findings = tuple(findings)
    return with_findings


def without_workspace(job: LaunchRequest) -> str:
    """A likely cause of a trap: the kernel reads the address of the grid's workspace, and the launch has none."""
    if job.cooperative or not reads_workspace(parsed(job.ptx)):
        return ""
    return " The launch is not cooperative: then a grid barrier of cooperative groups traps."


def explained(answer: LaunchReply, fault: Fault, layout: memory.Layout, job: LaunchRequest) -> errors.KernelError:
    translation, grid, block = answer.translation, job.grid, job.block
    own = OwnPlaces(translation, job.dynamic_shared_bytes)
    if fault.kind == context.DEADLOCK:
        if message := apart(answer, f"CTA {coordinates(fault.cta, grid)}"):
            return UnsupportedInstruction(message)
        return Deadlock(
            f"CTA {coordinates(fault.cta, grid)} is deadlocked: {describe_waiting(answer, math.prod(block), own)}."
        )
    if fault.kind == context.OUT_OF_FUEL:
        first = next(step for step in translation.steps if step.block == fault.slot // 2)
        return FuelExhausted(
            f"line {first.line}: warp {fault.warp} of CTA {coordinates(fault.cta, grid)} ran {job.fuel:,} loop "
            "iterations, the last one here. If this is not an endless loop, raise the limit (--max-loop-iterations)."
        )
    site = next(site for site in translation.sites if site.slot == fault.slot)
    step = translation.steps[site.step]
    if fault.kind == context.MISUSED:
        thread_name = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return MemoryFault(f"line {step.line}: {step.opcode} by {thread_name} {COMPLAINTS[fault.address]}.")
    if fault.kind == context.NO_BARRIER:
        return Deadlock(f"line {step.line}: {step.opcode} names barrier {fault.address}; a CTA has 0 to 15.")
    if fault.kind == context.TRAPPED:
        thread_name = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return KernelTrap(f"line {step.line}: {thread_name}: {answer.assertion or 'trap'}.{without_workspace(job)}")
    if fault.kind in (context.STACK_OVERFLOW, context.NO_FUNCTION):
        thread_name = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return MemoryFault(
            f"line {step.line}: {step.opcode} by {thread_name} {stack_complaint(fault, translation, job)}"
        )
    thread = coordinates(32 * fault.warp + fault.lane, block)
    thread_name = f"line {step.line}: {step.opcode} by thread {thread} of CTA {coordinates(fault.cta, grid)}"
    buffers = (*layout.buffers, *memory.of_heap(answer.blocks))
    if fault.kind == context.OUT_OF_BOUNDS and not memory.inside(buffers, fault.address, site.bytes):
        meant = meant_buffer(choose(parsed(job.ptx), job.entry), step.line, job.params, buffers)
        buffers = (meant,) if meant else buffers  # the nearest one may be another
    complaint = bad_access(fault.kind, site, fault.address, buffers, own)
    return MemoryFault(f"{thread_name} {complaint}")


def stack_complaint(fault: Fault, translation: Translation, job: LaunchRequest) -> str:
    """The error of a call, or of memory on the stack."""
    if fault.kind == context.STACK_OVERFLOW:
        return f"exceeds the thread's stack, which has {translation.stack_bytes:,} bytes."
    names = {
        address: name for name, address in function_addresses(parse(job.ptx), function_shift(job.placement)).items()
    }
    if fault.address in names:
        return f"goes to '{names[fault.address]}', which its .callprototype or .calltargets does not allow."
    return f"goes to address {fault.address:#x}, which is not that of a function."


def order_reason(answer: LaunchReply, layout: memory.Layout, grid: tuple[int, int, int]) -> str:
    """Why the order of the CTAs may change the result; empty if it cannot."""
    conflict = answer.conflict
    if conflict is None:
        return answer.translation.order_reason or ""
    site = next(site for site in answer.translation.sites if site.slot == conflict.slot)
    step = answer.translation.steps[site.step]
    return (
        f"line {step.line}: {step.opcode} of CTA {coordinates(conflict.cta, grid)} {VERBS[site.kind]} "
        f"{memory.describe_address(layout.buffers, conflict.address)}, which another CTA has {PAST[conflict.earlier]}"
    )


PAST = {"load": "read", "store": "written", "atomic": "updated"}


MBARRIER_TEST = re.compile(r"mbarrier\.(?:try|test)_wait\b")
MEETING = re.compile(r"(?:shfl|vote|match|redux|elect)\b.*\.sync\b")
"""Instructions at which lanes of a warp wait for those of their member mask."""


def apart(answer: LaunchReply, cta: str) -> str:
    """A sentence about lanes of a warp that wait at several votes or shuffles of one opcode, which is not a deadlock on
    a GPU; else nothing."""
    steps = answer.translation.steps
    places: dict[tuple[int, str], list[int]] = {}
    for waiting in answer.waiting:
        step = [step for step in steps if step.block == waiting.block][-1 if waiting.last else 0]
        if waiting.barrier == -1 and MEETING.match(step.opcode):
            places.setdefault((waiting.warp, step.opcode), []).append(step.line)
    for (warp, opcode), (line, *others) in places.items():
        if others:
            return (
                f"line {line}: lanes of warp {warp} of {cta} wait here at {opcode}, and others at line {others[0]}. On "
                "a GPU they meet if their member masks are equal; the emulator supports this for bar.warp.sync alone. "
                "Use one instruction; if the compiler has unrolled a loop, put #pragma unroll 1 before it."
            )
    return ""


def describe_waiting(answer: LaunchReply, threads: int, own: OwnPlaces) -> str:
    """Where each warp waits, and for a barrier how many threads have arrived."""
    steps = answer.translation.steps
    waits = []
    for waiting in answer.waiting:
        block = [step for step in steps if step.block == waiting.block]
        tests = [step for step in block if MBARRIER_TEST.match(step.opcode)] if waiting.mbarrier is not None else []
        step = (tests or block)[-1 if waiting.last else 0]
        lanes = "" if waiting.lanes == 0xFFFFFFFF else f" (lanes {waiting.lanes:#010x})"
        expected = threads if waiting.expected < 0 else waiting.expected
        barrier = "the cluster's barrier" if waiting.barrier == OF_CLUSTER else f"barrier {waiting.barrier}"
        count = f", {barrier}, {waiting.arrived} of {expected} threads" if waiting.barrier >= 0 else ""
        if waiting.barrier == OF_POOL:
            count = f", for {waiting.expected} more registers per thread"
        awaited: object = waiting.mbarrier
        if waiting.mbarrier is not None:
            count = f", {describe_mbarrier(*waiting.mbarrier, own)}"
        if step.opcode.startswith("wgmma.wait_group"):  # it may have tested an mbarrier before
            count, awaited = ", for products that another warp of its warpgroup has not issued", step.line
        waits.append((waiting.warp, f"{lanes} waits at line {step.line}, {step.opcode}{count}", awaited))
    return "; ".join([*waiting_sentences(waits), *describe_pool(answer.registers)])


def waiting_sentences(waits: Sequence[tuple[int, str, object]]) -> list[str]:
    """A sentence for each warp and place; one for warps in a row that test the same mbarrier at the same line, or wait
    for products there."""
    sentences = []
    for (where, awaited), group in itertools.groupby(waits, key=lambda item: item[1:]):
        warps = [warp for warp, *_ in group]
        if awaited is None or len(warps) == 1:
            sentences += [f"warp {warp}{where}" for warp in warps]
        else:
            sentences.append(f"warps {warps[0]} to {warps[-1]}{where.replace(' waits ', ' wait ')}")
    return sentences


def describe_mbarrier(address: int, word: int, own: OwnPlaces) -> str:
    """What an mbarrier waits for: how many of its arrivals there are, and the bytes that are missing."""
    pending, expected = word & mbarriers.MOST, word >> mbarriers.COUNT_BITS & mbarriers.MOST
    missing = missing_bytes(word)
    barrier_name = f"the mbarrier at byte {own.byte('shared', address)} of shared memory"
    arrived = f"{barrier_name}: {expected - pending} of {expected} arrivals"
    if missing < 0:
        return f"{arrived}, {-missing:,} bytes more than expected"
    return f"{arrived}, {missing:,} bytes missing" if missing else arrived


def missing_bytes(word: int) -> int:
    """The bytes that the phase of an mbarrier lacks; negative if more have come than it expects."""
    shift = watch.MARK_AT - watch.BYTES_AT
    missing = word >> watch.BYTES_AT & (1 << shift) - 1
    return missing - ((missing >> shift - 1) << shift)


def describe_pool(registers: Sequence[int]) -> list[str]:
    """The registers of the CTA's pool, and of its warps."""
    if not registers:
        return []
    *warps, pool = registers
    parts = []
    for count, group in itertools.groupby(enumerate(warps), key=lambda item: item[1]):
        ranks = [rank for rank, _ in group]
        warp_words = f"warps {ranks[0]} to {ranks[-1]} have" if len(ranks) > 1 else f"warp {ranks[0]} has"
        parts.append(f"{warp_words} {count} per thread")
    return [f"the pool has {LANES * pool:,} registers, {', '.join(parts)}"]
