"""mbarriers: arrivals, phases, drops, copies that arrive, and misuses."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import Deadlock, MemoryFault
from tests.emulator.harness import program
from tests.emulator.test_barriers import PIPE
from tests.emulator.test_locks import LOCK

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


def test_two_warps_exchange_data_through_mbarriers():
    result = np.zeros(40, np.uint32)
    execution = emulator.run(BALL, grid=2, block=64, args=[result, np.uint32(40)])
    assert result.tolist() == [101 * (i + 1) for i in range(40)]
    assert execution.counters["ptx_mbarrier_phases"] == 2 * 2 * 40  # both mbarriers, in both CTAs
    assert execution.counters["ptx_warp_instructions"] < 5000  # after a failed test the other warp runs immediately


def test_an_mbarrier_that_waits_for_one_more_is_a_deadlock():
    text = BALL.replace("[ping], 32", "[ping], 33").replace("mbarrier_ping_pong", "mbarrier_misses_one")
    line = 1 + text[: text.index("mbarrier.test_wait.parity.shared.b64 %done, [ping]")].count("\n")
    with pytest.raises(Deadlock, match=f"warp 1 waits at line {line}, mbarrier.test_wait"):
        emulator.run(text, grid=1, block=64, args=[np.zeros(4, np.uint32), np.uint32(4)])


def test_a_deadlock_names_the_test_of_the_mbarrier_not_the_start_of_its_loop():
    with pytest.raises(Deadlock, match=r"waits at line 10, mbarrier\.try_wait"):
        emulator.run(
            """.version 8.0
.target sm_90
.visible .entry counts_its_tries()
{
    .reg .pred %done; .reg .b32 %tries; .shared .b64 bar;
    mbarrier.init.shared.b64 [bar], 64;
    mov.u32 %tries, 0;
AGAIN:
    add.u32 %tries, %tries, 1;
    mbarrier.try_wait.parity.shared.b64 %done, [bar], 0;
    @!%done bra AGAIN;
    ret;
}
""",
            grid=1,
            block=1,
            args=[],
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@%first mbarrier.init.shared.b64 [ping], 32;", ""), "needs an initialised mbarrier there"),
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
    with pytest.raises(MemoryFault, match=r"completes the phase, which .noComplete does not allow"):
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
DELIVERIES = [delivered(*delivery) for delivery in DELIVERED]


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


def test_copies_arrive_only_after_all_earlier_ones():
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


RELAXED = """.version 8.6
.target sm_90
.address_size 64
.visible .entry relaxed(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %value;
    .reg .pred %first, %done;
    .shared .align 8 .b64 met;
    .shared .u32 word;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    setp.eq.u32 %first, %thread, 0;
    @%first mbarrier.init.shared::cta.b64 [met], 1;
    bar.sync 0;
    @!%first bra WAIT;
    st.shared.u32 [word], 7;
    ARRIVE
WAIT:
    TEST
    @!%done bra WAIT;
    FENCE
    ld.shared.u32 %value, [word];
    st.global.u32 [%to], %value;
    ret;
}
"""
ARRIVAL, TRY = (
    "mbarrier.arrive{}.shared::cta.b64 _, [met];",
    "mbarrier.try_wait.parity{}.shared::cta.b64 %done, [met], 0;",
)
RELEASED = "fence.release.sync_restrict::shared::cta.cluster;"
ACQUIRED = "fence.acquire.sync_restrict::shared::cluster.cluster;"


@pytest.mark.parametrize(
    ("arrive", "test", "fence", "races"),
    [
        (ARRIVAL.format(""), TRY.format(""), "", False),
        (ARRIVAL.format(".relaxed.cta"), TRY.format(""), "", True),
        (RELEASED + ARRIVAL.format(".relaxed.cluster"), TRY.format(""), "", False),
        (ARRIVAL.format(""), TRY.format(".relaxed.cta"), "", True),
        (ARRIVAL.format(""), TRY.format(".relaxed.cta"), "fence.acq_rel.cta;", False),
        (ARRIVAL.format(""), TRY.format(".relaxed.cta"), RELEASED, True),
        (RELEASED + ARRIVAL.format(".relaxed.cluster"), TRY.format(".relaxed.cluster"), ACQUIRED, False),
    ],
)
def test_a_relaxed_arrival_or_wait_orders_accesses_only_with_a_fence(arrive, test, fence, races):
    text = RELAXED.replace("ARRIVE", arrive).replace("TEST", test).replace("FENCE", fence)
    to = np.zeros(1, np.uint32)
    execution = emulator.run(text, grid=1, block=64, args=[to], sanitize=True)
    assert to.tolist() == [7]
    assert [finding.kind for finding in execution.findings] == ["race"] * races
