"""Published figures of GPUs by their makers. Data only; imports nothing of ptxbench.

They are upper bounds at the boost clock: a kernel cannot exceed them, and no kernel reaches all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Specification:
    """One GPU. Rates are dense: without structured sparsity.

    `tensor`: flop/s of f16 and bf16 matrices that are added up in f32; GeForce cards reach half of their rate with
    addition in f16. `f32`: flop/s outside the tensor cores, with a fused multiply-add as two.
    """

    name: str
    bytes_per_s: float
    sms: int
    boost_mhz: int
    f32: float
    tensor: float
    source: str


def gpu(name: str, gb_per_s: float, sms: int, boost_mhz: int, f32: float, tensor: float, source: str) -> Specification:
    """A row of the table below: GB/s, and Tflop/s."""
    return Specification(name, gb_per_s * 1e9, sms, boost_mhz, f32 * 1e12, tensor * 1e12, source)


AMPERE = "NVIDIA A100 datasheet and GA100 whitepaper"
GA102 = "NVIDIA GA102 whitepaper, appendix A"
HOPPER = "NVIDIA H100 datasheet and GH100 whitepaper"

TURING = "NVIDIA Turing whitepaper, appendix"

RTX_2080_SUPER = gpu("GeForce RTX 2080 SUPER", 496, 48, 1815, 11.2, 44.6, TURING)
T4 = gpu("T4", 320, 40, 1590, 8.1, 65, "NVIDIA T4 datasheet and product brief")
A100_PCIE_40 = gpu("A100 PCIe 40GB", 1555, 108, 1410, 19.5, 312, AMPERE)
A100_PCIE_80 = gpu("A100 PCIe 80GB", 1935, 108, 1410, 19.5, 312, AMPERE)
A100_SXM_40 = gpu("A100 SXM 40GB", 1555, 108, 1410, 19.5, 312, AMPERE)
A100_SXM_80 = gpu("A100 SXM 80GB", 2039, 108, 1410, 19.5, 312, AMPERE)
A10 = gpu("A10", 600, 72, 1695, 31.2, 125, "NVIDIA A10 datasheet")
RTX_A6000 = gpu("RTX A6000", 768, 84, 1800, 38.7, 154.8, "NVIDIA RTX A6000 datasheet")
RTX_3090 = gpu("GeForce RTX 3090", 936, 82, 1695, 35.6, 71, GA102)
L4 = gpu("L4", 300, 58, 2040, 30.3, 121, "NVIDIA L4 datasheet")
L40S = gpu("L40S", 864, 142, 2520, 91.6, 362, "NVIDIA L40S datasheet")
RTX_4090 = gpu("GeForce RTX 4090", 1008, 128, 2520, 82.6, 165.2, "NVIDIA Ada whitepaper, appendix A")
H100_PCIE = gpu("H100 PCIe", 2000, 114, 1755, 51, 756, HOPPER)
H100_SXM = gpu("H100 SXM", 3350, 132, 1980, 67, 989, HOPPER)
H200_SXM = gpu("H200 SXM", 4800, 132, 1980, 67, 989, "NVIDIA H200 datasheet")
B200 = gpu("B200", 7700, 148, 1980, 75, 2250, "NVIDIA HGX B200 datasheet")
RTX_5090 = gpu("GeForce RTX 5090", 1792, 170, 2407, 104.8, 209.5, "NVIDIA RTX Blackwell whitepaper, appendix A")

BY_DEVICE: Mapping[str, Specification] = {
    "Tesla T4": T4,
    "NVIDIA T4": T4,
    "A100-PCIE-40GB": A100_PCIE_40,
    "NVIDIA A100-PCIE-40GB": A100_PCIE_40,
    "NVIDIA A100 80GB PCIe": A100_PCIE_80,
    "A100-SXM4-40GB": A100_SXM_40,
    "NVIDIA A100-SXM4-40GB": A100_SXM_40,
    "A100-SXM4-80GB": A100_SXM_80,
    "NVIDIA A100-SXM4-80GB": A100_SXM_80,
    "NVIDIA A10": A10,
    "NVIDIA RTX A6000": RTX_A6000,
    "NVIDIA GeForce RTX 2080 SUPER": RTX_2080_SUPER,
    "NVIDIA GeForce RTX 3090": RTX_3090,
    "NVIDIA L4": L4,
    "NVIDIA L40S": L40S,
    "NVIDIA GeForce RTX 4090": RTX_4090,
    "NVIDIA H100 PCIe": H100_PCIE,
    "NVIDIA H100 80GB HBM3": H100_SXM,
    "NVIDIA H200": H200_SXM,
    "NVIDIA B200": B200,
    "NVIDIA GeForce RTX 5090": RTX_5090,
}
"""By CUDA's name of the device. The whole name, because a laptop's RTX 4090, or a slice of an A100, is another GPU."""

BY_ARCHITECTURE: Mapping[str, Specification] = {
    "sm_75": T4,
    "sm_80": A100_SXM_80,
    "sm_86": RTX_3090,
    "sm_89": RTX_4090,
    "sm_90": H100_SXM,
    "sm_100": B200,
    "sm_120": RTX_5090,
}
"""The GPU that represents an architecture if there is no GPU."""


MODELS: Mapping[str, tuple[str, Specification]] = {
    "t4": ("sm_75", T4),
    "rtx2080super": ("sm_75", RTX_2080_SUPER),
    "a100": ("sm_80", A100_SXM_80),
    "a100-40gb": ("sm_80", A100_SXM_40),
    "a10": ("sm_86", A10),
    "a6000": ("sm_86", RTX_A6000),
    "rtx3090": ("sm_86", RTX_3090),
    "l4": ("sm_89", L4),
    "l40s": ("sm_89", L40S),
    "rtx4090": ("sm_89", RTX_4090),
    "h100": ("sm_90", H100_SXM),
    "h100-pcie": ("sm_90", H100_PCIE),
    "h200": ("sm_90", H200_SXM),
    "b200": ("sm_100", B200),
    "rtx5090": ("sm_120", RTX_5090),
}
"""By a short name: the architecture to build for, and the figures."""


def of_device(name: str) -> Specification | None:
    return BY_DEVICE.get(name)


def of_architecture(arch: str) -> Specification | None:
    """`arch` in the notation of `--arch`: sm_90, or sm_90a."""
    return BY_ARCHITECTURE.get(arch.rstrip("af"))
