"""The counts of one launch, by the emulator and by the hardware, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ptxbench.documents import json_text
from ptxbench.profiling.counters import Agreement

SCHEMA = "ptxbench.profile/1"


def to_json(arch: str, agreements: Sequence[Agreement]) -> str:
    """The counters with `agrees`; those that neither side counted are left out."""
    counters = [{**dataclasses.asdict(agreement), "agrees": agreement.agrees} for agreement in agreements]
    return json_text({"schema": SCHEMA, "arch": arch, "counters": counters})
