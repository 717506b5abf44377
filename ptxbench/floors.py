"""The least time that each resource of a GPU needs for what a launch executes. A floor is not a time of a kernel.

Cycles of an SM by resource, over the SMs and the boost clock; compulsory bytes over the bandwidth. If a launch has
fewer CTAs than there are SMs, as many SMs work as there are CTAs. Rates are those of `pipes`, figures those of
`specifications`. What the model omits only adds time: see docs/model.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptxbench import pipes
from ptxbench.errors import UsageError
from ptxbench.specifications import Specification

SUB_CORES = 4

ISSUE, SHARED, L1, DRAM = "issue", "shared", "L1", "DRAM"

WORDS: Mapping[str, str] = {
    ISSUE: "issue slots",
    pipes.FMA: "FMA",
    pipes.ALU: "ALU",
    pipes.FP16: "FP16",
    pipes.FP64: "FP64",
    pipes.XU: "XU",
    pipes.LSU: "LSU",
    "tensor": "tensor cores",
    SHARED: "shared memory",
    L1: "L1",
    DRAM: "DRAM",
}
"""The resources, in the order in which they are shown, and in words."""


INEXACT = (ISSUE, pipes.FMA, pipes.ALU, pipes.FP16, pipes.FP64)
"""Resources whose executions may be an interval; the counts of the others are exact."""


@dataclass(frozen=True)
class Floor:
    """The least time of one resource. Not a number, so that nothing can format, compare or divide it as a time."""

    resource: str
    seconds: float

    def __str__(self) -> str:
        return f">= {seconds_text(self.seconds)}"


def floors(executed: Mapping[str, Any], arch: str, specification: Specification) -> dict[str, float]:
    """The least seconds of each needed resource, by its name.

    `executed`, of the whole launch: `warp_instructions`; `pipes`, warp instructions by pipe; `mma_fmas`, multiply-adds
    of matrix instructions, as the number of f16 ones with the same time; `shuffles`, which `pipes` may count as LSU;
    `shared_wavefronts`; `l1_sectors`; `dram_bytes`; `ctas`. Raises UsageError for an architecture without rates.
    """
    rates = pipes.rates(arch)
    if rates is None:
        raise UsageError(f"No pipe rates for {arch}. A model needs one of {', '.join(pipes.RATES)}.")
    by_resource = cycles(executed, rates)
    busy = min(executed["ctas"], specification.sms)
    cycles_per_second = busy * specification.boost_mhz * 1e6
    seconds = {name: needed / cycles_per_second for name, needed in by_resource.items() if needed}
    if executed["dram_bytes"]:
        seconds[DRAM] = executed["dram_bytes"] / specification.bytes_per_s
    return seconds


def cycles(executed: Mapping[str, Any], rates: Mapping[str, pipes.Rate]) -> dict[str, float]:
    """Cycles by resource if one SM did all of it."""
    by_pipe: Mapping[str, float] = executed["pipes"]
    shuffles = executed["shuffles"]
    fma, imad = by_pipe.get(pipes.FMA, 0), by_pipe.get(pipes.IMAD, 0)

    def slots(pipe: str, count: float) -> float:
        return count * rates[pipe].cycles / SUB_CORES

    return {
        ISSUE: executed["warp_instructions"] * pipes.ISSUE_SLOTS.cycles / SUB_CORES,
        # from sm_86 on half of the lanes cannot do IMAD: consecutive IMADs are two cycles apart, FFMAs one
        pipes.FMA: max(slots(pipes.FMA, fma + imad), slots(pipes.IMAD, imad)),
        **{name: slots(name, by_pipe.get(name, 0)) for name in (pipes.ALU, pipes.FP16, pipes.FP64, pipes.XU)},
        pipes.LSU: slots(pipes.LSU, max(by_pipe.get(pipes.LSU, 0) - shuffles, 0)) + slots(pipes.SHUFFLE, shuffles),
        "tensor": executed["mma_fmas"] / rates[pipes.TENSOR].cycles,
        SHARED: executed["shared_wavefronts"] / pipes.SHARED_WAVEFRONTS.cycles,
        L1: executed["l1_sectors"] / pipes.L1_SECTORS.cycles,
    }


def ordered(seconds_of: Mapping[str, float]) -> list[Floor]:
    """The floors, the highest first."""
    return [Floor(name, seconds_of[name]) for name in sorted(seconds_of, key=lambda name: -seconds_of[name])]


# ---- the claims that two floors allow

LOWER, HIGHER, NO_CLAIM = "lower", "higher", "no claim"

MATTERS = 0.20
"""A resource matters if its floor is above this share of the highest of both sides."""
NO_WORSE = 0.005
"""On a resource that matters the lower side may be higher by this share at most."""
LEAST_DIFFERENCE = 0.03
"""The highest floors must differ by this share."""
WIDE = 0.04
"""A wider interval of executed instructions allows no claim, nor does a missing one."""


@dataclass(frozen=True)
class Claim:
    """`verdict`: LOWER, HIGHER or NO_CLAIM; only NO_CLAIM has a `reason`."""

    verdict: str
    reason: str | None = None

    def __str__(self) -> str:
        if self.verdict == NO_CLAIM:
            return f"no claim: {self.reason}"
        return f"{self.verdict} floor on every resource that matters"


def claim(
    variant: Mapping[str, float], base: Mapping[str, float], obstacles: Sequence[str] = (), width: float = 0.0
) -> Claim:
    """The claim that the floors of one side allow against those of another.

    `obstacles`: reasons to claim nothing, the most important first. `width`: of the wider interval of executed
    instructions, as a share; a difference that it could reverse allows no claim.
    """
    if obstacles:
        return Claim(NO_CLAIM, obstacles[0])
    highest, base_highest = max(variant.values(), default=0.0), max(base.values(), default=0.0)
    threshold = MATTERS * max(highest, base_highest)
    names = [name for name in WORDS if max(variant.get(name, 0), base.get(name, 0)) > threshold]
    worse = [name for name in names if variant.get(name, 0) > (1 + NO_WORSE) * base.get(name, 0)]
    better = [name for name in names if base.get(name, 0) > (1 + NO_WORSE) * variant.get(name, 0)]
    low, high = sorted((highest, base_highest))
    difference = 1 - low / high if high else 0.0
    if difference < LEAST_DIFFERENCE:
        return Claim(NO_CLAIM, f"the highest floors differ by less than {LEAST_DIFFERENCE:.0%}".replace("%", " %"))
    if width > WIDE:
        return Claim(NO_CLAIM, f"the executed instructions are an interval {100 * width:.0f} % wide")
    if width >= difference:
        return Claim(NO_CLAIM, "the interval of executed instructions is wider than the difference")
    if worse and better:
        return Claim(NO_CLAIM, f"{WORDS[worse[0]]} higher, {WORDS[better[0]]} lower")
    return Claim(LOWER if highest < base_highest else HIGHER)


# ---- in words

PREFIXES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds_text(seconds: float) -> str:
    """`4.0 ms`, `395 µs`: two or three digits, rounded down, so that it stays a floor."""
    factor, unit = next((prefix for prefix in PREFIXES if seconds >= prefix[0]), PREFIXES[-1])
    value = seconds / factor * (1 + 1e-12)  # 4 ms over 1e-3 is 3.9999999999999996
    return f"{int(10 * value) / 10:.1f} {unit}" if value < 10 else f"{int(value)} {unit}"
