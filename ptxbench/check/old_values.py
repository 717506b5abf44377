"""A launch whose strong loads give old values, where the memory consistency model allows it, and what becomes wrong."""

from __future__ import annotations

import re
from dataclasses import replace

from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.findings import Finding, finding
from ptxbench.check.launching import CheckCase, LaunchOptions
from ptxbench.check.variations import outcome, reference_fails_too
from ptxbench.emulator.variation import EVERY_LINE, NO_VARIATION, Variation

STAGE, CODE = "sanitizer", "unordered-load"
OLD_VALUES = LaunchOptions(sanitize=True, ctas="by turns", variation=Variation(loads=EVERY_LINE))
"""By turns, because other CTAs then run between two stores of a CTA."""
NEW_VALUES = replace(OLD_VALUES, variation=NO_VARIATION)
"""The same launch without old values."""


def unordered_load(launcher: CandidateLauncher, case: CheckCase) -> Finding | None:
    """The first load whose old values alone make the result of a launch wrong; None if they do not."""
    wrong, result = outcome(launcher, case, OLD_VALUES)
    if wrong is None or (result is not None and not result.old_values):
        return None
    if outcome(launcher, case, NEW_VALUES)[0] is not None or reference_fails_too(launcher, case, OLD_VALUES):
        return None
    if result is None:  # it failed, and does not say where it got old values
        message = f"{case.label}: if loads give the values before stores that nothing orders before them, "
        return finding(STAGE, CODE, message + without_label(case, wrong), wrong.line, wrong.column)
    load = result.old_values[0]
    for candidate in result.old_values:
        alone, _ = outcome(launcher, case, replace(OLD_VALUES, variation=Variation(loads=candidate.line)))
        if alone is not None:
            load, wrong = candidate, alone
            break
    what = re.sub(r"^line \d+: ", "", load.message)
    message = f"{case.label}: {what} Then {without_label(case, wrong)}"
    return launcher.text.locations.at(STAGE, CODE, message, load.line)


def without_label(case: CheckCase, wrong: Finding) -> str:
    return wrong.message.removeprefix(f"{case.label}: ")
