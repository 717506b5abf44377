"""Which counters of the hardware should equal which of the emulator. Numbers only: starts no process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLOSE = 0.01
"""The most by which two counts of one quantity may differ, as a share."""

EXECUTED = "sass_executed"
"""Machine instructions that warps executed, as derived from the counts by line of the PTX."""

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Counter:
    """One count, by the emulator's name and by the hardware's."""

    emulated: str
    hardware: str


COUNTERS = (
    Counter(EXECUTED, "smsp__inst_executed.sum"),
    *(
        Counter(f"ptx_global_{kind}_{what}", f"l1tex__t_{what}_pipe_lsu_mem_global_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
        for what in ("requests", "sectors")
    ),
    *(
        Counter(f"ptx_shared_{kind}_wavefronts", f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
    ),
    *(
        Counter(f"ptx_shared_{kind}_conflicts", f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{short}.sum")
        for kind, short in (("load", "ld"), ("store", "st"))
    ),
)


@dataclass(frozen=True)
class Agreement:
    """One counter of one launch, by the emulator and by the hardware."""

    pair: str
    variant: str
    size: Mapping[str, int]
    counter: str
    """A metric of `ptxbench run --columns`."""
    hardware: str
    """A metric of Nsight Compute."""
    emulated: float
    measured: float
    least: float | None = None
    """If the emulator's count is a range, its lower end."""
    most: float | None = None
    """If the emulator's count is a range, its upper end."""

    @property
    def off(self) -> float | None:
        """The relative difference of the emulator's count from the hardware's; None if the hardware counted 0."""
        return self.emulated / self.measured - 1 if self.measured else None

    @property
    def agrees(self) -> bool:
        """Whether both counted the same: within 1 %, or inside the emulator's range."""
        if self.least is not None and self.most is not None:
            return self.least <= self.measured <= self.most
        return abs(self.emulated - self.measured) <= CLOSE * self.measured


def agreements(
    pair: str,
    variant: str,
    size: Mapping[str, int],
    emulated: Mapping[str, float],
    measured: Mapping[str, float],
    bounds: Mapping[str, Bounds] | None = None,
) -> list[Agreement]:
    """Every counter that both have, except those that are 0 in both. `bounds`: of counts that are not exact."""
    result = []
    for counter in COUNTERS:
        emulated_count, hardware_count = emulated.get(counter.emulated), measured.get(counter.hardware)
        if emulated_count is not None and hardware_count is not None and (emulated_count or hardware_count):
            least, most = (bounds or {}).get(counter.emulated, (None, None))
            result.append(
                Agreement(
                    pair=pair,
                    variant=variant,
                    size=dict(size),
                    counter=counter.emulated,
                    hardware=counter.hardware,
                    emulated=emulated_count,
                    measured=hardware_count,
                    least=least,
                    most=most,
                )
            )
    return result
