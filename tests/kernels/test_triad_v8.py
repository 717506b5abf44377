"""The pair triad.v8."""

from fractions import Fraction

import pytest

from tests.kernels.harness import count, reports


def triad_v8(b, c, s, n):
    return {"a": [float(Fraction(b[i]) + Fraction(s) * Fraction(c[i])) for i in range(n)]}


REFERENCE = (triad_v8, {"n": 11})

MUTANTS = [
    ("triad.v8.ptx", "setp.ge.u32 %past_vectors",    "setp.gt.u32 %past_vectors"),  # a vector past the end
    ("triad.v8.ptx", "%rest, %n, 7",                 "%rest, %n, 3"),               # four elements never written
    ("triad.v8.ptx", "%s, %c_7, %b_7",               "%s, %c_7, %b_6"),
    ("triad.v8.v4.ptx", "setp.lt.u32 %has_1",        "setp.le.u32 %has_1"),
    ("triad.v8.v4.ptx", "%rest, %n, 3",              "%rest, %n, 1"),
    ("triad.v8.v4.ptx", "%s, %c_7, %b_7",            "%s, %c_3, %b_7"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_from_sm_100_on_a_struct_of_32_bytes_is_one_access_in_c_as_in_ptx(arch):
    """And 8 fma: the ninth, with two loads of four bytes, belongs to the tail."""
    by_variant = reports("triad.v8", arch)
    for variant in ("cuda", "ptx"):
        assert count(by_variant[variant], "LDG.256", "STG.256", "LDG", "STG", "FFMA") == [2, 1, 4, 2, 9]
    assert count(by_variant["ptx.v4"], "LDG.128", "STG.128", "LDG", "STG", "FFMA") == [4, 2, 6, 3, 9]


def test_up_to_sm_90_a_struct_of_32_bytes_is_two_accesses_that_lie_16_bytes_apart():
    (report,) = reports("triad.v8", "sm_90", "cuda").values()
    assert count(report, "LDG.128", "STG.128", "LDG.256") == [4, 2, 0]
