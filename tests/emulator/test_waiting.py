"""Kernels whose threads wait for each other: barriers of parts of a CTA, locks, flags, mbarriers and copies."""

import re
import time

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import Deadlock, FuelExhausted, KernelTrap, MemoryFault
from tests.emulator.harness import program


def counters(execution, *names):
    return {name: execution.counters[f"ptx_{name}"] for name in names}


# ---- barriers


PIPE = program("""
.visible .entry named_barriers(.param .u64 to, .param .u32 rounds)
{
    .reg .u64 %to, %at;
    .reg .u32 %thread, %lane, %i, %n, %x, %slot, %here, %full, %empty, %place;
    .reg .pred %produces, %more, %late;
    .shared .align 4 .b8 box[256];          // two slots of 32 numbers
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %n, [rounds];
    and.b32 %lane, %thread, 31;
    setp.lt.u32 %produces, %thread, 32;
    mov.u32 %i, 0;
    @%produces bra PRODUCE;

CONSUME:                                    // two warps read what the first has written
    and.b32 %slot, %i, 1;
    add.u32 %full, %slot, 1;                // barriers 1 and 2: the slot is full
    add.u32 %empty, %slot, 3;               // barriers 3 and 4: it is empty
    bar.sync %full, 96;
    mov.u32 %here, box;
    mad.lo.u32 %here, %slot, 128, %here;
    mad.lo.u32 %here, %lane, 4, %here;
    ld.shared.u32 %x, [%here];
    bar.arrive %empty, 96;
    mad.lo.u32 %place, %i, 96, %thread;
    mad.wide.u32 %at, %place, 4, %to;
    st.global.u32 [%at], %x;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra CONSUME;
    ret;

PRODUCE:
    and.b32 %slot, %i, 1;
    add.u32 %full, %slot, 1;
    add.u32 %empty, %slot, 3;
    setp.ge.u32 %late, %i, 2;
    @%late bar.sync %empty, 96;
    mov.u32 %here, box;
    mad.lo.u32 %here, %slot, 128, %here;
    mad.lo.u32 %here, %lane, 4, %here;
    mad.lo.u32 %x, %i, 1000, %lane;
    st.shared.u32 [%here], %x;
    bar.arrive %full, 96;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra PRODUCE;
    ret;
}
""")


def test_a_warp_feeds_two_others_through_named_barriers():
    rounds = 9
    result = np.zeros((rounds, 96), np.uint32)
    execution = emulator.run(PIPE, grid=1, block=96, args=[result, np.uint32(rounds)])
    expected = 1000 * np.arange(rounds)[:, None] + np.arange(96)[None, :] % 32
    expected[:, :32] = 0
    assert result.tolist() == expected.tolist()
    # Each warp arrives at `full` and at `empty` every round, but the producer not at the first two `empty`.
    assert execution.counters["ptx_barriers"] == 3 * 2 * rounds - 2
    assert execution.counters["ptx_barrier_phases"] == 2 * rounds - 2


REDUCE = program("""
.visible .entry barrier_reductions(.param .u64 to, .param .u64 from)
{
    .reg .u64 %to, %from;
    .reg .u32 %thread, %x, %count, %few, %id;
    .reg .pred %p, %all, %any, %second;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u64 %from, [from];
    mad.wide.u32 %from, %thread, 4, %from;
    mad.wide.u32 %to, %thread, 16, %to;
    ld.global.u32 %x, [%from];
    setp.ne.u32 %p, %x, 0;
    bar.red.popc.u32 %count, 0, %p;
    bar.red.and.pred %all, 0, %p;
    bar.red.or.pred %any, 0, !%p;
    shr.u32 %id, %thread, 6;                 // pairs of warps by themselves
    add.u32 %id, %id, 8;
    barrier.red.popc.u32 %few, %id, 64, %p;
    st.global.u32 [%to], %count;
    selp.u32 %x, 1, 0, %all;
    st.global.u32 [%to+4], %x;
    selp.u32 %x, 1, 0, %any;
    st.global.u32 [%to+8], %x;
    st.global.u32 [%to+12], %few;
    ret;
}
""")


@pytest.mark.parametrize("kind", ["none", "all", "some"])
def test_a_barrier_reduces_the_predicates_of_all_that_come(kind):
    votes = {"none": np.zeros(128), "all": np.ones(128), "some": np.arange(128) % 3 == 0}[kind].astype(np.uint32)
    result = np.zeros((128, 4), np.uint32)
    emulator.run(REDUCE, grid=1, block=128, args=[result, votes])
    halves = [int(votes[:64].sum()), int(votes[64:].sum())]
    for thread in range(128):
        expected = [votes.sum(), votes.all(), (votes == 0).any(), halves[thread // 64]]
        assert result[thread].tolist() == list(map(int, expected))


PARTS = program("""
.visible .entry lanes_at_two_barriers(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %lane, %x;
    .reg .pred %low;
    .shared .align 4 .b8 words[8];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    and.b32 %lane, %thread, 31;
    setp.lt.u32 %low, %lane, 16;
    @%low bra LOW;
    barrier.sync 1, 32;                       // the upper halves of both warps
    mov.u32 %x, 1;
    bra DONE;
LOW:
    barrier.sync 2, 32;
    mov.u32 %x, 2;
DONE:
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_halves_of_two_warps_meet_at_a_barrier_each():
    result = np.zeros(64, np.uint32)
    execution = emulator.run(PARTS, grid=1, block=64, args=[result])
    assert result.tolist() == ([2] * 16 + [1] * 16) * 2
    assert execution.counters["ptx_barrier_phases"] == 2


RAGGED = program("""
.visible .entry a_partly_filled_warp_arrives_whole(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    bar.sync 3, 64;
    st.global.u32 [%to], 1;
    ret;
}
""")


def test_a_partly_filled_warp_counts_as_a_whole_one():
    result = np.zeros(40, np.uint32)
    emulator.run(RAGGED, grid=1, block=40, args=[result])
    assert result.tolist() == [1] * 40


def test_a_barrier_that_expects_too_many_says_how_many_came():
    with pytest.raises(Deadlock, match=r"line \d+, bar.sync, barrier 3, 32 of 64 threads"):
        emulator.run(RAGGED, grid=1, block=32, args=[np.zeros(32, np.uint32)])


def test_a_barrier_beyond_the_fifteenth_is_refused():
    text = PARTS.replace("barrier.sync 1, 32", "mov.u32 %x, 16;\n    barrier.sync %x, 32")
    with pytest.raises(Deadlock, match=r"names barrier 16; a CTA has 0 to 15"):
        emulator.run(text, grid=1, block=64, args=[np.zeros(64, np.uint32)])


# ---- locks and flags


LOCK = program("""
.visible .entry lock_within_a_warp(.param .u64 lock, .param .u64 sum)
{
    .reg .u64 %lock, %sum;
    .reg .u32 %thread, %old, %x;
    .reg .pred %taken;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %lock, [lock];
    ld.param.u64 %sum, [sum];
SPIN:
    atom.global.cas.b32 %old, [%lock], 0, 1;
    setp.ne.u32 %taken, %old, 0;
    @%taken bra SPIN;                         // the lanes that lost come before the one that won
    ld.volatile.global.u32 %x, [%sum];
    add.u32 %x, %x, %thread;
    st.volatile.global.u32 [%sum], %x;
    membar.gl;
    atom.global.exch.b32 %old, [%lock], 0;
    ret;
}
""")


def test_a_lock_that_lanes_of_one_warp_fight_for_is_passed_on():
    lock, total = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    execution = emulator.run(LOCK, grid=3, block=64, args=[lock, total])
    assert (lock[0], total[0]) == (0, 3 * sum(range(64)))
    assert execution.order == "ascending"


SCAN = program("""
.visible .entry look_back_scan(.param .u64 x, .param .u64 y, .param .u64 state, .param .u64 ticket)
{
    // Each CTA takes a ticket, adds up its 64 numbers, and looks back for the sum of those before.
    .reg .u64 %x, %y, %state, %ticket, %at, %word, %look;
    .reg .u32 %thread, %tile, %v, %i, %sum, %part, %flag, %before, %slot, %other;
    .reg .pred %first, %adds, %wait, %prefix, %none;
    .shared .align 4 .b8 words[256];
    .shared .align 4 .b32 shared_tile;
    .shared .align 4 .b32 shared_before;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %state, [state];
    ld.param.u64 %ticket, [ticket];
    setp.eq.u32 %first, %thread, 0;
    @%first atom.global.add.u32 %tile, [%ticket], 1;
    @%first st.shared.u32 [shared_tile], %tile;
    bar.sync 0;
    ld.shared.u32 %tile, [shared_tile];
    mad.lo.u32 %i, %tile, 64, %thread;
    mad.wide.u32 %at, %i, 4, %x;
    ld.global.u32 %v, [%at];

    // ---- inclusive scan of the tile
    mov.u32 %slot, words;
    mad.lo.u32 %slot, %thread, 4, %slot;
    st.shared.u32 [%slot], %v;
    bar.sync 0;
    mov.u32 %i, 1;
STEP:
    setp.ge.u32 %adds, %thread, %i;
    shl.b32 %other, %i, 2;
    sub.u32 %other, %slot, %other;
    @%adds ld.shared.u32 %part, [%other];
    bar.sync 0;
    @%adds add.u32 %v, %v, %part;
    st.shared.u32 [%slot], %v;
    bar.sync 0;
    shl.b32 %i, %i, 1;
    setp.lt.u32 %adds, %i, 64;
    @%adds bra STEP;

    // ---- the first thread publishes the sum and looks back: 1 a sum of one tile, 2 of all up to it
    mov.u32 %before, 0;
    @!%first bra HAVE;
    ld.shared.u32 %sum, [words+252];
    mad.wide.u32 %word, %tile, 8, %state;
    st.volatile.global.u32 [%word+4], %sum;
    membar.gl;
    setp.eq.u32 %none, %tile, 0;
    @%none bra PUBLISH;
    st.volatile.global.u32 [%word], 1;
    sub.u64 %look, %word, 8;
BACK:
    ld.acquire.gpu.global.u32 %flag, [%look];
    setp.eq.u32 %wait, %flag, 0;
    @%wait bra BACK;
    ld.volatile.global.u32 %part, [%look+4];
    add.u32 %before, %before, %part;
    sub.u64 %look, %look, 8;
    setp.ne.u32 %prefix, %flag, 2;
    @%prefix bra BACK;
PUBLISH:
    add.u32 %sum, %sum, %before;
    st.volatile.global.u32 [%word+4], %sum;
    membar.gl;
    st.release.gpu.global.u32 [%word], 2;
    st.shared.u32 [shared_before], %before;
HAVE:
    bar.sync 0;
    ld.shared.u32 %before, [shared_before];
    add.u32 %v, %v, %before;
    mad.lo.u32 %i, %tile, 64, %thread;
    mad.wide.u32 %at, %i, 4, %y;
    st.global.u32 [%at], %v;
    ret;
}
""")


def test_a_scan_with_decoupled_look_back():
    tiles = 37
    x = np.random.default_rng(1).integers(0, 1000, 64 * tiles).astype(np.uint32)
    y = np.zeros_like(x)
    emulator.run(SCAN, grid=tiles, block=64, args=[x, y, np.zeros((tiles, 2), np.uint32), np.zeros(1, np.uint32)])
    assert y.tolist() == np.cumsum(x).tolist()


BACKWARDS = program("""
.visible .entry flags_from_later_ctas(.param .u64 flags, .param .u64 to)
{
    // CTA b waits for the flag of CTA b + 1: the last one has to run while all others wait.
    .reg .u64 %flags, %to, %mine;
    .reg .u32 %cta, %count, %x, %thread;
    .reg .pred %waits, %last, %first;
    mov.u32 %cta, %ctaid.x;
    mov.u32 %count, %nctaid.x;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %flags, [flags];
    ld.param.u64 %to, [to];
    mad.wide.u32 %mine, %cta, 4, %flags;
    mad.wide.u32 %to, %cta, 4, %to;
    mov.u32 %x, 0;
    setp.ne.u32 %first, %thread, 0;
    @%first bra DONE;
    sub.u32 %count, %count, 1;
    setp.eq.u32 %last, %cta, %count;
    @%last bra GO;
WAIT:
    ld.acquire.gpu.global.u32 %x, [%mine+4];
    setp.eq.u32 %waits, %x, 0;
    @%waits bra WAIT;
GO:
    add.u32 %x, %x, 1;
    st.global.u32 [%to], %x;
    st.release.gpu.global.u32 [%mine], %x;
DONE:
    bar.sync 0;
    ret;
}
""")


@pytest.mark.parametrize("ctas", [2, 50])
def test_ctas_may_wait_for_later_ones(ctas):
    result = np.zeros(ctas, np.uint32)
    emulator.run(BACKWARDS, grid=ctas, block=64, args=[np.zeros(ctas, np.uint32), result])
    assert result.tolist() == list(range(ctas, 0, -1))


GRID = program("""
.visible .entry grid_barrier(.param .u64 arrived, .param .u64 a, .param .u64 b, .param .u32 rounds)
{
    // a and b change roles at each barrier of the whole grid: every number becomes the sum of its neighbours.
    .reg .u64 %arrived, %a, %b, %from, %to, %swap;
    .reg .u32 %i, %n, %left, %right, %x, %y, %round, %rounds, %goal, %old, %thread, %ctas;
    .reg .pred %first, %short, %more;
    mov.u32 %thread, %tid.x;
    mov.u32 %i, %ctaid.x;
    mov.u32 %ctas, %nctaid.x;
    shl.b32 %n, %ctas, 6;
    mad.lo.u32 %i, %i, 64, %thread;
    ld.param.u64 %arrived, [arrived];
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u32 %rounds, [rounds];
    setp.eq.u32 %first, %thread, 0;
    sub.u32 %x, %n, 1;
    add.u32 %right, %i, 1;
    and.b32 %right, %right, %x;
    sub.u32 %left, %i, 1;
    and.b32 %left, %left, %x;
    mov.u32 %round, 0;
    mov.u32 %goal, 0;
ROUND:
    mad.wide.u32 %from, %left, 4, %a;
    ld.volatile.global.u32 %x, [%from];
    mad.wide.u32 %from, %right, 4, %a;
    ld.volatile.global.u32 %y, [%from];
    add.u32 %x, %x, %y;
    mad.wide.u32 %to, %i, 4, %b;
    st.global.u32 [%to], %x;
    mov.u64 %swap, %a;
    mov.u64 %a, %b;
    mov.u64 %b, %swap;
    add.u32 %goal, %goal, %ctas;
    bar.sync 0;
    @!%first bra HERE;
    membar.gl;
    red.global.add.u32 [%arrived], 1;
WAIT:
    ld.acquire.gpu.global.u32 %old, [%arrived];
    setp.lt.u32 %short, %old, %goal;
    @%short bra WAIT;
HERE:
    bar.sync 0;
    add.u32 %round, %round, 1;
    setp.lt.u32 %more, %round, %rounds;
    @%more bra ROUND;
    ret;
}
""")


def test_a_barrier_of_the_whole_grid():
    ctas, rounds = 16, 6
    a = np.random.default_rng(2).integers(0, 100, 64 * ctas).astype(np.uint32)
    expected = a.copy()
    for _ in range(rounds):
        expected = np.roll(expected, 1) + np.roll(expected, -1)
    b = np.zeros_like(a)
    started = time.perf_counter()
    emulator.run(GRID, grid=ctas, block=64, args=[np.zeros(1, np.uint32), a, b, np.uint32(rounds)])
    assert time.perf_counter() - started < 20
    assert a.tolist() == expected.tolist()


def test_a_flag_that_nobody_sets_uses_up_the_fuel():
    text = BACKWARDS.replace("st.release.gpu.global.u32 [%mine], %x", "membar.gl").replace(
        "flags_from_later_ctas", "flags_never_set"
    )
    with pytest.raises(FuelExhausted, match="ran 3,000 loop iterations"):
        emulator.run(text, grid=2, block=32, args=[np.zeros(2, np.uint32), np.zeros(2, np.uint32)], fuel=3000)


COUNT = program("""
.visible .entry counts_by_red(.param .u64 x, .param .u64 counts)
{
    .reg .u64 %x, %counts, %at;
    .reg .u32 %i, %cta, %v, %old;
    mov.u32 %i, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.lo.u32 %i, %cta, 128, %i;
    ld.param.u64 %x, [x];
    ld.param.u64 %counts, [counts];
    mad.wide.u32 %at, %i, 4, %x;
    ld.global.u32 %v, [%at];
    and.b32 %v, %v, 15;
    mad.wide.u32 %at, %v, 4, %counts;
    red.global.add.u32 [%at], 1;
    atom.global.add.u32 %old, [%at], 2;       // nobody reads %old
    ret;
}
""")


def test_counts_need_no_order_and_do_not_depend_on_the_threads():
    x = np.random.default_rng(3).integers(0, 1 << 30, 128 * 200).astype(np.uint32)
    seen = []
    for threads in (1, 2, 5):
        counts = np.zeros(16, np.uint32)
        execution = emulator.run(COUNT, grid=200, block=128, args=[x, counts], threads=threads)
        assert execution.order == "any"
        assert counts.tolist() == (3 * np.bincount(x & 15, minlength=16)).tolist()
        seen.append(execution.counters)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("red.global.add.u32 [%at], 1", "red.global.max.u32 [%at], 1"), "a sum and a maximum do not commute"),
        (("red.global.add.u32 [%at], 1", "red.global.inc.u32 [%at], 7"), "inc wraps"),
        (("[%at], 2;", "[%at], 2;\n    st.global.u32 [%at+0], %old;"), "the old value is used"),
        (("ld.global.u32 %v", "ld.volatile.global.u32 %v"), "the load may wait for another CTA"),
    ],
)
def test_updates_that_do_not_commute_put_ctas_in_order(change, reason):
    text = COUNT.replace(*change)
    assert text != COUNT
    x, counts = np.zeros(256, np.uint32), np.zeros(16, np.uint32)
    assert emulator.run(text, grid=2, block=128, args=[x, counts]).order == "ascending", reason


TRAP = program("""
.visible .entry trap_in_one_thread(.param .u32 which)
{
    .reg .u32 %thread, %which;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    ld.param.u32 %which, [which];
    setp.eq.u32 %p, %thread, %which;
    nanosleep.u32 20;
    pmevent 1;
    @%p trap;
    ret;
}
""")


def test_a_trap_names_its_line_and_its_thread():
    emulator.run(TRAP, grid=1, block=64, args=[np.uint32(64)])
    with pytest.raises(KernelTrap, match=r"line \d+: thread 37 of CTA 0: trap"):
        emulator.run(TRAP, grid=1, block=64, args=[np.uint32(37)])


# ---- asynchronous copies


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


def test_four_stages_of_copies_are_on_their_way():
    execution, actual, expected = staged()
    assert actual == expected
    lanes = 64 * TILES
    assert counters(execution, "async_requests", "async_bytes", "global_load_requests", "global_load_bytes",
                    "global_load_sectors", "shared_store_requests", "shared_store_wavefronts") == {
        "async_requests": 2 * TILES, "async_bytes": 16 * lanes, "global_load_requests": 2 * TILES,
        "global_load_bytes": 16 * lanes, "global_load_sectors": lanes // 2, "shared_store_requests": 2 * TILES,
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


def test_what_a_copy_does_not_take_is_zeros():
    x = np.random.default_rng(5).integers(1, 256, (32, 16)).astype(np.uint8)
    counts = (np.arange(32) % 17).astype(np.uint32)
    y = np.zeros((32, 32), np.uint8)
    execution = emulator.run(PARTIAL, grid=1, block=32, args=[x, y, counts])
    for lane, count in enumerate(counts):
        assert y[lane, :16].tolist() == [*x[lane, :count], *[0] * (16 - count)]
        assert y[lane, 16:24].tolist() == (x[lane, :8].tolist() if count == 5 else [0] * 8)
        assert y[lane, 24:28].tolist() == ([0] * 4 if count == 5 else x[lane, :4].tolist())
        assert y[lane, 28:].tolist() == [255] * 4  # nobody wrote these
    fives = int((counts == 5).sum())
    loaded = int(counts.sum()) + 8 * fives + 4 * (32 - fives)
    assert execution.counters["ptx_global_load_bytes"] == loaded + 4 * 32
    assert execution.counters["ptx_async_bytes"] == 32 * (16 + 8 + 4)


def test_a_copy_of_part_of_the_bytes_may_end_where_the_array_does():
    counts = np.full(32, 16, np.uint32)
    counts[31] = 5
    emulator.run(PARTIAL, grid=1, block=32, args=[np.zeros(31 * 16 + 8, np.uint8), np.zeros(1024, np.uint8), counts])
    counts[31] = 9
    with pytest.raises(MemoryFault, match=r"cp.async.ca.shared.global.L2::128B by thread 31 of CTA 0 reads"):
        emulator.run(
            PARTIAL, grid=1, block=32, args=[np.zeros(31 * 16 + 8, np.uint8), np.zeros(1024, np.uint8), counts]
        )


def test_a_shorter_copy_does_not_vouch_for_a_longer_one_of_the_same_line():
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


# ---- mbarriers


BALL = program("""
.visible .entry mbarrier_ping_pong(.param .u64 to, .param .u32 rounds)
{
    .reg .u64 %to, %at, %state;
    .reg .u32 %thread, %lane, %i, %n, %x, %parity;
    .reg .pred %first, %pings, %done, %more;
    .shared .align 8 .b64 ping;
    .shared .align 8 .b64 pong;
    .shared .align 4 .b32 ball;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %n, [rounds];
    setp.eq.u32 %first, %thread, 0;
    @%first mbarrier.init.shared.b64 [ping], 32;
    @%first mbarrier.init.shared.b64 [pong], 32;
    @%first st.shared.u32 [ball], 0;
    bar.sync 0;
    and.b32 %lane, %thread, 31;
    setp.eq.u32 %first, %lane, 0;
    setp.lt.u32 %pings, %thread, 32;
    mov.u32 %i, 0;
    mov.u32 %parity, 0;
    @%pings bra SERVE;
WAIT:
    mbarrier.test_wait.parity.shared.b64 %done, [ping], %parity;
    @!%done bra WAIT;
    ld.shared.u32 %x, [ball];
    add.u32 %x, %x, 1;
    mad.wide.u32 %at, %i, 4, %to;
    @%first st.global.u32 [%at], %x;
    bar.warp.sync 0xffffffff;
    @%first st.shared.u32 [ball], %x;
    mbarrier.arrive.shared.b64 %state, [pong];
    xor.b32 %parity, %parity, 1;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra WAIT;
    ret;
SERVE:
    ld.shared.u32 %x, [ball];
    add.u32 %x, %x, 100;
    bar.warp.sync 0xffffffff;
    @%first st.shared.u32 [ball], %x;
    mbarrier.arrive.shared.b64 %state, [ping];
BACK:
    mbarrier.test_wait.parity.shared.b64 %done, [pong], %parity;
    @!%done bra BACK;
    xor.b32 %parity, %parity, 1;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra SERVE;
    ret;
}
""")


def test_two_warps_play_through_mbarriers():
    result = np.zeros(40, np.uint32)
    execution = emulator.run(BALL, grid=2, block=64, args=[result, np.uint32(40)])
    assert result.tolist() == [101 * (i + 1) for i in range(40)]
    assert execution.counters["ptx_warp_instructions"] < 5000  # a failed test lets the other warp run at once


def test_an_mbarrier_that_waits_for_one_more_is_a_deadlock():
    text = BALL.replace("[ping], 32", "[ping], 33").replace("mbarrier_ping_pong", "mbarrier_misses_one")
    line = 1 + text[: text.index("mbarrier.test_wait.parity.shared.b64 %done, [ping]")].count("\n")
    with pytest.raises(Deadlock, match=f"warp 1 waits at line {line}, mbarrier.test_wait"):
        emulator.run(text, grid=1, block=64, args=[np.zeros(4, np.uint32), np.uint32(4)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@%first mbarrier.init.shared.b64 [ping], 32;", ""), "is done on what is no mbarrier"),
        (("[ping], 32", "[ping], 0"), "has a count outside 1 to 1048575"),
        (("[ping], 32", "[ping], 20"), None),
    ],
)
def test_a_misused_mbarrier_is_a_fault(change, message):
    text = BALL.replace(*change)
    if message is None:  # twelve lanes arrive in the next phase, which then lacks eight: the warps wait forever
        with pytest.raises(Deadlock):
            emulator.run(text, grid=1, block=64, args=[np.zeros(4, np.uint32), np.uint32(4)])
        return
    with pytest.raises(MemoryFault, match=message):
        emulator.run(text, grid=1, block=64, args=[np.zeros(4, np.uint32), np.uint32(4)])


STATES = program("""
.visible .entry mbarrier_states(.param .u64 to)
{
    .reg .u64 %to, %first, %second, %third;
    .reg .u32 %x;
    .reg .pred %p;
    .shared .align 8 .b64 object;
    ld.param.u64 %to, [to];
    mbarrier.init.shared.b64 [object], 5;
    mbarrier.arrive.noComplete.shared.b64 %first, [object], 3;
    mbarrier.pending_count.b64 %x, %first;
    st.global.u32 [%to], %x;                  // 5: before the arrival
    mbarrier.test_wait.shared.b64 %p, [object], %first;
    selp.u32 %x, 1, 0, %p;
    st.global.u32 [%to+4], %x;                // 0: two are missing
    mbarrier.arrive_drop.shared.b64 %second, [object];
    mbarrier.pending_count.b64 %x, %second;
    st.global.u32 [%to+8], %x;                // 2
    mbarrier.arrive.shared.b64 %third, [object];
    mbarrier.test_wait.shared.b64 %p, [object], %third;
    selp.u32 %x, 1, 0, %p;
    st.global.u32 [%to+12], %x;               // 1: complete
    mbarrier.test_wait.parity.shared.b64 %p, [object], 1;
    selp.u32 %x, 1, 0, %p;
    st.global.u32 [%to+16], %x;               // 0: the second phase is open
    mbarrier.arrive.noComplete.shared.b64 %first, [object], 1;
    mbarrier.pending_count.b64 %x, %first;
    st.global.u32 [%to+20], %x;               // 4: one has dropped out
    mbarrier.inval.shared.b64 [object];
    ret;
}
""")


def test_an_mbarrier_counts_arrivals_and_those_that_drop_out():
    result = np.zeros(6, np.uint32)
    emulator.run(STATES, grid=1, block=1, args=[result])
    assert result.tolist() == [5, 0, 2, 1, 0, 4]


def test_an_arrival_that_must_not_complete_a_phase_is_a_fault_if_it_does():
    text = STATES.replace("[object], 3;", "[object], 5;").replace("mbarrier_states", "mbarrier_completes")
    with pytest.raises(MemoryFault, match=r"completes the phase, which .noComplete must not"):
        emulator.run(text, grid=1, block=1, args=[np.zeros(6, np.uint32)])


def delivered(name, arrivals, expected):
    return program(f"""
.visible .entry {name}(.param .u64 x, .param .u64 y)
{{
    .reg .u64 %x, %y, %state;
    .reg .u32 %thread, %here, %v;
    .reg .pred %first, %done;
    .shared .align 16 .b8 tile[256];
    .shared .align 8 .b64 full;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mad.wide.u32 %x, %thread, 4, %x;
    mad.wide.u32 %y, %thread, 4, %y;
    mov.u32 %here, tile;
    mad.lo.u32 %here, %thread, 4, %here;
    setp.eq.u32 %first, %thread, 0;
    @%first mbarrier.init.shared.b64 [full], {expected};
    bar.sync 0;
    cp.async.ca.shared.global [%here], [%x], 4;
    {arrivals}
WAIT:
    mbarrier.test_wait.parity.shared.b64 %done, [full], 0;
    @!%done bra WAIT;
    xor.b32 %thread, %thread, 63;
    mov.u32 %here, tile;
    mad.lo.u32 %here, %thread, 4, %here;
    ld.shared.u32 %v, [%here];
    st.global.u32 [%y], %v;
    ret;
}}
""")


DELIVERED = [
    ("copies_arrive_noinc", "cp.async.mbarrier.arrive.noinc.shared.b64 [full];", 64),
    (
        "copies_arrive",
        "cp.async.mbarrier.arrive.shared.b64 [full];\n    mbarrier.arrive.shared.b64 %state, [full];",
        64,
    ),
]
DELIVERIES = [delivered(*each) for each in DELIVERED]


@pytest.mark.parametrize("text", DELIVERIES, ids=[name for name, *_ in DELIVERED])
def test_copies_arrive_at_an_mbarrier(text):
    x = np.random.default_rng(6).integers(0, 1 << 30, 64).astype(np.uint32)
    y = np.zeros(64, np.uint32)
    execution = emulator.run(text, grid=1, block=64, args=[x, y], sanitize=True)
    assert y.tolist() == x[::-1].tolist()
    assert execution.findings == ()


EARLY = program("""
.visible .entry copies_arrive_when_all_are_done(.param .u64 x, .param .u64 to)
{
    .reg .u64 %x, %to, %state;
    .reg .u32 %n;
    .shared .align 16 .b8 tile[8];
    .shared .align 8 .b64 object;
    ld.param.u64 %x, [x];
    ld.param.u64 %to, [to];
    mbarrier.init.shared.b64 [object], 10;
    cp.async.ca.shared.global [tile], [%x], 4;
    cp.async.commit_group;
    cp.async.ca.shared.global [tile+4], [%x], 4;
    cp.async.commit_group;
    cp.async.mbarrier.arrive.noinc.shared.b64 [object];
    cp.async.wait_group 1;
    mbarrier.arrive.noComplete.shared.b64 %state, [object], 1;
    mbarrier.pending_count.b64 %n, %state;
    st.global.u32 [%to], %n;                  // 10: the second copy is not done
    cp.async.wait_group 0;
    mbarrier.arrive.noComplete.shared.b64 %state, [object], 1;
    mbarrier.pending_count.b64 %n, %state;
    st.global.u32 [%to+4], %n;                // 8: the copies have arrived
    ret;
}
""")


def test_copies_arrive_only_when_all_before_are_done():
    result = np.zeros(2, np.uint32)
    emulator.run(EARLY, grid=1, block=1, args=[np.zeros(1, np.uint32), result])
    assert result.tolist() == [10, 8]


def test_counters_of_waiting_kernels_do_not_vary():
    for text, block, args in (
        (PIPE, 96, lambda: [np.zeros((9, 96), np.uint32), np.uint32(9)]),
        (BALL, 64, lambda: [np.zeros(40, np.uint32), np.uint32(40)]),
        (LOCK, 64, lambda: [np.zeros(1, np.uint32), np.zeros(1, np.uint32)]),
    ):
        name = re.search(r"\.entry (\w+)", text)[1]
        first, second = (emulator.run(text, grid=3, block=block, args=args(), threads=n) for n in (1, 2))
        assert first.counters == second.counters, name
        assert first.by_line == second.by_line, name
