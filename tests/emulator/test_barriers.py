"""Barriers: parts of a CTA, several at once, reductions, and barriers that no thread can complete."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import Variation
from ptxbench.errors import Deadlock
from tests.emulator.harness import program

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


def test_each_half_of_two_warps_meets_at_its_own_barrier():
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


LEAVES = program("""
.visible .entry a_warp_arrives_and_exits(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %x;
    .reg .pred %first, %second;
    .shared .u32 word;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    setp.ge.u32 %first, %thread, 64;
    @!%first bra WAIT;
    bar.arrive 1, 96;
    ret;
WAIT:
    setp.lt.u32 %second, %thread, 32;
    @%second st.shared.u32 [word], 7;
    bar.sync 1, 96;
    ld.shared.u32 %x, [word];
    st.global.u32 [%to], %x;
    ret;
}
""")


@pytest.mark.parametrize("lanes", [None, 1])
def test_a_warp_that_has_arrived_and_exited_counts_once(lanes):
    result = np.zeros(96, np.uint32)
    emulator.run(LEAVES, grid=1, block=96, args=[result], variation=Variation(lanes=lanes))
    assert result[:64].tolist() == [7] * 64


def test_a_barrier_that_expects_too_many_says_how_many_came():
    with pytest.raises(Deadlock, match=r"line \d+, bar.sync, barrier 3, 32 of 64 threads"):
        emulator.run(RAGGED, grid=1, block=32, args=[np.zeros(32, np.uint32)])


def test_a_barrier_beyond_the_fifteenth_is_refused():
    text = PARTS.replace("barrier.sync 1, 32", "mov.u32 %x, 16;\n    barrier.sync %x, 32")
    with pytest.raises(Deadlock, match=r"names barrier 16; a CTA has 0 to 15"):
        emulator.run(text, grid=1, block=64, args=[np.zeros(64, np.uint32)])
