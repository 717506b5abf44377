"""Bulk copies that take only some bytes (.cp_mask, .ignore_oob), and fills of shared memory (st.bulk)."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault, PtxSyntaxError
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


BYTES = 64
PARTS = module("""
.visible .entry parts(.param .u64 x, .param .u64 y, .param .u32 left, .param .u32 right, .param .u32 mask)
{
    // 64 bytes from x, without those at both ends, then to y those of the mask, with a policy and without.
    .reg .u64 %x, %y, %policy;
    .reg .u32 %left, %right, %mask;
    .reg .u16 %bytes;
    .reg .pred %done;
    .shared .align 16 .b8 tile[128];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %left, [left];
    ld.param.u32 %right, [right];
    ld.param.u32 %mask, [mask];
    cvt.u16.u32 %bytes, %mask;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    mbarrier.init.shared::cta.b64 [full], 1;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 128;
    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.ignore_oob [tile], [%x], 64, %left, %right, [full];
    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint.ignore_oob
        [tile+64], [%x], 64, %left, %right, [full], %policy;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%y], [tile], 64, %bytes;
    cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint.cp_mask [%y+64], [tile+64], 64, %policy, %bytes;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;
    ret;
}
""", ("9.2", "sm_100a"))  # fmt: skip


def parts(left=0, right=0, mask=0xFFFF, *, bytes=BYTES, skipped=0, **options):
    """The execution, x and y; the kernel gets the address `skipped` bytes before x."""
    random = np.random.default_rng(left + 100 * right)
    x, y = random.integers(0, 255, bytes, np.uint8), np.full(2 * BYTES, 7, np.uint8)
    source = PARTS.replace("ld.param.u64 %x, [x];", f"ld.param.u64 %x, [x];\n    sub.u64 %x, %x, {skipped};")
    arguments = [x, y, *(np.uint32(value) for value in (left, right, mask))]
    return emulator.run(source, grid=1, block=1, args=arguments, **options), x, y


@pytest.mark.parametrize("mask", [0xFFFF, 0, 1, 0x8000, 0xF00F, 0x5555, 0x7FFE])
def test_the_bytes_of_the_mask_are_written_in_each_sixteen(mask):
    _, x, y = parts(mask=mask)
    taken = [bool(mask >> i % 16 & 1) for i in range(BYTES)]
    assert y.tolist() == 2 * np.where(taken, x, 7).tolist()


@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 0), (0, 1), (15, 15), (7, 9), (0, 15)])
def test_ignored_bytes_become_indeterminate_and_those_at_the_end_may_lie_outside(left, right):
    execution, x, y = parts(left, right, bytes=BYTES - right)
    assert y.tolist() == 2 * [*[0xFF] * left, *x[left:].tolist(), *[0xFF] * right]
    assert execution.counters["ptx_async_bytes"] == 4 * BYTES
    assert execution.counters["ptx_global_load_bytes"] == 2 * (BYTES - left - right)
    assert execution.counters["ptx_shared_store_bytes"] == 2 * BYTES


def test_a_store_counts_the_bytes_that_it_writes():
    execution, *_ = parts(mask=0x00FF)
    assert execution.counters["ptx_global_store_bytes"] == BYTES
    assert execution.counters["ptx_shared_load_bytes"] == 2 * BYTES


LOAD = "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.ignore_oob by thread 0 of CTA 0 "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"left": 16}, LOAD + "ignores more than 15 bytes at one end, or all bytes that it copies"),
        ({"right": 300}, LOAD + "ignores more than 15 bytes at one end, or all bytes that it copies"),
        ({"right": 3, "bytes": 60}, LOAD + "reads byte 60 of 'x', which has 60"),
        ({"left": 15, "skipped": 16}, LOAD + "reads byte -1 of 'x'"),
        ({"left": 8, "skipped": 8}, LOAD + "reads 16 bytes at byte -8 of 'x'"),
    ],
)
def test_bytes_that_are_not_ignored_must_lie_inside(options, message):
    with pytest.raises(MemoryFault) as caught:
        parts(**options)
    assert message in str(caught.value)


def test_a_copy_of_parts_has_no_findings():
    assert parts(0, 15, 0xF0F0, bytes=BYTES - 15, sanitize=True)[0].findings == ()


FILL = module("""
.visible .entry fill(.param .u64 y, .param .u32 first, .param .u32 size)
{
    // Each of two threads fills `size` bytes, from byte `first` of its half on; those of the second half generically.
    .reg .u64 %y, %at, %here;
    .reg .u32 %t, %v, %size, %place, %i, %start;
    .reg .pred %one, %more;
    .shared .align 16 .b8 tile[512];
    ld.param.u64 %y, [y];
    ld.param.u32 %start, [first];
    ld.param.u32 %size, [size];
    mov.u32 %t, %tid.x;
    setp.eq.u32 %one, %t, 0;
    mov.u32 %place, tile;
    mad.lo.u32 %place, %t, 16, %place;
    mov.u32 %i, 0;
MARK:
    st.shared.v4.u32 [%place], {%t, 0x01010101, %i, -1};
    add.u32 %place, %place, 32;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 16;
    @%more bra MARK;
    bar.warp.sync 3;
    mov.u32 %place, tile;
    add.u32 %place, %place, %start;
    @%one st.bulk.weak.shared::cta [%place], %size, 0;
    cvt.u64.u32 %here, %place;
    cvta.shared.u64 %here, %here;
    @!%one st.bulk [%here+256], %size, 0;
    st.bulk.shared::cta [%place], 0, 0;
    bar.warp.sync 3;
    mov.u32 %i, 0;
SHOW:
    mad.lo.u32 %v, %i, 2, %t;
    shl.b32 %v, %v, 2;
    mov.u32 %place, tile;
    add.u32 %place, %place, %v;
    cvt.u64.u32 %at, %v;
    add.u64 %at, %at, %y;
    ld.shared.u32 %v, [%place];
    st.global.u32 [%at], %v;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 64;
    @%more bra SHOW;
    ret;
}
""", ("9.0", "sm_100"))  # fmt: skip


def filled(first, size, **options):
    """The execution, and the 512 bytes of shared memory in the end."""
    y = np.zeros(512, np.uint8)
    return emulator.run(FILL, grid=1, block=2, args=[y, np.uint32(first), np.uint32(size)], **options), y


@pytest.mark.parametrize(("first", "size"), [(0, 256), (8, 200), (0, 8), (16, 0)])
def test_st_bulk_fills_with_zeros(first, size):
    _, before = filled(0, 0)
    execution, y = filled(first, size, sanitize=True)
    before[first : first + size] = before[256 + first : 256 + first + size] = 0
    assert y.tolist() == before.tolist()
    assert execution.findings == ()
    line = 1 + FILL[: FILL.index("st.bulk.weak")].count("\n")
    assert execution.by_line[line].get("ptx_shared_store_bytes", 0) == size
    assert execution.by_line[line].get("ptx_shared_store_wavefronts", 0) == -(-size // 128)


FILLS = "st.bulk.weak.shared::cta by thread 0 of CTA 0 "


@pytest.mark.parametrize(
    ("first", "size", "message"),
    [
        (0, 12, FILLS + "fills a number of bytes that is not a multiple of 8, or more than 16,777,216"),
        (0, 1 << 25, FILLS + "fills a number of bytes that is not a multiple of 8, or more than 16,777,216"),
        (4, 8, FILLS + "writes 8 bytes at byte 4 of shared memory, which has 512; they must start at a multiple of 8"),
        (0, 520, FILLS + "writes byte 512 of shared memory, which has 512"),
    ],
)
def test_a_bad_fill_is_a_fault(first, size, message):
    with pytest.raises(MemoryFault) as caught:
        filled(first, size)
    assert message in str(caught.value)


def test_a_fill_races_with_an_unordered_load():
    bare = FILL.replace("    bar.warp.sync 3;\n    mov.u32 %i, 0;\nSHOW", "    mov.u32 %i, 0;\nSHOW")
    y = np.zeros(512, np.uint8)
    execution = emulator.run(bare, grid=1, block=2, args=[y, np.uint32(0), np.uint32(64)], sanitize=True)
    assert "race" in {finding.kind for finding in execution.findings}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("[%place], %size, 1", "stores 0 and no other number"), ("[%place], 12, 0", "fills a multiple of 8 bytes")],
)
def test_a_fill_that_ptxas_refuses_is_an_error_of_the_text(wrong, message):
    with pytest.raises(PtxSyntaxError, match=message):
        emulator.run(FILL.replace("[%place], %size, 0", wrong), grid=1, block=2,
                     args=[np.zeros(512, np.uint8), np.uint32(0), np.uint32(8)])  # fmt: skip


STRONG = module("""
.visible .entry strong(.param .u64 x, .param .u64 y, .param .u64 sums)
{
    // Each CTA brings 512 bytes of x. It sends the first half to y, as all others do, and adds the second to the sums.
    .reg .u64 %x, %y, %sums;
    .reg .u32 %cta;
    .reg .pred %done;
    .shared .align 16 .b8 tile[512];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %sums, [sums];
    mbarrier.init.shared::cta.b64 [full], 1;
    fence.proxy.async;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 512;
    cp.async.bulk.relaxed.gpu.shared::cta.global.mbarrier::complete_tx::bytes.b128 [tile], [%x], 256, [full];
    cp.async.bulk.weak.shared::cluster.global.mbarrier::complete_tx::bytes [tile+256], [%x+256], 256, [full];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    cp.async.bulk.STORE.global.shared::cta.bulk_group.b128 [%y], [tile], 256;
    cp.reduce.async.bulk.relaxed.sys.global.shared::cta.bulk_group.add.u32 [%sums], [tile+256], 256;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;
    ret;
}
""".replace("STORE", "relaxed.gpu"), ("9.3", "sm_100a"))  # fmt: skip


def strong(text=STRONG):
    x, y, sums = np.arange(128, dtype=np.uint32), np.zeros(64, np.uint32), np.zeros(64, np.uint32)
    execution = emulator.run(text, grid=3, block=1, args=[x, y, sums], sanitize=True)
    return execution, x, y, sums


def test_strong_copies_move_the_same_bytes_and_do_not_race_within_their_scope():
    execution, x, y, sums = strong()
    assert (y.tolist(), sums.tolist()) == (x[:64].tolist(), (3 * x[64:]).tolist())
    assert execution.findings == ()


OTHER_BYTES = """mov.u32 %cta, %ctaid.x;
    st.shared.u32 [tile], %cta;
    fence.proxy.async;
    """


@pytest.mark.parametrize("order", ["weak", "relaxed.cta"])
def test_copies_of_several_ctas_race_if_they_are_weak_or_their_scope_is_too_narrow(order):
    """A race if their bytes differ; a note if they are the same, as with plain stores."""
    store = f"cp.async.bulk.{order}.global"
    text = STRONG.replace("cp.async.bulk.relaxed.gpu.global", store)
    if order == "weak":
        text = text.replace("bulk_group.b128", "bulk_group")
    same, other = strong(text)[0], strong(text.replace(store, OTHER_BYTES + store))[0]
    assert [note.split(":")[0] for note in same.notes if "second" not in note] == ["same value"]
    assert ([finding.kind for finding in same.findings], [finding.kind for finding in other.findings]) == ([], ["race"])
