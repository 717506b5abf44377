"""What only grids with more CTAs show, and old outputs that a kernel compares with its inputs."""

import math

import pytest

from ptxbench import toolchain
from ptxbench.check.grids import MORE_CTAS
from ptxbench.check.named_numbers import by_cta
from ptxbench.check.polls import combines
from ptxbench.check.sizes import with_many_ctas
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from ptxbench.emulator.parse import parsed
from tests.check.judging import KERNELS, outcome, suite
from tests.folders import changed, kernels_folder

TOTAL_PAIR = """
from ptxbench.pair import In, Launch, Out, Pair, Scalar, Scratch, ceil_div, f32, relative, u32

PAIR = Pair(
    purpose="A sum that the last CTA completes.",
    args=[
        In("x", f32, lambda n: (n,)),
        Scratch("sums", f32, lambda n: (ceil_div(n, 1024),)),
        Scratch("ticket", u32, lambda n: (1,)),
        Out("y", f32, lambda n: (1,)),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=ceil_div(n, 1024), block=1024),
    reference=lambda x, n: {"y": x.sum(keepdims=True)},
    tolerance=relative(1e-5, of=lambda x, n: abs(x).sum(keepdims=True)),
    check_sizes=[{"n": n} for n in (1, 1023, 1025, 5000)],
    bench_sizes=[{"n": 1 << 24}],
    flops=lambda n: n,
)
"""
TOTAL = """
__device__ float sum_of_block(float v, float* sums)
{
    sums[threadIdx.x] = v;
    for (unsigned d = 512; d; d /= 2) {
        __syncthreads();
        if (threadIdx.x < d)
            sums[threadIdx.x] += sums[threadIdx.x + d];
    }
    __syncthreads();
    return sums[0];
}

extern "C" __global__ void scale(const float* x, float* sums, unsigned* ticket, float* y, unsigned n)
{
    __shared__ float of_thread[1024];
    __shared__ bool is_last;
    const unsigned thread = threadIdx.x, i = 1024 * blockIdx.x + thread;
    const float sum = sum_of_block(i < n ? x[i] : 0, of_thread);
    if (thread == 0) {
        sums[blockIdx.x] = sum;
        __threadfence();
        is_last = atomicAdd(ticket, 1) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!is_last)
        return;
    float v = 0;
    ROUNDS
        v += sums[c];
    const float total = sum_of_block(v, of_thread);
    if (thread == 0)
        *y = total;
}
"""
ALL = "for (unsigned c = thread; c < gridDim.x; c += 1024)"

GREATEST_PAIR = """
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, f32, s32

PAIR = Pair(
    purpose="The greatest element of each row, and where it is.",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (rows,)),
        Out("at", s32, lambda rows, columns: (rows,)),
        Scalar("columns", s32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=rows, block=1),
    reference=lambda x, columns: {"y": x.max(axis=1), "at": x.argmax(axis=1)},
    tolerance=EXACT,
    check_sizes=[{"rows": 3, "columns": n} for n in (1, 31, 100)],
    bench_sizes=[{"rows": 1024, "columns": 1024}],
    flops=lambda rows, columns: rows * columns,
)
"""
GREATEST = """
extern "C" __global__ void scale(const float* x, float* y, int* at, int columns)
{
    x += (size_t)blockIdx.x * columns;
    BEFORE
    int best = 0;
    for (int c = 1; c < columns; ++c)
        if (x[c] > x[best])
            best = c;
    y[blockIdx.x] = x[best];
    at[blockIdx.x] = best;
}
"""
TRUSTS = "const int old = at[blockIdx.x]; if (old > 0 && old < columns && y[blockIdx.x] == x[old]) return;"


def judgement_of(folder, pair, right, wrong, seed=3):
    """The judgement on a wrong form of a kernel, for a pair with the right form."""
    source = kernels_folder(folder, pair=pair, cuda=right) / "cuda" / "scale.cu"
    compiled = toolchain.compiled(right.encode(), source, "sm_90", ())[0]
    kernels = kernels_folder(folder, pair=pair, cuda=right, ptx=compiled)
    (path := folder / "wrong.cu").write_text(wrong)
    return Checker(CheckSuite(load(kernels, "scale"), "sm_90", seed), path).judge()


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (ALL, "accepted"),
        ("if (const unsigned c = thread; c < gridDim.x)", "hidden wrong-result"),
        (changed(ALL, "c < gridDim.x", "c < min(gridDim.x, 500u)"), "hidden wrong-result"),
    ],
)
def test_the_last_cta_must_combine_more_sums_than_it_has_threads(rounds, expected, tmp_path):
    right, wrong = (TOTAL.replace("ROUNDS", form) for form in (ALL, rounds))
    judgement = judgement_of(tmp_path, TOTAL_PAIR, right, f"{wrong}// of a candidate\n")
    assert outcome(judgement) == expected
    if expected != "accepted" and "500" not in rounds:
        ctas = 1024 * 9 // 8 + 1
        assert judgement.decisive.hint == MORE_CTAS.format(ctas=ctas, threads=1024)


def test_a_size_with_more_ctas_than_threads_costs_as_little_as_possible():
    for name, size in (("scan", {"n": 294_913}), ("transpose.copy", {"rows": 9217, "columns": 1})):
        pair = suite(name).pair
        assert list(with_many_ctas(pair)) == [size]
        launch = pair.launch(**size)
        assert math.prod(launch.block_xyz) < math.prod(launch.grid_xyz) <= 1.25 * math.prod(launch.block_xyz) + 1
    assert list(with_many_ctas(suite("reduce_sum").pair)) == []  # its grid never has as many


def test_only_kernels_whose_ctas_use_what_others_store_have_such_a_size():
    for name, expected in (("scan", True), ("softmax", False), ("reduce_sum", False), ("histogram256", False)):
        assert combines(parsed((KERNELS / "ptx" / f"{name}.ptx").read_text())) == expected
    unused = changed(
        TOTAL, "is_last = atomicAdd(ticket, 1) == gridDim.x - 1;", "is_last = false; atomicAdd(ticket, 1);"
    )
    for text, expected in ((TOTAL, True), (unused, False)):
        source = text.replace("ROUNDS", ALL).encode()
        ptx = toolchain.compiled(source, KERNELS / "cuda" / "scale.cu", "sm_90", ())[0]
        assert combines(parsed(ptx)) == expected


def test_a_number_may_be_that_of_ctas():
    assert by_cta(suite("triad").pair, "n") == {1024}
    assert by_cta(suite("transpose").pair, "rows") == {32}
    assert by_cta(suite("reduce_sum").pair, "n") == set()  # its grid has as many CTAs at each size


@pytest.mark.parametrize(("before", "expected"), [("", "accepted"), (TRUSTS, "repeats depends-on-output")])
@pytest.mark.parametrize("seed", range(3))
def test_an_old_output_that_one_element_confirms_is_not_the_right_one(before, expected, seed, tmp_path):
    right, wrong = (GREATEST.replace("BEFORE", form) for form in ("", before))
    assert outcome(judgement_of(tmp_path, GREATEST_PAIR, right, f"{wrong}// of a candidate\n", seed)) == expected
