"""Whether a wrong result comes from a grid with more CTAs than those before. Knows cases and texts, no launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ptxbench.check.finding_codes import CODES
from ptxbench.check.findings import Finding
from ptxbench.check.launching import CheckCase
from ptxbench.check.polls import combines
from ptxbench.emulator.syntax import Module

MORE_CTAS = (
    "The grid has more CTAs ({ctas:,}) than each CTA has threads ({threads:,}), unlike the grids with right results. A "
    "CTA that combines what all CTAs have stored needs a loop for that."
)


def explained_by_ctas(wrong: Finding, case: CheckCase, right: Sequence[CheckCase], module: Module) -> Finding:
    """`wrong` with a hint if the case, and none of the `right` ones, has more CTAs than each has threads, and a CTA may
    combine what others have stored."""
    ctas, threads = ctas_and_threads(case)
    is_first = bool(right) and ctas > threads and not any(more > each for more, each in map(ctas_and_threads, right))
    if wrong.code != "wrong-result" or wrong.hint != CODES[wrong.code].hint or not is_first or not combines(module):
        return wrong
    return replace(wrong, hint=MORE_CTAS.format(ctas=ctas, threads=threads))


def ctas_and_threads(case: CheckCase) -> tuple[int, int]:
    """The CTAs of a launch, and the threads of each."""
    return math.prod(case.launch.grid_xyz), math.prod(case.launch.block_xyz)
