"""Whole kernels of Hopper are right in any schedule, and each mistake that is planted in them is detected."""

from types import ModuleType

import numpy as np
import pytest

from ptxbench.toolchain import locate, ptxas
from tests.emulator.hopper import cluster_rmsnorm, fp8_gemm_promoted, hgemm_wgmma
from tests.emulator.oracle import matrix

KERNELS: dict[str, ModuleType] = {
    "hgemm_wgmma": hgemm_wgmma,
    "cluster_rmsnorm": cluster_rmsnorm,
    "fp8_gemm_promoted": fp8_gemm_promoted,
}
SIZES: dict[str, list[tuple[int, ...]]] = {
    "hgemm_wgmma": [(128, 128, 64), (136, 136, 72), (8, 8, 8), (72, 136, 328)],
    "cluster_rmsnorm": [(1, 32), (3, 1024), (2, 9216)],
    "fp8_gemm_promoted": [(128, 128, 128), (136, 136, 384), (64, 256, 1024)],
}
SCHEDULES = ({"threads": 1}, {"placement": 5}, {"ctas": "last first"})
MISTAKES = [
    pytest.param(name, mistake, id=f"{name}: {mistake.name}")
    for name, kernel in KERNELS.items() for mistake in kernel.MISTAKES
]  # fmt: skip


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, sizes in SIZES.items() for size in sizes])
def test_a_kernel_computes_the_expected_result(name, size):
    actual, expected, _ = KERNELS[name].run(size=size)
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_right_in_any_schedule_and_ptxas_accepts_it(name):
    for options in SCHEDULES:
        actual, expected, _ = KERNELS[name].run(**options)
        assert np.array_equal(actual, expected), options
    ptxas.assemble(locate.program("ptxas"), KERNELS[name].PTX, "sm_90a")


@pytest.mark.parametrize("name", KERNELS)
def test_a_right_kernel_has_no_finding(name):
    actual, expected, execution = KERNELS[name].run(sanitize=True)
    assert np.array_equal(actual, expected)
    assert execution.findings == ()


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_a_mistake_is_detected(name, mistake):
    assert mistake.unseen(KERNELS[name].PTX, KERNELS[name].run) == ""


# ---- what promotion is worth (a chain of sums has 13 fraction bits)


def positive(draw, shape):
    return draw.random(shape)


def errors(text, k):
    """d, its greatest error beyond that of rounding to bf16, as a share of the sum of magnitudes, and what it is of."""
    operands = fp8_gemm_promoted.data((64, 128, k), positive, scaled=False)
    d, _ = fp8_gemm_promoted.multiply(text, *operands)
    expected = fp8_gemm_promoted.in_float64(*operands)  # of positive terms: their own sum
    return d, np.max((abs(d - expected) - 2.0**-8 * expected) / expected), operands


def test_one_chain_of_sums_is_wrong_where_promoted_ones_are_right():
    _, promoted, _ = errors(fp8_gemm_promoted.PTX, 512)
    _, chain, _ = errors(fp8_gemm_promoted.CHAIN, 512)
    assert promoted < 2e-3 < chain


def test_a_chain_has_the_bits_of_the_model():
    d, _, (a, b, *_) = errors(fp8_gemm_promoted.CHAIN, 256)
    left, right = (array.astype(np.float64)[None] for array in (a, b))
    sums = matrix.product(left, right.swapaxes(1, 2), np.zeros((1, 64, 128)), ("e4m3", "e4m3"), "f32", 32, 13)[0]
    assert np.array_equal(d, sums.astype(np.float32).astype("bfloat16"))
