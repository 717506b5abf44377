"""The pair reduce_sum.v8."""

import math

from tests.kernels.harness import count, reports


def reduce_sum_v8(x, total, n):
    return {"total": [total[0] + math.fsum(x)]}


REFERENCE = (reduce_sum_v8, {"n": 7, "ctas": 1})

MUTANTS = [
    ("reduce_sum.v8.ptx", "[%x_at + 8192]",                  "[%x_at + 4096]"),
    ("reduce_sum.v8.ptx", "%b, %b_0123, %b_4567",           "%b, %b_0123, %b_0123"),
    ("reduce_sum.v8.ptx", "%vector, %chunk, 512, %thread",   "%vector, %chunk, 256, %thread"),
]  # fmt: skip


def test_both_sides_load_32_bytes_at_once():
    for report in reports("reduce_sum.v8", "sm_100").values():
        assert count(report, "LDG.256", "LDG.128", "SHFL", "FADD") == [2, 0, 8, 25]
        assert report.registers <= 32
