"""A kernel in which one CTA swaps what others update: each may be the first of them."""

import pytest

from ptxbench import toolchain
from ptxbench.check.finding_codes import CODES
from ptxbench.check.repeats import first_warps, largest_by_turns, stores_first
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.check.variations import OTHER_WARPS, STORES, SWAPS, WAIT_FOR_EACH_OTHER
from ptxbench.discovery import load
from tests.folders import changed

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


def suite_of(folder, pair, kernel=CUDA, seed=5):
    for name in ("pairs", "cuda", "ptx"):
        (folder / name).mkdir()
    source = folder / "cuda" / "count.cu"
    source.write_text(kernel)
    (folder / "pairs" / "count.py").write_text(pair)
    (folder / "ptx" / "count.ptx").write_text(toolchain.compiled(kernel.encode(), source, "sm_90", ())[0])
    return CheckSuite(load(folder, "count"), "sm_90", seed)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return suite_of(tmp_path_factory.mktemp("kernels"), PAIR)


@pytest.fixture(scope="module")
def suite_of_three_warps(tmp_path_factory):
    return suite_of(tmp_path_factory.mktemp("kernels"), changed(PAIR, "block=32", "block=96"))


@pytest.mark.parametrize(("wait", "codes"), [(WAIT, []), ("", ["depends-on-threads"])])
def test_others_may_update_before_the_first_cta_swaps(wait, codes, suite, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(CUDA.replace(WAIT, wait))
    assert [finding.code for finding in stores_first(Checker(suite, path).launcher)] == codes


WARPS = """\
extern "C" __global__ void count(unsigned* total, unsigned* work, unsigned ctas)
{
    __shared__ unsigned ticket;
    if (threadIdx.x % 32 == 0)
        atomicAdd(work, 1);
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        ticket = atomicAdd(work + 1, 1);
    }
    __syncthreads();
    if (threadIdx.x == 0 && ticket == ctas - 1) {
        __threadfence();
        *total = *(volatile unsigned*)work / 3;
    }
}
"""


@pytest.mark.parametrize("drawing", ["threadIdx.x == 0", "threadIdx.x == 64"])
@pytest.mark.parametrize(
    ("barrier", "codes"), [("    __syncthreads();\n    if", []), ("    if", ["depends-on-threads"])]
)
def test_all_warps_of_a_cta_update_before_one_draws_a_ticket(barrier, codes, drawing, suite_of_three_warps, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(WARPS.replace("    __syncthreads();\n    if", barrier, 1).replace("threadIdx.x == 0", drawing))
    launcher = Checker(suite_of_three_warps, path).launcher
    assert not any((*largest_by_turns(launcher), *stores_first(launcher)))
    assert [(finding.code, finding.hint) for finding in first_warps(launcher)] == [
        (code, OTHER_WARPS) for code in codes
    ]


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


MAXIMUM = """\
extern "C" __global__ void count(const int* x, int* greatest)
{
    if (threadIdx.x == 0) {
        int v = x[blockIdx.x];
        UPDATE
    }
}
"""
MAXIMUM_PAIR = changed(
    changed(
        changed(PAIR, PAIR[PAIR.index("    args=[") : PAIR.index("    launch")], """\
    args=[In("x", s32, lambda ctas: (ctas,)), InOut("greatest", s32, lambda ctas: (1,), start=-(2**31))],
"""),
        'lambda ctas: {"total": np.array([ctas])}', 'lambda x, greatest: {"greatest": np.maximum(greatest, x.max())}',
    ),
    "Launch, Out, Pair, Scalar, Scratch, u32", "In, InOut, Launch, Pair, s32",
)  # fmt: skip
LOOP = "for (int old; (old = atomicExch(greatest, v)) > v; v = old) { }"
ONCE = "int old = *(volatile int*)greatest; if (v > old) atomicCAS(greatest, old, v);"


@pytest.mark.parametrize(("update", "wrong"), [(LOOP, False), (ONCE, True)])
@pytest.mark.parametrize("seed", range(1, 9))
def test_an_update_of_a_maximum_that_is_lost_shows_whichever_cta_has_the_greatest_element(
    update, wrong, seed, tmp_path
):
    kernel = MAXIMUM.replace("UPDATE", "atomicMax(greatest, v);")
    suite = suite_of(tmp_path, MAXIMUM_PAIR, kernel, seed)
    path = tmp_path / "count.cu"
    path.write_text(MAXIMUM.replace("UPDATE", update))
    launcher = Checker(suite, path).launcher
    found = [*largest_by_turns(launcher), *stores_first(launcher)]
    assert {(finding.code, finding.line) for finding in found} == ({("depends-on-threads", 5)} if wrong else set())
    assert all(finding.hint == f"CTAs exchange values in line 5. {SWAPS}" for finding in found)


VOLATILE = """\
extern "C" __global__ void count(unsigned* total, unsigned* work, unsigned ctas)
{
    if (threadIdx.x != 0)
        return;
    volatile unsigned* counter = work;
    const unsigned before = *counter;
    *counter = before + 1;
    if (blockIdx.x == ctas - 1)
        *total = *counter;
}
"""


def test_the_lines_of_volatile_accesses_are_named_if_there_is_no_swap(suite, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(VOLATILE)
    (found,) = stores_first(Checker(suite, path).launcher)
    assert (found.code, found.line) == ("depends-on-threads", 6)
    assert found.hint == f"CTAs exchange values in lines 6, 7 and 9. {CODES['depends-on-threads'].hint}"


EXCHANGED = """\
extern "C" __global__ void count(unsigned* totals, unsigned* work, unsigned ctas)
{
    if (threadIdx.x != 0)
        return;
    volatile unsigned* values = work + 1;
    unsigned total = 0;
    for (unsigned i = 0; i < 8; ++i) {
        if (blockIdx.x == 0) {
            values[i] = i + 1;
            __threadfence();
            atomicExch(work, i + 1);
        } else {
            while (atomicAdd(work, 0) <= i) { }
            __threadfence();
        }
        total += values[i];
    }
    totals[blockIdx.x] = total;
}
"""


def test_a_flag_may_be_an_exchange_whose_result_is_not_used(tmp_path):
    """The CTA that stores is stopped after its flag too: one that waits for the flag of the value before sees none."""
    pair = changed(PAIR, 'Out("total", u32, lambda ctas: (1,))', 'Out("totals", u32, lambda ctas: (ctas,))')
    pair = changed(pair, '{"total": np.array([ctas])}', '{"totals": np.full(ctas, 36)}')
    pair = changed(pair, "lambda ctas: (2,)", "lambda ctas: (9,)")
    suite = suite_of(tmp_path, pair, EXCHANGED)
    for text, wrong in ((EXCHANGED, False), (changed(EXCHANGED, "<= i", "< i"), True)):
        (path := tmp_path / "count.cu").write_text(text)
        found = [(finding.code, finding.line, finding.hint) for finding in stores_first(Checker(suite, path).launcher)]
        hint = f"CTAs exchange values in line 11. {STORES}"
        assert found == ([("depends-on-threads", 11, hint)] if wrong else [])
