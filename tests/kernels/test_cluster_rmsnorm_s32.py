"""The pair cluster_rmsnorm.s32."""

import math

import pytest

from ptxbench import emulator
from tests.kernels.harness import KERNELS, PAIRS, count, reports


def cluster_rmsnorm(x, w, eps, columns):
    means = [sum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


REFERENCE = (cluster_rmsnorm, {"rows": 2, "columns": 32})

TARGETS = (90, 100, 103, 110, 120, 121)  # those with clusters
REGISTERS = 40

MUTANTS = [
    ("cluster_rmsnorm.s32.ptx", "mad.wide.s32 %squares, %x_13, %x_13", "mad.wide.u32 %squares, %x_13, %x_13"),
    ("cluster_rmsnorm.s32.ptx", "st.shared.u64 [%total], 0;",       "st.shared.u64 [%total], 0x4000000000000000;"),
    ("cluster_rmsnorm.s32.ptx", "[%arrived], 512",                  "[%arrived], 504"),
    ("cluster_rmsnorm.s32.ptx", "setp.ge.u32 %others, %lane, 8",    "setp.ge.u32 %others, %lane, 7"),
    ("cluster_rmsnorm.s32.ptx", "%total_there, %total, %lane",      "%total_there, %total, %rank"),
    ("cluster_rmsnorm.s32.ptx", "%other_high, %high, 4",            "%other_high, %low, 4"),
    ("cluster_rmsnorm.s32.ptx", "cvt.rn.f32.u64 %sum, %squares",    "cvt.rn.f32.u32 %sum, %low"),
    ("cluster_rmsnorm.s32.ptx", "fma.rn.ftz.f32 %mean, %sum, %share, %eps", "fma.rn.ftz.f32 %mean, %sum, %eps, %share"),
    ("cluster_rmsnorm.s32.ptx", "mul.rn.f32 %v_10, %v_10, %w_10",   "mul.rn.f32 %v_10, %v_10, %w_11"),
    ("cluster_rmsnorm.s32.ptx", "[%total_there], %squares,",        "[%total_there], %other,"),
]  # fmt: skip

FOUND = PAIRS["cluster_rmsnorm.s32"]
SIZE = {"rows": 3, "columns": 1024}


def findings(text):
    """The kinds of what the sanitizer finds in PTX at SIZE."""
    arguments = FOUND.pair.make_arguments(SIZE, seed=1)
    launch = FOUND.pair.launch(**SIZE)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
    return {
        finding.kind for finding in emulator.run(text, args=[*arguments.values()], sanitize=True, **extent).findings
    }


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_red_async_saves_a_barrier_of_the_cluster_and_one_of_two_fences(arch):
    by_variant = reports("cluster_rmsnorm.s32", arch)
    names = ("REDAS", "ATOM", "ATOMS", "UCGABAR_ARV", "UCGABAR_WAIT", "MEMBAR.ALL.GPU", "BAR")
    assert count(by_variant["ptx"], *names) == [1, 0, 0, 1, 1, 1, 0]
    assert count(by_variant["cuda"], *names) == [0, 1, 1, 2, 2, 2, 0]


def test_the_zero_needs_a_release_where_sums_that_are_stored_need_none():
    """The arrival of cluster_rmsnorm.ptx is relaxed, because fence.mbarrier_init orders the mbarrier alone."""
    text = (KERNELS / "ptx" / "cluster_rmsnorm.s32.ptx").read_text()
    release, relaxed = "barrier.cluster.arrive.release.aligned", "barrier.cluster.arrive.relaxed.aligned"
    assert text.count(release) == 1
    assert findings(text) == set()
    assert findings(text.replace(release, relaxed)) == {"race"}
    assert release not in (KERNELS / "ptx" / "cluster_rmsnorm.ptx").read_text()
