"""The pair histogram256."""

import pytest

from ptxbench import toolchain
from tests.kernels.harness import count, reports


def histogram256(x, bins, n):
    for byte in x:
        bins[byte] += 1
    return {"bins": bins}


REFERENCE = (histogram256, {"n": 40, "percent": 40})

MUTANTS = [
    ("histogram256.ptx", "%x_w, 22",                        "%x_w, 14"),                   # a byte twice, one never
    ("histogram256.ptx", "%rest, %n, 15",                   "%rest, %n, 7"),
    ("histogram256.ptx", "red.shared.add.u32 [%bin], 1",    "st.shared.u32 [%bin], 1"),
    ("histogram256.ptx", "red.global.add.u32",              "st.global.u32"),              # the last CTA's counts alone
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_atomic_add_and_red_are_the_same_shared_additions(arch):
    """17: sixteen bytes of a vector and one of the tail. sm_75 has no increment among its shared atomics."""
    for report in reports("histogram256", arch).values():
        assert count(report, "ATOMS.ADD" if arch == "sm_75" else "ATOMS.POPC.INC.32") == [17]
        assert count(report, "ATOMS") == [17]  # and no compare-and-swap loop
        assert sum(count(report, "RED", "REDG")) == 1


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_both_sides_of_histogram256_are_the_same_machine_code_up_to_sm_90(arch):
    """NVRTC 12.9 takes two instructions more to find the bins of a vector; 13.5 writes what the PTX says."""
    cuda, ptx = reports("histogram256", arch).values()
    if toolchain.versions()["nvrtc"].startswith("12."):
        assert 0 < cuda.sass["total"] - ptx.sass["total"] <= 2
    else:
        assert cuda.sass_sha256 == ptx.sass_sha256
