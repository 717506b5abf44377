"""Locks, flags and look-back: lanes, warps and CTAs that wait for a write of another one."""

import time

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import FuelExhausted, KernelTrap
from tests.emulator.harness import program

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


def test_lanes_of_one_warp_get_a_lock_in_turn():
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


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("ctas", [2, 50])
def test_ctas_may_wait_for_later_ones(ctas, sanitize):
    result = np.zeros(ctas, np.uint32)
    execution = emulator.run(
        BACKWARDS, grid=ctas, block=64, args=[np.zeros(ctas, np.uint32), result], sanitize=sanitize
    )
    assert result.tolist() == list(range(ctas, 0, -1))
    assert execution.findings == ()


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


@pytest.mark.parametrize("sanitize", [False, True])
def test_a_barrier_of_the_whole_grid(sanitize):
    ctas, rounds = 16, 6
    a = np.random.default_rng(2).integers(0, 100, 64 * ctas).astype(np.uint32)
    expected = a.copy()
    for _ in range(rounds):
        expected = np.roll(expected, 1) + np.roll(expected, -1)
    b = np.zeros_like(a)
    started = time.perf_counter()
    arguments = [np.zeros(1, np.uint32), a, b, np.uint32(rounds)]
    execution = emulator.run(GRID, grid=ctas, block=64, args=arguments, sanitize=sanitize)
    assert time.perf_counter() - started < 20
    assert a.tolist() == expected.tolist()
    assert execution.findings == ()


SHARED = """
    .shared .u32 own[64];
    .reg .u32 %slot, %other, %kept;
    mov.u32 %slot, own;
    mad.lo.u32 %slot, %thread, 4, %slot;
    xor.b32 %other, %slot, 252;
    st.shared.u32 [%slot], %i;
    BEFORE
    ld.shared.u32 %kept, [%other];
    bar.sync 0;
"""


@pytest.mark.parametrize(("before", "kinds"), [("bar.sync 0;", set()), ("", {"race", "uninitialised"})])
def test_each_of_several_living_ctas_has_shared_memory_that_is_watched(before, kinds):
    """All CTAs write before the first one finishes; none reads the shared memory of another."""
    text = GRID.replace("    mov.u32 %round, 0;", SHARED.replace("BEFORE", before) + "    mov.u32 %round, 0;")
    text = text.replace("add.u32 %round, %round, 1;", "ld.shared.u32 %kept, [%other];\n    add.u32 %round, %round, 1;")
    a, b = np.ones(256, np.uint32), np.zeros(256, np.uint32)
    arguments = [np.zeros(1, np.uint32), a, b, np.uint32(2)]
    execution = emulator.run(text, grid=4, block=64, args=arguments, sanitize=True)
    assert {finding.kind for finding in execution.findings} == kinds
    assert set(a.tolist()) == {4}


def test_waiting_for_a_flag_that_is_never_set_reaches_the_iteration_limit():
    text = BACKWARDS.replace("st.release.gpu.global.u32 [%mine], %x", "membar.gl").replace(
        "flags_from_later_ctas", "flags_never_set"
    )
    with pytest.raises(FuelExhausted, match="ran 3,000 loop iterations"):
        emulator.run(text, grid=2, block=32, args=[np.zeros(2, np.uint32), np.zeros(2, np.uint32)], fuel=3000)


WAITS = program("""
.visible .entry waits_for_a_later_warp(.param .u64 flag)
{
    .reg .u64 %flag;
    .reg .u32 %thread, %seen, %waited;
    .reg .pred %later, %again;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %flag, [flag];
    setp.ge.u32 %later, %thread, 32;
    @%later st.volatile.global.u32 [%flag], 1;
    @%later ret;
    mov.u32 %waited, 0;
AGAIN:
    ld.volatile.global.u32 %seen, [%flag];
    add.u32 %waited, %waited, 1;
    setp.eq.u32 %again, %seen, 0;
    @%again bra AGAIN;
    st.volatile.global.u32 [%flag], %waited;
    ret;
}
""")
POLL = "ld.volatile.global.u32 %seen, [%flag];"
POLLS = (POLL, "atom.global.add.u32 %seen, [%flag], 0;", "atom.global.cas.b32 %seen, [%flag], 0, 0;")


@pytest.mark.parametrize("poll", POLLS)
def test_whoever_waits_by_a_load_or_an_atomic_soon_lets_others_run(poll):
    flag = np.zeros(1, np.uint32)
    emulator.run(WAITS.replace(POLL, poll), grid=1, block=64, args=[flag], fuel=3000)
    assert 0 < flag[0] < 1000


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


def test_counting_atomics_need_no_order_of_ctas_and_do_not_depend_on_the_threads():
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
