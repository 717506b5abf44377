"""One launch of one variant, the same on the GPU for a profiler and on the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptxbench import toolchain
from ptxbench.backends import open_backend
from ptxbench.backends.device_errors import WITHOUT_TIMING
from ptxbench.discovery import Source
from ptxbench.errors import ToolMissing
from ptxbench.pair import Launch, Size
from ptxbench.profiling.counters import Bounds
from ptxbench.profiling.emulated import counts_of
from ptxbench.runner.case_data import draw_arguments
from ptxbench.runner.plan import PairPlan


@dataclass(frozen=True)
class ProfiledVariant:
    """A variant of a pair at a size, with the data of a seed."""

    pair_plan: PairPlan
    source: Source
    size: Size
    seed: int

    def launch_on_gpu(self, arch: str | None) -> None:
        """Build it for `arch`, by default the GPU's own, and launch it once. Raises PtxbenchError."""
        try:
            backend = open_backend("gpu", arch)
        except ToolMissing as error:
            reason = str(error).removesuffix(WITHOUT_TIMING).strip()
            raise ToolMissing(f"{reason} Run this on a machine with a GPU.") from None
        built = toolchain.build_source(self.source, arch or backend.device().sm)
        pair = self.pair_plan.loaded.pair
        launch = built.launched(self.launch)
        backend.require(built, launch)
        backend.run(built, launch, self.arguments, pair.outputs)

    def counts(self, arch: str) -> tuple[Mapping[str, float], Mapping[str, Bounds]]:
        """The emulator's counts of the launch, and the bounds of those that are ranges. Raises PtxbenchError."""
        backend = open_backend("emulator", arch)
        built = toolchain.build_source(self.source, arch)
        pair = self.pair_plan.loaded.pair
        launch = built.launched(self.launch)
        return counts_of(built, launch, backend.run(built, launch, self.arguments, pair.outputs))

    @property
    def launch(self) -> Launch:
        return self.pair_plan.loaded.pair.launch_of(self.source.variant)(**self.size)

    @property
    def arguments(self) -> Mapping[str, object]:
        integers = self.pair_plan.loaded.pair.timed_on_integers
        return draw_arguments(self.pair_plan, self.size, self.seed, integers=integers)
