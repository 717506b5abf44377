"""Runs a kernel: checks the launch, runs it in the emulator's process, and returns an Execution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ptxbench import architecture, keywords
from ptxbench.emulator import counters, memory
from ptxbench.emulator.arguments import check_launch, check_names, check_whole, cluster_of, extent
from ptxbench.emulator.deferred import Deferred
from ptxbench.emulator.explain import explain, order_reason
from ptxbench.emulator.findings import Describer, SanitizerFinding
from ptxbench.emulator.image import TouchedMemory, build
from ptxbench.emulator.layout import Translation
from ptxbench.emulator.limits import check_variables
from ptxbench.emulator.messages import CtaOrder, LaunchRequest
from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.pending_stores import split_pending_stores
from ptxbench.emulator.process import emulator_process, one_at_a_time
from ptxbench.emulator.register_pool import dropped_note
from ptxbench.emulator.sanitizer_report import NO_REPORT, sanitizer_report
from ptxbench.emulator.tensor_maps import bind
from ptxbench.emulator.types import LANES
from ptxbench.emulator.variation import NO_VARIATION, Variation
from ptxbench.errors import LaunchError
from ptxbench.pool import usable_cores

FUEL, SANITIZED_FUEL = 1 << 27, 1 << 25
"""Loop iterations that the warps of a CTA or cluster may run together by default: seconds to a minute of an empty loop,
which polls memory or not."""

MOST_FUEL = (1 << 62) - 1
"""Fits a 64-bit counter with room to spare; no kernel runs that long."""


@dataclass(frozen=True)
class Execution:
    """The result of a launch.

    - `counters`: totals by name (docs/counters.md); `totals`: the same, computed when it is first read.
    - `by_line`: the same by PTX line, zeros left out.
    - `order`: "ascending" if the result is that of CTAs run one after the other by rank; "any" if the order of the CTAs
      does not change it. `order_reason`: why "ascending".
    - `printed`: what the kernel printed with printf.
    - `findings`: findings of a sanitized launch, in PTX order.
    - `unchecked`: the sanitizer's checks that were not made, with line and reason.
    - `notes`: these, and other limits of the findings.
    - `remarks`: useless but correct actions in a sanitized launch: prefetches outside every buffer.
    - `changed`: the module's variables that the launch changed. `unfreed`: heap blocks that it left allocated.
    - `opcodes`: how often warps executed each opcode, by PTX line.
    - `loops`: for each loop, by the line of its backward branch, how often warps made how many trips: {trips: entries}.
    - `irreducible`: lines of backward branches that are not counted, because lanes can enter their cycle at several
      places.
    - `wide_wavefronts`: by line, the wavefronts of shared accesses that have neighbours, if merged with these into 8 or
      16 bytes per lane: {bytes: wavefronts}.
    - `old_values`: in a launch whose loads vary, the loads that gave an old value, one for each line.
    - `approximate`: by opcode, how many threads executed an instruction whose result may be less exact on a GPU;
      accuracy.bound(opcode) gives the bound.
    - `models`: by opcode, how well the arithmetic of each executed matrix instruction is known for this architecture.
    """

    totals: Mapping[str, float]
    by_line: Mapping[int, Mapping[str, int]]
    order: str
    printed: str = ""
    findings: tuple[SanitizerFinding, ...] = ()
    notes: tuple[str, ...] = ()
    approximate: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    order_reason: str = ""
    remarks: tuple[SanitizerFinding, ...] = ()
    changed: tuple[str, ...] = ()
    unfreed: int = 0
    opcodes: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    loops: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    irreducible: tuple[int, ...] = ()
    wide_wavefronts: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    old_values: tuple[SanitizerFinding, ...] = ()

    @cached_property
    def counters(self) -> dict[str, float]:
        return dict(self.totals)


def default_fuel(block: Sequence[int], cluster: Sequence[int] | None, *, sanitize: bool) -> int:
    """Loop iterations that a warp may run by default. The warps of a CTA or cluster take turns, so that an endless loop
    of all of them takes no longer than one of a single warp."""
    warps = -(-math.prod(block) // LANES) * math.prod(cluster or (1,))
    return (SANITIZED_FUEL if sanitize else FUEL) // warps


def run(
    ptx: str,
    entry: str | None = None,
    *,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[Any],
    names: Sequence[str] | None = None,
    dynamic_shared_bytes: int = 0,
    arch: str = "sm_90",
    sanitize: bool = False,
    threads: int | None = None,
    most_threads: int | None = None,
    fuel: int | None = None,
    placement: int | None = None,
    kept: dict[str, bytes] | None = None,
    ctas: CtaOrder = "usual",
    variation: Variation = NO_VARIATION,
    cluster: int | Sequence[int] | None = None,
    cooperative: bool = True,
    earlier: Mapping[int, NDArray[Any]] | None = None,
    touched: TouchedMemory | None = None,
) -> Execution:
    """Execute one launch of the kernel `entry` (None: the only one) of the module `ptx`.

    - `grid` in CTAs and `block` in threads: x, or up to (x, y, z).
    - `args`: in the order of the `.param` list. A C-contiguous NumPy array is a pointer, and is changed in place; it
      may be read-only if the kernel only reads it. A Pointer is the address of a byte in an array, None a null pointer.
      A NumPy scalar is passed by value and must fit the parameter's type; np.void is a structure. A MapOf is a tensor
      map, and so is a TensorMap of another argument, by its name. In arrays and structures, a field or element of dtype
      object holds an array or a Pointer: its address is passed.
    - `names`: of the arguments in messages; by default those of the parameters, which a compiler may have chosen.
    - `arch`: chooses the model of matrix instructions.
    - `sanitize`: bad accesses, races, uninitialised reads and divergent barriers become `findings`, and the launch
      continues without the bad access.
    - `threads`: host threads; by default as many as shorten the launch, up to `most_threads`, else up to one per core.
      Results and counters do not depend on them.
    - `fuel`: loop iterations and non-inlined calls that a warp may run; by default `default_fuel`.
    - `placement`: a seed that changes the addresses, order and distances of the arrays, and the addresses of other
      memory.
    - `variation`: what else differs on another GPU or at another time.
    - `kept`: the module's variables by name as an earlier launch left them, which replace their initialisers; it is
      updated with what this launch leaves.
    - `ctas`: another order of the CTAs; it can affect only a kernel whose CTAs wait for each other.
    - `cluster`: CTAs of a cluster, like `grid`, which it must divide; None: what the kernel's .reqnctapercluster says,
      else a launch without clusters.
    - `cooperative`: without it a grid barrier of cooperative groups traps.
    - `earlier`: what arrays (by id) held before a launch that may not have ended yet; this one sees the rest after
      griddepcontrol.wait (chain.py).
    - `touched`: gets what it touches of each ZeroArray.

    Raises PtxSyntaxError, UnsupportedInstruction, KernelTooLarge, LaunchError, MemoryFault (not if sanitized),
    KernelTrap, Deadlock, FuelExhausted, EmulatorCrash; UsageError for an unknown architecture or for another type than
    described here, TypeError for a Python number, which has no width.
    """
    architecture.require(arch)
    check_order(ctas)
    for name, value, least in (
        ("threads", threads, 1), ("most_threads", most_threads, 1), ("fuel", fuel, 0), ("placement", placement, 0),
    ):  # fmt: skip
        check_whole(name, value, least)
    sanitize, cooperative = keywords.truth("sanitize", sanitize), keywords.truth("cooperative", cooperative)
    keywords.instance("variation", variation, Variation, "a Variation of ptxbench.emulator.variation")
    if kept is not None:
        keywords.instance("kept", kept, dict, "a dict")
    args = keywords.several("args", args)
    names = None if names is None else keywords.texts("names", names)
    entry = None if entry is None else keywords.text("entry", entry, "the name of a kernel")
    module = parsed(keywords.text("ptx", ptx, "the text of a module"))
    function = choose(module, entry)
    extent_grid, extent_block = extent(grid, "grid"), extent(block, "block")
    check_variables(module, function)
    check_launch(module, function, extent_grid, extent_block, dynamic_shared_bytes)
    dynamic_shared_bytes = int(dynamic_shared_bytes)  # the process takes no number of NumPy
    in_clusters = cluster_of(function, extent_grid, None if cluster is None else extent(cluster, "cluster"), arch)
    args = bind(check_names(function, names), args)
    image, pending_stores = split_pending_stores(build(module, function, args, placement, kept, names), earlier or {})
    job = LaunchRequest(
        ptx=ptx,
        entry=function.name,
        grid=extent_grid,
        block=extent_block,
        params=image.params,
        buffers=tuple((buffer.low, buffer.high) for buffer in image.layout.buffers),
        arena_bytes=image.layout.size,
        dynamic_shared_bytes=dynamic_shared_bytes,
        threads=1 if pending_stores else threads or most_threads or usable_cores(),
        fuel=min(default_fuel(extent_block, in_clusters, sanitize=sanitize) if fuel is None else fuel, MOST_FUEL),
        arch=arch,
        mode="sanitize" if sanitize else "plain" if variation.lanes is None else "adversarial",
        ctas=ctas,
        placement=placement,
        module_shift=image.module_shift,
        variation=variation,
        cluster=in_clusters,
        cooperative=cooperative,
        pending_stores=pending_stores,
        all_threads=threads is not None,
        wants_stored=touched is not None,
    )
    with one_at_a_time():
        process = emulator_process()
        if touched is not None:
            process.arena.clear()
        answer, results = process.perform(job, image.contents)
        if touched is not None:
            image.note_touched(touched, process.arena, answer.stored)
        buffers = (*image.layout.buffers, *memory.of_heap(answer.blocks))
        describer = Describer(answer.translation, buffers, extent_grid, extent_block, dynamic_shared_bytes)
        if answer.fault is not None:
            raise explain(answer, answer.fault, image.layout, job, describer.findings(answer.findings))
        raw, translation = answer.counters, answer.translation
        totals = Deferred(
            lambda: counters.total(counters.summed(raw, translation), answer.phases, answer.mbarrier_phases)
        )
        report = sanitizer_report(job, image, answer, results, totals, describer) if sanitize else NO_REPORT
        image.copy_back(results, answer.stored_buffers, kept)
        changed = image.changed(results, answer.stored_buffers)
    reason = order_reason(answer, image.layout, extent_grid) if ctas == "usual" else ""
    order = "ascending" if reason else "any" if ctas == "usual" else ctas
    return Execution(
        totals=totals,
        by_line=Deferred(lambda: counters.by_line(raw, translation)),
        order=order,
        printed=answer.printed,
        findings=report.findings,
        notes=(*report.notes, *dropped_note(translation), *unfinished_notes(raw, translation)),
        approximate=Deferred(lambda: counters.approximate(raw, translation)),
        models=Deferred(lambda: counters.models(raw, translation, arch)),
        unchecked=report.unchecked,
        order_reason=reason,
        remarks=report.remarks,
        changed=changed,
        unfreed=answer.unfreed,
        opcodes=Deferred(lambda: counters.opcodes(raw, translation)),
        loops=Deferred(lambda: counters.loops(answer.trips, translation.loops)),
        irreducible=translation.irreducible,
        wide_wavefronts=Deferred(lambda: counters.wide_wavefronts(raw, translation)),
        old_values=report.old_values,
    )


def unfinished_notes(raw: NDArray[np.int64], translation: Translation) -> Iterator[str]:
    """A sentence for each line with bulk copies that were not complete when their threads exited."""
    for line, copies in counters.unfinished_copies(raw, translation).items():
        what = "bulk copy was" if copies == 1 else "bulk copies were"
        yield (
            f"line {line}: {copies:,} {what} not complete when the thread exited, and the emulator does not do such "
            "copies. Let each thread wait for its own (cp.async.bulk.commit_group and wait_group)"
        )


def check_order(ctas: str) -> None:
    """Raise LaunchError for an order of the CTAs that does not exist."""
    if ctas not in (orders := get_args(CtaOrder)):
        raise LaunchError(f"ctas is {ctas!r}; expected one of {', '.join(orders)}.")
