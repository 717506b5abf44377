"""What the readings of a calibration mean: numbers in, one line of the checklist out. Does not access a device.

A line is FAIL if no time of the device can be trusted, WARN if part of it needs care.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, stdev
from typing import Any

from ptxbench import roofline, stats
from ptxbench.backends import flush
from ptxbench.backends.hold import smallest_step
from ptxbench.checklist import ChecklistLine
from ptxbench.measure.contrast import relative_difference
from ptxbench.result import Round
from ptxbench.units import si

PASS, WARN, FAIL, ABSENT = "PASS", "WARN", "FAIL", "N/A"
"""The status of a line. ABSENT: what the check needs is not available."""

FLUSHES = 1.05
"""A reading after a flush must take this many times as long as without it, or the flush has no effect."""

COARSE_EVENT_NS = 1_000
"""Documented resolution of events: half a microsecond; the shortest launch that is timed alone allows for twice that.
"""

COARSE_TIMER_NS = 100_000
"""A spin may be one timer step longer than requested, which adds to each sample's time."""

WIDE = 0.005
"""The greatest half width of the control's interval that the default settings should give."""

PROCESSES_DIFFER = 0.01
"""The largest standard deviation between processes in the simulations that tested the intervals."""

STRAIGHT = 0.01
"""The most by which a graph of 4 K launches may be off the line through K and 2 K, as a share."""

SAME = 0.01
"""The most by which the times after two assemblers may differ, as a share."""

LEAST_BANDWIDTH = 0.6
"""A share of the published bandwidth: a copy kernel reaches 80 to 95 % on a healthy device."""

CLOCK_SETTLED = 0.01
"""The most by which a constant clock may be off its last value, as a share."""


@dataclass(frozen=True)
class CheckResult(ChecklistLine):
    """One line about a GPU. `values`: what it adds to the Calibration."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibration:
    """Measurements of a device, and the settings that follow; None for what could not be measured."""

    flush_k: float = flush.Flush.times
    """Multiples of L2 to read before each sample."""
    flush_ratio: float | None = None
    """Time of a read after that flush over its time without."""
    host_ns: int | None = None
    """The host's time to enqueue an event, a launch and an event."""
    flush_ns: int | None = None
    spin_ns: int = 0
    """How long the device is held after the flush; 0: not at all."""
    event_pair_ns: int | None = None
    event_step_ns: int | None = None
    timer_step_ns: int | None = None
    copy_bytes_per_s: float | None = None
    read_curve_ns: Mapping[str, int] = field(default_factory=dict)
    """Time of a read after a flush that read this many times L2."""
    write_curve_ns: Mapping[str, int] = field(default_factory=dict)
    """Time of a read after a flush that filled this many times L2."""
    dirty: float | None = None
    """By how much a read is slower after the fill than after the read, as a share."""
    control: float | None = None
    """The log ratio of one kernel to itself; the next field is half the width of its interval."""
    control_half_width: float | None = None
    control_blocks: int | None = None
    """Blocks of the median round, until its interval was narrow enough."""
    control_seconds: float | None = None
    process_spread: float | None = None
    """Standard deviation of the control's log ratio between processes."""
    slope_error: float | None = None
    """By how much a graph of 4 K launches is off the line through K and 2 K, as a share."""
    solo_apart: Mapping[str, float] = field(default_factory=dict)
    """By how much a kernel's time alone differs from its time among others, as a share."""
    driver_over_toolkit: float | None = None
    """Time of the control assembled by the driver over that by ptxas."""
    ramp_seconds: float | None = None
    """From idle until the clock is constant under load."""


def calibration(lines: Sequence[CheckResult]) -> Calibration:
    """The measurements of all lines together."""
    return Calibration(**{name: value for line in lines for name, value in line.values.items()})


def forbids_timing(lines: Sequence[CheckResult]) -> bool:
    return any(line.status == FAIL for line in lines)


Curve = Mapping[float, Sequence[int]]
"""Readings by multiple of L2, nanoseconds."""


def medians(curve: Curve) -> dict[float, float]:
    return {times: median(readings) for times, readings in curve.items()}


def by_factor(curve: Curve) -> dict[str, int]:
    return {f"{times:g}": round(ns) for times, ns in medians(curve).items()}


def judge_flush(subject: str, read: Curve, write: Curve) -> CheckResult:
    """The smallest flush that is sufficient, and whether it has any effect."""
    curve = medians(read)
    times = flush.choose(curve)
    ratio = curve[times] / curve[0]
    values = {
        "flush_k": times,
        "flush_ratio": ratio,
        "read_curve_ns": by_factor(read),
        "write_curve_ns": by_factor(write),
    }
    shown = ", ".join(f"{factor:g}: {si(ns / 1e9, 's')}" for factor, ns in sorted(curve.items()))
    words = f"a read takes {ratio:.2f} times as long after {times:g} x L2 ({shown})"
    if ratio < FLUSHES:
        advice = (
            f"The flush does nothing: under {FLUSHES} times. Every time would be that of a warm cache. Check whether "
            "the size of L2 above is right, and whether the device is shared (MIG, vGPU)."
        )
        return CheckResult(subject, FAIL, words, advice, values)
    if times == max(curve):
        advice = "The time never levels off, so even the largest flush may be too small. Do not trust small effects."
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


def judge_dirty(subject: str, read: Curve, write: Curve, times: float) -> CheckResult:
    """The cost of dirty lines that another launch left. It is only reported, because the default flush leaves none."""
    clean, dirty = median(read[times]), median(write[times])
    words = f"a read takes {dirty / clean:.3f} times as long after {times:g} x L2 of writes as after reads"
    return CheckResult(subject, PASS, words, "", {"dirty": dirty / clean - 1})


def judge_timers(subject: str, timer: Sequence[int], pairs: Sequence[int]) -> CheckResult:
    """The steps of the device's timer and of its events, and the time between two adjacent events."""
    timer_step, event_step, pair = smallest_step(timer), smallest_step(pairs), round(median(pairs))
    values = {"timer_step_ns": timer_step, "event_step_ns": event_step, "event_pair_ns": pair}
    words = f"%globaltimer {step_words(timer_step)}, an event {step_words(event_step)}; an empty pair takes {pair:,} ns"
    if timer_step is None or timer_step > COARSE_TIMER_NS:
        advice = "The device cannot be held for a short time. Where the flush is too short as well, nothing is timed."
        return CheckResult(subject, WARN, words, advice, values)
    if event_step is not None and event_step > COARSE_EVENT_NS:
        advice = "Events are coarser than expected. Prefer sizes whose launches take over 100 µs."
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


def step_words(ns: int | None) -> str:
    return "never steps in 1000 readings" if ns is None else f"steps by {ns:,} ns"


def judge_shield(
    subject: str, host: Sequence[int], flushing: Sequence[int], spin_ns: int, shielded: Sequence[int]
) -> CheckResult:
    """Whether the device is still busy when the host has enqueued a launch, with the spin if there is one.

    `shielded`: how long the flush takes with the spin; empty without a spin.
    """
    host_median, flush_median = median(host), median(flushing)
    values = {"host_ns": round(host_median), "flush_ns": round(flush_median), "spin_ns": spin_ns}
    words = f"the host takes {si(host_median / 1e9, 's')}, the flush {flush_median / host_median:.1f} times that"
    held = flush_median
    if shielded:
        held = median(shielded)
        words += f", with a spin of {si(spin_ns / 1e9, 's')} {held / host_median:.1f} times"
    if held < flush.AHEAD * host_median:
        advice = (
            f"The device waits for the host (under {flush.AHEAD} times), so events would time the host. "
            "Stop other work on the processor, or use a faster one."
        )
        return CheckResult(subject, FAIL, words, advice, {**values, "spin_ns": 0})
    return CheckResult(subject, PASS, words, "", values)


def judge_control(subject: str, rounds: Sequence[Round], seconds: Sequence[float], *, limit: float) -> CheckResult:
    """One kernel against itself, one round per process; `seconds` of each. `limit`: a larger ratio counts as biased."""
    estimates = stats.round_log_ratios(rounds, *reversed(rounds[0].contrast)) if rounds else []
    if not estimates:
        return CheckResult(subject, FAIL, "the control was not measured", "Run ptxbench run --rounds 1 to see why.")
    interval = stats.run_interval([logs for timed_round in rounds if (logs := stats.block_log_ratios(timed_round))])
    half = (interval.high - interval.low) / 2
    spread = stdev(estimates) if len(estimates) > 1 else None
    blocks, took = round(median(len(timed_round.ns) for timed_round in rounds)), median(seconds)
    values = {
        "control": interval.value,
        "control_half_width": half,
        "control_blocks": blocks,
        "control_seconds": took,
        "process_spread": spread,
    }
    words = f"{interval.value:+.2%} ± {half:.2%}; {blocks} blocks, {took:.1f} s a round"
    if spread is not None:
        words += f"; {spread:.2%} between {len(estimates)} processes"
    if not interval.low <= 0 <= interval.high and abs(interval.value) > limit:
        advice = (
            "One kernel seems to differ from itself, so no difference can be trusted (BIASED). Check whether "
            "another process uses the device, then calibrate again."
        )
        return CheckResult(subject, FAIL, words, advice, values)
    if spread is not None and spread > PROCESSES_DIFFER:
        advice = "Processes differ by more than the intervals were tested for. Use --rounds 10 or more."
        return CheckResult(subject, WARN, words, advice, values)
    if half > WIDE:
        advice = f"Differences under {half:.1%} cannot be detected. Use --rounds 10, and stop other work on the device."
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


def judge_slope(subject: str, k: int, short: Sequence[int], middle: Sequence[int], long: Sequence[int]) -> CheckResult:
    """Whether the times of graphs of K, 2 K and 4 K launches are on one line, whose slope is a kernel's time."""
    once, twice, four_times = median(short), median(middle), median(long)
    error = four_times / (once + 3 * (twice - once)) - 1
    words = f"{4 * k} launches in a graph lie {error:+.2%} off the line through {k} and {2 * k}"
    values = {"slope_error": error}
    if not abs(error) <= STRAIGHT:
        advice = "Times of kernels under 25 µs are slopes, and are off by as much. Prefer larger sizes."
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


def judge_solo(
    subject: str, solo: Mapping[str, Sequence[int]], among: Mapping[str, float], *, limit: float
) -> CheckResult:
    """Whether a copy and an arithmetic kernel, which load different units, take as long alone as in turns."""
    shares = {name: relative_difference(median(solo[name]), among[name]) for name in among}
    words = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    values = {"solo_apart": shares}
    if max(shares.values()) > limit:
        advice = (
            "Kernels that take turns disturb each other. If a row is labelled INTERFERENCE, time its kernel alone too."
        )
        return CheckResult(subject, WARN, f"difference between alone and in turns: {words}", advice, values)
    return CheckResult(subject, PASS, f"difference between alone and in turns: {words}", "", values)


def judge_assemblers(subject: str, rounds: Sequence[Round], toolkit: str, driver: str) -> CheckResult:
    """One PTX text assembled by ptxas and by the driver's own assembler."""
    interval = stats.ratio(rounds, driver, toolkit)
    if interval is None:
        return CheckResult(subject, WARN, "not measured", "Run ptxbench doctor --calibrate again.")
    words = f"the driver's time over ptxas's: {interval.value:.3f}, from {interval.low:.3f} to {interval.high:.3f}"
    values = {"driver_over_toolkit": interval.value}
    if not abs(interval.value - 1) <= SAME:
        advice = (
            "Do not compare a run with --assembler driver to one without: ptxbench compare gives no verdict on them."
        )
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


def judge_bandwidth(
    subject: str, moved: int, ns: Sequence[int], published: float | None, *, right: bool
) -> CheckResult:
    """The bandwidth of a copy of `moved` bytes, read and written; `right`: whether it wrote what it read."""
    rate = moved / (median(ns) / 1e9)
    words = si(rate, "B/s")
    values = {"copy_bytes_per_s": rate}
    if not right:
        return CheckResult(subject, FAIL, "the copy differs from its source", "Do not trust any run; check nvidia-smi.")
    if published is None:
        return CheckResult(subject, PASS, f"{words}; no published figure for this device", "", values)
    share = rate / published
    words += f", {share:.0%} of the published {si(published, 'B/s')}"
    if share > 1 / roofline.IMPOSSIBLE:
        advice = (
            "This is more than the device can reach: the flush does not work, or the device is not what its name says."
        )
        return CheckResult(subject, FAIL, words, advice)
    if share < LEAST_BANDWIDTH:
        advice = "Low: something else uses the memory, or its clock is low. Check nvidia-smi -q -d CLOCK,PERFORMANCE."
        return CheckResult(subject, WARN, words, advice, values)
    return CheckResult(subject, PASS, words, "", values)


@dataclass(frozen=True)
class ClockTick:
    """The clock at a time after the load began."""

    seconds: float
    mhz: float


def ramp_seconds(ticks: Sequence[ClockTick]) -> float | None:
    """The time after which the clock stays within 1 % of its last value; None if it is still changing."""
    end = median(tick.mhz for tick in ticks[-max(1, len(ticks) // 4) :])
    outside = [i for i, tick in enumerate(ticks) if abs(tick.mhz / end - 1) > CLOCK_SETTLED]
    if not outside:
        return ticks[0].seconds
    return ticks[outside[-1] + 1].seconds if outside[-1] + 1 < len(ticks) else None


def judge_ramp(subject: str, ticks: Sequence[ClockTick], *, limit: float) -> CheckResult:
    """The time from idle until the clock is constant; `limit`: the time after which the warm-up gives up."""
    if not ticks:
        return CheckResult(
            subject, WARN, "NVML reports no clock", "Throttling is not detected. Watch it with nvidia-smi -q -d CLOCK."
        )
    seconds = ramp_seconds(ticks)
    clocks = f"{ticks[0].mhz:.0f} to {ticks[-1].mhz:.0f} MHz"
    if seconds is None or seconds > limit:
        words = f"{clocks}, and not stable after {limit if seconds is None else seconds:.1f} s"
        advice = "Expect the label UNSTABLE. Lock the clock with nvidia-smi -lgc, or cool the device."
        return CheckResult(subject, WARN, words, advice, {"ramp_seconds": seconds})
    return CheckResult(subject, PASS, f"{clocks}, stable after {seconds:.1f} s", "", {"ramp_seconds": seconds})
