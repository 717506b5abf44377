"""Pairs whose launch is cooperative: kernels that wait for all CTAs of the grid."""

from pathlib import Path

import pytest

from ptxbench import toolchain
from ptxbench.check.findings import STAGES
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from tests.check import judging
from tests.check.judging import outcome

PAIR = '''\
"""share: each element over the sum of all."""

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Scratch, close, f32, u32

PAIR = Pair(
    purpose="A barrier of the whole grid.",
    args=[
        In("x", f32, lambda n: (n,)),
        Scratch("partial", f32, lambda n: (4,)),
        Out("y", f32, lambda n: (n,)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=4, block=64, cooperative=True),
    reference=lambda x, n: {"y": x / abs(x).sum()},
    tolerance=close(rtol=1e-5, atol=1e-7),
    check_sizes=[{"n": n} for n in (1, 255, 1000)],
    bench_sizes=[{"n": 1 << 16}],
    flops=lambda n: 2 * n,
)
'''
CUDA = """\
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void share(const float* x, float* partial, float* y, unsigned n)
{
    __shared__ float sums[2];
    float sum = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += fabsf(x[i]);
    for (int d = 16; d; d >>= 1) sum += __shfl_xor_sync(~0u, sum, d);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) partial[blockIdx.x] = sums[0] + sums[1];
    cg::this_grid().sync();
    const float total = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = x[i] / total;
}
"""
TRIAD = """\
#include <cooperative_groups.h>
extern "C" __global__ void triad(float* a, const float* b, const float* c, float s, unsigned n)
{
    const unsigned i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    for (unsigned k = i; k < min(i + 4, n); k++) a[k] = fmaf(s, c[k], b[k]);
    cooperative_groups::this_grid().sync();
}
"""
TRAP = "The launch is not cooperative: then a grid barrier of cooperative groups traps."


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The pair, with the PTX that the compiler makes of its CUDA C."""
    folder = tmp_path_factory.mktemp("kernels")
    for name in ("pairs", "cuda", "ptx"):
        (folder / name).mkdir()
    source = folder / "cuda" / "share.cu"
    source.write_text(CUDA)
    (folder / "pairs" / "share.py").write_text(PAIR)
    (folder / "ptx" / "share.ptx").write_text(toolchain.compiled(CUDA.encode(), source, "sm_90", ())[0])
    return folder


@pytest.fixture(scope="module")
def suite(kernels):
    return CheckSuite(load(kernels, "share"), "sm_90", 5)


def judged(suite, folder, text, stages=tuple(STAGES)):
    path = folder / "share.cu"
    path.write_text(text)
    return Checker(suite, path).judge(stages=stages)


@pytest.mark.long
def test_a_kernel_with_a_grid_barrier_is_right_in_every_stage(suite, tmp_path):
    judgement = judged(suite, tmp_path, CUDA)
    assert outcome(judgement) == "accepted"
    assert {finding.code for finding in judgement.findings} == {"same-code"}


@pytest.mark.parametrize(
    ("barrier", "stages", "expected"),
    [
        ("__syncthreads()", ("results",), "results wrong-result"),
        ("__threadfence()", ("sanitizer",), "sanitizer race-between-ctas"),
    ],
)
def test_a_kernel_without_one_is_rejected(barrier, stages, expected, suite, tmp_path):
    text = CUDA.replace("cg::this_grid().sync()", barrier)
    assert outcome(judged(suite, tmp_path, text, stages)) == expected


def test_a_grid_barrier_in_a_usual_launch_is_rejected_and_the_cause_named():
    judgement = judging.judged(Path("triad.cu"), "triad", TRIAD.encode(), stages=("results",))
    (finding,) = judgement.findings
    assert (finding.code, TRAP in finding.message) == ("trap", True)
