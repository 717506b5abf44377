"""The pair reduce_sum.s32."""

import pytest

from ptxbench.errors import TargetMismatch
from tests.kernels.harness import KERNELS, build, count, reports, source_of


def reduce_sum_s32(x, total, n):
    return {"total": [total[0] + sum(x)]}


REFERENCE = (reduce_sum_s32, {"n": 7, "ctas": 1})

MUTANTS = [
    ("reduce_sum.s32.ptx", "%past_rest, %i, %rest",           "%past_rest, %rest, %i"),
    ("reduce_sum.s32.ptx", "%all, %ab, %cd",                  "%all, %ab, %ab"),
    ("reduce_sum.s32.ptx", "@%is_first red",                  "red"),                        # eight times the sum
]  # fmt: skip


def test_a_target_below_the_ptx_target_is_a_mismatch_not_a_fault():
    with pytest.raises(TargetMismatch, match=r"reduce_sum\.s32\.ptx:\d+: needs sm_80"):
        build(source_of(KERNELS / "ptx" / "reduce_sum.s32.ptx"), "sm_75", assembler="toolkit")


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_reduce_add_sync_and_redux_sync_are_one_instruction_each(arch):
    """Two: one of a warp, one of the eight warps' sums. No shuffle remains."""
    for report in reports("reduce_sum.s32", arch).values():
        assert count(report, "REDUX.SUM", "SHFL", "LDG.128") == [2, 0, 4]
