"""The pair softmax."""

import math

import numpy as np
import pytest

from ptxbench import verify
from tests.kernels.harness import PAIRS


def softmax(x, columns):
    sums = [math.fsum(math.exp(value) for value in row) for row in x]
    return {"y": [[math.exp(value) / total for value in row] for row, total in zip(x, sums, strict=True)]}


REFERENCE = (softmax, {"rows": 2, "columns": 5})
SAME_BITS = False  # it writes exp in three ways

MUTANTS = [
    ("softmax.ptx", "%first, %row, %columns",          "%first, %row, %thread"),
    ("softmax.ptx", "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("softmax.ptx", "%sums, %lane_offset",             "%sums, %warp_offset"),        # a warp's sum for the CTA's
    ("softmax.ptx", "mov.f32 %sum, 0f00000000",        "mov.f32 %sum, 0f3727c5ac"),   # 1e-5 a thread too much
]  # fmt: skip


@pytest.mark.parametrize("size", PAIRS["softmax"].pair.check_sizes, ids=str)
def test_softmax_accepts_honest_single_precision(size):
    """As the CUDA C of softmax.cu: a subtraction, a multiplication and 2^t, each rounded to f32."""
    pair = PAIRS["softmax"].pair
    arguments = pair.make_arguments(size, seed=1)
    x = arguments["x"]
    powers = np.exp2((x - x.max(axis=1, keepdims=True)) * np.float32(1.44269504))
    y = powers * (np.float32(1) / powers.sum(axis=1, keepdims=True))
    assert y.dtype == np.float32
    assert verify.verify({"y": y}, verify.expect(pair, arguments), "softmax").worst is None
