"""A line of a checklist, as `ptxbench doctor` prints. Data only; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChecklistLine:
    """What was examined, its status in a word, what was found, and what to do if that is not good."""

    subject: str
    status: str
    found: str
    advice: str = ""
