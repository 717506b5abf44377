"""NVML's facts about a device: its identity, and whether something slows it down. The only importer of pynvml."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ptxbench.backends.base import BlockState


def management(bus_id: str) -> dict[str, Any]:
    """Facts that only NVML knows of the device on that PCI bus; None for each that it does not report.

    Matched by bus, because NVML's order is not CUDA's. The UUID is hashed: in shared results it distinguishes two
    devices without identifying them.
    """
    import pynvml

    def ask(question: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return question(*arguments)
        except pynvml.NVMLError:
            return None

    facts = dict.fromkeys(("uuid_hash", "mig", "power_limit_w", "driver"))
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return facts
    try:
        facts["driver"] = ask(pynvml.nvmlSystemGetDriverVersion)
        if (device := ask(pynvml.nvmlDeviceGetHandleByPciBusId, bus_id)) is not None:
            if uuid := ask(pynvml.nvmlDeviceGetUUID, device):
                facts["uuid_hash"] = hashlib.sha256(uuid.encode()).hexdigest()[:16]
            if (mig := ask(pynvml.nvmlDeviceGetMigMode, device)) is not None:
                facts["mig"] = bool(mig[0])  # now; mig[1] applies after the next reset
            if (milliwatts := ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, device)) is not None:
                facts["power_limit_w"] = milliwatts / 1000
        return facts
    finally:
        pynvml.nvmlShutdown()


class NvmlWatch:
    """The SM clock and what lowers it, between blocks. NVML stays open as long as the watch exists."""

    def __init__(self, device: Any) -> None:
        self.device = device

    @classmethod
    def of(cls, bus_id: str) -> NvmlWatch | None:
        """The watch of the device on that PCI bus; None if NVML does not know it."""
        import pynvml

        try:
            pynvml.nvmlInit()
            return cls(pynvml.nvmlDeviceGetHandleByPciBusId(bus_id))
        except pynvml.NVMLError:
            return None

    def state(self) -> BlockState:
        import pynvml

        clock_mhz, reasons = None, 0
        try:
            clock_mhz = float(pynvml.nvmlDeviceGetClockInfo(self.device, pynvml.NVML_CLOCK_SM))
            reasons = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.device))
        except pynvml.NVMLError:  # values that it does not report are unknown, and no block is dropped for them
            pass
        return BlockState(clock_mhz, reasons)
