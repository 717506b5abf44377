"""A right kernel that adds in another order than those of the pair, whose tolerance is for ordinary data only."""

import pytest

from ptxbench import toolchain
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load

PAIR = '''\
"""above: by how much each element is above the mean of its row."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, close, f32, u32

PAIR = Pair(
    purpose="A sum whose terms cancel, and then a function that is not linear.",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=rows, block=32),
    reference=lambda x, columns: {"y": np.maximum(x - x.mean(axis=1, keepdims=True), 0)},
    tolerance=close(rtol=1e-4, atol=1e-5),
    check_sizes=[{"rows": rows, "columns": columns} for rows, columns in ((1, 2), (3, 31), (4, 128), (3, 1000))],
    bench_sizes=[{"rows": 1024, "columns": 4096}],
    flops=lambda rows, columns: 3 * rows * columns,
)
'''
CUDA = """\
extern "C" __global__ void above(const float* x, float* y, unsigned columns)
{
    x += (size_t)blockIdx.x * columns;
    y += (size_t)blockIdx.x * columns;
    float sum = 0;
    for (unsigned c = threadIdx.x; c < columns; c += 32)
        sum += x[c];
    for (int d = 16; d; d /= 2)
        sum += __shfl_xor_sync(~0u, sum, d);
    float mean = sum / columns;
    for (unsigned c = threadIdx.x; c < columns; c += 32) {
        float difference = x[c] - mean;
        y[c] = difference < 0 ? 0 : difference;
    }
}
"""
LOOP = """\
    for (unsigned c = threadIdx.x; c < columns; c += 32)
        sum += x[c];
"""
IN_ORDER = """\
    for (unsigned c = 0; c < columns && threadIdx.x == 0; c++)
        sum += x[c];
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    for name in ("pairs", "cuda", "ptx"):
        (folder / name).mkdir()
    source = folder / "cuda" / "above.cu"
    source.write_text(CUDA)
    (folder / "pairs" / "above.py").write_text(PAIR)
    (folder / "ptx" / "above.ptx").write_text(toolchain.compiled(CUDA.encode(), source, "sm_90", ())[0])
    return folder


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ((LOOP, IN_ORDER), "accepted"),
        (("sum / columns", "sum * (1.0f / columns)"), "accepted"),
        (("sum += x[c]", "sum += c % 512 == 511 ? 0 : x[c]"), "rejected"),
        (("sum / columns", "sum / (columns + 1e-3f)"), "rejected"),
    ],
)
@pytest.mark.parametrize("seed", range(1, 7))
def test_another_order_of_a_sum_is_right(change, verdict, seed, kernels, tmp_path):
    candidate = tmp_path / "candidate.cu"
    candidate.write_text(CUDA.replace(*change))
    assert candidate.read_text() != CUDA
    suite = CheckSuite(load(kernels, "above"), "sm_90", seed)
    judgement = Checker(suite, candidate, CheckOptions()).judge(stages=("parses", "signature", "results", "values"))
    assert judgement.verdict == verdict, judgement.decisive
