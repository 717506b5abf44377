"""The pair rmsnorm."""

import dataclasses
import math

import pytest

from tests.kernels.harness import KERNELS, build, count, reports, source_of


def rmsnorm(x, w, eps, columns):
    means = [math.fsum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


REFERENCE = (rmsnorm, {"rows": 2, "columns": 5})

MUTANTS = [
    ("rmsnorm.ptx", "setp.ge.u32 %idle, %thread",      "setp.gt.u32 %idle, %thread"),
    ("rmsnorm.ptx", "fma.rn.ftz.f32 %mean, %squares, %share, %eps", "mul.rn.ftz.f32 %mean, %squares, %share"),
    ("rmsnorm.ptx", "%result, %scaled, %weight",       "%result, %scaled, %scale"),
    ("rmsnorm.ptx", "and.b32 %sum_in, %thread, 7",     "and.b32 %sum_in, %thread, 3"),  # half of the warps
    ("rmsnorm.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip


ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
GUARDS = ("FSETP", "FMUL", "CALL", "MUFU.RCP", "FFMA", "FADD")


def under(arch, *flags):
    """How many of GUARDS NVRTC makes of the CUDA C with these flags, and what the tools say."""
    source = dataclasses.replace(source_of(KERNELS / "cuda" / "rmsnorm.cu"), flags=flags)
    report = build(source, arch, "toolkit").report
    return dict(zip(GUARDS, count(report, *GUARDS), strict=True)), report


@pytest.mark.parametrize("arch", ARCHS)
def test_what_keeps_subnormals_in_rsqrtf_is_a_comparison_and_two_multiplications(arch):
    guarded, _ = under(arch, "--prec-div=false")
    flushed, _ = under(arch, "--prec-div=false", "--ftz=true")
    # One FSETP and two FMUL of the rsqrt; the rest guards the division, which with --prec-div=false has two each.
    assert (guarded["FSETP"] - flushed["FSETP"], guarded["FMUL"] - flushed["FMUL"]) == (1 + 2, 2 + 2)


@pytest.mark.parametrize("arch", ARCHS)
def test_what_rounds_the_division_to_the_last_bit_is_a_call_and_forty_instructions(arch):
    exact, most = under(arch)
    rough, least = under(arch, "--use_fast_math")
    assert (exact["CALL"], rough["CALL"]) == (1, 0)
    assert (exact["MUFU.RCP"], rough["MUFU.RCP"]) == (5, 1)
    assert 40 <= most.sass["total"] - least.sass["total"] <= 75
    assert least.sass_sha256 == under(arch, "--ftz=true", "--prec-div=false")[1].sass_sha256


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_up_to_sm_90_ptx_computes_as_fast_math_does(arch):
    """The loops too: 8 LDG of x, 16 of x and w, 8 STG, since ptxas unrolls both alike."""
    found = reports("rmsnorm", arch)
    names = ("LDG", "STG", "FMUL", "FSETP", "FFMA", "FADD", "SHFL", "MUFU.RCP", "MUFU.RSQ", "CALL")
    assert count(found["ptx"], *names) == count(found["cuda@fast"], *names) == [24, 8, 16, 0, 9, 8, 8, 1, 1, 0]
