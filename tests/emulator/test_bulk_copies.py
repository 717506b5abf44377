"""cp.async.bulk: it completes at the wait and not before, the bytes that an mbarrier expects, and misuses."""

from typing import Any

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.isa import TABLE
from ptxbench.emulator.isa.unsupported import why
from ptxbench.errors import Deadlock, MemoryFault
from tests.emulator.modules import Modules
from tests.emulator.oracle import Counters, interpret
from tests.emulator.oracle.counters import exact

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


SM_90 = ("8.0", "sm_90")


def bulk(text, version=SM_90):
    return module(text, version)


ECHO = bulk("""
.visible .entry echo(.param .u64 x, .param .u64 y, .param .u32 tiles)
{
    // A ring of two tiles of 1024 bytes: thread 0 has one fetched while all turn the other around, and sends it on.
    .reg .u64 %x, %y, %state;
    .reg .u32 %thread, %i, %next, %tiles, %parity, %in, %out, %full, %at, %v, %w;
    .reg .pred %first, %done, %more, %fetches;
    .shared .align 16 .b8 tiles_in[2048];
    .shared .align 16 .b8 tiles_out[1024];
    .shared .align 8 .b64 full[2];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %tiles, [tiles];
    setp.eq.u32 %first, %thread, 0;
    @%first mbarrier.init.shared::cta.b64 [full], 1;
    @%first mbarrier.init.shared::cta.b64 [full+8], 1;
    @%first fence.mbarrier_init.release.cluster;
    bar.sync 0;
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [full], 1024;
    @%first cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tiles_in], [%x], 1024, [full];
    mov.u32 %i, 0;
TILE:
    add.u32 %next, %i, 1;
    setp.lt.u32 %fetches, %next, %tiles;
    and.pred %fetches, %fetches, %first;
    @!%fetches bra FETCHED;
    and.b32 %at, %next, 1;
    mov.u32 %full, full;
    mad.lo.u32 %full, %at, 8, %full;
    mov.u32 %in, tiles_in;
    mad.lo.u32 %in, %at, 1024, %in;
    add.u64 %x, %x, 1024;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [%full], 1024;
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%in], [%x], 1024, [%full];
FETCHED:
    and.b32 %at, %i, 1;
    mov.u32 %full, full;
    mad.lo.u32 %full, %at, 8, %full;
    shr.u32 %parity, %i, 1;
    and.b32 %parity, %parity, 1;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [%full], %parity;
    @!%done bra WAIT;
    mov.u32 %in, tiles_in;
    mad.lo.u32 %in, %at, 1024, %in;
    mad.lo.u32 %in, %thread, 4, %in;
    ld.shared.u32 %v, [%in];
    @%first cp.async.bulk.wait_group.read 0;      // thread 0's: tiles_out may be written again
    bar.sync 0;
    mov.u32 %out, tiles_out;
    sub.u32 %w, 255, %thread;
    mad.lo.u32 %out, %w, 4, %out;
    st.shared.u32 [%out], %v;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    @%first cp.async.bulk.global.shared::cta.bulk_group [%y], [tiles_out], 1024;
    @%first cp.async.bulk.commit_group;
    add.u64 %y, %y, 1024;
    mov.u32 %i, %next;
    setp.lt.u32 %more, %i, %tiles;
    @%more bra TILE;
    @%first cp.async.bulk.wait_group 0;
    ret;
}
""")
TILES = 5


def echoed(text=ECHO, *, tiles=TILES, **options):
    x = np.random.default_rng(3).integers(0, 1 << 30, (tiles, 256)).astype(np.uint32)
    y = np.zeros_like(x)
    execution = emulator.run(text, grid=1, block=256, args=[x, y, np.uint32(tiles)], **options)
    return execution, y.tolist(), x[:, ::-1].tolist()


def line(text, start):
    """The number of the line of PTX that has `start`."""
    return 1 + text[: text.index(start)].count("\n")


def test_tiles_are_loaded_and_stored_by_bulk_copies():
    execution, actual, expected = echoed(sanitize=True)
    assert actual == expected
    assert execution.findings == ()
    assert not any("race" in note for note in execution.notes)


def test_a_bulk_copy_counts_as_a_load_and_a_store_of_its_bytes():
    execution, *_ = echoed()
    load, store = (line(ECHO, start) for start in ("cp.async.bulk.shared::cluster", "cp.async.bulk.global"))
    assert exact(execution.by_line[load]) == {
        "ptx_warp_instructions": 8, "ptx_warp_instructions_async": 8, "ptx_thread_instructions": 256,
        "ptx_thread_instructions_on": 1, "ptx_async_requests": 1, "ptx_async_bytes": 1024,
        "ptx_global_load_requests": 1, "ptx_global_load_sectors": 32, "ptx_global_load_lines": 8,
        "ptx_global_load_bytes": 1024,
        "ptx_shared_store_requests": 1, "ptx_shared_store_wavefronts": 8, "ptx_shared_store_bytes": 1024,
    }  # fmt: skip
    moved = {name: count for name, count in exact(execution.by_line[store]).items() if "instructions" not in name}
    assert moved == {
        "ptx_async_requests": TILES, "ptx_async_bytes": 1024 * TILES, "ptx_global_store_requests": TILES,
        "ptx_global_store_sectors": 32 * TILES, "ptx_global_store_lines": 8 * TILES,
        "ptx_global_store_bytes": 1024 * TILES,
        "ptx_shared_load_requests": TILES, "ptx_shared_load_wavefronts": 8 * TILES,
        "ptx_shared_load_bytes": 1024 * TILES,
    }  # fmt: skip


def changed(*changes):
    text = ECHO
    for right, wrong in changes:
        assert right in text, right
        text = text.replace(right, wrong)
    return text


TEST = "    mbarrier.try_wait.parity.shared::cta.b64 %done, [%full], %parity;\n"
WAITS = f"WAIT:\n{TEST}    @!%done bra WAIT;\n"
READ = "@%first cp.async.bulk.wait_group.read 0;"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        # no thread waits for the data
        ("pending-copy", [(WAITS, "")]),
        # they wait for the phase before, which is over
        ("pending-copy", [("and.b32 %parity, %parity, 1", "xor.b32 %parity, %parity, 1")]),
        # a phase that expects no bytes completes with its arrival
        ("pending-copy", [("expect_tx.shared::cta.b64 %state, [full], 1024", "shared::cta.b64 %state, [full]")]),
        # only a half of the later tiles arrives
        ("uninitialised", [("b64 _, [%full], 1024", "b64 _, [%full], 512"), ("[%x], 1024, [%f", "[%x], 512, [%f")]),
    ],
    ids=["no wait", "wrong phase", "nothing expected", "half a tile"],
)
def test_reading_data_that_has_not_arrived_is_reported(kind, changes):
    text = changed(*changes)
    _, actual, expected = echoed(text, tiles=2)
    assert actual != expected
    execution, *_ = echoed(text, tiles=2, sanitize=True)
    assert {finding.kind for finding in execution.findings} == {kind}


def test_the_finding_names_the_thread_that_reads_too_soon():
    execution, *_ = echoed(changed((WAITS, "")), tiles=2, sanitize=True)
    (race,) = execution.findings
    assert race.line == line(ECHO, "ld.shared.u32 %v") - WAITS.count("\n")
    assert race.message.endswith(
        "ld.shared.u32 by thread 0 of CTA 0 reads byte 0 of shared memory, which an asynchronous copy is still filling."
        " Wait for it first."
    )


def test_a_phase_without_a_wait_is_not_complete():
    with pytest.raises(MemoryFault, match="arrives more often than the phase expects"):
        echoed(changed((WAITS, "")))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (READ, "mov.u32 %w, 0;"),                                       # the tile is overwritten before it is stored
        ("@%first cp.async.bulk.commit_group;", ""),                    # groups that never close
        ("@%first cp.async.bulk.wait_group 0;", ""),                    # the last tile is never waited for
        ("wait_group.read 0", "wait_group.read 1"),
    ],
)  # fmt: skip
def test_a_copy_to_global_memory_happens_when_its_group_is_waited_for(right, wrong):
    _, actual, expected = echoed(changed((right, wrong)))
    assert actual != expected


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("@%first mbarrier.arrive.expect_tx.shared::cta.b64 %state, [full], 1024;", ""),    # no thread arrives
        ("b64 %state, [full], 1024", "b64 %state, [full], 1040"),       # more bytes than arrive
        ("b64 %state, [full], 1024", "b64 %state, [full], 1008"),       # fewer bytes than arrive
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in], [%x], 1024, [full+8]"),             # another's mbarrier
    ],
)  # fmt: skip
def test_wrong_expected_bytes_are_a_deadlock_at_the_wait(right, wrong):
    text = changed((right, wrong))
    with pytest.raises(Deadlock, match=f"at line {line(text, 'mbarrier.try_wait')}, mbarrier.try_wait"):
        echoed(text)


LOAD, STORE = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes", "cp.async.bulk.global.shared::cta"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in+8], [%x], 1024, [full]",
         f"{LOAD} by thread 0 of CTA 0 writes 16 bytes at byte 8 of shared memory, which has 3088; "
         "they must start at a multiple of 16."),
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in], [%x+4], 1024, [full]",
         f"{LOAD} by thread 0 of CTA 0 reads 16 bytes at byte 4 of 'x', which has 5120; "
         "they must start at a multiple of 16."),
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in], [%x], 1000, [full]",
         f"{LOAD} by thread 0 of CTA 0 copies a number of bytes that is not a multiple of 16."),
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in], [%x+4112], 1024, [full]",
         f"{LOAD} by thread 0 of CTA 0 reads byte 5120 of 'x', which has 5120. Check its guard."),
        ("[tiles_in], [%x], 1024, [full]", "[tiles_in+2080], [%x], 1024, [full]",
         f"{LOAD} by thread 0 of CTA 0 writes byte 3088 of shared memory, which has 3088. Check its guard."),
        ("[%y], [tiles_out], 1024", "[%y+8], [tiles_out], 1024",
         f"{STORE}.bulk_group by thread 0 of CTA 0 writes 16 bytes at byte 8 of 'y', which has 5120; "
         "they must start at a multiple of 16."),
        ("[%y], [tiles_out], 1024", "[%y+4096], [tiles_out], 1040",
         f"{STORE}.bulk_group by thread 0 of CTA 0 writes byte 5120 of 'y', which has 5120. Check its guard."),
        ("@%first mbarrier.init.shared::cta.b64 [full], 1;", "",
         "mbarrier.arrive.expect_tx.shared::cta.b64 by thread 0 of CTA 0 needs an initialised "
         "mbarrier there."),
        ("b64 %state, [full], 1024", "b64 %state, [full], 1048576",
         "mbarrier.arrive.expect_tx.shared::cta.b64 by thread 0 of CTA 0 brings the bytes that the phase still "
         "expects outside -1048575 to 1048575."),
    ],
)  # fmt: skip
def test_a_misused_bulk_copy_is_a_fault(right, wrong, message):
    with pytest.raises(MemoryFault) as caught:
        echoed(changed((right, wrong)))
    assert str(caught.value).partition(": ")[2] == message


def test_a_bad_copy_is_a_finding_and_no_thread_waits_for_it():
    text = changed(("[tiles_in], [%x], 1024, [full]", "[tiles_in], [%x+4], 1024, [full]"))
    execution, *_ = echoed(text, sanitize=True)
    assert "misaligned" in {finding.kind for finding in execution.findings}


def test_an_interpreter_that_copies_at_once_gives_the_same_bytes_and_counters():
    """The emulator copies as late as allowed: a kernel that gives the same bytes has all necessary waits."""
    execution, actual, _ = echoed()
    x = np.random.default_rng(3).integers(0, 1 << 30, (TILES, 256)).astype(np.uint32)
    y, counters = np.zeros_like(x), Counters()
    interpret(ECHO, None, grid=(1, 1, 1), block=(256, 1, 1), args=[x, y, np.uint32(TILES)], counters=counters)
    assert y.tolist() == actual
    assert counters.differences(execution) == []


LANES = bulk("""
.visible .entry lanes(.param .u64 x, .param .u64 y, .param .u64 to)
{
    // Each lane copies its own piece of 16 (lane + 1) bytes, and a second one of 16, which may come later.
    .reg .u64 %x, %y, %to, %at, %state, %policy;
    .reg .u32 %lane, %here, %size, %v;
    .reg .pred %first, %done;
    .shared .align 16 .b8 tile[16896];
    .shared .align 8 .b64 full;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %to, [to];
    setp.eq.u32 %first, %lane, 0;
    @%first mbarrier.init.shared.b64 [full], 32;
    fence.mbarrier_init.release.cluster;
    bar.sync 0;
    mov.u32 %here, tile;
    mad.lo.u32 %here, %lane, 528, %here;
    mad.lo.u32 %size, %lane, 16, 16;
    mad.wide.u32 %at, %lane, 528, %x;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    cp.async.bulk.prefetch.L2.global [%at], %size;
    cp.async.bulk.prefetch.L2.global.L2::cache_hint [%at], %size, %policy;
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint
        [%here], [%at], %size, [full], %policy;
    mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [full], 8;
    mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [full], 8;
    mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %state, [full], %size;
WAIT:
    mbarrier.test_wait.shared.b64 %done, [full], %state;
    @!%done bra WAIT;
    mad.wide.u32 %at, %lane, 528, %y;
    cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%at], [%here], %size, %policy;
    cp.async.bulk.commit_group;
    cp.async.bulk.global.shared::cta.bulk_group [%at+512], [%here], 16;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 1;
    ld.global.u32 %v, [%at+512];                  // 0: the second is yet to come
    mad.wide.u32 %to, %lane, 4, %to;
    st.global.u32 [%to], %v;
    cp.async.bulk.wait_group 0;
    ret;
}
""")


def test_lanes_copy_pieces_of_their_own_and_groups_are_done_in_order():
    x = np.random.default_rng(8).integers(1, 1 << 30, (32, 132)).astype(np.uint32)
    y, to = np.zeros_like(x), np.ones(32, np.uint32)
    execution = emulator.run(LANES, grid=1, block=32, args=[x, y, to], sanitize=True)
    assert execution.findings == ()
    for lane in range(32):
        size = 4 * (lane + 1)
        copied = np.zeros(132, np.uint32)
        copied[:size] = x[lane, :size]
        copied[128:] = x[lane, :4]
        assert y[lane].tolist() == copied.tolist()
    assert not to.any()
    at = line(LANES, "cp.async.bulk.shared::cluster")
    counts = execution.by_line[at]
    sizes = [16 * (lane + 1) for lane in range(32)]
    sectors = [(528 * lane + size - 1) // 32 - 528 * lane // 32 + 1 for lane, size in enumerate(sizes)]
    assert counts["ptx_async_requests"] == 1
    assert counts["ptx_async_bytes"] == counts["ptx_shared_store_bytes"] == sum(sizes)
    assert counts["ptx_global_load_sectors"] == sum(sectors)
    lines = [(528 * lane + size - 1) // 128 - 528 * lane // 128 + 1 for lane, size in enumerate(sizes)]
    assert counts["ptx_global_load_lines"] == sum(lines)
    assert counts["ptx_shared_store_wavefronts"] == sum(-(-size // 128) for size in sizes)


MANY = bulk("""
.visible .entry many(.param .u64 x, .param .u64 y, .param .u32 n)
{
    // n copies of 16 bytes before anybody waits: more than the emulator remembers of one warp.
    .reg .u64 %x, %y, %state;
    .reg .u32 %n, %i, %at;
    .reg .pred %more, %done;
    .shared .align 16 .b8 tile[4096];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %n, [n];
    mbarrier.init.shared::cta.b64 [full], 1;
    mul.lo.u32 %i, %n, 16;
    mbarrier.arrive.expect_tx.shared::cta.b64 %state, [full], %i;
    mov.u32 %at, tile;
    mov.u32 %i, 0;
IN:
    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%at], [%x], 16, [full];
    add.u32 %at, %at, 16;
    add.u64 %x, %x, 16;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra IN;
WAIT:
    mbarrier.try_wait.shared::cta.b64 %done, [full], %state;
    @!%done bra WAIT;
    sub.u32 %at, %at, 16;
    cp.async.bulk.global.shared::cta.bulk_group [%y], [%at], 16;
    add.u64 %y, %y, 16;
    sub.u32 %i, %i, 1;
    setp.gt.u32 %more, %i, 0;
    @%more bra WAIT;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group.read 0;
    ret;
}
""", ("8.6", "sm_90"))  # fmt: skip


def test_more_copies_than_a_warps_list_holds_are_all_done():
    x = np.arange(1024, dtype=np.uint32)
    y = np.zeros_like(x)
    emulator.run(MANY, grid=1, block=1, args=[x, y, np.uint32(256)])
    assert y.reshape(-1, 4)[::-1].ravel().tolist() == x.tolist()


@pytest.mark.parametrize("missing", ["commit_group;", "wait_group 0;"])
def test_a_thread_that_exits_before_its_copy_to_global_memory_is_done_is_a_finding(missing):
    text = changed((f"@%first cp.async.bulk.{missing}", ""))
    execution, *_ = echoed(text, sanitize=True)
    kinds = {(finding.kind, finding.line) for finding in execution.findings if "thread exits" in finding.message}
    assert kinds == {("pending-copy", line(text, "cp.async.bulk.global"))}


@pytest.mark.parametrize(
    ("missing", "words"), [("commit_group;", "5 bulk copies were"), ("wait_group 0;", "1 bulk copy was")]
)
def test_other_launches_do_not_do_such_copies_and_say_so(missing, words):
    text = changed((f"@%first cp.async.bulk.{missing}", ""))
    execution, y, expected = echoed(text)
    assert y[-1] != expected[-1]
    (note,) = execution.notes
    assert note.startswith(f"line {line(text, 'cp.async.bulk.global')}: {words} not complete when the thread")
    execution, y, expected = echoed()
    assert (y, execution.notes) == (expected, ())


UNFILLED = changed(("fence.proxy.async.shared::cta;", "fence.proxy.async;"), ("st.shared.u32 [%out], %v;", ""))


def test_a_copy_of_uninitialised_memory_is_a_finding():
    execution, *_ = echoed(UNFILLED, sanitize=True)
    (read,) = execution.findings
    assert read.kind == "uninitialised"
    assert read.line == line(UNFILLED, "cp.async.bulk.global")


DROPS = bulk("""
.visible .entry drops(.param .u64 to)
{
    .reg .u64 %to, %state;
    .reg .u32 %n;
    .reg .pred %p;
    .shared .align 8 .b64 object;
    ld.param.u64 %to, [to];
    mbarrier.init.shared.b64 [object], 2;
    mbarrier.arrive_drop.expect_tx.shared::cta.b64 %state, [object], 32;
    mbarrier.pending_count.b64 %n, %state;
    st.global.u32 [%to], %n;                      // 2: before it
    mbarrier.arrive.shared.b64 %state, [object];
    mbarrier.test_wait.shared.b64 %p, [object], %state;
    selp.u32 %n, 1, 0, %p;
    st.global.u32 [%to+4], %n;                    // 0: 32 bytes are missing
    mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [object], 48;
    mbarrier.test_wait.shared.b64 %p, [object], %state;
    selp.u32 %n, 1, 0, %p;
    st.global.u32 [%to+8], %n;                    // 0: 16 too many have come
    mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [object], 16;
    mbarrier.test_wait.shared.b64 %p, [object], %state;
    selp.u32 %n, 1, 0, %p;
    st.global.u32 [%to+12], %n;                   // 1
    mbarrier.arrive.shared.b64 %state, [object];
    mbarrier.pending_count.b64 %n, %state;
    st.global.u32 [%to+16], %n;                   // 1: the other has dropped out
    mbarrier.test_wait.shared.b64 %p, [object], %state;
    selp.u32 %n, 1, 0, %p;
    st.global.u32 [%to+20], %n;                   // 1: nothing is expected of this phase
    ret;
}
""")


def test_a_phase_is_complete_when_arrivals_and_bytes_are():
    to = np.full(6, 9, np.uint32)
    emulator.run(DROPS, grid=1, block=1, args=[to])
    assert to.tolist() == [2, 0, 0, 1, 1, 1]


REDUCES = """
.visible .entry reduces(.param .u64 x, .param .u64 y)
{
    // Each CTA adds its 512 bytes of x, in two pieces, to those of y, which are the same for all CTAs.
    .reg .u64 %x, %y, %policy;
    .reg .u32 %t, %cta, %at, %v;
    .reg .pred %first;
    .shared .align 16 .b8 tile[512];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.u32 %t, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.lo.u32 %v, %cta, 128, %t;
    mad.wide.u32 %x, %v, 4, %x;
    ld.global.u32 %v, [%x];
    mov.u32 %at, tile;
    mad.lo.u32 %at, %t, 4, %at;
    st.shared.u32 [%at], %v;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    setp.eq.u32 %first, %t, 0;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    @%first cp.reduce.async.bulk.global.shared::cta.bulk_group.OP [%y], [tile], 496;
    @%first cp.reduce.async.bulk.global.shared::cta.bulk_group.L2::cache_hint.OP [%y+496], [tile+496], 16, %policy;
    @%first cp.async.bulk.commit_group;
    @%first cp.async.bulk.wait_group 0;
    ret;
}
"""
REDUCED: dict[str, Any] = {
    "add.u32": np.uint32, "add.s32": np.int32, "add.u64": np.uint64, "add.f32": np.float32, "add.f64": np.float64,
    "add.noftz.f16": np.float16, "add.noftz.bf16": np.uint16, "min.u32": np.uint32, "max.s32": np.int32,
    "min.s64": np.int64, "max.u64": np.uint64, "min.f16": np.float16, "max.bf16": np.uint16, "inc.u32": np.uint32,
    "dec.u32": np.uint32, "and.b32": np.uint32, "or.b64": np.uint64, "xor.b32": np.uint32,
}  # fmt: skip

KERNELS = {operation: bulk(REDUCES.replace(".OP", f".{operation}")) for operation in REDUCED}


def reduced(operation, **options):
    """The execution of three CTAs, x, and y before and after."""
    rng, dtype = np.random.default_rng(5), REDUCED[operation]
    if np.dtype(dtype).kind == "f" and "16" not in operation:
        x, y = (
            rng.uniform(-1, 1, count).astype(dtype) for count in (3 * 512 // dtype().itemsize, 512 // dtype().itemsize)
        )
        x[::7] = dtype(2.0**-140 if dtype is np.float32 else 2.0**-1060)  # subnormal
    else:
        x, y = (rng.integers(0, 256, size, np.uint8).view(dtype) for size in (1536, 512))
    before = y.copy()
    text = KERNELS[operation]
    return emulator.run(text, grid=3, block=128, args=[x, y], **options), x, before, y, text


@pytest.mark.parametrize("operation", REDUCED)
def test_a_bulk_reduction_gives_the_bits_and_counters_of_an_interpreter_that_does_it_at_once(operation):
    execution, x, before, y, text = reduced(operation)
    expected, counters = before.copy(), Counters()
    interpret(text, None, grid=(3, 1, 1), block=(128, 1, 1), args=[x, expected], counters=counters)
    assert y.tobytes() == expected.tobytes() != before.tobytes()
    assert counters.differences(execution) == []
    if operation == "add.s32":
        assert y.tolist() == (before + x.reshape(3, -1).sum(axis=0, dtype=np.int32)).tolist()
    assert "depends on the order" in execution.order_reason


def test_a_bulk_reduction_counts_as_an_atomic_of_its_elements():
    execution, *_, text = reduced("add.noftz.bf16")
    moved = exact(execution.by_line[line(text, "cp.reduce.async.bulk")])
    assert {name: count for name, count in moved.items() if "instructions" not in name} == {
        "ptx_async_requests": 3, "ptx_async_bytes": 3 * 496, "ptx_atomic_global_requests": 3,
        "ptx_atomic_global_lanes": 3 * 248, "ptx_atomic_global_serial": 3, "ptx_atomic_global_sectors": 3 * 16,
        "ptx_shared_load_requests": 3, "ptx_shared_load_wavefronts": 3 * 4, "ptx_shared_load_bytes": 3 * 496,
    }  # fmt: skip


def test_reductions_of_several_ctas_are_ordered_like_atomics_and_a_concurrent_store_is_not():
    execution, *_ = reduced("add.u32", sanitize=True)
    assert execution.findings == ()
    stores = KERNELS["add.u32"].replace("    ret;", "    st.global.u32 [%y], %v;\n    ret;")
    x, y = np.zeros(384, np.uint32), np.zeros(128, np.uint32)
    (race, *_) = emulator.run(stores, grid=3, block=128, args=[x, y], sanitize=True).findings
    assert race.kind == "race"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("@%first cp.async.bulk.wait_group 0;", ""),                    # no thread waits: nothing is added
        ("@%first cp.async.bulk.commit_group;", ""),
        ("[%y], [tile], 496", "[%y], [tile], 480"),                     # an element of 16 bytes is missing
    ],
)  # fmt: skip
def test_a_bulk_reduction_happens_when_its_group_is_waited_for(right, wrong):
    _, x, before, y, text = reduced("add.u32")
    other = before.copy()
    emulator.run(text.replace(right, wrong), grid=3, block=128, args=[x, other])
    assert other.tolist() != y.tolist()


def test_a_misused_bulk_reduction_is_a_fault():
    _, x, before, _, text = reduced("add.u32")
    for right, wrong, message in (
        ("[%y], [tile], 496", "[%y+8], [tile], 496", "16 bytes at byte 8 of 'y'"),
        ("[%y+496], [tile+496], 16", "[%y+512], [tile+496], 16", "byte 512 of 'y', which has 512"),
        ("[%y], [tile], 496", "[%y], [tile], 500", "copies a number of bytes that is not a multiple of 16"),
    ):
        with pytest.raises(MemoryFault, match=message):
            emulator.run(text.replace(right, wrong), grid=3, block=128, args=[x, before])


def test_counters_of_bulk_copies_do_not_vary():
    first, second = (echoed(threads=threads)[0] for threads in (1, 3))
    assert first.counters == second.counters
    assert first.by_line == second.by_line


@pytest.mark.parametrize("opcode", [
    "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes",
    "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes",
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.cta_group::2",
    "multimem.cp.async.bulk.global.shared::cta.bulk_group",
])  # fmt: skip
def test_what_is_not_modelled_is_refused_with_a_reason(opcode):
    assert opcode not in TABLE
    assert why(opcode) is not None
