"""The pair softmax.warp."""

import math

import pytest

from tests.kernels.harness import count, reports


def softmax_warp(x, rows):
    sums = [math.fsum(math.exp(value) for value in row) for row in x]
    return {"y": [[math.exp(value) / total for value in row] for row, total in zip(x, sums, strict=True)]}


REFERENCE = (softmax_warp, {"rows": 3})
SAME_BITS = False  # the C divides by __fdividef

MUTANTS = [
    ("softmax.warp.ptx", "setp.ge.u32 %past_rows",     "setp.gt.u32 %past_rows"),
    ("softmax.warp.ptx", "%other, %sum, 16, 31",       "%other, %sum, 8, 31"),         # half of the lanes
    ("softmax.warp.ptx", "add.rn.ftz.f32 %sum, %sum, %x_3", "add.rn.ftz.f32 %sum, %sum, %x_2"),
    ("softmax.warp.ptx", "mul.rn.ftz.f32 %x_3, %x_3",  "mul.rn.ftz.f32 %x_3, %x_2"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_a_warp_of_a_row_needs_no_barrier_and_under_fast_math_both_sides_compute_alike(arch):
    names = ("LDG.128", "STG.128", "MUFU.EX2", "FFMA", "FADD", "FMUL", "FSETP", "SHFL", "BAR", "CALL")
    by_variant = reports("softmax.warp", arch, "cuda@fast", "ptx")
    assert count(by_variant["ptx"], *names) == [1, 1, 4, 4, 8, 5, 0, 10, 0, 0]
    assert count(by_variant["cuda@fast"], *names) == count(by_variant["ptx"], *names)
