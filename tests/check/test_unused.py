"""NaN in elements on which no result depends: the padding of a short row, multiplied by zero."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.check.unused import FRUITLESS, UNUSED_NAN, chooses_elements, with_nan, with_unused_nan
from ptxbench.discovery import load
from tests.check import judging
from tests.check.judging import outcome
from tests.folders import changed, kernels_folder

PAIR = '''\
"""ragged: the sum of the first rows of each matrix."""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Scalar, Tolerance, f32, u32

PAIR = Pair(
    purpose="Rows of different numbers.",
    args=[
        In("x", f32, lambda n, rows: (n, rows, 32)),
        In("lengths", u32, lambda n, rows: (n,), values=lambda rng, shape, n, rows: rng.integers(1, rows + 1, shape)),
        Out("y", f32, lambda n, rows: (n, 32)),
        Scalar("rows", u32, lambda n, rows: rows),
    ],
    launch=lambda n, rows: Launch(grid=n, block=32),
    reference=lambda x, lengths, rows: {"y": np.array([m[: int(k)].sum(0) for m, k in zip(x, lengths)])},
    tolerance=Tolerance("of the greatest element", lambda expected, inputs: 1e-5 * np.abs(inputs["x"]).max()),
    check_sizes=[{"n": n, "rows": rows} for n, rows in ((1, 1), (3, 8), (5, 17))],
    bench_sizes=[{"n": 1 << 10, "rows": 64}],
    flops=lambda n, rows: 32 * n * rows,
)
'''
CUDA = """\
extern "C" __global__ void ragged(const float* x, const unsigned* lengths, float* y, unsigned rows)
{
    const unsigned count = lengths[blockIdx.x];
    float sum = 0;
    x += 32 * rows * blockIdx.x + threadIdx.x;
    for (unsigned r = 0; r < count; r++) sum += x[32 * r];
    y[32 * blockIdx.x + threadIdx.x] = sum;
}
"""
MASKED = changed(
    CUDA,
    "r < count; r++) sum += x[32 * r];",
    "r < rows; r++) sum += (r < count ? 1.0f : 0.0f) * x[32 * r];",
)


@pytest.mark.parametrize("shape", [(64,), (64, 8)])
@pytest.mark.parametrize("used", [[0], [63], [3, 40, 41, 42, 43], []])
def test_nan_is_in_every_row_that_no_result_needs(shape, used):
    """A row is the last axis, or one element of an array with one axis."""
    filled = with_nan(np.zeros(shape), lambda tried: not np.isnan(tried[used]).any())
    assert np.flatnonzero(~np.isnan(filled).reshape(64, -1).all(axis=1)).tolist() == used


@pytest.mark.parametrize(("first", "last"), [(300, 433), (513, 700)])
def test_rows_next_to_an_unused_one_are_tried_first(first, last):
    used = np.ones(1024, bool)
    used[first:last] = False
    filled = with_nan(np.zeros(used.size), lambda tried: not np.isnan(tried[used]).any())
    assert (np.isnan(filled) == ~used).all()  # in as many trials as there may be


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    ptx = toolchain.compiled(CUDA.encode(), Path("ragged.cu"), "sm_90", ())[0]
    return kernels_folder(tmp_path_factory.mktemp("unused"), pair=PAIR, cuda=CUDA, ptx=ptx, name="ragged")


@pytest.fixture(scope="module")
def suite(folder):
    return CheckSuite(load(folder, "ragged"), "sm_90", 1)


def test_nan_in_what_is_only_multiplied_by_zero_is_found(suite, tmp_path):
    for text, expected in ((CUDA, "accepted"), (MASKED, "values wrong-result")):
        (path := tmp_path / "candidate.cu").write_text(text)
        judgement = Checker(suite, path).judge(stages=("parses", "results", "values"))
        assert outcome(judgement) == expected
    assert UNUSED_NAN in judgement.decisive.message
    assert judgement.decisive.hint.startswith("The kernel reads elements on which no result depends")


def test_only_unused_rows_are_changed(suite):
    arguments = suite.pair.make_arguments({"n": 5, "rows": 17}, 3)
    found = with_unused_nan(suite.pair, arguments)
    unused = np.arange(17) >= arguments["lengths"][:, np.newaxis]
    changed_rows = np.isnan(found["x"]).all(axis=2)
    assert np.isnan(found["x"]).any(axis=2).tolist() == changed_rows.tolist()
    assert not changed_rows[~unused].any()
    edges = [(i, k) for i, k in enumerate(arguments["lengths"]) if k < 17]
    assert edges
    assert all(changed_rows[edge] for edge in edges)  # the first row after each matrix's own
    full = {**arguments, "lengths": np.full(5, 17, np.uint32)}
    assert with_unused_nan(suite.pair, full) is None
    assert list(suite.cases.unused({"n": 1, "rows": 1}, 3)) == []  # each matrix has one row, which is used


def test_a_range_is_halved_until_it_is_unused():
    array = np.zeros((1 << 20, 2), np.float32)
    used = slice(0, 300_001)
    found = with_nan(array, lambda tried: not np.isnan(tried[used]).any())
    assert np.flatnonzero(~np.isnan(found[:, 0])).tolist() == list(range(300_001))
    assert not np.isnan(array).any()


def test_the_search_ends_early_if_nothing_is_unused():
    trials = []
    array = np.zeros((1 << 20, 2), np.float32)
    assert with_nan(array, trials.append) is array
    assert len(trials) == FRUITLESS


def test_only_pairs_with_indices_or_lengths_are_asked(suite):
    assert chooses_elements(suite.pair)
    assert not chooses_elements(judging.suite("triad").pair)
