"""The pair softmax."""

import dataclasses
import math

import numpy as np
import pytest

from ptxbench import toolchain, verify
from tests.kernels.harness import KERNELS, PAIRS, build, count, reports, source_of


def softmax(x, columns):
    sums = [math.fsum(math.exp(value) for value in row) for row in x]
    return {"y": [[math.exp(value) / total for value in row] for row, total in zip(x, sums, strict=True)]}


REFERENCE = (softmax, {"rows": 2, "columns": 5})
SAME_BITS = False  # it writes exp in three ways

REGISTERS = 64  # a row of 8192 takes 32 of each thread

MUTANTS = [
    ("softmax.ptx", "%first, %row, %columns",          "%first, %row, %thread"),
    ("softmax.ptx", "mul.rn.ftz.f32 %sum, %sum, %drop", "mov.f32 %sum, %sum"),        # no scaling in the fours
    ("softmax.ptx", "%head, %misaligned",              "%head, %columns"),            # another row's head
    ("softmax.ptx", "%has_edge, %edge, %i_last",       "%has_edge, %thread, %head"),  # no tail
    ("softmax.passes.ptx", "setp.ge.u32 %idle, %thread", "setp.gt.u32 %idle, %thread"),
    ("softmax.passes.ptx", "%sums, %lane_offset",      "%sums, %warp_offset"),        # a warp's sum for the CTA's
    ("softmax.passes.ptx", "mov.f32 %sum, 0f00000000", "mov.f32 %sum, 0f3727c5ac"),   # 1e-5 a thread too much
]  # fmt: skip


@pytest.mark.parametrize("size", PAIRS["softmax"].pair.check_sizes, ids=str)
def test_softmax_accepts_honest_single_precision(size):
    """As __expf: a subtraction, a multiplication and 2^t, each rounded to f32."""
    pair = PAIRS["softmax"].pair
    arguments = pair.make_arguments(size, seed=1)
    x = arguments["x"]
    powers = np.exp2((x - x.max(axis=1, keepdims=True)) * np.float32(1.44269504))
    y = powers * (np.float32(1) / powers.sum(axis=1, keepdims=True))
    assert y.dtype == np.float32
    assert verify.verify({"y": y}, verify.expect(pair, arguments), "softmax").worst is None


# ---- what comes from a division, what from a flag, and what from PTX

ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
ARITHMETIC = ("MUFU.EX2", "FFMA", "FADD", "FMUL", "FSETP", "FMNMX", "SHFL", "MUFU.RCP", "CALL", "LDG", "STG")
POWER = "exp2f(fmaf(*from, log2_e, base))"


def under(file, arch, *flags):
    """The figures of the tools for a CUDA C file of the pair with these flags."""
    return build(dataclasses.replace(source_of(KERNELS / "cuda" / file), flags=flags), arch, "toolkit").report


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_a_division_that_is_a_call_keeps_the_last_pass_from_being_unrolled(arch):
    """And __fdividef, which needs no flag, does not: eight copies of the last pass in place of one."""
    by_variant = reports("softmax", arch, "cuda.divides", "cuda.passes")
    assert count(by_variant["cuda.divides"], "MUFU.EX2", "CALL") == [8 + 1, 1]
    assert count(by_variant["cuda.passes"], "MUFU.EX2", "CALL") == [8 + 8, 0]


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_up_to_sm_90_the_passes_of_ptx_match_exp2f_under_fast_math(arch):
    """16 of ex2 and of fma: two loops, each unrolled eight times by ptxas."""
    by_variant = reports("softmax", arch, "ptx.passes", "cuda.passes@fast")
    assert count(by_variant["ptx.passes"], *ARITHMETIC) == [16, 16, 16, 9, 0, 16, 16, 1, 0, 24, 8]
    assert count(by_variant["cuda.passes@fast"], *ARITHMETIC) == count(by_variant["ptx.passes"], *ARITHMETIC)


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_above_sm_90_nvrtc_unrolls_the_passes_of_cuda_c_once_more(arch):
    by_variant = reports("softmax", arch, "ptx.passes", "cuda.passes@fast")
    (once,), (more,) = (count(by_variant[variant], "MUFU.EX2") for variant in ("ptx.passes", "cuda.passes@fast"))
    assert more > 3 * once


@pytest.mark.parametrize("arch", ARCHS)
def test_ftz_alone_takes_the_guards_of_exp2f_away_and_leaves_the_division(arch):
    """As the page says: a guard of ex2 is a comparison and two multiplications, the division's is a call."""
    plain = under("softmax.divides.cu", arch)
    flushed = under("softmax.divides.cu", arch, "--ftz=true")
    powers, guards, multiplications = count(plain, "MUFU.EX2", "FSETP", "FMUL")
    assert guards >= powers
    assert multiplications >= 2 * powers
    powers, guards, multiplications = count(flushed, "MUFU.EX2", "FSETP", "FMUL")
    assert guards == 0
    assert multiplications <= powers  # 1 / sum times each power that is written
    assert count(plain, "CALL") == count(flushed, "CALL") == [1]


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_a_row_is_loaded_by_sixteen_bytes_and_each_element_raised_once(arch):
    """In sequences of 1, 2, 4 and 8 chunks, and of a warp alone, in C; in one of 8 in PTX. FOUR and ONE, once more."""
    by_variant = reports("softmax", arch, "cuda@fast", "ptx")
    held, chains = 4 * (1 + 1 + 2 + 4 + 8), 4 * 8
    assert count(by_variant["cuda@fast"], "CALL", "FSETP", "STG.128")[:2] == [0, 0]
    (powers,) = count(by_variant["cuda@fast"], "MUFU.EX2")
    assert powers >= held + 16 + 4 + 4
    assert count(by_variant["ptx"], "MUFU.EX2")[0] >= chains + 16 + 4 + 4
    assert count(by_variant["ptx"], "FSETP", "CALL", "MUFU.RCP", "BAR") == [0, 0, 1, 2]


def substituted(arch, tmp_path, power, *flags):
    """The build of softmax.passes.cu with another way to write a power."""
    text = (KERNELS / "cuda" / "softmax.passes.cu").read_text()
    assert text.count(POWER) == 2
    path = tmp_path / "softmax.cu"
    path.write_text(text.replace(POWER, power))
    return toolchain.build(path, language="cuda", variant="", entry="softmax", arch=arch, flags=flags).report


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_a_subtraction_and_a_multiplication_are_one_fma_in_exp2_alone(arch, tmp_path):
    """__expf(x - largest) takes an FADD and an FMUL where exp2f(fmaf(..)) takes an FFMA; fast expf is __expf."""
    fast = ("--use_fast_math",)
    apart = substituted(arch, tmp_path, "__expf(*from - largest)", *fast)
    assert substituted(arch, tmp_path, "expf(*from - largest)", *fast).sass_sha256 == apart.sass_sha256
    folded = under("softmax.passes.cu", arch, *fast)
    subtracted, together = (count(variant, "FADD", "FMUL", "FFMA") for variant in (apart, folded))
    (powers,) = count(apart, "MUFU.EX2")
    assert subtracted[0] - together[0] == powers
    assert subtracted[1] - together[1] == powers - 1  # less the one of base = -largest * log2(e)
    assert together[2] - subtracted[2] == powers
