"""Runs a kernel: checks the arguments, has the emulator's process do it, and tells what happened."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import errors
from ptxbench.emulator import counters, memory
from ptxbench.emulator.arguments import check_arguments, check_launch, extent, pack
from ptxbench.emulator.findings import Describer, Finding, bad_access, coordinates
from ptxbench.emulator.messages import Answer, CtaOrder, Failure, Fault, Job
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.process import Process, emulator_process
from ptxbench.emulator.runtime import context
from ptxbench.emulator.runtime.mbarriers import COMPLAINTS
from ptxbench.emulator.syntax import Module
from ptxbench.emulator.variables import (
    ALIGNMENT,
    GAP,
    initial_bytes,
    lay_out_addressed_parameters,
    lay_out_module,
    module_variables,
)
from ptxbench.errors import Deadlock, FuelExhausted, KernelTrap, MemoryFault

FUEL = 1 << 27
"""Loop iterations that a warp may run by default: half a second to a few seconds of an empty loop."""
MOST_RESCHEDULED = 5_000_000
"""Thread instructions up to which a sanitised launch is run again with the adversarial schedule."""


@dataclass(frozen=True)
class Execution:
    """What a launch did.

    `counters`: totals by name (docs/emulator.md). `by_line`: the same by line of the PTX, zeros left out.
    `order`: "ascending" where CTAs had to run one after the other, "any" where they ran in parallel.
    `printed`: what the kernel printed with printf. `findings`: what a sanitised launch found, in the order of the
    PTX. `notes`: which of the sanitiser's checks could not be made, and why. `approximate`: how many threads executed
    each instruction whose result a GPU may give less exactly, by opcode; accuracy.bound(opcode) says how much.
    `models`: how well the arithmetic of each matrix instruction that ran is known for this architecture, by opcode.
    """

    counters: Mapping[str, float]
    by_line: Mapping[int, Mapping[str, int]]
    order: str
    printed: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    approximate: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)


def run(
    ptx: str,
    entry: str | None = None,
    *,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[Any],
    dynamic_shared_bytes: int = 0,
    arch: str = "sm_90",
    sanitize: bool = False,
    threads: int | None = None,
    fuel: int | None = None,
    placement: int | None = None,
    kept: dict[str, bytes] | None = None,
    ctas: CtaOrder = "usual",
) -> Execution:
    """Execute one launch of the kernel `entry` (None: the only one) of the module `ptx`.

    `grid` in CTAs and `block` in threads: x, or up to (x, y, z). `args` in the order of the `.param` list: a
    C-contiguous NumPy array is a pointer and is modified in place, a NumPy scalar is passed by value and must fit
    the parameter's type, None is a null pointer. `arch` chooses the model of matrix instructions. `sanitize`: bad
    accesses, races, reads of what nobody wrote and divergent barriers become `findings`, and the launch goes on
    without the bad access. `threads`: host threads, by default one a core; results and counters do not depend on
    it. `fuel`: loop iterations that a warp may run, by default FUEL. `placement`: a seed to put the arrays elsewhere,
    in another order and at other distances. `kept`: the module's variables by name as an earlier launch left them,
    where their initialisers are not to count; holds afterwards what this launch leaves. `ctas`: another order of the
    CTAs, which a kernel may mind only if its CTAs wait for each other.

    Raises PtxSyntaxError, UnsupportedInstruction, LaunchError, MemoryFault (not if sanitised), KernelTrap,
    Deadlock, FuelExhausted, EmulatorCrash; TypeError for a Python number, which has no width.
    """
    module = parsed(ptx)
    function = choose(module, entry)
    extent_grid, extent_block = extent(grid, "grid"), extent(block, "block")
    check_launch(function, extent_grid, extent_block, dynamic_shared_bytes)
    arrays = check_arguments(function, args)
    module_addresses, start = lay_out_module(module)
    held = [
        memory.Buffer(variable.name, module_addresses[variable.name] - context.GLOBAL_BASE, variable.size_bytes)
        for variable in module_variables(module)
    ]
    if (parameters := lay_out_addressed_parameters(module, function)) is not None:
        held.append(memory.Buffer("the parameters", parameters[0] - context.GLOBAL_BASE, parameters[1]))
        start = held[-1].offset + -(-(parameters[1] + GAP) // ALIGNMENT) * ALIGNMENT
    layout = memory.lay_out([(name, array) for name, array in arrays.values()], held, start, placement)
    addresses = dict(zip(arrays, layout.addresses, strict=True))
    packed = pack(function, args, addresses)
    job = Job(
        ptx,
        function.name,
        extent_grid,
        extent_block,
        packed,
        tuple((buffer.low, buffer.high) for buffer in layout.buffers),
        layout.size,
        dynamic_shared_bytes,
        threads or usable_cores(),
        FUEL if fuel is None else fuel,
        arch,
        "sanitize" if sanitize else "plain",
        ctas=ctas,
    )
    variables = module_variables(module)
    earlier = {} if kept is None else kept
    initial = [earlier.get(each.name) or initial_bytes(each, module_addresses) for each in variables]
    if parameters is not None:
        initial.append(packed)
    contents = [
        *((buffer.offset, np.frombuffer(content, np.uint8)) for buffer, content in zip(held, initial, strict=True)),
        *((addresses[index] - context.GLOBAL_BASE, as_bytes(array)) for index, (_, array) in arrays.items()),
    ]
    answer, results = perform(emulator_process(), job, contents)
    if answer.fault is not None:
        raise explain(answer, answer.fault, layout, job)
    lines = counters.by_line(answer.counters, answer.translation)
    totals = counters.total(lines, answer.phases)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    if sanitize:
        shared_bytes = answer.translation.shared_bytes + dynamic_shared_bytes
        describer = Describer(answer.translation, layout.buffers, extent_grid, extent_block, shared_bytes)
        findings = describer.findings(answer.findings)
        notes = sanitizer_notes(answer, totals)
        if not findings and not any(note.startswith("second schedule") for note in notes):
            findings = reschedule(job, contents, results, layout)
    for (_, array), result in zip(arrays.values(), results[len(held) :], strict=True):
        as_bytes(array)[:] = result
    if kept is not None:
        kept.update((each.name, left.tobytes()) for each, left in zip(variables, results, strict=False))
    order = "ascending" if answer.translation.in_order else "any"
    approximate = counters.approximate(answer.counters, answer.translation)
    models = counters.models(answer.counters, answer.translation, arch)
    return Execution(totals, lines, order, answer.printed, findings, notes, approximate, models)


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """A view of a C-contiguous array's bytes, shape (nbytes,)."""
    return array.reshape(-1).view(np.uint8)


def perform(
    process: Process, job: Job, contents: Sequence[tuple[int, NDArray[np.uint8]]]
) -> tuple[Answer, list[NDArray[np.uint8]]]:
    """Put `contents` at their offsets of the arena and run `job`; its answer, and views of what lies there now."""
    process.arena.reserve(job.arena_bytes)
    views = [process.arena.bytes(offset, content.size) for offset, content in contents]
    for view, (_, content) in zip(views, contents, strict=True):
        view[:] = content
    answer = process.ask(job)
    if isinstance(answer, Failure):
        raise getattr(errors, answer.name)(answer.message)
    return answer, views


# ---- sanitised launches


def sanitizer_notes(answer: Answer, totals: Mapping[str, float]) -> tuple[str, ...]:
    """Which checks were not made."""
    notes = []
    if obstacle := answer.translation.race_obstacle:
        notes.append(f"race check not available: {obstacle}")
    if obstacle := answer.translation.schedule_obstacle:
        notes.append(f"second schedule inconclusive: {obstacle}, whose results may depend on the order")
    elif totals["ptx_thread_instructions"] > MOST_RESCHEDULED:
        notes.append(
            f"second schedule left out: more than {MOST_RESCHEDULED:,} thread instructions; use a smaller size"
        )
    return tuple(notes)


def reschedule(
    job: Job,
    contents: Sequence[tuple[int, NDArray[np.uint8]]],
    results: Sequence[NDArray[np.uint8]],
    layout: memory.Layout,
) -> tuple[Finding, ...]:
    """Run the launch again, one half of each warp before the other and the warps from the last to the first.

    A kernel that synchronises its lanes gives the same bytes. `results` hold the first run's again afterwards.
    """
    expected = [result.copy() for result in results]
    try:
        answer, again = perform(emulator_process(), replace(job, mode="adversarial"), contents)
    except errors.Deadlock as error:
        return (Finding("schedule", 0, f"with another schedule of the warps' lanes, {error}"),)
    found = []
    for before, after, (offset, _) in zip(expected, again, contents, strict=True):
        different = np.flatnonzero(before != after)
        if answer.fault is None and different.size:
            place = memory.nearest(layout.buffers, context.GLOBAL_BASE + offset + int(different[0]), 1)
            found.append(
                Finding(
                    "schedule", 0, f"with another schedule of the warps' lanes, {place}, holds another value: a "
                    f"__syncwarp (bar.warp.sync) or a barrier is missing.",
                )
            )  # fmt: skip
        after[:] = before
    if answer.fault is not None:
        fault = explain(answer, answer.fault, layout, job)
        found.append(Finding("schedule", 0, f"with another schedule of the warps' lanes: {fault}"))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def parsed(ptx: str) -> Module:
    return parse(ptx)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- what can go wrong


def explain(answer: Answer, fault: Fault, layout: memory.Layout, job: Job) -> errors.KernelError:
    """The error that a fault is, with its line, thread and CTA."""
    translation, grid, block = answer.translation, job.grid, job.block
    if fault.kind == context.DEADLOCK:
        return Deadlock(
            f"CTA {coordinates(fault.cta, grid)} cannot go on: {describe_waiting(answer, math.prod(block))}."
        )
    if fault.kind == context.OUT_OF_FUEL:
        first = next(step for step in translation.steps if step.block == fault.slot // 2)
        return FuelExhausted(
            f"line {first.line}: warp {fault.warp} of CTA {coordinates(fault.cta, grid)} ran {job.fuel:,} loop "
            f"iterations, the last of them here. An endless loop? If not, give more fuel."
        )
    site = next(site for site in translation.sites if site.slot == fault.slot)
    step = translation.steps[site.step]
    if fault.kind == context.MISUSED:
        who = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return MemoryFault(f"line {step.line}: {step.opcode} by {who} {COMPLAINTS[fault.address]}.")
    if fault.kind == context.NO_BARRIER:
        return Deadlock(f"line {step.line}: {step.opcode} names barrier {fault.address}; a CTA has 0 to 15.")
    if fault.kind == context.TRAPPED:
        who = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return KernelTrap(f"line {step.line}: {who}: {answer.assertion or 'trap'}.")
    thread = coordinates(32 * fault.warp + fault.lane, block)
    who = f"line {step.line}: {step.opcode} by thread {thread} of CTA {coordinates(fault.cta, grid)}"
    sizes = {"shared": translation.shared_bytes + job.dynamic_shared_bytes, "local": translation.local_bytes}
    return MemoryFault(f"{who} {bad_access(fault.kind, site, fault.address, layout.buffers, sizes)}")


def describe_waiting(answer: Answer, threads: int) -> str:
    """Where each warp waits, and of a barrier how many threads have arrived."""
    steps = answer.translation.steps
    found = []
    for each in answer.waiting:
        step = [step for step in steps if step.block == each.block][-1 if each.last else 0]
        lanes = "" if each.lanes == 0xFFFFFFFF else f" (lanes {each.lanes:#010x})"
        expected = threads if each.expected < 0 else each.expected
        count = f", barrier {each.barrier}, {each.arrived} of {expected} threads" if each.barrier >= 0 else ""
        found.append(f"warp {each.warp}{lanes} waits at line {step.line}, {step.opcode}{count}")
    return "; ".join(found)
