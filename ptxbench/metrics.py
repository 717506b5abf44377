"""METRICS: every number that ptxbench derives for a variant. Knows results, but not how they are shown.

One entry is a column of the table, a key of the exports, a choice of `--columns` and a key of the gate. In addition
there is a family, `sass.OPCODE`, which counts the instructions of one opcode; it has a member for each opcode.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ptxbench import cycles, opcodes, roofline, specifications, stats
from ptxbench.errors import UsageError, suggestion
from ptxbench.result import ORACLE_WEAK, VERIFIED, BuildReport, Cell, VariantResult, code_key

REFERENCE = "cuda"
"""The variant with which all others are compared."""

Formula = Callable[[Cell, str, VariantResult], float | None]


@dataclass(frozen=True)
class Metric:
    """A number of one variant of a cell; `formula` returns None if it does not exist.

    `unit` is of `ptxbench.units`: s, B, B/s, flop/s, %, ×, error, or nothing for a count. `interval` returns the ends
    of the formula's interval, if it has one. `counted_by`: what counts it, equal on every repetition: the tools that
    build the kernel, the emulator, or both together; None for times, and for values that follow from other metrics.
    `tag`: a word that belongs to the number, such as what bounds it. `bounds`: whether the interval is the range of
    possible values, not an error of measurement.
    """

    name: str
    heading: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    description: str
    formula: Formula
    interval: Callable[[Cell, str, VariantResult], tuple[float, float] | None] | None = None
    counted_by: Literal["tools", "emulator", "both"] | None = None
    tag: Callable[[Cell, VariantResult], str | None] | None = None
    bounds: bool = False

    def of(self, cell: Cell, variant: str) -> float | None:
        """The value for one variant of `cell`."""
        return self.formula(cell, variant, cell.variants[variant])


# ---- measured on a GPU


def time(cell: Cell, variant: str, result: VariantResult) -> float | None:
    """Seconds; None for a variant that is not verified."""
    ns = stats.median_ns(cell.rounds, variant) if result.status == VERIFIED else None
    return None if ns is None else ns / 1e9


def per_second(work: str) -> Formula:
    """An amount of the cell's work divided by the time."""

    def rate(cell: Cell, variant: str, result: VariantResult) -> float | None:
        seconds = time(cell, variant, result)
        return cell.work[work] / seconds if seconds and cell.work[work] else None

    return rate


def limit_share(cell: Cell, variant: str, result: VariantResult) -> float | None:
    """The roofline's least time divided by the time."""
    seconds = time(cell, variant, result)
    return roofline.share(cell, result, seconds) if seconds else None


def intensity(cell: Cell, variant: str, result: VariantResult) -> float | None:
    ran = result.status == VERIFIED
    return cell.work["flops"] / cell.work["bytes"] if ran and cell.work["bytes"] and cell.work["flops"] else None


def comparable(cell: Cell, result: VariantResult) -> bool:
    """Whether a variant's time may be compared with that of the reference: both are verified by a sufficient oracle."""
    reference = cell.variants.get(REFERENCE)
    return (
        result.status == VERIFIED
        and reference is not None
        and reference.status == VERIFIED
        and ORACLE_WEAK not in cell.labels
    )


def time_ratio(cell: Cell, variant: str, result: VariantResult) -> float | None:
    if not comparable(cell, result):
        return None
    if variant == REFERENCE:
        return 1.0 if stats.samples(cell.rounds, variant) else None
    interval = stats.ratio(cell.rounds, variant, REFERENCE)
    return interval.value if interval else None


def time_ratio_interval(cell: Cell, variant: str, result: VariantResult) -> tuple[float, float] | None:
    if variant == REFERENCE or not comparable(cell, result):
        return None
    interval = stats.ratio(cell.rounds, variant, REFERENCE)
    return (interval.low, interval.high) if interval else None


def cycles_ratio(cell: Cell, variant: str, result: VariantResult) -> float | None:
    interval = in_cycles(cell, variant, result)
    return interval.value if interval else None


def cycles_ratio_interval(cell: Cell, variant: str, result: VariantResult) -> tuple[float, float] | None:
    interval = in_cycles(cell, variant, result)
    return (interval.low, interval.high) if interval else None


def in_cycles(cell: Cell, variant: str, result: VariantResult) -> stats.Interval | None:
    """Clock cycles of a variant relative to the reference; None if the clock of one is unknown."""
    if variant == REFERENCE or not comparable(cell, result):
        return None
    return stats.ratio(cycles.by_kernel(cell.rounds), variant, REFERENCE)


# ---- counted by the emulator


def count(*names: str) -> Formula:
    """The sum of these counters; None on a GPU, and if the emulator does not count them."""

    def total(cell: Cell, variant: str, result: VariantResult) -> float | None:
        counts = result.counts or {}
        return sum(counts[name] for name in names) if all(name in counts for name in names) else None

    return total


def difference(whole: str, part: str) -> Formula:
    """One counter minus another, at least 0; None if either was not counted."""

    def left(cell: Cell, variant: str, result: VariantResult) -> float | None:
        counts = result.counts or {}
        return max(counts[whole] - counts[part], 0) if whole in counts and part in counts else None

    return left


def quotient(numerator: Formula, denominator: Formula) -> Formula:
    """One number divided by another; None if the divisor is 0 or missing."""

    def divided(cell: Cell, variant: str, result: VariantResult) -> float | None:
        over, under = numerator(cell, variant, result), denominator(cell, variant, result)
        return over / under if over is not None and under else None

    return divided


def of_reference(formula: Formula) -> Formula:
    """The variant's number divided by that of the reference."""

    def relative(cell: Cell, variant: str, result: VariantResult) -> float | None:
        reference = cell.variants.get(REFERENCE)
        value, base = formula(cell, variant, result), formula(cell, REFERENCE, reference) if reference else None
        return value / base if value is not None and base else None

    return relative


def build(read: Callable[[BuildReport], float | None]) -> Formula:
    """What the toolchain reports of the variant."""
    return lambda cell, variant, result: read(result.build) if result.build else None


def spills(report: BuildReport) -> float | None:
    if report.spill_store_bytes is None or report.spill_load_bytes is None:
        return None
    return report.spill_store_bytes + report.spill_load_bytes


ATOMICS = tuple(f"ptx_atomic_{space}_requests" for space in ("global", "shared", "cluster"))
"""Requests of atomics: `atom`, `red`, `red.async` and bulk reductions."""

INSTRUCTIONS = count("ptx_warp_instructions")
SECTORS = count("ptx_global_load_sectors", "ptx_global_store_sectors")
REQUESTS = count("ptx_global_load_requests", "ptx_global_store_requests")
CLASSES = {
    "int": "integer arithmetic and logic", "f16": "half precision", "f32": "single precision",
    "f64": "double precision", "special": "approximate functions", "convert": "conversions", "move": "moves",
    "compare": "comparisons and selections", "control": "branches, calls and returns", "memory": "memory accesses",
    "warp": "shuffles and votes", "matrix": "matrix operations", "async": "asynchronous copies",
    "barrier": "barriers",
}  # fmt: skip


COSTLY = ("f64", "special", "warp")
"""Classes of instructions that a GPU executes at a fraction of the rate of others: any more is worse."""


SHORT = {"requests": "req.", "sectors": "sect.", "lines": "lines", "bytes": "bytes", "wavefronts": "waves",
         "conflicts": "confl.", "lanes": "lanes", "serial": "serial"}  # fmt: skip
"""What is counted, as a heading."""

WORDS = {"requests": "Warps' requests of", "sectors": "32-byte sectors touched by",
         "lines": "128-byte lines touched by", "bytes": "Bytes moved by", "wavefronts": "Passes over the banks by",
         "conflicts": "Passes that bank conflicts add to"}  # fmt: skip
"""The same, in a sentence."""


def executed(read: opcodes.Count) -> Formula:
    """A number from the executed opcodes; None on a GPU, and for a run that did not keep them."""
    return lambda cell, variant, result: None if result.opcodes is None else read(result.opcodes)


def sass_executed(cell: Cell, variant: str, result: VariantResult) -> float | None:
    """The likeliest number of executed machine instructions."""
    return result.executed.fit if result.executed else None


def sass_bounds(cell: Cell, variant: str, result: VariantResult) -> tuple[float, float] | None:
    """The least and the greatest possible number."""
    bounds = result.executed
    return (bounds.least, bounds.most) if bounds and bounds.least is not None and bounds.most is not None else None


def sass_ratio_bounds(cell: Cell, variant: str, result: VariantResult) -> tuple[float, float] | None:
    """The least and the greatest possible ratio to the reference: exactly 1 for the same machine code."""
    reference = cell.variants.get(REFERENCE)
    variant_bounds, base = (
        sass_bounds(cell, variant, result),
        sass_bounds(cell, REFERENCE, reference) if reference else None,
    )
    if reference is None or variant_bounds is None or base is None or not base[0]:
        return None
    if code_key(variant, result.build) == code_key(REFERENCE, reference.build):
        return 1.0, 1.0
    return variant_bounds[0] / base[1], variant_bounds[1] / base[0]


SM_WARPS = 64
"""The most warps that an SM of any architecture holds."""


def launched_warps(cell: Cell, variant: str, result: VariantResult) -> float | None:
    """Warps of the launch, at most as many as a GPU of the architecture holds; None if there are times to judge."""
    if result.counts is None:
        return None
    spec = specifications.of_architecture(cell.arch)
    launch = cell.launch_of(variant)
    warps = math.prod(launch.grid) * -(-math.prod(launch.block) // 32)
    return min(warps, spec.sms * SM_WARPS) if spec else None


def counter(name: str, heading: str, better: Literal["lower", "higher", "neither"], description: str) -> Metric:
    """A metric that is a counter of the emulator, with its name."""
    return counted(name, heading, better, description, count(name))


def counted(
    name: str, heading: str, better: Literal["lower", "higher", "neither"], description: str, formula: Formula
) -> Metric:
    """A metric that is computed from the emulator's counters."""
    return Metric(name, heading, "", better, description, formula, counted_by="emulator")


def built(
    name: str,
    heading: str,
    unit: str,
    better: Literal["lower", "higher", "neither"],
    description: str,
    read: Callable[[BuildReport], float | None],
) -> Metric:
    """A metric that the toolchain reports of the variant."""
    return Metric(name, heading, unit, better, description, build(read), counted_by="tools")


SCOPE_WORDS = {"cluster": "a cluster, the GPU or the system", "gpu": "the GPU or the system", "sys": "the system"}

EXECUTED: tuple[tuple[str, str, str, opcodes.Count], ...] = (
    ("ptx_weighted_instructions", "weighted", "PTX instructions that warps executed, each counted as the machine "
     "instructions that it takes, about.", opcodes.weighted),
    ("ptx_divisions", "divisions", "Divisions, remainders and roots of full precision: many instructions each.",
     opcodes.total(opcodes.is_division)),
    ("ptx_subnormal_approximations", "subnormal", "Approximate functions that keep subnormal numbers: without .ftz.",
     opcodes.total(opcodes.is_subnormal)),
    ("ptx_float_conversions", "conversions", "Conversions to or from floating point.",
     opcodes.total(opcodes.is_conversion)),
    ("ptx_generic_accesses", "generic", "Accesses whose address says which memory it is.",
     opcodes.total(opcodes.is_generic)),
    ("ptx_strong_accesses", "strong", "Global loads and stores that are volatile, relaxed, acquire or release.",
     opcodes.total(opcodes.is_strong)),
    ("ptx_ordering_accesses", "ordering", "Accesses that acquire or release.", opcodes.total(opcodes.is_ordering)),
    *((f"ptx_{scope}_accesses", f"{scope} acc.", f"Global accesses with the scope of {words}, atomics among them.",
       opcodes.accesses(scope)) for scope, words in SCOPE_WORDS.items()),
    ("ptx_fences", "fences", "Fences of any scope.", opcodes.total(opcodes.is_fence)),
    *((f"ptx_{scope}_fences", f"{scope} fences", f"Fences with the scope of {words}.", opcodes.fences(scope))
      for scope, words in SCOPE_WORDS.items()),
    ("ptx_sequential_fences", "sc fences", "Fences that are sequentially consistent: fence.sc, membar.",
     opcodes.total(opcodes.is_sequential)),
    ("ptx_full_waits", "full waits", "Waits that leave no asynchronous copy in flight.",
     opcodes.total(opcodes.is_full_wait)),
    ("ptx_sleeps", "sleeps", "Executions of nanosleep.", opcodes.total(opcodes.is_sleep)),
    ("ptx_sleep_ns", "sleep ns", "Nanoseconds that nanosleep asks for, where they are constant, summed over warps.",
     opcodes.slept_ns),
)  # fmt: skip
"""Metrics that need only the executed opcodes: name, heading, description, and how to count."""


METRICS = (
    Metric("time", "time", "s", "lower", "Median device time of a launch.", time),
    Metric("ratio", "time / cuda", "×", "lower", "Time over that of the cuda row, from paired blocks.",
           time_ratio, time_ratio_interval),
    Metric("cycles_ratio", "cycles / cuda", "×", "lower", "The same in clock cycles: times the SM clock of each kernel "
           "alone, by NVML.", cycles_ratio, cycles_ratio_interval),
    Metric("bandwidth", "bandwidth", "B/s", "higher", "Compulsory bytes (each array once) over the time.",
           per_second("bytes")),
    Metric("compute", "compute", "flop/s", "higher", "The pair's flops over the time.", per_second("flops")),
    Metric("share", "of limit", "%", "higher", "The least time that compulsory bytes and flops allow, over the time; "
           "with the limit: memory, f32, tensor, launch. `-` if memory is the limit and the launch may find or leave "
           "over 5 % of these bytes in L2.", limit_share, tag=roofline.tag),
    Metric("intensity", "flop / byte", "", "neither", "The pair's flops over its compulsory bytes, with what "
           "bounds such work on the GPU (without one, on one of the architecture, by published figures: a model).",
           intensity, tag=roofline.tag),
    Metric("max_error", "max error", "error", "lower", "Greatest |error| against the float64 reference.",
           lambda cell, variant, result: result.check.max_error if result.check else None),
    built("registers", "regs", "", "lower", "Registers of a thread.", lambda report: report.registers),
    built("spills", "spills", "B", "lower", "Bytes of spill stores and loads of a thread.", spills),
    built("stack", "stack", "B", "lower", "Stack frame of a thread.", lambda report: report.stack_bytes),
    built("shared", "shared", "B", "lower", "Static shared memory of a CTA.", lambda report: report.shared_bytes),
    built("sass", "SASS", "", "lower", "SASS instructions in the code of the kernel.",
          lambda report: report.sass.get("total")),
    built("occupancy", "occup.", "%", "higher", "Theoretical occupancy: resident warps over the possible maximum.",
          lambda report: report.occupancy),
    Metric("sass_executed", "SASS executed", "", "lower", "Machine instructions that warps executed, derived from the "
           "emulator's counts; a range if these do not determine it.", sass_executed, sass_bounds, counted_by="both",
           bounds=True),
    Metric("sass_executed_ratio", "exec. / cuda", "×", "lower", "The same over that of the cuda row.",
           of_reference(sass_executed), sass_ratio_bounds, bounds=True),
    Metric("launched_warps", "warps", "", "higher", "Warps of the launch, at most as many as a GPU of the architecture "
           "holds at once.", launched_warps, counted_by="emulator"),
    counter("ptx_warp_instructions", "PTX instr.", "lower", "PTX instructions that warps executed."),
    Metric("ptx_instructions_ratio", "instr. / cuda", "×", "lower", "PTX warp instructions over those of the cuda row.",
           of_reference(INSTRUCTIONS)),
    *(counter(f"ptx_warp_instructions_{name}", name, "lower" if name in COSTLY else "neither", f"Of these, {words}.")
      for name, words in CLASSES.items()),
    counter("ptx_loop_functions", "in loops", "lower", "Approximate functions, divisions and roots that warps executed "
            "within loops."),
    counter("ptx_dependent_cycles", "dep. cycles", "lower", "Cycles that dependences keep warps, by round latencies (a "
            "model), summed over warps."),
    counter("ptx_thread_instructions", "thread instr.", "lower", "PTX instructions times lanes at them."),
    counter("ptx_thread_instructions_on", "lanes on", "lower", "The same, only lanes with a true guard."),
    Metric("ptx_active_lane_share", "lanes", "%", "higher", "Lanes with a true guard, of 32 for each instruction.",
           count("ptx_active_lane_share")),
    counter("ptx_branches", "branches", "lower", "Guarded branches and exits of a warp."),
    counter("ptx_divergent_branches", "divergent", "lower", "Of these, those whose lanes diverge."),
    counted("ptx_global_sectors", "sectors", "lower", "32-byte sectors that global loads and stores touch.", SECTORS),
    Metric("ptx_global_sectors_per_request", "sect./req.", "", "lower", "Global sectors of one request of a warp.",
           quotient(SECTORS, REQUESTS)),
    *(counter(f"ptx_global_{kind}_{part}", f"{kind} {SHORT[part]}", "lower", f"{WORDS[part]} global {kind}s.")
      for kind in ("load", "store") for part in ("requests", "sectors", "lines", "bytes")),
    *(Metric(f"ptx_global_{kind}_sectors_per_request", f"{kind} s./req.", "", "lower",
             f"Sectors of one global {kind} of a warp.",
             quotient(count(f"ptx_global_{kind}_sectors"), count(f"ptx_global_{kind}_requests")))
      for kind in ("load", "store")),
    counted("ptx_shared_wavefronts", "wavefronts", "lower", "Passes over the banks that shared accesses need.",
            count("ptx_shared_load_wavefronts", "ptx_shared_store_wavefronts")),
    counted("ptx_shared_conflicts", "conflicts", "lower", "Passes over the banks that conflicts add.",
            count("ptx_shared_load_conflicts", "ptx_shared_store_conflicts")),
    *(counter(f"ptx_shared_{kind}_{part}", f"sh. {kind} {SHORT[part]}", "lower",
              f"{WORDS[part]} shared {kind}s.")
      for kind in ("load", "store") for part in ("requests", "wavefronts", "conflicts", "bytes")),
    *(counter(f"ptx_local_{kind}_{part}", f"local {kind} {SHORT[part]}", "lower",
              f"{WORDS[part]} local {kind}s: arrays of a thread, not spills.")
      for kind in ("load", "store") for part in ("requests", "bytes")),
    *(counter(f"ptx_cluster_{kind}_{part}", f"clus. {kind} {SHORT[part]}", "lower",
              f"{WORDS[part]} {kind}s at shared::cluster addresses.")
      for kind in ("load", "store") for part in ("requests", "bytes")),
    counted("ptx_atomics", "atomics", "lower", "Requests of atomics: global, shared, and of other CTAs of the cluster.",
            count(*ATOMICS)),
    *(counter(f"ptx_atomic_{space}_{part}", f"{short} at. {SHORT[part]}", "lower", f"{words} {space} atomics.")
      for space, short in (("global", "global"), ("shared", "shared"), ("cluster", "clus."))
      for part, words in (("requests", "Requests of"), ("lanes", "Active lanes of"),
                          ("serial", "Most lanes on one address, summed over"))),
    counter("ptx_atomic_global_sectors", "global at. sect.", "lower", "32-byte sectors that global atomics touch."),
    counter("ptx_barriers", "barriers", "lower", "Arrivals of warps at barriers."),
    counter("ptx_barrier_phases", "phases", "lower", "Completed barriers of CTAs and of clusters."),
    counter("ptx_mbarrier_phases", "mbar. phases", "lower", "Completed phases of mbarriers."),
    counted("ptx_direct_loads", "direct loads", "lower", "Requests of global loads that are not asynchronous copies.",
            difference("ptx_global_load_requests", "ptx_async_requests")),
    counter("ptx_async_requests", "async", "lower", "Asynchronous copies that warps asked for: cp.async, bulk and "
            "tensor copies. st.async is a store of the cluster, red.async an atomic."),
    counter("ptx_async_bytes", "async bytes", "lower", "Bytes that asynchronous copies moved."),
    counter("ptx_multicast_sectors", "multicast sect.", "higher",
            "32-byte sectors that multicast copies brought to CTAs, once for each CTA."),
    counter("ptx_tma_boxes", "boxes", "lower", "Boxes of tensors that tensor copies moved."),
    counter("ptx_tma_filled_bytes", "filled bytes", "lower", "Bytes that loads filled outside tensors."),
    counter("ptx_mma_operations", "mma", "lower", "Matrix instructions (mma, wmma)."),
    counter("ptx_wgmma_operations", "wgmma", "lower", "Matrix products of warpgroups (wgmma)."),
    counter("ptx_wgmma_shared_bytes", "wgmma shared", "lower", "Bytes of their operands in shared memory."),
    *(counter(f"ptx_mma_flops_{name}", f"mma {name}", "higher", f"Multiplications and additions of {name} matrices.")
      for name in ("f16", "bf16", "tf32", "f64", "e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "s8", "u8", "s4", "u4",
                   "b1")),
    *(counted(name, heading, "lower", description, executed(read)) for name, heading, description, read in EXECUTED),
)  # fmt: skip
"""In the order of columns in a wide table."""

BY_NAME = {metric.name: metric for metric in METRICS}


def choose(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics of these names, in order; `sass.OPCODE` is one for any opcode.

    Raises UsageError with a suggestion for an unknown one.
    """
    return tuple(BY_NAME.get(name) or sass_count(name) for name in names)


def choose_columns(names: str | None) -> tuple[Metric, ...]:
    """The metrics that the value of --columns names; empty without it. Raises UsageError as `choose` does."""
    return choose(name.strip() for name in names.split(",")) if names else ()


COUNTER = "ptx_"
"""What the names of the emulator's counters begin with."""
SHORTEST_PART = 4
"""The fewest letters of a part of a name for which the names with it are listed."""

OPCODE = re.compile(r"[A-Z][A-Z0-9_]*(\.\w+)*", re.ASCII)
"""An opcode of SASS and some of its modifiers: LDG, LDG.128, UCGABAR_ARV, REDG.F32x4."""


def sass_count(name: str) -> Metric:
    """The metric `sass.OPCODE`: how many SASS instructions have that opcode, and each modifier that it names.

    0 if the code has none, None if it was not disassembled. Raises UsageError for a name of another form.
    """
    family, _, opcode = name.partition(".")
    if family != "sass" or not OPCODE.fullmatch(opcode):
        raise UsageError(f"Unknown column '{name}'.{hint(name)}")

    def total(report: BuildReport) -> float | None:
        counts = [count for other, count in report.opcodes.items() if has(other, opcode)]
        return sum(counts) if report.opcodes else None

    return Metric(name, opcode, "", "neither", f"SASS instructions {opcode}, further modifiers or not.", build(total))


def has(opcode: str, wanted: str) -> bool:
    """True if `opcode` is `wanted` or adds modifiers to it, in any position: LDG.E.128.CONSTANT is an LDG.128."""
    name, *modifiers = opcode.split(".")
    wanted_name, *wanted_modifiers = wanted.split(".")
    return name == wanted_name and set(wanted_modifiers) <= set(modifiers)


def hint(name: str, others: Sequence[str] = ()) -> str:
    """What to write in place of an unknown name: the one that was probably meant, those that contain it, or those that
    are not counters. `others`: names that are known besides those of metrics."""
    if "." in name:
        return (
            " Instructions of SASS are counted by sass.OPCODE, with the opcode and modifiers as nvdisasm writes them, "
            "such as sass.LDG, sass.LDG.128 or sass.IMAD.WIDE."
        )
    names = (*others, *BY_NAME)
    parts = [known for known in names if len(name) >= SHORTEST_PART and name.casefold() in known]
    if len(parts) > 1:
        return f" Names with '{name}' are {', '.join(parts)}."
    usual = [known for known in names if not known.startswith(COUNTER)]
    return suggestion(name, names) or (
        f" Names are {', '.join(usual)}, sass.OPCODE for any opcode, and those of {len(names) - len(usual)} counters, "
        f"such as ptx_barriers. Write '{COUNTER}' to list them all."
    )
