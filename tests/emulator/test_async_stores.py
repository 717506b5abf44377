"""mbarriers of other CTAs of a cluster, and the asynchronous stores that complete bytes there."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import Deadlock, MemoryFault
from tests.emulator.clusters import ORDERS, STORES, SYNC, WAIT, run, with_mbarrier

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


GENERIC = "cvt.u64.u32 %there, %far_bar;\n cvta.shared::cluster.u64 %there, %there;\n"


def test_a_generic_address_may_be_that_of_an_mbarrier_of_another_cta():
    """All operations in one phase: each thread arrives once for each of them, and 32 arrivals remain."""
    rest = "".join(body + "\n" for _, body in REMOTE.values())
    generic = re.sub(r"\.shared::cluster\.b64( _,)? \[%far_bar\]", r".b64\1 [%there]", rest)
    assert "%far_bar" not in generic
    body = f"{GENERIC}st.shared::cluster.u32 [%far], %value;\n{generic}"
    out, launched = run(with_mbarrier(6 * 32, body) + "\nld.shared.u32 %value, [%mine];", sanitize=True)
    rank = np.arange(8)
    assert (out == (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None] * 100 + np.arange(32)).all()
    assert launched.findings == ()


def test_one_arrival_too_few_from_another_cta_is_a_deadlock():
    with pytest.raises(Deadlock, match=r"mbarrier\.try_wait"):
        run(with_mbarrier(33, REMOTE["arrive"][1]))


@pytest.mark.parametrize("what", STORES)
def test_an_asynchronous_store_brings_its_bytes_and_its_arrival(what):
    size, body = STORES[what]
    place = f"mov.u32 %mine, wide;\n mad.lo.u32 %mine, %t, {size}, %mine;\n"
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
    """The cluster's barrier does not complete the store."""
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
    assert [finding.kind for finding in launched.findings] == ["cluster-exited"]
    assert re.search(message, launched.findings[0].message)


def test_asynchronous_stores_count_as_stores_and_updates_of_one_word_as_atomics_in_turn():
    expect = "@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [bar], 128;\n"
    _, launched = run(with_mbarrier(1, expect + STORES["u32"][1]))
    assert [launched.counters[f"ptx_cluster_store_{what}"] for what in ("requests", "bytes")] == [8, 8 * 128]
    assert launched.counters["ptx_atomic_cluster_requests"] == launched.counters["ptx_async_requests"] == 0
    opcode = "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32"
    one_word = f"and.b32 %far, %far, 0xffffff80;\n{opcode} [%far], %value, [%far_bar];"
    _, launched = run(with_mbarrier(1, expect + one_word))
    assert launched.counters["ptx_atomic_cluster_serial"] == 8 * 32


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
    out, launched = run("st.shared.u32 [%mine], 203;\n" + with_mbarrier(1, send) + "\nld.shared.u32 %value, [%mine];")
    rank = np.arange(8)
    sent = (rank // 4 * 4 + (rank % 4 + 3) % 4)[:, None] * 100 + np.arange(32)
    assert {name: count for name, count in launched.counters.items() if "_cluster_" in name and count} == {
        "ptx_atomic_cluster_requests": 8, "ptx_atomic_cluster_lanes": 256, "ptx_atomic_cluster_serial": 8
    }  # fmt: skip
    assert (out == OPERATIONS[operation](np.full_like(sent, 203), sent)).all()


def test_an_asynchronous_update_of_64_bits():
    opcode = "red.async.relaxed.cluster.mbarrier::complete_tx::bytes.add.u64"
    place = "mov.u32 %mine, wide;\n mad.lo.u32 %mine, %t, 8, %mine;\n mov.b64 %state, {%cta, %value};\n"
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


CANCEL = """.version 8.6
.target sm_100
.address_size 64
.shared .align 16 .b8 answer[16];
.shared .align 8 .b64 bar;
.visible .entry cancel(.param .u64 out)
{
    .reg .b32 %t, %cta, %x, %y, %z, %u, %v;
    .reg .b64 %out;
    .reg .b128 %answer;
    .reg .pred %first, %done, %cancelled;
    mov.u32 %t, %tid.x;
    mov.u32 %cta, %ctaid.x;
    setp.eq.u32 %first, %t, 0;
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
def test_clusterlaunchcontrol_finds_no_cta_to_cancel(cluster):
    """The answer is that of a GPU on which all CTAs have started: no CTA, and coordinates that no CTA has."""
    out = np.full((4, 4), 7, np.uint32)
    emulator.run(CANCEL, grid=4, block=64, args=[out], arch="sm_100", cluster=cluster)
    assert (out == [0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF]).all()
