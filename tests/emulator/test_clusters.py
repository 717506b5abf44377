"""Clusters: ranks, launches, the barrier of the cluster, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import Deadlock, LaunchError
from tests.emulator.clusters import HEADER, READS, SYNC, kernel, of_next, run

RANKS = (
    HEADER
    + """
.visible .entry ranks(.param .u64 out)
DIRECTIVES
{
    .reg .b32 %value, %place, %extent;
    .reg .b64 %out;
    .reg .pred %explicit;
    ld.param.u64 %out, [out];
    mov.u32 %place, %ctaid.y;
    mov.u32 %extent, %nctaid.x;
    mul.lo.u32 %place, %place, %extent;
    mov.u32 %extent, %ctaid.x;
    add.u32 %place, %place, %extent;
    mad.wide.u32 %out, %place, 32, %out;
    mov.u32 %value, %cluster_ctarank;       st.global.u32 [%out], %value;
    mov.u32 %value, %cluster_nctarank;      st.global.u32 [%out + 4], %value;
    mov.u32 %value, %clusterid.x;           st.global.u32 [%out + 8], %value;
    mov.u32 %value, %nclusterid.x;          st.global.u32 [%out + 12], %value;
    mov.u32 %value, %cluster_ctaid.x;       st.global.u32 [%out + 16], %value;
    mov.u32 %value, %cluster_nctaid.y;      st.global.u32 [%out + 20], %value;
    mov.pred %explicit, %is_explicit_cluster;
    selp.u32 %value, 1, 0, %explicit;       st.global.u32 [%out + 24], %value;
    mov.u32 %value, %clusterid.y;           st.global.u32 [%out + 28], %value;
    ret;
}
"""
)


def ranks(directives, **launch):
    out = np.zeros((4, 8), np.uint32)
    emulator.run(RANKS.replace("DIRECTIVES", directives), block=32, args=[out], **launch)
    return out.tolist()


@pytest.mark.parametrize(
    ("directives", "explicit"),
    [("", 0), (".maxclusterrank 8", 0), (".explicitcluster", 1), (".reqnctapercluster 1, 1, 1", 1)],
)
def test_a_cluster_of_one_cta_runs(directives, explicit):
    assert ranks(directives, grid=4) == [[0, 1, cta, 4, 0, 1, explicit, 0] for cta in range(4)]


@pytest.mark.parametrize(
    ("directives", "cluster"),
    [
        (".reqnctapercluster 2, 1, 1",                             None),
        (".reqnctapercluster 2",                                   2),
        (".explicitcluster .reqnctapercluster 2",                  (2, 1, 1)),
        (".reqntid 32 .blocksareclusters .reqnctapercluster 2",    None),
        ("",                                                       2),
        (".maxclusterrank 2",                                      2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ctas", ["usual", "last first", "by turns"])
def test_the_registers_of_clusters_of_two(directives, cluster, ctas):
    expected = [[cta % 2, 2, cta // 2, 2, cta % 2, 1, 1, 0] for cta in range(4)]
    assert ranks(directives, grid=4, cluster=cluster, ctas=ctas) == expected


def test_a_cluster_of_two_dimensions_numbers_its_ctas_by_rows():
    """The grid is 2 x 2 in clusters of 1 x 2: the CTAs of a column form one."""
    assert ranks("", grid=(2, 2), cluster=(1, 2)) == [
        [y, 2, x, 2, 0, 2, 1, 0] for y in range(2) for x in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("directives", "launch", "message"),
    [
        (".reqnctapercluster 2", {"grid": 3},                    "does not divide the grid"),
        (".reqnctapercluster 2", {"grid": 4, "cluster": 4},      "needs clusters of .* this launch has"),
        (".maxclusterrank 2",    {"grid": 4, "cluster": 4},      "at most 2 CTAs in a cluster"),
        ("",                     {"grid": 32, "cluster": 32},    "the maximum is 16"),
        ("",                     {"grid": 4, "cluster": 0},      "cluster is 0; expected"),
        ("",                     {"grid": 4, "cluster": 2, "arch": "sm_80"}, "Clusters need sm_90"),
    ],
)  # fmt: skip
def test_a_cluster_that_no_gpu_launches_is_an_error(directives, launch, message):
    with pytest.raises(LaunchError, match=message):
        ranks(directives, **launch)


def test_threads_that_have_exited_are_not_waited_for():
    body = f"@!%first exit;\n st.shared.u32 [%mine], %value;\n{SYNC}\n{READS['ld.shared::cluster']}\n{SYNC}"
    out, _ = run(body)
    assert (out[:, 0] == of_next()[:, 0]).all()
    assert (out[:, 1:] == 0xDEAD).all()


def test_threads_that_exit_after_they_arrived_count_once():
    """One lane waits, 31 arrive and exit: the phase is over when all lanes that still run have arrived."""
    out, _ = run(f"barrier.cluster.arrive;\n @!%first exit;\n barrier.cluster.wait;\n{SYNC}\n{SYNC}")
    assert (out[:, 0] == np.arange(8) * 100).all()


def test_lanes_may_arrive_and_wait_in_different_branches():
    body = (
        """
    @%first bra ONE;
    barrier.cluster.arrive;
    barrier.cluster.wait;
    bra JOIN;
ONE:
    st.shared.u32 [%mine], 77;
    barrier.cluster.arrive;
    barrier.cluster.wait;
JOIN:
    mapa.shared::cluster.u32 %far, cell, %next;
    ld.shared::cluster.u32 %value, [%far];
    """
        + SYNC
    )
    assert (run(body)[0] == 77).all()


def test_a_guarded_wait_holds_only_its_lanes():
    out, _ = run("@%first barrier.cluster.arrive;\n @%first barrier.cluster.wait;\n @!%first exit;")
    assert (out[:, 0] == np.arange(8) * 100).all()


STUCK = {
    "a CTA whose barrier another's threads should complete": (
        "setp.eq.u32 %p, %rank, 1;\n @%p bar.sync 1, 64;\n barrier.cluster.arrive;\n barrier.cluster.wait;",
        r"CTA 1 is deadlocked: warp 0 waits at line 24, bar.sync, barrier 1, 32 of 64 threads",
    ),
    "threads that wait for each other at two barriers": (
        f"@%first bra CLUSTER;\n bar.sync 0;\n {SYNC}\n bra END;\nCLUSTER:\n {SYNC}\n bar.sync 0;\nEND:",
        r"CTA 3 is deadlocked: .*line 24, bar.sync, barrier 0, 31 of 32 threads; warp 0 \(lanes 0x00000001\) waits at "
        r"line 30, barrier.cluster.wait.aligned, the cluster's barrier, 4 of 128 threads",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", STUCK)
def test_a_stuck_cluster_is_a_deadlock_that_names_the_barrier(what):
    body, message = STUCK[what]
    with pytest.raises(Deadlock, match=message):
        run(body)


def test_the_order_last_alone_runs_only_the_last_cluster():
    out, _ = run(f"st.shared.u32 [%mine], %value;\n{SYNC}\n{READS['generic']}\n{SYNC}", **{"threads": 1})
    alone = np.full((8, 32), 7, np.uint32)
    text = kernel(f"st.shared.u32 [%mine], %value;\n{SYNC}\n{READS['generic']}\n{SYNC}")
    emulator.run(text, grid=8, block=32, cluster=4, args=[alone], ctas="last alone")
    assert (alone[:4] == 7).all()
    assert (alone[4:] == out[4:]).all()


GRID = (
    HEADER
    + """
.shared .align 4 .b32 cell[1];
.visible .entry spins(.param .u64 out, .param .u64 count)
{
    .reg .b32 %t, %cta, %n, %total, %far, %value, %rank;
    .reg .b64 %out, %count;
    .reg .pred %more, %others;
    mov.u32 %t, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mov.u32 %total, %nctaid.x;
    mov.u32 %rank, %cluster_ctarank;
    ld.param.u64 %out, [out];
    ld.param.u64 %count, [count];
    setp.ne.u32 %others, %t, 0;
    @%others bra MEET;
    st.shared.u32 [cell], %cta;
    atom.add.release.gpu.global.u32 %n, [%count], 1;
SPIN:
    ld.acquire.gpu.global.u32 %n, [%count];
    setp.lt.u32 %more, %n, %total;
    @%more bra SPIN;
MEET:
    barrier.cluster.arrive;
    barrier.cluster.wait;
    xor.b32 %rank, %rank, 1;
    mapa.shared::cluster.u32 %far, cell, %rank;
    ld.shared::cluster.u32 %value, [%far];
    barrier.cluster.arrive;
    barrier.cluster.wait;
    mad.wide.u32 %out, %cta, 4, %out;
    @!%others st.global.u32 [%out], %value;
    ret;
}
"""
)


@pytest.mark.parametrize("ctas", ["usual", "by turns"])
def test_clusters_that_wait_for_each_other_are_resident_together(ctas):
    out, count = np.zeros(40, np.uint32), np.zeros(1, np.uint32)
    emulator.run(GRID, grid=40, block=64, cluster=2, args=[out, count], ctas=ctas)
    assert (out == np.arange(40) ^ 1).all()
    assert count[0] == 40


COOPERATIVE = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void __cluster_dims__(4) k(unsigned* out) {
    __shared__ unsigned cell[64];
    cg::cluster_group cluster = cg::this_cluster();
    unsigned rank = cluster.block_rank();
    cell[threadIdx.x] = 1000 * blockIdx.x + threadIdx.x;
    cluster.sync();
    unsigned* other = cluster.map_shared_rank(cell, (rank + 1) % cluster.num_blocks());
    unsigned sum = other[63 - threadIdx.x] + 100000 * cluster.query_shared_rank(other);
    auto token = cluster.barrier_arrive();
    cluster.barrier_wait(std::move(token));
    atomicAdd(cluster.map_shared_rank(&cell[0], 0), 1u);
    cluster.sync();
    if (rank == 0 && threadIdx.x == 0) sum += cell[0] * 1000000;
    out[cluster.thread_rank() + cluster.num_threads() * (blockIdx.x / 4)] = sum + 7 * cluster.dim_blocks().x;
}
"""


@pytest.mark.parametrize("sanitize", [False, True])
def test_cooperative_groups_of_clusters(sanitize):
    ptx = toolchain.compiled(COOPERATIVE.encode(), Path("k.cu"), "sm_90", ())[0]
    out = np.zeros((8, 64), np.uint32)
    launched = emulator.run(ptx, grid=8, block=64, args=[out], sanitize=sanitize)
    cta, thread = np.arange(8)[:, None], np.arange(64)
    neighbour = cta // 4 * 4 + (cta + 1) % 4
    expected = 1000 * neighbour + 63 - thread + 100000 * ((cta + 1) % 4) + 28
    expected[0, 0] += 1000000 * 256
    expected[4, 0] += 1000000 * (4000 + 256)
    assert (out == expected.astype(np.uint32)).all()
    assert launched.findings == ()
    assert launched.unchecked == ()
