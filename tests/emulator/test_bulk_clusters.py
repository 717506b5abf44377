"""Bulk and tensor copies in clusters: to several CTAs, to another one, between CTAs; when they are done; misuses."""

import copy
from typing import Any

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.process import InThisProcess
from ptxbench.emulator.races import tables
from ptxbench.errors import Deadlock, MemoryFault
from ptxbench.tensor_map import TensorMap
from tests.emulator import test_bulk_copies as plain_copies
from tests.emulator import test_tensor_copies as plain_boxes
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


CLUSTER, BYTES = 4, 256
LOAD = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
TENSOR = "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
BETWEEN = "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
REDUCE = "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
OPERATIONS = (
    "add.u32", "add.s32", "add.u64", "min.u32", "min.s32", "max.u32", "max.s32", "inc.u32", "dec.u32", "and.b32",
    "or.b32", "xor.b32",
)  # fmt: skip
WAYS = {
    "multicast": f"{LOAD}.multicast::cluster [tile], [%x], {BYTES}, [full], %mask",
    "multicast with a policy":
        f"{LOAD}.multicast::cluster.L2::cache_hint [tile], [%x], {BYTES}, [full], %mask, %policy",
    "multicast to offsets": f"{LOAD}.multicast::cluster [%far], [%x], {BYTES}, [%far_bar], %mask",
    "tensor multicast": f"{TENSOR}.multicast::cluster [tile], [%m, {{%zero, %zero}}], [full], %mask",
    "tensor multicast with a policy":
        f"{TENSOR}.multicast::cluster.L2::cache_hint [tile], [%m, {{%zero, %zero}}], [full], %mask, %policy",
    "load elsewhere": f"{LOAD} [%far], [%x], {BYTES}, [%far_bar]",
    "tensor elsewhere": f"{TENSOR} [%far], [%m, {{%zero, %zero}}], [%far_bar]",
    "between": f"{BETWEEN} [%far], [own], {BYTES}, [%far_bar]",
    **{operation: f"{REDUCE}.{operation} [%far], [own], {BYTES}, [%far_bar]" for operation in OPERATIONS},
}  # fmt: skip
ISSUES = "\n".join(
    f"    setp.ne.u32 %other, %way, {number};\n    @%other bra NOT_{number};\n    {line};\nNOT_{number}:"
    for number, line in enumerate(WAYS.values())
)
WAIT = """WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
"""
TOGETHER = "    barrier.cluster.arrive;\n    barrier.cluster.wait;\n"
COPY = module(f"""
.visible .entry copy(.param .align 64 .b8 map_x[128], .param .u64 x, .param .u64 y, .param .u32 way, .param .u32 ctas,
                     .param .u32 issuer, .param .u32 to, .param .u32 first)
{{
    // The thread 0 of the CTA `issuer` sends 256 bytes to the CTAs `ctas`, or to the CTA `to`. Each CTA starts with 64
    // words of its own, and stores what it has in the end. `first`: the bytes that are there before it is updated.
    .reg .u64 %m, %x, %y, %policy, %at;
    .reg .u32 %t, %rank, %cta, %way, %ctas, %issuer, %to, %first, %far, %far_bar, %zero, %place, %v, %bit;
    .reg .u16 %mask;
    .reg .pred %leads, %gets, %sends, %other, %done, %even;
    .shared .align 128 .b8 own[256];
    .shared .align 128 .b8 tile[256];
    .shared .align 8 .b64 full;
    mov.b64 %m, map_x;
    cvta.param.u64 %m, %m;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %way, [way];
    ld.param.u32 %ctas, [ctas];
    ld.param.u32 %issuer, [issuer];
    ld.param.u32 %to, [to];
    ld.param.u32 %first, [first];
    cvt.u16.u32 %mask, %ctas;
    mov.u32 %zero, 0;
    mov.u32 %t, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    mov.u32 %cta, %ctaid.x;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    // own: 1000 rank + t. tile: t if `first`, else untouched
    mad.lo.u32 %v, %rank, 1000, %t;
    shl.b32 %place, %t, 2;
    mov.u32 %far, own;
    add.u32 %far, %far, %place;
    st.shared.u32 [%far], %v;
    mov.u32 %far, tile;
    add.u32 %far, %far, %place;
    setp.ne.u32 %other, %first, 0;
    @%other st.shared.u32 [%far], %t;
    fence.proxy.async;
    setp.eq.u32 %leads, %t, 0;
    @%leads mbarrier.init.shared::cta.b64 [full], 1;
    @%leads fence.mbarrier_init.release.cluster;
{TOGETHER}
    mov.u32 %bit, 1;
    shl.b32 %bit, %bit, %rank;
    and.b32 %bit, %bit, %ctas;
    setp.ne.u32 %gets, %bit, 0;
    and.pred %sends, %gets, %leads;
    @%sends mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 256;
    setp.eq.u32 %sends, %rank, %issuer;
    and.pred %sends, %sends, %leads;
    @!%sends bra SENT;
    mov.u32 %far, tile;
    mapa.shared::cluster.u32 %far, %far, %to;
    mov.u32 %far_bar, full;
    mapa.shared::cluster.u32 %far_bar, %far_bar, %to;
{ISSUES}
SENT:
    @!%gets bra GOT;
{WAIT}
GOT:
    mad.lo.u32 %v, %cta, 64, %t;
    mad.wide.u32 %at, %v, 4, %y;
    mov.u32 %far, tile;
    add.u32 %far, %far, %place;
    ld.shared.u32 %v, [%far];
    st.global.u32 [%at], %v;
{TOGETHER}
    ret;
}}
""", ("8.0", "sm_90"))  # fmt: skip
X = np.random.default_rng(1).integers(0, 1 << 32, 64, np.uint32)
POISON = 0xFFFFFFFF
MAP = TensorMap("map_x", "x", box=(32, 2), shape=lambda: (32, 2), strides=lambda: (128,))


def copied(way, *, mask=0b0010, issuer=0, to=1, first=0, text=COPY, clusters=1, cluster=CLUSTER, **options):
    """The execution, and what each CTA has in the end, as (CTA, word)."""
    x, y = X.copy(), np.zeros((clusters * cluster, 64), np.uint32)
    number = list(WAYS).index(way)
    arguments = [emulator.MapOf(x, MAP), x, y, *(np.uint32(value) for value in (number, mask, issuer, to, first))]
    return emulator.run(text, grid=len(y), block=64, cluster=cluster, args=arguments, **options), y


ORDERS = ("usual", "last first", "by turns")


@pytest.mark.parametrize("way", [way for way in WAYS if "multicast" in way])
@pytest.mark.parametrize(("mask", "issuer"), [(0b0110, 0), (0b1111, 3), (0b1000, 1), (0b0001, 0)])
def test_each_cta_of_the_mask_gets_the_bytes_and_its_mbarrier_the_count(way, mask, issuer):
    for ctas in ORDERS:
        _, y = copied(way, mask=mask, issuer=issuer, to=2, clusters=2, ctas=ctas)
        for cta, row in enumerate(y):
            assert row.tolist() == (X.tolist() if mask >> cta % CLUSTER & 1 else [POISON] * 64)


@pytest.mark.parametrize("way", ["load elsewhere", "tensor elsewhere"])
def test_a_load_may_go_to_another_cta(way):
    for ctas in ORDERS:
        _, y = copied(way, mask=0b1000, to=3, ctas=ctas)
        assert y[3].tolist() == X.tolist()
        assert (y[:3] == POISON).all()


def test_a_copy_of_a_cluster_that_is_not_checked_does_not_pend_in_one_that_is(monkeypatch):
    """In a long launch only some clusters are checked; the others use the same shared memory between them."""
    process = InThisProcess()
    monkeypatch.setattr("ptxbench.emulator.launch.emulator_process", lambda: process)
    monkeypatch.setattr(tables, "SHARED_BUDGET", 100)
    for way in ("between", "add.u32"):
        execution, _ = copied(way, mask=0b0010, to=1, first=1, clusters=40, sanitize=True)
        assert "checked in clusters 0 to" in "".join(execution.notes)
        assert not execution.findings


OWN = 2000 + np.arange(64, dtype=np.uint32)
"""The words of the CTA of rank 2."""
PLACE = np.arange(64, dtype=np.uint32)


def in_numpy(operation, old, new):
    """The elements `old` after the update by `new`."""
    name, kind = operation.split(".")
    a, b = old.view(kind.replace("b", "u").replace("u", "uint").replace("s", "int")), new
    b = b.view(a.dtype)
    result = {
        "add": lambda: a + b, "min": lambda: np.minimum(a, b), "max": lambda: np.maximum(a, b), "and": lambda: a & b,
        "or": lambda: a | b, "xor": lambda: a ^ b, "inc": lambda: np.where(a >= b, 0, a + 1),
        "dec": lambda: np.where((a == 0) | (a > b), b, a - 1),
    }[name]()  # fmt: skip
    return result.astype(a.dtype).view(np.uint32)


@pytest.mark.parametrize("operation", ["between", *OPERATIONS])
def test_a_cta_copies_to_another_or_updates_its_memory(operation):
    for ctas in ORDERS:
        _, y = copied(operation, mask=0b0001, issuer=2, to=0, first=1, ctas=ctas)
        expected = OWN if operation == "between" else in_numpy(operation, PLACE.copy(), OWN.copy())
        assert y[0].tolist() == expected.tolist()
        assert y[1:].tolist() == [PLACE.tolist()] * 3


def changed(*changes):
    text = COPY
    for right, wrong in changes:
        assert right in text, right
        text = text.replace(right, wrong)
    return text


LATE = ("multicast", "tensor multicast", "load elsewhere", "between")


@pytest.mark.parametrize("way", LATE[:-1])
def test_bytes_that_no_thread_waits_for_have_not_arrived_when_the_cta_exits(way):
    with pytest.raises(MemoryFault) as caught:
        copied(way, issuer=3, text=changed((WAIT, "")))
    assert "by thread 0 of CTA 3 writes byte 256 of the shared memory of the CTA of rank 1 in the cluster, " in str(
        caught.value
    )
    assert "which has exited at line" in str(caught.value)


@pytest.mark.parametrize("way", LATE)
def test_bytes_arrive_when_the_mbarrier_is_tested_and_not_before(way):
    """The CTA reads its tile before it waits."""
    read = COPY[COPY.index("GOT:") : COPY.rindex(TOGETHER)]
    text = COPY.replace(read, "").replace(WAIT, read.replace("GOT:", "") + WAIT).replace("bra GOT;", "bra LAST;")
    _, y = copied(way, text=text.replace(COPY[COPY.rindex(TOGETHER) :], f"LAST:{COPY[COPY.rindex(TOGETHER) :]}"))
    assert y[1, :32].tolist() == [POISON] * 32  # the second warp reads after the first has waited


@pytest.mark.parametrize("way", LATE[:-1])
def test_the_issuer_of_a_load_may_exit_before_the_others_wait(way):
    _, y = copied(way, mask=0b0010, text=changed(("@!%gets bra GOT;", "@!%gets exit;")))
    assert y[1].tolist() == X.tolist()
    assert not y[[0, 2, 3]].any()


def test_the_source_of_a_copy_between_ctas_is_read_when_its_target_waits():
    _, y = copied("between", text=changed(("SENT:\n", "    st.shared.u32 [own], 77;\nSENT:\n")))
    assert y[1].tolist() == [77, *range(1, 64)]


def test_a_multicast_copy_counts_once_where_it_is_read_and_for_each_cta_where_it_is_written():
    for way in ("multicast", "tensor multicast"):
        execution, _ = copied(way, mask=0b1101, clusters=2)
        counters = execution.counters
        assert counters["ptx_async_requests"] == counters["ptx_global_load_requests"] == 2
        assert counters["ptx_async_bytes"] == 2 * BYTES
        assert counters["ptx_multicast_sectors"] == 2 * 3 * BYTES // 32
        line = execution.by_line[number_of(way)]
        assert line["ptx_global_load_sectors"] == 2 * BYTES // 32
        assert line["ptx_shared_store_bytes"] == 2 * 3 * BYTES
        assert line["ptx_shared_store_wavefronts"] == 2 * 3 * 2


def number_of(way):
    """The line of the instruction of a way."""
    return 1 + COPY[: COPY.index(f"{WAYS[way]};")].count("\n")


def test_a_copy_between_ctas_counts_as_a_load_here_and_a_store_there():
    counts = {
        "between": {"ptx_cluster_store_requests": 1, "ptx_cluster_store_bytes": BYTES},
        "add.u64": {"ptx_atomic_cluster_requests": 1, "ptx_atomic_cluster_lanes": BYTES // 8,
                    "ptx_atomic_cluster_serial": 1},
    }  # fmt: skip
    for way, there in counts.items():
        execution, _ = copied(way, first=1)
        spent = execution.by_line[number_of(way)]
        assert {name: count for name, count in spent.items() if "instruction" not in name and "cycle" not in name} == {
            "ptx_async_requests": 1, "ptx_async_bytes": BYTES, "ptx_shared_load_requests": 1,
            "ptx_shared_load_bytes": BYTES, "ptx_shared_load_wavefronts": 2, **there,
        }  # fmt: skip


SENDS = "    setp.eq.u32 %sends, %rank, %issuer;\n"
LEAVES = (SENDS, f"    setp.eq.u32 %other, %rank, %to;\n    @%other exit;\n{SENDS}")


@pytest.mark.parametrize(
    ("way", "options", "changes", "message"),
    [
        ("multicast", {"mask": 0b10010}, (), "has a mask that names a CTA that the cluster does not have"),
        ("tensor multicast", {"mask": 0b10}, ((", %mask;", ", 32;"),), "names a CTA that the cluster does not have"),
        ("multicast", {}, ((", %mask;", ", 0;"),), "has a mask that names no CTA"),
        ("between", {"mask": 1, "to": 0}, (), "copies to the memory of its own CTA; the target must be in another"),
        ("between", {}, (("[own], 256, [%far_bar]", "[own], 256, [full]"),),
         "names an mbarrier that is not in the CTA whose memory it writes"),
        ("load elsewhere", {}, (("[%far], [%x], 256, [%far_bar];", "[%far], [%x], 256, [full];"),),
         "names an mbarrier that is not in the CTA whose memory it writes"),
        ("load elsewhere", {"to": 7}, (),
         "uses byte 512 of the shared memory of the CTA of rank 7 in the cluster, which has no CTA of that rank."),
        ("between", {}, (("[own], 256", "[own], 250"),), "a number of bytes that is not a multiple of 16"),
        ("between", {}, (("[%far], [own], 256", "[%far+8], [own], 256"),),
         "writes 16 bytes at byte 264 of the shared memory of the CTA of rank 1 in the cluster, which has 520; they "
         "must start at a multiple of 16"),
        ("between", {}, (("[%far], [own], 256", "[%far], [own], 272"),),
         "writes byte 512 of the shared memory of the CTA of rank 1 in the cluster, which has 520"),
        ("between", {}, (("[own], 256", "[own+16], 512"),), "reads byte 512 of shared memory, which has 520"),
        ("multicast", {"mask": 0b1010}, (("[tile], [%x], 256", "[tile+16], [%x], 256"),),
         "writes byte 512 of the shared memory of the CTA of rank 0 in the cluster, which has 520"),
        ("multicast", {"issuer": 3}, (LEAVES,),
         "writes byte 256 of the shared memory of the CTA of rank 1 in the cluster, which has exited at line"),
        ("between", {}, ((f"{TOGETHER}\n    ret;", "    ret;"),),
         "copies from the memory of its CTA, which has exited before the copy was done"),
    ],
)  # fmt: skip
def test_a_misused_copy_in_a_cluster_is_a_fault(way, options, changes, message):
    with pytest.raises(MemoryFault) as caught:
        copied(way, text=changed(*changes), **options)
    assert message in str(caught.value)


def test_a_cluster_of_one_cta_may_multicast_to_itself():
    _, y = copied("multicast", mask=1, cluster=1)
    assert y[0].tolist() == X.tolist()
    with pytest.raises(MemoryFault, match="names a CTA that the cluster does not have"):
        copied("multicast", mask=3, cluster=1)


def test_each_cta_expects_all_bytes():
    with pytest.raises(Deadlock, match=r"mbarrier\.try_wait"):
        copied("multicast", text=changed(("b64 _, [full], 256", "b64 _, [full], 512")))


def test_more_multicast_copies_than_a_warps_list_holds_are_all_done():
    line = f"{WAYS['multicast']};\n"
    many = (
        "    mov.u32 %v, 0;\nMORE:\n    " + line + "    add.u32 %v, %v, 1;\n    setp.lt.u32 %even, %v, 300;\n"
        "    @%even bra MORE;\n"
    )
    text = changed((line, many), ("b64 _, [full], 256", f"b64 _, [full], {300 * BYTES}"))
    _, y = copied("multicast", mask=0b1111, text=text)
    assert y.tolist() == [X.tolist()] * 4


@pytest.mark.parametrize("number", range(4))
def test_copies_of_the_own_cta_are_the_same_in_a_cluster(number):
    """Bytes and counters of kernels that use no clusters."""
    x = np.random.default_rng(number).integers(1, 1 << 20, (32, 132)).astype(np.uint32)
    tile = np.random.default_rng(9).integers(0, 256, plain_boxes.TILE_BYTES, np.uint8)
    boxes = [emulator.MapOf(plain_boxes.X.copy(), plain_boxes.MAP), tile, np.zeros(5, np.int32)]
    text, block, arguments = (
        (plain_copies.LANES, 32, [x, np.zeros_like(x), np.ones(32, np.uint32)]),
        (plain_copies.KERNELS["add.u32"], 128, [np.arange(512, dtype=np.uint32), np.zeros(128, np.uint32)]),
        (plain_boxes.LOAD, 32, [*boxes, np.uint32(2), np.uint32(2048)]),
        (plain_boxes.STORE, 32, [*boxes, np.uint32(2), np.uint32(2048)]),
    )[number]
    launches = []
    for cluster in (None, 2, 4):
        copies: list[Any] = copy.deepcopy(arguments)
        execution = emulator.run(text, grid=4, block=block, cluster=cluster, args=copies, threads=1)
        contents = [
            (argument.array if isinstance(argument, emulator.MapOf) else argument).tobytes() for argument in copies
        ]
        launches.append((contents, execution.counters))
    assert launches[1:] == launches[:1] * 2
