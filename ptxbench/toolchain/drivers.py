"""Which driver accepts which PTX: a driver's JIT refuses a `.version` that is newer than the driver.

Data only. The CUDA release and the driver branch of each version are from the PTX manual, "Release Notes", table "PTX
Release History" (of PTX 9.3, the newest that was read); cuda-python's
`cuda.bindings.utils.get_minimal_required_cuda_ver_from_ptx_ver` has the same releases. A version that is not in the
table has no known driver.
"""

from __future__ import annotations

from typing import NamedTuple


class Driver(NamedTuple):
    """The first driver that accepts a version."""

    cuda: str
    """The CUDA release that it came with: the least "CUDA Version" of `nvidia-smi`."""
    branch: int
    """The driver's number before the first dot."""


FIRST = {
    "6.0": Driver("9.0",  384), "6.1": Driver("9.1",  387), "6.2": Driver("9.2",  396), "6.3": Driver("10.0", 400),
    "6.4": Driver("10.1", 418), "6.5": Driver("10.2", 440), "7.0": Driver("11.0", 445), "7.1": Driver("11.1", 455),
    "7.2": Driver("11.2", 460), "7.3": Driver("11.3", 465), "7.4": Driver("11.4", 470), "7.5": Driver("11.5", 495),
    "7.6": Driver("11.6", 510), "7.7": Driver("11.7", 515), "7.8": Driver("11.8", 520), "8.0": Driver("12.0", 525),
    "8.1": Driver("12.1", 530), "8.2": Driver("12.2", 535), "8.3": Driver("12.3", 545), "8.4": Driver("12.4", 550),
    "8.5": Driver("12.5", 555), "8.6": Driver("12.7", 565), "8.7": Driver("12.8", 570), "8.8": Driver("12.9", 575),
    "9.0": Driver("13.0", 580), "9.1": Driver("13.1", 590), "9.2": Driver("13.2", 595), "9.3": Driver("13.3", 610),
}  # fmt: skip
