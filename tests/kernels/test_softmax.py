"""The pair softmax."""

import dataclasses
import math

import numpy as np
import pytest

from ptxbench import verify
from tests.kernels.harness import KERNELS, PAIRS, build, count, reports, source_of


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


# ---- what comes from a flag, and what from PTX

ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
ARITHMETIC = ("MUFU.EX2", "FFMA", "FADD", "FMUL", "FSETP", "FMNMX", "SHFL", "MUFU.RCP", "CALL", "LDG", "STG")


def under(file, arch, *flags):
    """What the tools say of a CUDA C file of the pair under these flags."""
    return build(dataclasses.replace(source_of(KERNELS / "cuda" / file), flags=flags), arch, "toolkit").report


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_up_to_sm_90_the_arithmetic_of_ptx_is_that_of_exp2f_under_fast_math(arch):
    """16 of ex2 and of fma: two loops, whose bodies ptxas writes eight times."""
    found = reports("softmax", arch, "ptx", "cuda.exp2@fast")
    assert count(found["ptx"], *ARITHMETIC) == [16, 16, 16, 9, 0, 16, 16, 1, 0, 24, 8]
    assert count(found["cuda.exp2@fast"], *ARITHMETIC) == count(found["ptx"], *ARITHMETIC)


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_above_sm_90_nvrtc_unrolls_the_loops_of_cuda_c_once_more(arch):
    found = reports("softmax", arch, "ptx", "cuda@fast", "cuda.exp2@fast")
    for variant in ("cuda@fast", "cuda.exp2@fast"):
        assert count(found[variant], "MUFU.EX2") > [3 * number for number in count(found["ptx"], "MUFU.EX2")]


@pytest.mark.parametrize("arch", ARCHS)
def test_ftz_alone_takes_the_guards_of_exp2f_away_and_leaves_the_division(arch):
    """As the page says: a guard of ex2 is a comparison and two multiplications, the division's is a call."""
    plain = under("softmax.exp2.cu", arch)
    flushed = under("softmax.exp2.cu", arch, "--ftz=true")
    powers, guards, multiplications = count(plain, "MUFU.EX2", "FSETP", "FMUL")
    assert guards >= powers
    assert multiplications >= 2 * powers
    powers, guards, multiplications = count(flushed, "MUFU.EX2", "FSETP", "FMUL")
    assert guards == 0
    assert multiplications <= powers  # 1 / sum times each power that is written
    assert count(plain, "CALL") == count(flushed, "CALL") == [1]


@pytest.mark.parametrize("arch", ARCHS)
def test_fast_math_is_ftz_and_a_rough_division_and_makes_expf_what_the_other_is(arch):
    fast = under("softmax.exp2.cu", arch, "--use_fast_math")
    assert fast.sass_sha256 == under("softmax.exp2.cu", arch, "--ftz=true", "--prec-div=false").sass_sha256
    assert count(fast, "CALL") == [0]
    found = reports("softmax", arch, "cuda", "cuda@fast", "cuda.expf", "cuda.expf@fast")
    assert found["cuda.expf@fast"].sass_sha256 == found["cuda@fast"].sass_sha256
    assert found["cuda.expf"].sass_sha256 != found["cuda"].sass_sha256


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_a_subtraction_and_a_multiplication_are_one_fma_in_exp2_alone(arch):
    """__expf(x - largest) takes an FADD and an FMUL where exp2f(fmaf(..)) takes an FFMA."""
    found = reports("softmax", arch, "cuda@fast", "cuda.exp2@fast")
    (powers,) = count(found["cuda@fast"], "MUFU.EX2")
    subtracted, folded = (count(found[variant], "FADD", "FMUL", "FFMA") for variant in ("cuda@fast", "cuda.exp2@fast"))
    assert subtracted[0] - folded[0] == powers
    assert subtracted[1] - folded[1] == powers - 1  # less the one of base = -largest * log2(e)
    assert folded[2] - subtracted[2] == powers
