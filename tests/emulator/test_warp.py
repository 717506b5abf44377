"""Collective operations of a warp: shuffles, votes, reductions, and synchronisation with partial masks."""

import functools
import operator

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.harness import program

ALL = 0xFFFFFFFF


def shuffled(mode, values, b, c, active):
    """(value, predicate) of each active lane, as PTX ISA describes shfl.sync; None for the others.

    A lane that reads from one that does not take part keeps its own value (undefined in PTX).
    """
    results = []
    for lane in range(32):
        distance, clamp, segment = b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31
        lowest = lane & segment
        highest = lowest | clamp & ~segment & 31
        source = {
            "up": lane - distance,
            "down": lane + distance,
            "bfly": lane ^ distance,
            "idx": lowest | distance & ~segment & 31,
        }[mode]
        inside = source >= highest if mode == "up" else source <= highest
        there = inside and active[source]
        results.append((values[source] if there else values[lane], inside) if active[lane] else None)
    return results


def shuffle_kernel(mode, b, c):
    """`b` and `c`: immediates, or None for registers loaded from memory."""
    name = f"shuffle_{mode}_" + "_".join("r" if lane is None else f"{lane:x}" for lane in (b, c))
    return program(f"""
.visible .entry {name}(.param .u64 to, .param .u64 from)
{{
    .reg .u64 %to, %from;
    .reg .u32 %lane, %x, %b, %c, %in;
    .reg .pred %inside;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u64 %from, [from];
    mad.wide.u32 %to, %lane, 8, %to;
    mad.wide.u32 %from, %lane, 16, %from;
    ld.global.u32 %x, [%from];
    ld.global.u32 %b, [%from+4];
    ld.global.u32 %c, [%from+8];
    shfl.sync.{mode}.b32 %x|%inside, %x, {"%b" if b is None else b}, {"%c" if c is None else c}, 0xffffffff;
    selp.u32 %in, 1, 0, %inside;
    st.global.v2.u32 [%to], {{%x, %in}};
    ret;
}}
""")


SEGMENTS = {32: 0, 16: 16 << 8, 8: 24 << 8, 4: 28 << 8, 2: 30 << 8, 1: 31 << 8}
CONSTANT = {
    (mode, distance, segment | (0 if mode == "up" else 31)): shuffle_kernel(
        mode, distance, segment | (0 if mode == "up" else 31)
    )
    for mode in ("up", "down", "bfly", "idx")
    for distance, segment in ((1, 0), (16, 0), (31, 0), (3, SEGMENTS[8]), (7, SEGMENTS[16]), (33, 0))
}
DYNAMIC = {mode: shuffle_kernel(mode, None, None) for mode in ("up", "down", "bfly", "idx")}


def run_shuffle(text, values, b, c, lanes):
    data = np.stack([values, b, c, np.zeros(32, np.uint32)], axis=1).astype(np.uint32)
    result = np.full((32, 2), 0xEEEEEEEE, np.uint32)
    emulator.run(text, grid=1, block=lanes, args=[result, data])
    return [tuple(row) for row in result[:lanes].tolist()]


@pytest.mark.parametrize("lanes", [32, 20])
@pytest.mark.parametrize(("mode", "b", "c"), CONSTANT)
def test_a_shuffle_by_a_constant_reads_the_lane_that_the_manual_computes(mode, b, c, lanes):
    values = np.arange(100, 132)
    expected = shuffled(mode, values.tolist(), [b] * 32, [c] * 32, [lane < lanes for lane in range(32)])
    actual = run_shuffle(CONSTANT[mode, b, c], values, [b] * 32, [c] * 32, lanes)
    assert actual == [(value, int(inside)) for value, inside in expected[:lanes]]


@pytest.mark.parametrize("mode", DYNAMIC)
@pytest.mark.parametrize("width", SEGMENTS)
@pytest.mark.parametrize("lanes", [32, 13])
def test_a_shuffle_by_a_register_uses_the_operands_of_each_lane(mode, width, lanes):
    rng = np.random.default_rng(width)
    values = rng.integers(0, 2**32, 32, np.uint64)
    b = rng.integers(0, 64, 32)
    clamp = rng.integers(0, 32, 32) if width == 32 else np.full(32, 0 if mode == "up" else 31)
    c = SEGMENTS[width] | clamp
    expected = shuffled(mode, values.tolist(), b.tolist(), c.tolist(), [lane < lanes for lane in range(32)])
    actual = run_shuffle(DYNAMIC[mode], values, b, c, lanes)
    assert actual == [(value, int(inside)) for value, inside in expected[:lanes]]


MEETING = program("""
.visible .entry meet_at_shuffle(.param .u64 to, .param .u32 split)
{
    .reg .u64 %to;
    .reg .u32 %lane, %x, %split, %y;
    .reg .pred %low;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %split, [split];
    mad.wide.u32 %to, %lane, 8, %to;
    setp.lt.u32 %low, %lane, %split;
    @%low bra LOW;
    add.u32 %x, %lane, 1000;
    bra JOIN;
LOW:
    add.u32 %x, %lane, 2000;
JOIN:
    shfl.sync.bfly.b32 %y, %x, 31, 31, 0xffffffff;
    st.global.v2.u32 [%to], {%x, %y};
    ret;
}
""")


@pytest.mark.parametrize("split", [0, 1, 16, 31, 32])
def test_lanes_of_both_sides_of_a_branch_meet_at_the_shuffle_after_it(split):
    result = np.zeros((32, 2), np.uint32)
    emulator.run(MEETING, grid=1, block=32, args=[result, np.uint32(split)])
    own = np.array([lane + (2000 if lane < split else 1000) for lane in range(32)])
    assert (result == np.stack([own, own[::-1]], axis=1)).all()


APART = program("""
.visible .entry meet_from_two_lines(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %lane, %x;
    .reg .pred %low;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %lane, 4, %to;
    mov.u32 %x, %lane;
    setp.lt.u32 %low, %lane, 16;
    @%low bra LOW;
    shfl.sync.bfly.b32 %x, %x, 1, 31, 0xffff0000;
    bra JOIN;
LOW:
    shfl.sync.bfly.b32 %x, %x, 15, 31, 0x0000ffff;
JOIN:
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_halves_of_a_warp_shuffle_by_themselves_with_masks_of_their_own():
    result = np.zeros(32, np.uint32)
    emulator.run(APART, grid=1, block=32, args=[result])
    assert result.tolist() == [lane ^ 15 if lane < 16 else lane ^ 1 for lane in range(32)]


GUARDED = program("""
.visible .entry guarded_shuffle(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %lane, %x, %y, %bit;
    .reg .pred %even, %late;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %lane, 8, %to;
    and.b32 %bit, %lane, 1;
    setp.eq.u32 %even, %bit, 0;
    mov.u32 %x, %lane;
    setp.lt.u32 %late, %lane, 8;
    @%late bra LATE;                    // those below 8 come to SHUFFLE when the others already wait there
    add.u32 %x, %x, 100;
SHUFFLE:
    @%even shfl.sync.bfly.b32 %x, %x, 2, 31, 0x55555555;
    add.u32 %y, %x, 5;                  // for the odd lanes too
    st.global.v2.u32 [%to], {%x, %y};
    ret;
LATE:
    add.u32 %x, %x, 200;
    bra SHUFFLE;
}
""")


def test_lanes_whose_guard_is_false_pass_a_shuffle_and_lose_nothing_after_it():
    result = np.zeros((32, 2), np.uint32)
    emulator.run(GUARDED, grid=1, block=32, args=[result])
    own = [lane + (200 if lane < 8 else 100) for lane in range(32)]
    expected = [own[lane ^ 2] if lane % 2 == 0 else own[lane] for lane in range(32)]
    assert result.tolist() == [[x, x + 5] for x in expected]


VOTES = program("""
.visible .entry votes(.param .u64 to, .param .u64 from, .param .u32 mask)
{
    .reg .u64 %to, %from;
    .reg .u32 %lane, %x, %r<6>, %mask;
    .reg .pred %p, %q, %in;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u64 %from, [from];
    ld.param.u32 %mask, [mask];
    mad.wide.u32 %from, %lane, 4, %from;
    mad.wide.u32 %to, %lane, 24, %to;
    mov.u32 %x, %lanemask_eq;
    and.b32 %x, %x, %mask;
    setp.eq.u32 %in, %x, 0;
    @%in exit;
    ld.global.u32 %x, [%from];
    setp.ne.u32 %p, %x, 0;
    vote.sync.all.pred %q, %p, %mask;
    selp.u32 %r0, 1, 0, %q;
    vote.sync.any.pred %q, %p, %mask;
    selp.u32 %r1, 1, 0, %q;
    vote.sync.uni.pred %q, %p, %mask;
    selp.u32 %r2, 1, 0, %q;
    vote.sync.ballot.b32 %r3, %p, %mask;
    vote.sync.any.pred %q, !%p, %mask;
    selp.u32 %r4, 1, 0, %q;
    activemask.b32 %r5;
    st.global.v2.u32 [%to], {%r0, %r1};
    st.global.v2.u32 [%to+8], {%r2, %r3};
    st.global.v2.u32 [%to+16], {%r4, %r5};
    ret;
}
""")


@pytest.mark.parametrize("mask", [ALL, 0x0000FFFF, 0x80000001, 0x00F0F000])
@pytest.mark.parametrize("yes", [0, ALL, 0x80000000, 0x12345678, 0x00F0F000])
def test_votes_count_the_lanes_that_take_part(mask, yes):
    votes = np.array([yes >> lane & 1 for lane in range(32)], np.uint32)
    result = np.full((32, 6), 7, np.uint32)
    emulator.run(VOTES, grid=1, block=32, args=[result, votes, np.uint32(mask)])
    ballot = yes & mask
    expected = [ballot == mask, ballot != 0, ballot in (0, mask), ballot, ballot != mask, mask]
    for lane in range(32):
        assert result[lane].tolist() == (list(map(int, expected)) if mask >> lane & 1 else [7] * 6)


REDUCTIONS = {
    "add.u32": operator.add, "add.s32": operator.add, "min.u32": min, "max.u32": max, "min.s32": min, "max.s32": max,
    "and.b32": operator.and_, "or.b32": operator.or_, "xor.b32": operator.xor,
}  # fmt: skip


def reduction_kernel(operation):
    return program(f"""
.visible .entry reduce_{operation.replace(".", "_")}(.param .u64 to, .param .u64 from)
{{
    .reg .u64 %to, %from;
    .reg .b32 %lane, %x;
    .reg .pred %high;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u64 %from, [from];
    mad.wide.u32 %from, %lane, 4, %from;
    mad.wide.u32 %to, %lane, 4, %to;
    ld.global.b32 %x, [%from];
    setp.ge.u32 %high, %lane, 8;
    @%high bra HIGH;
    redux.sync.{operation} %x, %x, 0xff;
    bra DONE;
HIGH:
    redux.sync.{operation} %x, %x, 0xffffff00;
DONE:
    st.global.b32 [%to], %x;
    ret;
}}
""")


REDUCED = {operation: reduction_kernel(operation) for operation in REDUCTIONS}


@pytest.mark.parametrize("operation", REDUCTIONS)
@pytest.mark.parametrize("lanes", [32, 11])
def test_a_reduction_covers_its_mask_and_no_other_lane(operation, lanes):
    signed = operation.endswith("s32")
    data = np.random.default_rng(7).integers(0, 2**32, 32, np.uint64).astype(np.uint32)
    result = np.zeros(32, np.uint32)
    emulator.run(REDUCED[operation], grid=1, block=lanes, args=[result, data])
    values = data.view(np.int32).tolist() if signed else data.tolist()
    for first, last in ((0, min(8, lanes)), (8, lanes)):
        expected = functools.reduce(REDUCTIONS[operation], values[first:last]) & ALL
        assert result[first:last].tolist() == [expected] * (last - first)


ACTIVE = program("""
.visible .entry active_lanes(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %lane, %a, %b, %c, %bit;
    .reg .pred %odd;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %lane, 12, %to;
    and.b32 %bit, %lane, 1;
    setp.ne.u32 %odd, %bit, 0;
    activemask.b32 %a;
    mov.u32 %b, 0;
    @%odd activemask.b32 %b;
    @%odd bra ODD;
    activemask.b32 %c;
    bra DONE;
ODD:
    activemask.b32 %c;
DONE:
    st.global.u32 [%to], %a;
    st.global.u32 [%to+4], %b;
    st.global.u32 [%to+8], %c;
    ret;
}
""")


@pytest.mark.parametrize("lanes", [32, 6])
def test_activemask_gives_the_executing_lanes(lanes):
    result = np.zeros((32, 3), np.uint32)
    emulator.run(ACTIVE, grid=1, block=lanes, args=[result])
    every = (1 << lanes) - 1
    odd, even = every & 0xAAAAAAAA, every & 0x55555555
    for lane in range(lanes):
        assert result[lane].tolist() == [every, odd if lane % 2 else 0, odd if lane % 2 else even]


EXCHANGE = program("""
.visible .entry meet_at_warp_barrier(.param .u64 to, .param .u32 mask)
{
    .reg .u64 %to;
    .reg .u32 %lane, %at, %x, %mask, %bit, %sum;
    .reg .pred %out, %odd;
    .shared .u32 tile[32];
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %mask, [mask];
    mad.wide.u32 %to, %lane, 4, %to;
    mov.u32 %bit, %lanemask_eq;
    and.b32 %bit, %bit, %mask;
    setp.eq.u32 %out, %bit, 0;
    @%out exit;
    mov.u32 %at, tile;
    mad.lo.u32 %at, %lane, 4, %at;
    and.b32 %bit, %lane, 1;
    setp.ne.u32 %odd, %bit, 0;
    @%odd bra ODD;
    bar.warp.sync %mask;                // even lanes wait here for what the odd ones have not written yet
    xor.b32 %at, %at, 4;
    ld.shared.u32 %x, [%at];
    bra DONE;
ODD:
    st.shared.u32 [%at], %lane;
    bar.warp.sync %mask;
    mov.u32 %x, 1000;
DONE:
    st.global.u32 [%to], %x;
    ret;
}
""")


@pytest.mark.parametrize("mask", [ALL, 0x0000000F, 0x33CC0000])
def test_diverged_lanes_meet_at_a_warp_barrier(mask):
    result = np.full(32, 7, np.uint32)
    emulator.run(EXCHANGE, grid=1, block=32, args=[result, np.uint32(mask)])
    assert result.tolist() == [7 if not mask >> lane & 1 else 1000 if lane % 2 else lane + 1 for lane in range(32)]


LATER = program("""
.visible .entry exit_releases_those_who_wait(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %lane, %x;
    .reg .pred %high;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %lane, 4, %to;
    setp.ge.u32 %high, %lane, 16;
    @%high bra LEAVE;
    mov.u32 %x, %lane;
    shfl.sync.bfly.b32 %x, %x, 1, 31, 0xffffffff;   // the upper half is in the mask, but leaves
    st.global.u32 [%to], %x;
    ret;
LEAVE:
    ret;
}
""")


def test_lanes_of_the_mask_that_have_exited_are_not_waited_for():
    result = np.full(32, 7, np.uint32)
    emulator.run(LATER, grid=1, block=32, args=[result])
    assert result.tolist() == [lane ^ 1 if lane < 16 else 7 for lane in range(32)]
