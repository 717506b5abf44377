"""The shared memory of the CTAs of a cluster: reads, writes, updates, addresses, and accesses that are refused."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import MemoryFault
from tests.emulator.clusters import ORDERS, READS, SYNC, WRITES, of_next, run


@pytest.mark.parametrize("way", READS)
def test_a_cta_reads_what_the_next_cta_has_stored(way):
    body = f"st.shared.u32 [%mine], %value;\n{SYNC}\n{READS[way]}\n{SYNC}"
    for launch in (*({"ctas_order": order} for order in ORDERS), {"threads": 2}):
        out, launched = run(body, placement=3, **launch)
        assert (out == of_next()).all(), launch
    assert launched.order == "any"
    assert launched.counters["ptx_cluster_load_requests"] == 8
    assert launched.counters["ptx_cluster_load_bytes"] == 8 * 32 * 4
    assert launched.counters["ptx_shared_store_requests"] == 8
    assert launched.counters["ptx_barriers"] == 16


@pytest.mark.parametrize("cluster", [1, 2, 8])
def test_the_same_kernel_in_clusters_of_other_sizes(cluster):
    body = f"st.shared.u32 [%mine], %value;\n{SYNC}\n{READS['generic']}\n{SYNC}"
    assert (run(body, cluster=cluster)[0] == of_next(8, cluster)).all()


@pytest.mark.parametrize("way", WRITES)
def test_a_cta_reads_what_another_cta_has_stored_in_its_memory(way):
    start = f"mapa.shared::cluster.u32 %far, %mine, %next;\n{SYNC}\n"
    out, _ = run(f"{start}{WRITES[way]}\n{SYNC}\nld.shared.u32 %value, [%mine];")
    rank = np.arange(8)
    sender = rank // 4 * 4 + (rank % 4 + 3) % 4
    assert (out == sender[:, None] * 100 + np.arange(32)).all()


def test_without_the_barrier_another_ctas_memory_is_still_poison():
    out, _ = run("mapa.shared::cluster.u32 %far, %mine, 3;\n ld.shared::cluster.u32 %value, [%far];\n" + SYNC)
    assert (out[:3] == 0xFFFFFFFF).all()


def test_all_ctas_update_the_memory_of_one():
    out, launched = run(
        f"st.shared.u32 [%mine], 5;\n{SYNC}\nmapa.shared::cluster.u32 %far, %mine, 2;\n"
        f"red.release.cluster.shared::cluster.add.u32 [%far], %rank;\n{SYNC}\nld.shared.u32 %value, [%mine];"
    )
    assert (out == np.where(np.arange(8) % 4 == 2, 11, 5)[:, None]).all()
    assert launched.counters["ptx_atomic_cluster_requests"] == 8
    assert launched.counters["ptx_atomic_cluster_lanes"] == 8 * 32


ADDRESSES = {
    "getctarank of the own": ("getctarank.shared::cluster.u32 %value, %mine;", lambda rank: rank),
    "getctarank of the next": (
        "mapa.shared::cluster.u32 %far, %mine, %next;\n getctarank.shared::cluster.u32 %value, %far;",
        lambda rank: (rank + 1) % 4,
    ),
    "getctarank of a generic address": (
        "cvt.u64.u32 %generic, %mine;\n cvta.shared.u64 %generic, %generic;\n mapa.u64 %there, %generic, 2;\n"
        " getctarank.u64 %value, %there;",
        lambda rank: 2,
    ),
    "isspacep.shared::cta": (
        "cvt.u64.u32 %generic, %mine;\n cvta.shared.u64 %generic, %generic;\n mapa.u64 %there, %generic, 1;\n"
        " isspacep.shared::cta %p, %there;\n selp.u32 %value, 1, 0, %p;",
        lambda rank: rank == 1,
    ),
    "isspacep.shared::cluster": (
        "cvt.u64.u32 %generic, %mine;\n cvta.shared.u64 %generic, %generic;\n mapa.u64 %there, %generic, 1;\n"
        " isspacep.shared::cluster %p, %there;\n isspacep.global %q, %there;\n not.pred %q, %q;\n"
        " and.pred %p, %p, %q;\n selp.u32 %value, 1, 0, %p;",
        lambda rank: 1,
    ),
    "the own address, mapped to the own rank": (
        "mapa.shared::cluster.u32 %far, %mine, %rank;\n sub.u32 %value, %far, %mine;", lambda rank: 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("placement", [None, 4])
@pytest.mark.parametrize("what", ADDRESSES)
def test_addresses_of_a_cluster_are_converted_as_the_manual_says(what, placement):
    body, expected = ADDRESSES[what]
    out, _ = run(body, placement=placement)
    assert (out == np.array([expected(cta % 4) for cta in range(8)])[:, None]).all()


MISTAKES = {
    "a rank that the cluster does not have": (
        "mapa.shared::cluster.u32 %far, %mine, 4;\n ld.shared::cluster.u32 %value, [%far];",
        r"line 24: ld.shared::cluster.u32 by thread 0 of CTA 0 reads byte 0 of the shared memory of the CTA of rank 4 "
        r"in the cluster, which has no CTA of that rank\.",
    ),
    "a rank beyond all addresses": (
        "mapa.shared::cluster.u32 %far, %mine, 256;\n ld.shared::cluster.u32 %value, [%far];", "rank 255",
    ),
    "a byte behind the variables": (
        "mapa.shared::cluster.u32 %far, %mine, 1;\n ld.shared::cluster.u32 %value, [%far + 8192];",
        r"reads byte 8192 of the shared memory of the CTA of rank 1 in the cluster, which has 648",
    ),
    "a generic address of a rank that is not there": (
        "cvt.u64.u32 %generic, %mine;\n cvta.shared.u64 %generic, %generic;\n mapa.u64 %there, %generic, 9;\n"
        " st.u32 [%there], %value;",
        "writes byte 0 of the shared memory of the CTA of rank 9",
    ),
    "misaligned": (
        "mapa.shared::cluster.u32 %far, %mine, 1;\n ld.shared::cluster.u32 %value, [%far + 2];",
        "reads 4 bytes at byte 2 of .* they must start at a multiple of 4",
    ),
    "another CTA's memory without ::cluster": (
        "mapa.shared::cluster.u32 %far, %mine, 1;\n ld.shared.u32 %value, [%far];",
        "reads an address outside its own CTA .*; use shared::cluster",
    ),
    "a second arrival": (
        "barrier.cluster.arrive;\n barrier.cluster.arrive;\n barrier.cluster.wait;",
        "line 24: barrier.cluster.arrive by thread 0 of CTA 0 arrives at the barrier of the cluster again before",
    ),
    "a wait without an arrival": (
        "barrier.cluster.wait;", "line 23: barrier.cluster.wait by thread 0 of CTA 0 waits .* without an arrival",
    ),
    "a CTA that has exited": (
        "setp.ne.u32 %p, %rank, 0;\n @!%p exit;\n mapa.shared::cluster.u32 %far, %mine, 0;\n"
        " ld.shared::cluster.u32 %value, [%far];",
        r"line 26: .* of CTA 1 reads byte 0 of the shared memory of the CTA of rank 0 in the cluster, which has exited "
        r"at line 24\. Let it wait",
    ),
    "a store to a CTA that has exited": (
        "setp.ne.u32 %p, %rank, 0;\n @!%p exit;\n mapa.shared::cluster.u32 %far, %mine, 0;\n"
        " st.shared::cluster.u32 [%far], %value;",
        "writes byte 0 of .* which has exited at line 24",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_faults_with_line_thread_and_cta_and_findings_if_sanitised(mistake):
    body, message = MISTAKES[mistake]
    with pytest.raises(MemoryFault, match=message):
        run(body)
    if "arriv" in mistake:
        return
    _, launched = run(body, sanitize=True)
    kind = "cluster-exited" if "exited" in mistake else "misaligned" if mistake == "misaligned" else "out-of-bounds"
    assert kind in [finding.kind for finding in launched.findings]


TILES = """
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void __cluster_dims__(2) k(unsigned* out) {
    __shared__ unsigned cell[128];
    auto tile = cg::tiled_partition<64>(cg::this_thread_block());
    cell[threadIdx.x] = threadIdx.x + 1000 * blockIdx.x;
    tile.sync();
    unsigned value = cell[threadIdx.x ^ 63];
    cg::this_cluster().sync();
    value += *cg::this_cluster().map_shared_rank(&cell[threadIdx.x], cg::this_cluster().block_rank() ^ 1);
    cg::this_cluster().sync();
    out[blockIdx.x * 128 + threadIdx.x] = value;
}
"""


def test_tiles_of_several_warps_use_the_drivers_bytes_of_their_own_cta():
    ptx = toolchain.compiled(TILES.encode(), Path("k.cu"), "sm_90", ())[0]
    assert "%reserved_smem_offset" in ptx
    out = np.zeros((4, 128), np.uint32)
    emulator.run(ptx, grid=4, block=128, args=[out])
    cta, thread = np.arange(4)[:, None], np.arange(128)
    assert (out == (thread ^ 63) + 1000 * cta + thread + 1000 * (cta ^ 1)).all()
