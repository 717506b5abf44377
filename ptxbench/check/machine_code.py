"""The machine instructions that a candidate and the pair's variants execute in one launch, and their ratios.

A number may be a range. A range that is too wide, or a missing number, supports no claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ptxbench.check.launching import LaunchResult
from ptxbench.errors import KernelError
from ptxbench.executed import Counted, Executed, of_build
from ptxbench.executed.derivation import WIDE
from ptxbench.pair import Launch
from ptxbench.result import code_key
from ptxbench.runner.machine_code import merge_derivations
from ptxbench.toolchain import Build
from ptxbench.toolchain.ptxas import RefusedError

EXECUTED = "sass_executed"
"""The key in the ratios."""

MOST_INSTRUCTIONS = 5_000
"""The most machine instructions of a kernel: with many branches, the derivation for more takes ten seconds or longer.
"""

Executions = Mapping[str, Any]
"""Executed machine instructions as in the JSON: `least`, `most`, `fit`, `whole`, `anchors_off` and `reason`."""


def derived(build: Build, result: LaunchResult, launch: Launch) -> Executed:
    """The machine instructions that a launch executed. If the derivation fails, a reason instead of a number."""
    if build.cubin is None:
        return Executed(reason="ptxas is not installed")
    length = build.report.sass.get("total", 0)
    if length > MOST_INSTRUCTIONS:
        return Executed(
            reason=f"the kernel has {length:,} machine instructions; expected at most {MOST_INSTRUCTIONS:,}"
        )
    try:
        return of_build(build, Counted(result.by_line, launch.warps, result.loops))
    except RefusedError:
        return Executed(reason="ptxas does not accept the kernel with line information")
    except (
        KernelError,
        ArithmeticError,
        LookupError,
        ValueError,
        AssertionError,
    ) as error:  # a verdict is possible without this figure
        return Executed(reason=f"the derivation failed ({type(error).__name__}); please report this")


def executions(by_variant: Mapping[str, Executed], builds: Mapping[str, Build]) -> dict[str, Executions]:
    """By variant. Variants with the same machine code get the same result, combined from all of them."""
    groups: dict[str, list[Executed]] = defaultdict(list)
    for name, executed in by_variant.items():
        groups[code_of(name, builds)].append(executed)
    return {name: merge_derivations(groups[code_of(name, builds)]).document() for name in by_variant}


def code_of(name: str, builds: Mapping[str, Build]) -> str:
    build = builds.get(name)
    return code_key(name, build.report if build else None)


def ratio(candidate: Executions, variant: Executions, *, same_code: bool = False) -> float | list[float] | None:
    """The candidate's executed instructions over the variant's: a number if both are numbers, else the range
    [least, most]; None if either is unknown."""
    if candidate["least"] is None or not variant["least"]:
        return None
    if same_code:
        return 1.0
    least, most = candidate["least"] / variant["most"], candidate["most"] / variant["least"]
    return least if least == most else [least, most]


def ends(limits: float | list[float] | None) -> tuple[float, float] | None:
    """The least and the most of a ratio."""
    if limits is None:
        return None
    return (limits[0], limits[1]) if isinstance(limits, list) else (limits, limits)


def settled(executed: Executions | None) -> bool:
    """Whether the range is narrow enough to support a claim."""
    return bool(executed and executed["least"] and executed["most"] <= WIDE * executed["least"])
