"""The figures of a device that the sizes of a pair may depend on. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.run_info import Device


@dataclass(frozen=True)
class DeviceShape:
    """How large a device is. By default an H100, whose sizes the emulator uses on every machine."""

    sms: int = 132
    l2_bytes: int = 50 << 20
    threads_per_sm: int = 2048
    memory_bytes: int = 80 << 30

    @classmethod
    def of(cls, device: Device) -> DeviceShape:
        """The shape of `device`. Unknown figures are those of an H100."""
        names = ("sms", "l2_bytes", "threads_per_sm", "memory_bytes")
        return cls(**{name: value for name in names if (value := getattr(device, name))})

    def ctas(self, threads: int) -> int:
        """How many CTAs with that many threads the SMs hold at once, if threads are the only limit."""
        return self.sms * max(1, self.threads_per_sm // threads)
