"""cp.async: done at its wait and not before, in part, and read too soon."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from tests.emulator.harness import program


def counters(execution, *names):
    return {name: execution.counters[f"ptx_{name}"] for name in names}


STAGES = program("""
.visible .entry four_stages(.param .u64 x, .param .u64 y, .param .u32 tiles)
{
    // Tiles of 64 x 16 bytes; three are on their way while one is used. Each thread adds up a column.
    .reg .u64 %x, %y, %at;
    .reg .u32 %thread, %tiles, %fetch, %use, %slot, %buffer, %sum, %v, %i, %other;
    .reg .pred %more, %inside;
    .shared .align 16 .b8 stages[4096];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %tiles, [tiles];
    mad.wide.u32 %at, %thread, 16, %x;
    mov.u32 %buffer, stages;
    mov.u32 %sum, 0;
    mov.u32 %fetch, 0;
    mov.u32 %use, 0;
FILL:
    setp.lt.u32 %inside, %fetch, %tiles;
    shl.b32 %slot, %fetch, 10;
    and.b32 %slot, %slot, 4095;
    add.u32 %slot, %slot, %buffer;
    mad.lo.u32 %slot, %thread, 16, %slot;
    @%inside cp.async.cg.shared.global [%slot], [%at], 16;
    cp.async.commit_group;
    add.u64 %at, %at, 1024;
    add.u32 %fetch, %fetch, 1;
    setp.lt.u32 %more, %fetch, 3;
    @%more bra FILL;
USE:
    cp.async.wait_group 2;
    bar.sync 0;
    shl.b32 %slot, %use, 10;
    and.b32 %slot, %slot, 4095;
    add.u32 %slot, %slot, %buffer;
    mul.lo.u32 %other, %thread, 28;           // another thread's bytes: those need the barrier as well
    and.b32 %other, %other, 1020;
    add.u32 %slot, %slot, %other;
    ld.shared.u32 %v, [%slot];
    add.u32 %sum, %sum, %v;
    bar.sync 0;
    setp.lt.u32 %inside, %fetch, %tiles;
    shl.b32 %slot, %fetch, 10;
    and.b32 %slot, %slot, 4095;
    add.u32 %slot, %slot, %buffer;
    mad.lo.u32 %slot, %thread, 16, %slot;
    @%inside cp.async.cg.shared.global [%slot], [%at], 16;
    cp.async.commit_group;
    add.u64 %at, %at, 1024;
    add.u32 %fetch, %fetch, 1;
    add.u32 %use, %use, 1;
    setp.lt.u32 %more, %use, %tiles;
    @%more bra USE;
    mad.wide.u32 %at, %thread, 4, %y;
    st.global.u32 [%at], %sum;
    ret;
}
""")
TILES = 11


def staged(text=STAGES, **options):
    x = np.random.default_rng(4).integers(0, 1 << 20, (TILES, 256)).astype(np.uint32)
    y = np.zeros(64, np.uint32)
    execution = emulator.run(text, grid=1, block=64, args=[x, y, np.uint32(TILES)], **options)
    return execution, y.tolist(), x[:, np.arange(64) * 7 % 256].sum(axis=0).tolist()


def test_four_stages_of_copies_are_pending():
    execution, actual, expected = staged()
    assert actual == expected
    lanes = 64 * TILES
    assert counters(execution, "async_requests", "async_bytes", "global_load_requests", "global_load_bytes",
                    "global_load_sectors", "global_load_lines", "shared_store_requests", "shared_store_wavefronts") == {
        "async_requests": 2 * TILES, "async_bytes": 16 * lanes, "global_load_requests": 2 * TILES,
        "global_load_bytes": 16 * lanes, "global_load_sectors": lanes // 2, "global_load_lines": lanes // 8,
        "shared_store_requests": 2 * TILES,
        "shared_store_wavefronts": 2 * TILES * 4,
    }  # fmt: skip


def test_a_wait_for_too_few_groups_gives_wrong_bytes_and_is_found():
    text = STAGES.replace("wait_group 2", "wait_group 3").replace("four_stages", "four_stages_too_early")
    _, actual, expected = staged(text)
    assert actual != expected
    execution, *_ = staged(text, sanitize=True)
    assert "pending-copy" in {finding.kind for finding in execution.findings}
    execution, *_ = staged(sanitize=True)
    assert execution.findings == ()


def races(text):
    """The racing lines of PTX: the line of the finding, and the earlier access that its message names."""
    lines = ["", *text.splitlines()]
    execution, *_ = staged(text, sanitize=True)
    return {
        tuple(lines[int(number)].strip().removeprefix("@%inside ").split(" ")[0] for number in (race.line, earlier[1]))
        for race in execution.findings
        if race.kind == "race" and (earlier := re.search(r"at line (\d+)", race.message))
    }


AFTER_WAIT, AFTER_USE = "cp.async.wait_group 2;", "add.u32 %sum, %sum, %v;"


def without_barriers(name, *places):
    text = STAGES.replace("four_stages", name)
    for before in places:
        assert f"{before}\n    bar.sync 0;" in text
        text = text.replace(f"{before}\n    bar.sync 0;", before)
    return text


def test_copies_that_barriers_order_are_clean():
    execution, *_ = staged(sanitize=True)
    assert execution.findings == execution.notes == ()


def test_the_copy_of_another_thread_needs_a_barrier_after_its_wait():
    racing = races(without_barriers("no_barrier_after_the_wait", AFTER_WAIT))
    assert ("ld.shared.u32", "cp.async.cg.shared.global") in racing


def test_a_copy_over_memory_that_others_still_read_is_a_race():
    # One of the two barriers is enough: the other lies between a use of a stage and the copy three stages later.
    assert races(without_barriers("no_barrier_after_the_use", AFTER_USE)) == set()
    racing = races(without_barriers("no_barrier", AFTER_WAIT, AFTER_USE))
    assert ("cp.async.cg.shared.global", "ld.shared.u32") in racing


PARTIAL = program("""
.visible .entry partial_copies(.param .u64 x, .param .u64 y, .param .u64 counts)
{
    .reg .u64 %x, %y, %counts, %at;
    .reg .u32 %thread, %here, %count, %v<4>;
    .reg .pred %skip;
    .shared .align 16 .b8 tile[1024];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %counts, [counts];
    mad.wide.u32 %at, %thread, 4, %counts;
    ld.global.u32 %count, [%at];
    mad.wide.u32 %at, %thread, 16, %x;
    mov.u32 %here, tile;
    mad.lo.u32 %here, %thread, 32, %here;
    cp.async.ca.shared.global.L2::128B [%here], [%at], 16, %count;
    setp.eq.u32 %skip, %count, 5;
    cp.async.ca.shared.global [%here+16], [%at], 8, !%skip;
    cp.async.ca.shared.global [%here+24], [%at], 4, %skip;
    cp.async.wait_all;
    mad.wide.u32 %at, %thread, 32, %y;
    ld.shared.v4.u32 {%v0, %v1, %v2, %v3}, [%here];
    st.global.v4.u32 [%at], {%v0, %v1, %v2, %v3};
    ld.shared.v4.u32 {%v0, %v1, %v2, %v3}, [%here+16];
    st.global.v4.u32 [%at+16], {%v0, %v1, %v2, %v3};
    ret;
}
""")


def test_bytes_that_a_copy_skips_are_zeros():
    x = np.random.default_rng(5).integers(1, 256, (32, 16)).astype(np.uint8)
    counts = (np.arange(32) % 17).astype(np.uint32)
    y = np.zeros((32, 32), np.uint8)
    execution = emulator.run(PARTIAL, grid=1, block=32, args=[x, y, counts])
    for lane, count in enumerate(counts):
        assert y[lane, :16].tolist() == [*x[lane, :count], *[0] * (16 - count)]
        assert y[lane, 16:24].tolist() == (x[lane, :8].tolist() if count == 5 else [0] * 8)
        assert y[lane, 24:28].tolist() == ([0] * 4 if count == 5 else x[lane, :4].tolist())
        assert y[lane, 28:].tolist() == [255] * 4  # these were never written
    fives = int((counts == 5).sum())
    loaded = int(counts.sum()) + 8 * fives + 4 * (32 - fives)
    assert execution.counters["ptx_global_load_bytes"] == loaded + 4 * 32
    assert execution.counters["ptx_async_bytes"] == 32 * (16 + 8 + 4)


def test_a_copy_of_part_of_the_bytes_may_end_at_the_end_of_the_array():
    counts = np.full(32, 16, np.uint32)
    counts[31] = 5
    emulator.run(PARTIAL, grid=1, block=32, args=[np.zeros(31 * 16 + 8, np.uint8), np.zeros(1024, np.uint8), counts])
    counts[31] = 9
    with pytest.raises(MemoryFault, match=r"cp.async.ca.shared.global.L2::128B by thread 31 of CTA 0 reads"):
        emulator.run(
            PARTIAL, grid=1, block=32, args=[np.zeros(31 * 16 + 8, np.uint8), np.zeros(1024, np.uint8), counts]
        )


def test_a_copy_cannot_take_more_bytes_than_it_has():
    counts = np.full(32, 16, np.uint32)
    counts[[3, 9]] = 17, 1 << 31
    with pytest.raises(MemoryFault, match=r"L2::128B by thread 3 of CTA 0 takes more bytes from the source than"):
        emulator.run(PARTIAL, grid=1, block=32, args=[np.zeros(1024, np.uint8), np.zeros(1024, np.uint8), counts])


def test_a_longer_copy_is_checked_after_a_shorter_one_of_the_same_line():
    text = PARTIAL.replace(
        "    mad.wide.u32 %at, %thread, 16, %x;",
        "    mov.u32 %v0, %ctaid.x;\n    mad.lo.u32 %count, %v0, 4, %count;\n    mad.wide.u32 %at, %thread, 16, %x;",
    )
    counts = np.zeros(32, np.uint32)
    counts[31] = 5  # the second CTA takes 9, and there are 8
    x, y = np.zeros(31 * 16 + 8, np.uint8), np.zeros(1024, np.uint8)
    emulator.run(text, grid=1, block=32, args=[x, y, counts], threads=1)
    with pytest.raises(MemoryFault, match="by thread 31 of CTA 1 reads"):
        emulator.run(text, grid=2, block=32, args=[x, y, counts], threads=1)


TOGETHER = program("""
.visible .entry lanes_make_one_copy(.param .u64 x, .param .u64 y)
{
    .reg .u64 %x, %y;
    .reg .u32 %lane, %v, %at;
    .shared .align 4 .b8 box[128];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.u32 %lane, %tid.x;
    min.u32 %lane, %lane, 2;                // as the last lanes of cooperative_groups::memcpy_async
    mul.lo.u32 %at, %lane, 4;
    mad.wide.u32 %x, %lane, 4, %x;
    mov.u32 %v, box;
    add.u32 %at, %at, %v;
    cp.async.ca.shared.global [%at], [%x], 4;
    cp.async.wait_all;
    bar.warp.sync -1;
    ld.shared.u32 %v, [%at];
    mad.wide.u32 %y, %lane, 4, %y;
    st.global.u32 [%y], %v;
    ret;
}
""")


def test_lanes_may_make_one_copy_together_but_not_different_ones_to_one_place():
    x, y = np.arange(3, dtype=np.uint32), np.zeros(3, np.uint32)
    execution = emulator.run(TOGETHER, grid=1, block=32, args=[x, y], sanitize=True)
    assert (y.tolist(), execution.findings) == ([0, 1, 2], ())
    different = TOGETHER.replace("mul.lo.u32 %at, %lane, 4;", "mov.u32 %at, 0;")
    execution = emulator.run(different, grid=1, block=32, args=[x, y], sanitize=True)
    assert "pending-copy" in {finding.kind for finding in execution.findings}
