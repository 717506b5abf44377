"""A kernel in which one CTA swaps what others update: each may be the first of them."""

import pytest

from ptxbench import toolchain
from ptxbench.check.repeats import largest_by_turns, stores_first
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.check.variations import WAIT_FOR_EACH_OTHER
from ptxbench.discovery import load

PAIR = '''\
"""count: the number of CTAs."""

import numpy as np

from ptxbench.pair import EXACT, Launch, Out, Pair, Scalar, Scratch, u32

PAIR = Pair(
    purpose="A total that one CTA sets to zero.",
    args=[
        Out("total", u32, lambda ctas: (1,)),
        Scratch("work", u32, lambda ctas: (2,)),
        Scalar("ctas", u32, lambda ctas: ctas),
    ],
    launch=lambda ctas: Launch(grid=ctas, block=32),
    reference=lambda ctas: {"total": np.array([ctas])},
    tolerance=EXACT,
    check_sizes=[{"ctas": n} for n in (1, 2, 20)],
    bench_sizes=[{"ctas": 20}],
    flops=lambda ctas: 0,
)
'''
CUDA = """\
extern "C" __global__ void count(unsigned* total, unsigned* work, unsigned ctas)
{
    if (threadIdx.x != 0)
        return;
    if (atomicAdd(work, 1) == 0) {
        atomicExch(total, 0);
        __threadfence();
        atomicExch(work + 1, 1);
    }
    while (atomicAdd(work + 1, 0) == 0) { }
    __threadfence();
    atomicAdd(total, 1);
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


@pytest.mark.parametrize(("wait", "codes"), [(WAIT, []), ("", ["depends-on-threads"])])
def test_others_may_update_before_the_first_cta_swaps(wait, codes, suite, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(CUDA.replace(WAIT, wait))
    assert [finding.code for finding in stores_first(Checker(suite, path).launcher)] == codes


CROSSED = """\
extern "C" __global__ void count(unsigned* total, unsigned* work, unsigned ctas)
{
    const unsigned mine = blockIdx.x / 2 % 2;
    if (threadIdx.x != 0)
        return;
    while (atomicCAS(work + mine, 0, 1) != 0) { }
    while (atomicCAS(work + 1 - mine, 0, 1) != 0) { }
    atomicExch(total, ctas);
    __threadfence();
    *(volatile unsigned*)(work + mine) = 0;
    *(volatile unsigned*)(work + 1 - mine) = 0;
}
"""


@pytest.mark.parametrize("stage", ["sanitizer", "repeats"])
def test_ctas_that_wait_for_each_other_in_turns_are_named_as_the_cause(stage, suite, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(CROSSED)
    checker = Checker(suite, path, CheckOptions(fuel=1000))
    found = checker.sanitizer().findings if stage == "sanitizer" else list(largest_by_turns(checker.launcher))
    assert ("turns" in found[0].message, found[0].hint) == (True, WAIT_FOR_EACH_OTHER)
