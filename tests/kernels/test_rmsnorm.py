"""The pair rmsnorm."""

import dataclasses
import math

import pytest

from tests.kernels.harness import KERNELS, PAIRS, build, count, executed, reports, source_of


def rmsnorm(x, w, eps, columns):
    means = [math.fsum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


REFERENCE = (rmsnorm, {"rows": 2, "columns": 5})

REGISTERS = 64  # a row of 8192 takes 32 of each thread
SAME_BITS = False  # a row that registers hold is added up by fours, and one that is read twice one by one

MUTANTS = [
    ("rmsnorm.ptx", "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("rmsnorm.ptx", "fma.rn.ftz.f32 %mean, %squares, %share, %eps", "mul.rn.ftz.f32 %mean, %squares, %share"),
    ("rmsnorm.ptx", "%x_29, %x_29, %w_29",             "%x_29, %x_29, %w_28"),         # of rows of 8192 alone
    ("rmsnorm.passes.ptx", "%result, %scaled, %weight", "%result, %scaled, %scale"),
    ("rmsnorm.passes.ptx", "and.b32 %sum_in, %thread, 7", "and.b32 %sum_in, %thread, 3"),  # half of the warps
    ("rmsnorm.passes.ptx", "bar.sync 0;",              ""),
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
GUARDS = ("FSETP", "FMUL", "CALL", "MUFU.RCP", "FFMA", "FADD")


def under(file, arch, *flags):
    """How many of GUARDS NVRTC emits for a CUDA C file of the pair with these flags, and the figures of the tools."""
    source = dataclasses.replace(source_of(KERNELS / "cuda" / file), flags=flags)
    report = build(source, arch, "toolkit").report
    return dict(zip(GUARDS, count(report, *GUARDS), strict=True)), report


@pytest.mark.parametrize("arch", ARCHS)
def test_keeping_subnormals_in_rsqrtf_costs_a_comparison_and_two_multiplications(arch):
    guarded, _ = under("rmsnorm.divides.cu", arch, "--prec-div=false")
    flushed, _ = under("rmsnorm.divides.cu", arch, "--prec-div=false", "--ftz=true")
    # One FSETP and two FMUL of the rsqrt; the rest guards the division, which with --prec-div=false has two each.
    assert (guarded["FSETP"] - flushed["FSETP"], guarded["FMUL"] - flushed["FMUL"]) == (1 + 2, 2 + 2)


@pytest.mark.parametrize("arch", ARCHS)
def test_correct_rounding_of_the_division_costs_a_call_and_forty_instructions(arch):
    exact, most = under("rmsnorm.divides.cu", arch)
    rough, least = under("rmsnorm.divides.cu", arch, "--use_fast_math")
    assert (exact["CALL"], rough["CALL"]) == (1, 0)
    assert (exact["MUFU.RCP"], rough["MUFU.RCP"]) == (5, 1)
    assert 40 <= most.sass["total"] - least.sass["total"] <= 75
    assert least.sass_sha256 == under("rmsnorm.divides.cu", arch, "--ftz=true", "--prec-div=false")[1].sass_sha256


@pytest.mark.parametrize("arch", ARCHS)
def test_fdividef_is_one_reciprocal_without_a_call_and_without_a_flag(arch):
    """So the cause is an intrinsic and not a flag: the flag saves only eight instructions of guards."""
    named, some = under("rmsnorm.passes.cu", arch)
    _, least = under("rmsnorm.passes.cu", arch, "--use_fast_math")
    assert (named["CALL"], named["MUFU.RCP"]) == (0, 1)
    assert 0 < some.sass["total"] - least.sass["total"] <= 12


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_up_to_sm_90_ptx_in_passes_computes_as_fast_math_does(arch):
    """The loops too: 8 LDG of x, 16 of x and w, 8 STG, since ptxas unrolls both alike."""
    cuda, ptx = reports("rmsnorm", arch, "cuda.passes@fast", "ptx.passes").values()
    names = ("LDG", "STG", "FMUL", "FSETP", "FFMA", "FADD", "SHFL", "MUFU.RCP", "MUFU.RSQ", "CALL")
    assert count(ptx, *names) == count(cuda, *names) == [24, 8, 16, 0, 9, 8, 8, 1, 1, 0]


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_above_sm_90_nvrtc_unrolls_the_passes_of_cuda_c_once_more(arch):
    by_variant = reports("rmsnorm", arch, "cuda.passes@fast", "ptx.passes")
    (once,), (twice,) = (count(by_variant[variant], "LDG") for variant in ("ptx.passes", "cuda.passes@fast"))
    assert twice > 2 * once


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_a_row_in_registers_is_loaded_by_sixteen_bytes_in_sequences_of_each_length_in_c_and_in_one_in_ptx(arch):
    by_variant = reports("rmsnorm", arch, "cuda", "ptx")
    assert count(by_variant["ptx"], "LDG.128", "STG.128") == [8 + 8, 8]
    assert count(by_variant["cuda"], "LDG.128", "STG.128") == [2 * (1 + 2 + 4 + 8), 1 + 2 + 4 + 8]
    assert count(by_variant["cuda"], "CALL") == [0]
    assert count(by_variant["cuda"], "MUFU.RCP") == [1]  # of any other length: 1 / 1024 is known when it is built


@pytest.mark.parametrize("size", [{"rows": 3, "columns": 257}, {"rows": 2, "columns": 2048}], ids=str)
def test_both_sides_of_rmsnorm_agree_bit_for_bit(size):
    sources = {source.variant: source for source in PAIRS["rmsnorm"].sources}
    sides = [executed("rmsnorm", sources[variant], "sm_90", size)[0]["y"] for variant in ("cuda", "ptx")]
    assert sides[0].tobytes() == sides[1].tobytes()
