"""Guards, branches, loops, exits, barriers, calls, and the coordinates of threads in grid and block."""

import itertools

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.harness import program

GUARDS = program("""
.visible .entry guards(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %x, %odd;
    .reg .pred %p, %q;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 8, %to;
    and.b32 %odd, %thread, 1;
    setp.ne.u32 %p, %odd, 0;
    mov.u32 %x, 10;
    @%p mov.u32 %x, 20;
    @!%p add.u32 %x, %x, 1;
    @%p setp.gt.u32 %q, %thread, 15;
    @!%p setp.lt.u32 %q, %thread, 8;
    @!%p bra EVEN;
    st.global.u32 [%to], %x;
    @%q st.global.u32 [%to+4], 1;
    bra DONE;
EVEN:
    st.global.u32 [%to], %x;
    @!%q st.global.u32 [%to+4], 2;
DONE:
    ret;
}
""")


def test_a_guard_keeps_the_old_value_where_it_is_false():
    result = np.zeros((32, 2), np.uint32)
    emulator.run(GUARDS, grid=1, block=32, args=[result])
    odd = [(20, int(t > 15)) for t in range(1, 32, 2)]
    even = [(11, 0 if t < 8 else 2) for t in range(0, 32, 2)]
    assert result.tolist() == [list(pair) for both in zip(even, odd, strict=True) for pair in both]


LOOPS = program("""
.visible .entry nested_loops(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %outer, %inner, %limit, %sum, %product;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    mov.u32 %sum, 0;
    mov.u32 %outer, 0;
OUTER:
    setp.ge.u32 %p, %outer, %thread;
    @%p bra DONE;
    rem.u32 %limit, %outer, 5;
    mov.u32 %inner, 0;
INNER:
    setp.ge.u32 %p, %inner, %limit;
    @%p bra NEXT;
    mul.lo.u32 %product, %inner, %thread;
    add.u32 %sum, %sum, %product;
    add.u32 %inner, %inner, 1;
    setp.eq.u32 %p, %sum, 77;           // a second way out, of both loops
    @%p bra DONE;
    bra INNER;
NEXT:
    add.u32 %outer, %outer, 1;
    add.u32 %sum, %sum, 1;
    bra OUTER;
DONE:
    st.global.u32 [%to], %sum;
    ret;
}
""")


def nested(thread):
    total = 0
    for outer in range(thread):
        for inner in range(outer % 5):
            total += inner * thread
            if total == 77:
                return total
        total += 1
    return total


def test_each_lane_leaves_nested_loops_at_its_own_time():
    result = np.zeros(70, np.uint32)
    emulator.run(LOOPS, grid=1, block=70, args=[result])
    assert result.tolist() == [nested(thread) for thread in range(70)]


EXITS = program("""
.visible .entry divergent_exits(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %lane, %x;
    .reg .pred %p;
    .shared .u32 seen[64];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    and.b32 %lane, %thread, 31;
    setp.lt.u32 %p, %lane, 5;
    @%p exit;
    setp.gt.u32 %p, %lane, 28;
    @!%p bra STAY;
    st.global.u32 [%to], 7;
    ret;
STAY:
    mov.u32 %x, seen;
    mad.lo.u32 %x, %thread, 4, %x;
    st.shared.u32 [%x], %thread;
    bar.sync 0;                         // those that have left are not waited for
    xor.b32 %x, %x, 128;                // the same lane of the other warp
    ld.shared.u32 %x, [%x];
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_lanes_that_have_left_are_not_waited_for():
    result = np.zeros(64, np.uint32)
    emulator.run(EXITS, grid=1, block=64, args=[result])
    for thread, got in enumerate(result.tolist()):
        lane = thread % 32
        assert got == (0 if lane < 5 else 7 if lane > 28 else thread ^ 32)


REVERSED = program("""
.visible .entry reversed_by_barrier(.param .u64 to, .param .u32 rounds)
{
    .reg .u64 %to;
    .reg .u32 %thread, %threads, %base, %own, %across, %x, %block, %at, %rounds;
    .reg .pred %more;
    .shared .u32 tile[1024];
    mov.u32 %thread, %tid.x;
    mov.u32 %threads, %ntid.x;
    mov.u32 %block, %ctaid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %rounds, [rounds];
    mad.lo.u32 %at, %block, %threads, %thread;
    mad.wide.u32 %to, %at, 4, %to;
    mov.u32 %base, tile;
    mad.lo.u32 %own, %thread, 4, %base;
    sub.u32 %across, %threads, %thread;
    sub.u32 %across, %across, 1;
    mad.lo.u32 %across, %across, 4, %base;
    mov.u32 %x, %at;
ROUND:
    st.shared.u32 [%own], %x;
    bar.sync 0;
    ld.shared.u32 %x, [%across];
    add.u32 %x, %x, 1;
    bar.sync 0;
    sub.u32 %rounds, %rounds, 1;
    setp.ne.u32 %more, %rounds, 0;
    @%more bra ROUND;
    st.global.u32 [%to], %x;
    ret;
}
""")


@pytest.mark.parametrize("block", [1, 31, 32, 33, 64, 256, 1000, 1024])
def test_a_barrier_holds_every_warp_of_the_block(block):
    grid, rounds = 3, 3
    result = np.zeros(grid * block, np.uint32)
    execution = emulator.run(REVERSED, grid=grid, block=block, args=[result, np.uint32(rounds)])
    forward = np.arange(grid * block).reshape(grid, block)
    assert (result.reshape(grid, block) == forward[:, ::-1] + rounds).all()
    warps = -(-block // 32)
    assert execution.counters["ptx_barriers"] == 2 * rounds * grid * warps
    assert execution.counters["ptx_barrier_phases"] == 2 * rounds * grid


ROLES = program("""
.visible .entry warps_at_different_barrier_lines(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %warp, %x, %at;
    .reg .pred %p;
    .shared .u32 passed[2];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    shr.u32 %warp, %thread, 5;
    setp.ne.u32 %p, %warp, 0;
    @%p bra CONSUMER;
    st.shared.u32 [passed], 42;
    bar.sync 1;
    mov.u32 %x, 1;
    bra DONE;
CONSUMER:
    bar.sync 1;
    ld.shared.u32 %x, [passed];
DONE:
    barrier.sync 0;
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_warps_may_meet_at_one_barrier_from_different_lines():
    result = np.zeros(64, np.uint32)
    emulator.run(ROLES, grid=1, block=64, args=[result])
    assert result.tolist() == [1] * 32 + [42] * 32


LAST = program("""
.visible .entry barrier_at_the_end(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    st.global.u32 [%to], 1;
    bar.sync 0;
}
""")


def test_a_kernel_may_end_without_ret_even_at_a_barrier():
    result = np.zeros(64, np.uint32)
    emulator.run(LAST, grid=1, block=64, args=[result])
    assert result.tolist() == [1] * 64


FORWARD = program("""
.visible .entry label_at_the_end(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    setp.lt.u32 %p, %thread, 3;
    @%p bra END;
    st.global.u32 [%to], 1;
END:
}
""")


def test_a_branch_may_lead_to_the_end_of_the_function():
    result = np.zeros(8, np.uint32)
    emulator.run(FORWARD, grid=1, block=8, args=[result])
    assert result.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


SCOPES = program("""
.visible .entry nested_scopes(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %x, %y;
    ld.param.u64 %to, [to];
    mov.u32 %x, 1;
    {
        .reg .u32 %x;
        mov.u32 %x, 2;
        mov.u32 %y, %x;
        {
            .reg .u32 %y;
            mov.u32 %y, 5;
            add.u32 %x, %x, %y;
        }
        st.global.u32 [%to], %x;
    }
    {
        .reg .u32 %x;
        mov.u32 %x, 9;
        st.global.u32 [%to+8], %x;
    }
    add.u32 %x, %x, %y;
    st.global.u32 [%to+4], %x;
    ret;
}
""")


def test_an_inner_scope_has_its_own_registers():
    result = np.zeros(3, np.uint32)
    emulator.run(SCOPES, grid=1, block=1, args=[result])
    assert result.tolist() == [7, 3, 9]


WHERE = program("""
.visible .entry where_am_i(.param .u64 to)
{
    .reg .u64 %to, %at;
    .reg .u32 %x<4>, %n<4>, %b<4>, %m<4>, %thread, %block, %threads, %lane, %warp, %warps;
    ld.param.u64 %to, [to];
    mov.u32 %x0, %tid.x;   mov.u32 %x1, %tid.y;   mov.u32 %x2, %tid.z;
    mov.u32 %n0, %ntid.x;  mov.u32 %n1, %ntid.y;  mov.u32 %n2, %ntid.z;
    mov.u32 %b0, %ctaid.x; mov.u32 %b1, %ctaid.y; mov.u32 %b2, %ctaid.z;
    mov.u32 %m0, %nctaid.x; mov.u32 %m1, %nctaid.y; mov.u32 %m2, %nctaid.z;
    mad.lo.u32 %thread, %x2, %n1, %x1;
    mad.lo.u32 %thread, %thread, %n0, %x0;
    mad.lo.u32 %block, %b2, %m1, %b1;
    mad.lo.u32 %block, %block, %m0, %b0;
    mul.lo.u32 %threads, %n0, %n1;
    mul.lo.u32 %threads, %threads, %n2;
    mad.lo.u32 %thread, %block, %threads, %thread;
    mad.wide.u32 %at, %thread, 40, %to;
    st.global.u32 [%at], %x0;
    st.global.u32 [%at+4], %x1;
    st.global.u32 [%at+8], %x2;
    st.global.u32 [%at+12], %b0;
    st.global.u32 [%at+16], %b1;
    st.global.u32 [%at+20], %b2;
    mov.u32 %lane, %laneid;
    mov.u32 %warp, %warpid;
    st.global.u32 [%at+24], %lane;
    st.global.u32 [%at+28], %warp;
    mov.u32 %lane, %lanemask_lt;
    st.global.u32 [%at+32], %lane;
    mov.u32 %warps, WARP_SZ;
    st.global.u32 [%at+36], %warps;
    ret;
}
""")


@pytest.mark.parametrize(
    ("grid", "block"),
    [((1, 1, 1), (70, 1, 1)), ((3, 2, 1), (5, 7, 1)), ((2, 3, 2), (4, 3, 6)), ((1, 1, 4), (1, 1, 33))],
)
def test_threads_are_numbered_x_first_in_block_and_grid(grid, block):
    threads, blocks = int(np.prod(block)), int(np.prod(grid))
    result = np.zeros((blocks * threads, 10), np.uint32)
    emulator.run(WHERE, grid=grid, block=block, args=[result])
    expected = [
        (*thread, *cta, rank % 32, rank // 32, (1 << rank % 32) - 1, 32)
        for cta in coordinates(grid)
        for rank, thread in enumerate(coordinates(block))
    ]
    assert result.tolist() == [list(row) for row in expected]


def coordinates(extents):
    """(x, y, z) of each place, x fastest."""
    return [(x, y, z) for z, y, x in itertools.product(*(range(n) for n in reversed(extents)))]


MASKS = program("""
.visible .entry lane_masks(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %lane, %a, %b, %c, %d;
    mov.u32 %lane, %laneid;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %lane, 16, %to;
    mov.u32 %a, %lanemask_eq;
    mov.u32 %b, %lanemask_le;
    mov.u32 %c, %lanemask_ge;
    mov.u32 %d, %lanemask_gt;
    st.global.v4.u32 [%to], {%a, %b, %c, %d};
    ret;
}
""")


def test_lane_masks_name_the_lanes_below_and_above():
    result = np.zeros((32, 4), np.uint32)
    emulator.run(MASKS, grid=1, block=32, args=[result])
    every = (1 << 32) - 1
    for lane in range(32):
        at, below = 1 << lane, (1 << lane) - 1
        assert result[lane].tolist() == [at, below | at, every ^ below, every ^ below ^ at]


UNWRITTEN = program("""
.visible .entry unwritten_registers(.param .u64 to)
{
    .reg .u64 %to, %zero;
    .reg .u32 %thread, %x;
    .reg .pred %p, %q;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    setp.lt.u32 %p, %thread, 10;
    @!%p bra JOIN;
    mov.u32 %x, 5;
    setp.eq.u32 %q, 0, 0;
JOIN:
    @%q add.u32 %x, %x, 1;
    add.u64 %to, %to, %zero;
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_registers_that_were_never_written_are_zero_in_every_cta():
    result = np.full(4 * 32, 99, np.uint32)
    emulator.run(UNWRITTEN, grid=1, block=32, args=[result[:32]], threads=1)
    assert result[:32].tolist() == [0 if not t < 10 else 6 for t in range(32)]
    for _ in range(2):  # no value of the launch before remains
        emulator.run(UNWRITTEN, grid=3, block=32, args=[result[32:64]], threads=1)
        assert result[32:64].tolist() == [0 if not t < 10 else 6 for t in range(32)]


SWITCH = program("""
.visible .entry switch(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %case, %x;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    rem.u32 %case, %thread, 3;
    CASES: .branchtargets ZERO, ONE, TWO;
    brx.idx %case, CASES;
ZERO:
    mov.u32 %x, 100;
    bra DONE;
TWO:
    mov.u32 %x, 102;
    bra DONE;
ONE:
    mov.u32 %x, 101;
DONE:
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_each_lane_branches_to_the_label_of_its_index():
    result = np.zeros(40, np.uint32)
    execution = emulator.run(SWITCH, grid=1, block=40, args=[result])
    assert result.tolist() == [100 + t % 3 for t in range(40)]
    assert (execution.counters["ptx_branches"], execution.counters["ptx_divergent_branches"]) == (2, 2)


CALLS = program("""
.func (.param .b32 result) power(.param .b32 base, .param .b32 exponent)
{
    .reg .u32 %base, %exponent, %x;
    .reg .pred %p;
    ld.param.u32 %base, [base];
    ld.param.u32 %exponent, [exponent];
    mov.u32 %x, 1;
AGAIN:
    setp.eq.u32 %p, %exponent, 0;
    @%p bra READY;
    mul.lo.u32 %x, %x, %base;
    sub.u32 %exponent, %exponent, 1;
    bra AGAIN;
READY:
    st.param.b32 [result], %x;
    ret;
}
.visible .entry calls(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %x, %y;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    mov.u32 %y, 0;
    setp.gt.u32 %p, %thread, 20;
    @%p bra DONE;
    {
        .param .b32 base;
        .param .b32 exponent;
        .param .b32 result;
        st.param.b32 [base], 3;
        st.param.b32 [exponent], %thread;
        call.uni (result), power, (base, exponent);
        ld.param.b32 %x, [result];
    }
    {
        .param .b32 base;
        .param .b32 exponent;
        .param .b32 result;
        st.param.b32 [base], 2;
        st.param.b32 [exponent], %thread;
        call.uni (result), power, (base, exponent);
        ld.param.b32 %y, [result];
    }
    add.u32 %y, %x, %y;
DONE:
    st.global.u32 [%to], %y;
    ret;
}
""")


def test_a_function_is_called_twice_with_lanes_that_return_at_different_times():
    result = np.full(32, 9, np.uint32)
    emulator.run(CALLS, grid=1, block=32, args=[result])
    assert result.tolist() == [3**t + 2**t if t <= 20 else 0 for t in range(32)]


FENCES = program("""
.visible .entry fences(.param .u64 to)
{
    .reg .u64 %to;
    ld.param.u64 %to, [to];
    st.global.u32 [%to], 1;
    membar.cta;
    membar.gl;
    membar.sys;
    bar.warp.sync 0xffffffff;
    ret;
}
""")


def test_fences_change_nothing():
    result = np.zeros(1, np.uint32)
    emulator.run(FENCES, grid=1, block=32, args=[result])
    assert result[0] == 1
