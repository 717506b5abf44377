"""A kernel in which one CTA swaps what others update: each may be the first of them."""

import pytest

from ptxbench import toolchain
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from tests.check.judging import outcome

PAIR = '''\
"""count: zero, however many CTAs say so."""

import numpy as np

from ptxbench.pair import EXACT, Launch, Out, Pair, Scratch, u32

PAIR = Pair(
    purpose="A total that one CTA sets to zero.",
    args=[Out("total", u32, lambda ctas: (1,)), Scratch("work", u32, lambda ctas: (2,))],
    launch=lambda ctas: Launch(grid=ctas, block=32),
    reference=lambda: {"total": np.array([0])},
    tolerance=EXACT,
    check_sizes=[{"ctas": n} for n in (1, 2, 20)],
    bench_sizes=[{"ctas": 20}],
    flops=lambda ctas: 0,
)
'''
CUDA = """\
extern "C" __global__ void count(unsigned* total, unsigned* work)
{
    if (threadIdx.x != 0)
        return;
    if (atomicAdd(work, 1) == 0) {
        atomicExch(total, 7);
        __threadfence();
        atomicExch(work + 1, 1);
    }
    while (atomicAdd(work + 1, 0) == 0) { }
    __threadfence();
    atomicAnd(total, 0);
}
"""
WAIT = "    while (atomicAdd(work + 1, 0) == 0) { }\n"


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    for name in ("pairs", "cuda", "ptx"):
        (folder / name).mkdir()
    source = folder / "cuda" / "count.cu"
    source.write_text(CUDA)
    (folder / "pairs" / "count.py").write_text(PAIR)
    (folder / "ptx" / "count.ptx").write_text(toolchain.compiled(CUDA.encode(), source, "sm_90", ())[0])
    return CheckSuite(load(folder, "count"), "sm_90", 5)


@pytest.mark.parametrize(("wait", "expected"), [(WAIT, "accepted"), ("", "repeats depends-on-threads")])
def test_others_may_update_before_the_first_cta_swaps(wait, expected, suite, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(CUDA.replace(WAIT, wait))
    judgement = Checker(suite, path).judge(stages=("parses", "repeats"))
    assert outcome(judgement) == expected
