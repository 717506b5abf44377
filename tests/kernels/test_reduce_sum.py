"""The pair reduce_sum."""

import math

import pytest

from tests.kernels.harness import count, reports


def reduce_sum(x, total, n):
    return {"total": [total[0] + math.fsum(x)]}


REFERENCE = (reduce_sum, {"n": 7})

MUTANTS = [
    ("reduce_sum.ptx", "%past_vectors, %i, %vectors",     "%past_vectors, %vectors, %i"),
    ("reduce_sum.ptx", "%more, %i, %vectors",             "%more, %i, 0"),               # a single round
    ("reduce_sum.ptx", "%sum, 2, 31, 0xffffffff",         "%sum, 4, 31, 0xffffffff"),    # a distance twice
    ("reduce_sum.ptx", "%past_sums, %thread, 8",          "%past_sums, %thread, 4"),     # half of the warps
    ("reduce_sum.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_both_sides_of_reduce_sum_have_the_same_loop_shuffles_and_additions(arch):
    """8 shuffles: 5 of a warp, 3 of the eight warps' sums; 12 additions: these, 3 and 1 of the loop."""
    for report in reports("reduce_sum", arch).values():
        assert count(report, "LDG.128", "SHFL", "FADD", "BAR", "REDUX") == [1, 8, 12, 1, 0]
        assert sum(count(report, "RED", "REDG")) == 1


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_around_the_loop_ptx_has_a_few_instructions_less(arch):
    cuda, ptx = reports("reduce_sum", arch).values()
    assert 1 <= cuda.sass["total"] - ptx.sass["total"] <= 8
