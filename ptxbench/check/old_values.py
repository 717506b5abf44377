"""Launches whose strong loads give old values, where the memory consistency model allows it, and what becomes wrong."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace

from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.findings import Finding, finding
from ptxbench.check.launching import CheckCase, LaunchOptions
from ptxbench.check.variations import outcome, reference_fails_too
from ptxbench.emulator.messages import CtaOrder
from ptxbench.emulator.variation import EVERY_LINE, NO_VARIATION, Variation
from ptxbench.errors import KernelError

STAGE, CODE = "sanitizer", "unordered-load"
ORDERS: Sequence[CtaOrder] = ("usual", "by turns")
"""Orders of the CTAs: in the usual one, no CTA has read a value too early; by turns, others run between two stores."""


MOST_NEEDED = 8
"""CTAs that show what a missing fence does; more only take longer."""


def with_ctas(cases: Sequence[CheckCase]) -> CheckCase:
    """The case with the fewest CTAs, but MOST_NEEDED or more; if none has as many, that with the most."""
    counts = [math.prod(case.launch.grid_xyz) for case in cases]
    needed = min(MOST_NEEDED, max(counts))
    return cases[counts.index(min(count for count in counts if count >= needed))]


def unordered_load(launcher: CandidateLauncher, case: CheckCase) -> Finding | None:
    """The first load whose old values alone make the result of a launch wrong; None if they do not."""
    for order in ORDERS:
        options = LaunchOptions(sanitize=True, ctas=order, variation=Variation(loads=EVERY_LINE))
        with contextlib.suppress(KernelError):
            if not launcher.launch(case, options).old_values:
                continue
        if found := found_with(launcher, case, options):
            return found
    return None


def found_with(launcher: CandidateLauncher, case: CheckCase, options: LaunchOptions) -> Finding | None:
    """The finding of a launch with these options, if its old values make it wrong."""
    wrong, result = outcome(launcher, case, options)
    if wrong is None or outcome(launcher, case, replace(options, variation=NO_VARIATION))[0] is not None:
        return None
    if reference_fails_too(launcher, case, options):
        return None
    if result is None:  # it failed, and does not say where it got old values
        message = f"{case.label}: if loads give the values before stores that nothing orders before them, "
        return finding(STAGE, CODE, message + without_label(case, wrong), wrong.line, wrong.column)
    load = result.old_values[0]
    for candidate in result.old_values:
        alone, _ = outcome(launcher, case, replace(options, variation=Variation(loads=candidate.line)))
        if alone is not None:
            load, wrong = candidate, alone
            break
    what = re.sub(r"^line \d+: ", "", load.message)
    message = f"{case.label}: {what} Then {without_label(case, wrong)}"
    return launcher.text.locations.at(STAGE, CODE, message, load.line)


def without_label(case: CheckCase, wrong: Finding) -> str:
    return wrong.message.removeprefix(f"{case.label}: ")
