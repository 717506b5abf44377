"""Timed blocks that each have their own data and newly loaded modules.

A kernel that remembers its results, or counts its launches in the module, gains nothing from that when it is timed. The
data are made and copied, and the modules loaded, while nothing is timed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench.backends.base import Clock
from ptxbench.pair import Size
from ptxbench.runner.case_data import CaseData, draw_arguments, with_expected
from ptxbench.runner.plan import PairPlan, RunPlan


class Renewal:
    """The data and modules of the blocks of one cell and round. `case`: the data of the current block."""

    def __init__(self, plan: RunPlan, pair_plan: PairPlan, size: Size, clocks: Mapping[str, Clock]) -> None:
        self.pair_plan = pair_plan
        self.size = size
        self.integers = pair_plan.loaded.pair.timed_on_integers
        self.seed = f"{plan.seed}:{plan.round_number}:data"
        self.host_work = plan.host_work
        self.clocks = clocks
        self.block: int | None = None
        self.arguments: Mapping[str, Any] = {}
        self.current: CaseData | None = None

    def data(self, block: int, names: Sequence[str]) -> None:
        """See measure.Renewal. Block number n of every contrast has the same data."""
        if block != self.block:
            self.block, self.current = block, None
            with self.host_work():
                seed = random.Random(f"{self.seed}:{block}").getrandbits(32)
                self.arguments = draw_arguments(self.pair_plan, self.size, seed, integers=self.integers)
        for name in names:
            self.clocks[name].refill(self.arguments)

    def modules(self, samples: Mapping[str, int]) -> None:
        """See measure.Renewal."""
        for name, count in samples.items():
            self.clocks[name].reload(count)

    def case(self) -> CaseData:
        """The data of the block, with the expected result, which is computed on the first call."""
        if self.current is None:
            with self.host_work():
                self.current = with_expected(self.pair_plan, self.size, self.arguments, integers=self.integers)
        return self.current
