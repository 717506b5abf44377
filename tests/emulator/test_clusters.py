"""Clusters: ranks, each other's shared memory, the barrier of the cluster, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import Deadlock, LaunchError, MemoryFault

HEADER = ".version 8.1\n.target sm_90\n.address_size 64\n"
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


def kernel(body):
    """Each thread has %tid, %rank, %size, %mine (the address of its word in `cell`), and stores %value to `out`."""
    return f"""{HEADER}
.shared .align 16 .b32 cell[32];
.shared .align 16 .b32 wide[128];
.shared .align 8 .b64 bar;
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %tid, %rank, %size, %mine, %far, %value, %next, %cta, %n, %m, %far_bar, %at;
    .reg .b64 %out, %generic, %there, %state;
    .reg .pred %first, %done, %p, %q;
    mov.u32 %tid, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    mov.u32 %size, %cluster_nctarank;
    mov.u32 %cta, %ctaid.x;
    setp.eq.u32 %first, %tid, 0;
    mov.u32 %mine, cell;
    mad.lo.u32 %mine, %tid, 4, %mine;
    add.u32 %next, %rank, 1;
    rem.u32 %next, %next, %size;
    mad.lo.u32 %value, %cta, 100, %tid;
    {body}
    ld.param.u64 %out, [out];
    mad.lo.u32 %at, %cta, 32, %tid;
    mad.wide.u32 %out, %at, 4, %out;
    st.global.u32 [%out], %value;
    ret;
}}
"""


SYNC = "barrier.cluster.arrive.aligned;\n    barrier.cluster.wait.aligned;"
ORDERS = ["usual", "last first", "by turns"]


def run(body, ctas_order="usual", cluster=4, **more):
    """What the 8 CTAs of a launch store, and the launch."""
    out = np.full((8, 32), 0xDEAD, np.uint32)
    launched = emulator.run(kernel(body), grid=8, block=32, cluster=cluster, args=[out], ctas=ctas_order, **more)
    return out.astype(np.int64), launched


def of_next(ctas=8, cluster=4):
    """What the next CTA of each one's cluster holds in `cell`."""
    rank = np.arange(ctas)
    neighbour = rank // cluster * cluster + (rank % cluster + 1) % cluster
    return neighbour[:, None] * 100 + np.arange(32)


READS = {
    "ld.shared::cluster": "mapa.shared::cluster.u32 %far, %mine, %next;\n    ld.shared::cluster.u32 %value, [%far];",
    "a variable":
        "mapa.shared::cluster.u32 %far, cell, %next;\n    mad.lo.u32 %far, %tid, 4, %far;\n"
        "    ld.relaxed.cluster.shared::cluster.u32 %value, [%far];",
    "generic":
        "cvt.u64.u32 %generic, %mine;\n    cvta.shared.u64 %generic, %generic;\n    mapa.u64 %there, %generic, %next;\n"
        "    ld.u32 %value, [%there];",
    "cvta.to and mapa of 64 bits":
        "cvt.u64.u32 %generic, %mine;\n    mapa.shared::cluster.u64 %there, %generic, %next;\n"
        "    cvta.shared::cluster.u64 %there, %there;\n    cvta.to.shared::cluster.u64 %there, %there;\n"
        "    ld.shared::cluster.u32 %value, [%there];",
}  # fmt: skip


@pytest.mark.parametrize("way", READS)
def test_a_cta_reads_what_the_next_has_stored(way):
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


def test_a_sanitised_launch_in_clusters_says_what_it_does_not_check():
    body = f"st.shared.u32 [%mine], %value;\n{SYNC}\n{READS['generic']}\n{SYNC}"
    launched = run(body, sanitize=True)[1]
    assert launched.findings == ()
    assert "the CTAs run in clusters" in launched.unchecked[0]


WRITES = {
    "st.shared::cluster": "st.shared::cluster.u32 [%far], %value;",
    "a vector of one lane's bytes": "st.relaxed.cluster.shared::cluster.u32 [%far], %value;",
    "generic": "cvt.u64.u32 %there, %far;\n    cvta.shared::cluster.u64 %there, %there;\n    st.u32 [%there], %value;",
    "atom.exch": "atom.shared::cluster.exch.b32 %m, [%far], %value;",
    "generic atom":
        "cvt.u64.u32 %there, %far;\n    cvta.shared::cluster.u64 %there, %there;\n"
        "    atom.exch.b32 %m, [%there], %value;",
}  # fmt: skip


@pytest.mark.parametrize("way", WRITES)
def test_a_cta_finds_what_another_has_stored_in_its_memory(way):
    start = f"mapa.shared::cluster.u32 %far, %mine, %next;\n{SYNC}\n"
    out, _ = run(f"{start}{WRITES[way]}\n{SYNC}\nld.shared.u32 %value, [%mine];")
    rank = np.arange(8)
    sender = rank // 4 * 4 + (rank % 4 + 3) % 4
    assert (out == sender[:, None] * 100 + np.arange(32)).all()


def test_without_the_barrier_another_ctas_memory_is_still_poison():
    out, _ = run("mapa.shared::cluster.u32 %far, %mine, 3;\n ld.shared::cluster.u32 %value, [%far];\n" + SYNC)
    assert (out[:3] == 0xFFFFFFFF).all()


def test_updates_of_one_cta_by_all():
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
def test_addresses_of_the_cluster(what, placement):
    body, expected = ADDRESSES[what]
    out, _ = run(body, placement=placement)
    assert (out == np.array([expected(cta % 4) for cta in range(8)])[:, None]).all()


MISTAKES = {
    "a rank that the cluster does not have": (
        "mapa.shared::cluster.u32 %far, %mine, 4;\n ld.shared::cluster.u32 %value, [%far];",
        r"line 24: ld.shared::cluster.u32 by thread 0 of CTA 0 reads byte 0 of the shared memory of the CTA of rank 4 "
        r"in the cluster",
    ),
    "a rank beyond all addresses": (
        "mapa.shared::cluster.u32 %far, %mine, 256;\n ld.shared::cluster.u32 %value, [%far];", "CTA of rank 255",
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
        "reads an address outside the own CTA .*; use shared::cluster",
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
    assert len(launched.findings) == 1
    kind = "cluster-exited" if "exited" in mistake else "misaligned" if mistake == "misaligned" else "out-of-bounds"
    assert launched.findings[0].kind == kind


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
def test_a_cluster_that_cannot_go_on_is_a_deadlock_that_names_the_barrier(what):
    body, message = STUCK[what]
    with pytest.raises(Deadlock, match=message):
        run(body)


WAIT = """
WAIT:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %done, [bar], 0;
    @!%done bra WAIT;
"""


def with_mbarrier(arrivals, body):
    """`body` between the initialisation of one mbarrier a CTA and a wait for it."""
    return (
        f"@%first mbarrier.init.shared::cta.b64 [bar], {arrivals};\n fence.mbarrier_init.release.cluster;\n{SYNC}\n"
        f"mapa.shared::cluster.u32 %far_bar, bar, %next;\n mapa.shared::cluster.u32 %far, %mine, %next;\n"
        f"{body}\n{WAIT}\n{SYNC}"
    )


REMOTE = {
    "arrive": (32, "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%far_bar];"),
    "arrive with a count": (64, "mbarrier.arrive.shared::cluster.b64 _, [%far_bar], 2;"),
    "arrive_drop": (32, "mbarrier.arrive_drop.shared::cluster.b64 _, [%far_bar];"),
    "arrive.expect_tx and complete_tx": (32,
        "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%far_bar], 4;\n"
        "mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%far_bar], 4;"),
    "expect_tx": (32,
        "mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64 [%far_bar], 8;\n"
        "mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%far_bar], 8;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [%far_bar];"),
}  # fmt: skip


@pytest.mark.parametrize("what", REMOTE)
def test_arrivals_at_the_mbarrier_of_another_cta_complete_its_phase(what):
    arrivals, body = REMOTE[what]
    body = f"st.shared::cluster.u32 [%far], %value;\n{body}"
    rank = np.arange(8)
    for order in ORDERS:
        out, _ = run(with_mbarrier(arrivals, body) + "\nld.shared.u32 %value, [%mine];", order)
        assert (out == (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None] * 100 + np.arange(32)).all()


def test_one_arrival_too_few_from_another_cta_is_a_deadlock():
    with pytest.raises(Deadlock, match=r"mbarrier\.try_wait"):
        run(with_mbarrier(33, REMOTE["arrive"][1]))


STORES = {
    "u32":   (4,  "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%far], %value, [%far_bar];"),
    "weak":  (4,  "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%far], %value, [%far_bar];"),
    "v2":    (8,  "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.s32 [%far], {%value, %n}, [%far_bar];"),
    "v4":    (16, "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%far], {%value, %n, %n, %n}, "
                  "[%far_bar];"),
    "b64":   (8,  "mov.b64 %state, {%value, %n};\n"
                  "st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%far], %state, [%far_bar];"),
    "v2.u64": (16, "mov.b64 %state, {%value, %n};\n"
                  "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u64 [%far], {%state, %state}, [%far_bar];"),
    "generic": (4, "cvt.u64.u32 %there, %far;\n cvta.shared::cluster.u64 %there, %there;\n"
                  "cvt.u64.u32 %state, %far_bar;\n cvta.shared::cluster.u64 %state, %state;\n"
                  "st.async.mbarrier::complete_tx::bytes.u32 [%there], %value, [%state];"),
}  # fmt: skip


@pytest.mark.parametrize("what", STORES)
def test_an_asynchronous_store_brings_its_bytes_and_its_arrival(what):
    size, body = STORES[what]
    place = f"mov.u32 %mine, wide;\n mad.lo.u32 %mine, %tid, {size}, %mine;\n"
    expect = f"@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [bar], {32 * size};\n"
    last = {4: 0, 8: 4, 16: 8 if "64" in what else 12}[size]
    body = f"mov.u32 %n, 9;\n{place}{with_mbarrier(1, expect + body)}\n"
    rank = np.arange(8)
    sent = (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None] * 100 + np.arange(32)
    assert (run(body + "ld.shared.u32 %value, [%mine];")[0] == sent).all()
    if size > 4:
        wanted = sent if what == "v2.u64" else 9
        assert (run(body + f"ld.shared.u32 %value, [%mine + {last}];")[0] == wanted).all()


def test_an_asynchronous_store_is_not_done_before_its_mbarrier_is_waited_for():
    """The cluster's barrier does not bring it."""
    send = "@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [bar], 128;\n" + STORES["u32"][1]
    early = f"{send}\n{SYNC}\nld.shared.u32 %m, [%mine];"
    assert (run(with_mbarrier(1, early) + "\nmov.u32 %value, %m;")[0] == 0xFFFFFFFF).all()


@pytest.mark.parametrize("sanitize", [False, True])
def test_an_asynchronous_store_to_a_cta_that_exits_without_waiting_is_a_fault(sanitize):
    send = "@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [bar], 128;\n" + STORES["u32"][1]
    body = with_mbarrier(1, send).replace(WAIT, "")
    message = (
        r"st\.async.* by thread 0 of CTA \d writes byte 0 of the shared memory of the CTA of rank \d in the cluster, "
    )
    message += r"which has exited at line \d+"
    if not sanitize:
        with pytest.raises(MemoryFault, match=message):
            run(body)
        return
    _, launched = run(body, sanitize=True)
    assert [each.kind for each in launched.findings] == ["cluster-exited"]
    assert re.search(message, launched.findings[0].message)


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


OPERATIONS = {
    "add.u32": lambda a, b: a + b, "add.s32": lambda a, b: a + b, "min.u32": np.minimum, "max.s32": np.maximum,
    "and.b32": np.bitwise_and, "or.b32": np.bitwise_or, "xor.b32": np.bitwise_xor,
    "inc.u32": lambda a, b: np.where(a >= b, 0, a + 1), "dec.u32": lambda a, b: np.where((a == 0) | (a > b), b, a - 1),
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_asynchronous_update_of_another_cta(operation):
    opcode = f"red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.{operation}"
    send = (
        f"@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [bar], 128;\n{opcode} [%far], %value, [%far_bar];"
    )
    out, _ = run("st.shared.u32 [%mine], 203;\n" + with_mbarrier(1, send) + "\nld.shared.u32 %value, [%mine];")
    rank = np.arange(8)
    sent = (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None] * 100 + np.arange(32)
    assert (out == OPERATIONS[operation](np.full_like(sent, 203), sent)).all()


def test_an_asynchronous_update_of_64_bits():
    opcode = "red.async.relaxed.cluster.mbarrier::complete_tx::bytes.add.u64"
    place = "mov.u32 %mine, wide;\n mad.lo.u32 %mine, %tid, 8, %mine;\n mov.b64 %state, {%cta, %value};\n"
    generic = "cvt.u64.u32 %there, %far;\n cvta.shared::cluster.u64 %there, %there;\n cvt.u64.u32 %generic, %far_bar;\n"
    send = f"""@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 256;
    {generic}cvta.shared::cluster.u64 %generic, %generic;\n {opcode} [%there], %state, [%generic];"""
    start = "st.shared.v2.u32 [%mine], {4294967295, 1};\n"
    out, _ = run(place + start + with_mbarrier(1, send) + "\nld.shared.u32 %value, [%mine + 4];")
    rank = np.arange(8)
    sender = (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None]
    assert (out == sender * 100 + np.arange(32) + 1 + (sender > 0)).all()


def test_an_asynchronous_store_names_an_mbarrier_of_its_target():
    body = "mapa.shared::cluster.u32 %far_bar, bar, %rank;\n" + STORES["u32"][1]
    with pytest.raises(
        MemoryFault, match=r"st\.async.* names an mbarrier that is not in the CTA whose memory it writes"
    ):
        run(with_mbarrier(1, body))


def test_more_asynchronous_stores_than_the_list_holds():
    """40 times 32 stores to each of four CTAs, all complete."""
    loop = """
    mov.u32 %n, 0;
MORE:
    st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%far], %n, [%far_bar];
    add.u32 %n, %n, 1;
    setp.lt.u32 %p, %n, 40;
    @%p bra MORE;
"""
    body = with_mbarrier(1, "@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 5120;\n" + loop)
    assert (run(body + "\nld.shared.u32 %value, [%mine];")[0] == 39).all()


def test_first_alone_runs_one_cluster():
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
    .reg .b32 %tid, %cta, %n, %total, %far, %value, %rank;
    .reg .b64 %out, %count;
    .reg .pred %more, %others;
    mov.u32 %tid, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mov.u32 %total, %nctaid.x;
    mov.u32 %rank, %cluster_ctarank;
    ld.param.u64 %out, [out];
    ld.param.u64 %count, [count];
    setp.ne.u32 %others, %tid, 0;
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
    assert bool(launched.unchecked) == sanitize


CANCEL = """.version 8.6
.target sm_100
.address_size 64
.shared .align 16 .b8 answer[16];
.shared .align 8 .b64 bar;
.visible .entry cancel(.param .u64 out)
{
    .reg .b32 %tid, %cta, %x, %y, %z, %u, %v;
    .reg .b64 %out;
    .reg .b128 %answer;
    .reg .pred %first, %done, %cancelled;
    mov.u32 %tid, %tid.x;
    mov.u32 %cta, %ctaid.x;
    setp.eq.u32 %first, %tid, 0;
    @%first mbarrier.init.shared::cta.b64 [bar], 1;
    bar.sync 0;
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 16;
    @%first clusterlaunchcontrol.try_cancel.async.shared::cta.mbarrier::complete_tx::bytes.b128 [answer], [bar];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [bar], 0;
    @!%done bra WAIT;
    ld.shared.b128 %answer, [answer];
    clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 %cancelled, %answer;
    selp.u32 %x, 1, 0, %cancelled;
    clusterlaunchcontrol.query_cancel.get_first_ctaid::y.b32.b128 %y, %answer;
    clusterlaunchcontrol.query_cancel.get_first_ctaid.v4.b32.b128 {%z, %u, %v, _}, %answer;
    ld.param.u64 %out, [out];
    mad.wide.u32 %out, %cta, 16, %out;
    @%first st.global.v4.u32 [%out], {%x, %y, %z, %u};
    ret;
}
"""


@pytest.mark.parametrize("cluster", [None, 2])
def test_no_cta_can_be_cancelled_any_more(cluster):
    """The answer is that of a GPU on which all CTAs have started; the coordinates of none are no CTA's."""
    out = np.full((4, 4), 7, np.uint32)
    emulator.run(CANCEL, grid=4, block=64, args=[out], arch="sm_100", cluster=cluster)
    assert (out == [0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF]).all()
