"""The pair reduce_sum, and its common parts with reduce_sum.v8."""

import math

import numpy as np
import pytest

from tests.kernels.harness import KERNELS, count, executed, reports, source_of


def reduce_sum(x, total, n):
    return {"total": [total[0] + math.fsum(x)]}


REFERENCE = (reduce_sum, {"n": 7, "ctas": 1})
SAME_BITS = False  # .unroll1 adds in another order

MUTANTS = [
    ("reduce_sum.ptx", "%past_chunks, %chunk, %chunks",   "%past_chunks, %chunks, %chunk"),
    ("reduce_sum.ptx", "%more, %chunk, %chunks",          "%more, %chunk, 0"),               # a single round
    ("reduce_sum.ptx", "%cd, %c, %d",                     "%cd, %c, %c"),
    ("reduce_sum.ptx", "and.b32 %rest, %n, 4095",         "and.b32 %rest, %n, 2047"),
    ("reduce_sum.ptx", "%sum, 2, 31, 0xffffffff",         "%sum, 4, 31, 0xffffffff"),        # a distance twice
    ("reduce_sum.unroll1.ptx", "%past_vectors, %i, %vectors", "%past_vectors, %vectors, %i"),
    ("reduce_sum.unroll1.ptx", "%past_sums, %thread, 8",  "%past_sums, %thread, 4"),         # half of the warps
    ("reduce_sum.unroll1.ptx", "bar.sync 0;",             ""),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_both_sides_of_reduce_sum_have_the_same_loop_shuffles_and_additions(arch):
    """8 shuffles: 5 of a warp, 3 of the eight warps' sums; 25 additions: these, 16 of the loop, 1 of the rest's."""
    for report in reports("reduce_sum", arch, "cuda", "ptx").values():
        assert count(report, "LDG.128", "SHFL", "FADD", "BAR", "REDUX") == [4, 8, 25, 1, 0]
        assert sum(count(report, "RED", "REDG")) == 1
        assert report.registers <= 32


def test_four_loads_under_way_need_sixteen_registers_and_a_pragma_alone_does_not_give_them():
    """The pragma makes four copies of the loop's body, each with its test: four LDG into the same four registers."""
    by_variant = reports("reduce_sum", "sm_90")
    assert {name: count(report, "LDG.128") for name, report in by_variant.items()} == {
        "cuda": [4], "cuda.unroll1": [1], "cuda.unroll4": [4], "ptx": [4], "ptx.unroll1": [1],
    }  # fmt: skip
    assert by_variant["cuda.unroll4"].registers < 16 < min(by_variant["cuda"].registers, by_variant["ptx"].registers)
    assert by_variant["cuda"].sass["total"] > by_variant["ptx"].sass["total"]


def test_both_sides_add_in_the_same_order():
    """Only if CTAs add to the total in the same order, as on the emulator."""
    sides = [source_of(KERNELS / name) for name in ("cuda/reduce_sum.cu", "ptx/reduce_sum.ptx")]
    totals = [executed("reduce_sum", side, "sm_90", {"n": 100_003, "ctas": 3})[0]["total"] for side in sides]
    assert np.array_equal(*totals)
