"""Launches with their CTAs in another order than usual."""

import numpy as np
import pytest

from ptxbench import emulator

CTAS = 4

# Each CTA writes its number to the element that its ticket names, once before a barrier and once after it.
DIARY = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry diary(.param .u64 ticket, .param .u64 out)
{
    .reg .u64 %ticket, %out, %at;
    .reg .u32 %place, %cta;
    ld.param.u64 %ticket, [ticket];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    atom.global.add.u32 %place, [%ticket], 1;
    mad.wide.u32 %at, %place, 4, %out;
    st.global.u32 [%at], %cta;
    bar.sync 0;
    atom.global.add.u32 %place, [%ticket], 1;
    mad.wide.u32 %at, %place, 4, %out;
    st.global.u32 [%at], %cta;
    ret;
}
"""


@pytest.mark.parametrize(
    ("ctas", "expected"),
    [
        ("usual",       [0, 1, 2, 3, 0, 1, 2, 3]),  # a CTA of one warp ends its turn at a barrier
        ("first first", [0, 0, 1, 1, 2, 2, 3, 3]),
        ("last first",  [3, 3, 2, 2, 1, 1, 0, 0]),
        ("by turns",    [0, 1, 2, 3, 3, 2, 1, 0]),
        ("first alone", [0, 0]),
        ("last alone",  [3, 3]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("threads", [1, 3])
def test_ctas_run_in_the_order_that_is_asked_for(ctas, expected, threads):
    ticket, out = np.zeros(1, np.uint32), np.full(2 * CTAS, 99, np.uint32)
    emulator.run(DIARY, grid=CTAS, block=1, args=[ticket, out], ctas=ctas, threads=threads)
    assert out[: ticket[0]].tolist() == expected


# Each warp adds 1 to the total; warp 0 then draws a ticket, and who draws the last one stores what the total is.
TICKETS = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry tickets(.param .u64 total, .param .u64 count, .param .u64 out)
{
    .reg .u64 %total, %count, %out;
    .reg .u32 %thread, %ticket, %ctas, %sum;
    .reg .pred %leads, %first, %last;
    .shared .u32 drawn;
    ld.param.u64 %total, [total];
    ld.param.u64 %count, [count];
    ld.param.u64 %out, [out];
    mov.u32 %thread, %tid.x;
    mov.u32 %ctas, %nctaid.x;
    sub.u32 %ctas, %ctas, 1;
    and.b32 %sum, %thread, 31;
    setp.eq.u32 %leads, %sum, 0;
    EARLIER
    @%leads red.global.add.u32 [%total], 1;
    BARRIER
    setp.eq.u32 %first, %thread, 0;
    @!%first bra MEET;
    membar.gl;
    atom.global.add.u32 %ticket, [%count], 1;
    st.shared.u32 [drawn], %ticket;
MEET:
    bar.sync 0;
    ld.shared.u32 %ticket, [drawn];
    setp.eq.u32 %last, %ticket, %ctas;
    @!%last bra DONE;
    membar.gl;
    ld.volatile.global.u32 %sum, [%total];
    st.global.u32 [%out], %sum;
DONE:
    ret;
}
"""


@pytest.mark.parametrize("cluster", [None, 2])
@pytest.mark.parametrize("earlier", ["", "bar.sync 0;"])
@pytest.mark.parametrize("barrier", ["", "bar.sync 0;"])
def test_the_first_warps_of_other_ctas_may_announce_what_their_other_warps_have_not_done(barrier, earlier, cluster):
    text = TICKETS.replace("BARRIER", barrier).replace("EARLIER", earlier)
    sums = {}
    for ctas in ("usual", "first first", "last first", "by turns", "stores first", "first warps"):
        total, count, out = np.zeros(1, np.uint32), np.zeros(1, np.uint32), np.zeros(1, np.uint32)
        if cluster:
            text = text.replace(".version 6.3", ".version 7.8").replace("sm_75", "sm_90")
        emulator.run(text, grid=6, block=96, args=[total, count, out], ctas=ctas, cluster=cluster)
        assert total[0] == 18
        sums[ctas] = int(out[0])
    early = sums.pop("first warps")
    assert set(sums.values()) == {18}
    assert early == (18 if barrier or cluster else 6 + 2)  # all warps of the last CTA, and the first ones of the others


def test_every_cta_of_a_kernel_without_atomics_runs_once_in_any_order():
    text = DIARY.replace("atom.global.add.u32 %place, [%ticket], 1;", "mov.u32 %place, %cta;")
    for ctas in ("usual", "last first", "by turns"):
        ticket, out = np.zeros(1, np.uint32), np.full(CTAS, 99, np.uint32)
        emulator.run(text, grid=CTAS, block=64, args=[ticket, out], ctas=ctas)
        assert out.tolist() == [0, 1, 2, 3]


# CTA 0 stores 1, runs a loop, and stores 2; CTA 1 reads once.
ANNOUNCER = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry announcer(.param .u64 flag, .param .u64 out)
{
    .reg .u64 %flag, %out;
    .reg .u32 %cta, %seen, %rounds;
    .reg .pred %looks, %more;
    ld.param.u64 %flag, [flag];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    setp.ne.u32 %looks, %cta, 0;
    @%looks bra LOOK;
    mov.u32 %rounds, 3;
    st.release.gpu.global.u32 [%flag], 1;
ROUND:
    sub.u32 %rounds, %rounds, 1;
    setp.ne.u32 %more, %rounds, 0;
    @%more bra ROUND;
    st.release.gpu.global.u32 [%flag], 2;
    ret;
LOOK:
    ld.acquire.gpu.global.u32 %seen, [%flag];
    st.global.u32 [%out], %seen;
    ret;
}
"""


@pytest.mark.parametrize(
    ("store", "ctas", "seen"),
    [
        ("st.release.gpu", "usual", 2),
        ("st.release.gpu", "by turns", 1),
        ("st.volatile", "by turns", 1),
        ("st", "by turns", 2),
    ],
)
def test_a_cta_that_takes_turns_is_seen_to_store_before_it_continues(store, ctas, seen):
    flag, out = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    text = ANNOUNCER.replace("st.release.gpu", store)
    emulator.run(text, grid=2, block=1, args=[flag, out], ctas=ctas)
    assert (out[0], flag[0]) == (seen, 2)


# CTA 1 stores twice; each lane of CTA 0 reads twice.
WATCHER = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry watcher(.param .u64 flag, .param .u64 out)
{
    .reg .u64 %flag, %out;
    .reg .u32 %cta, %lane, %seen;
    .reg .pred %stores, %watches;
    ld.param.u64 %flag, [flag];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    mov.u32 %lane, %tid.x;
    setp.eq.u32 %watches, %cta, 0;
    setp.eq.u32 %stores, %lane, 0;
    @%watches bra LOOK;
    @%stores st.relaxed.gpu.global.u32 [%flag], 1;
    @%stores st.relaxed.gpu.global.u32 [%flag], 2;
    ret;
LOOK:
    ld.relaxed.gpu.global.u32 %seen, [%flag];
    ld.relaxed.gpu.global.u32 %seen, [%flag];
    mad.wide.u32 %out, %lane, 4, %out;
    st.global.u32 [%out], %seen;
    ret;
}
"""


def test_what_a_cta_sees_of_another_while_they_take_turns_may_depend_on_the_schedule():
    flag, out = np.zeros(1, np.uint32), np.zeros(32, np.uint32)
    assert emulator.run(WATCHER, grid=2, block=32, args=[flag, out], sanitize=True, ctas="by turns").findings == ()


@pytest.mark.parametrize(("ctas", "seen"), [("by turns", 2), ("stores first", 1)])
def test_ctas_of_odd_rank_give_way_too_if_all_store_first(ctas, seen):
    flag, out = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    text = ANNOUNCER.replace("setp.ne.u32 %looks, %cta, 0;", "setp.ne.u32 %looks, %cta, 3;")
    emulator.run(text, grid=5, block=1, args=[flag, out], ctas=ctas)  # CTA 4 is the last one that reads
    assert (out[0], flag[0]) == (seen, 2)


# CTA 0 stores a flag before its value; CTA 1 reads both once.
HASTY = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry hasty(.param .u64 message, .param .u64 out)
{
    .reg .u64 %message, %out;
    .reg .u32 %cta, %flag, %value;
    .reg .pred %looks;
    ld.param.u64 %message, [message];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    setp.ne.u32 %looks, %cta, 0;
    @%looks bra LOOK;
    st.volatile.global.u32 [%message], 1;
    st.volatile.global.u32 [%message+4], 5;
    ret;
LOOK:
    ld.volatile.global.u32 %flag, [%message];
    ld.volatile.global.u32 %value, [%message+4];
    st.global.v2.u32 [%out], {%flag, %value};
    ret;
}
"""


@pytest.mark.parametrize(("ctas", "seen"), [("usual", [1, 5]), ("by turns", [1, 0])])
def test_a_cta_that_takes_turns_pauses_between_two_stores_that_others_may_wait_for(ctas, seen):
    message, out = np.zeros(2, np.uint32), np.zeros(2, np.uint32)
    emulator.run(HASTY, grid=2, block=1, args=[message, out], ctas=ctas)
    assert out.tolist() == seen
    assert message.tolist() == [1, 5]


# CTA 0 reads a value before its flag; CTA 1 stores both.
EAGER = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry eager(.param .u64 message, .param .u64 out)
{
    .reg .u64 %message, %out;
    .reg .u32 %cta, %flag, %value;
    .reg .pred %stores;
    ld.param.u64 %message, [message];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    setp.ne.u32 %stores, %cta, 0;
    @%stores bra STORE;
    ld.relaxed.gpu.global.u32 %value, [%message+4];
    ld.acquire.gpu.global.u32 %flag, [%message];
    st.global.v2.u32 [%out], {%flag, %value};
    ret;
STORE:
    st.relaxed.gpu.global.u32 [%message+4], 5;
    st.release.gpu.global.u32 [%message], 1;
    ret;
}
"""


@pytest.mark.parametrize(("ctas", "seen"), [("last first", [1, 5]), ("by turns", [1, 0])])
def test_a_cta_that_takes_turns_pauses_between_two_loads_of_what_others_store(ctas, seen):
    message, out = np.zeros(2, np.uint32), np.zeros(2, np.uint32)
    emulator.run(EAGER, grid=2, block=1, args=[message, out], ctas=ctas)
    assert out.tolist() == seen


# Each CTA adds 1 to a sum by a load and a swap.
ADDS = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry adds(.param .u64 sum)
{
    .reg .u64 %sum;
    .reg .u32 %seen, %new, %old;
    .reg .pred %lost;
    ld.param.u64 %sum, [sum];
    ld.volatile.global.u32 %old, [%sum];
AGAIN:
    mov.u32 %seen, %old;
    add.u32 %new, %seen, 1;
    atom.global.cas.b32 %old, [%sum], %seen, %new;
    setp.ne.u32 %lost, %old, %seen;
    RETRY
    ret;
}
"""


@pytest.mark.parametrize(("retry", "ctas", "total"), [
    ("@%lost bra AGAIN;", "by turns", CTAS),
    ("", "usual", CTAS),
    ("", "by turns", CTAS // 2),  # those of even rank pause
])  # fmt: skip
def test_a_cta_that_takes_turns_sees_that_its_swap_may_fail(retry, ctas, total):
    number = np.zeros(1, np.uint32)
    emulator.run(ADDS.replace("RETRY", retry), grid=CTAS, block=1, args=[number], ctas=ctas)
    assert number[0] == total


# Each warp of a CTA adds 1 to a sum in shared memory by a load and a store.
COUNTS_WARPS = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry counts_warps(.param .u64 sum)
{
    .shared .u32 warps;
    .reg .u64 %sum;
    .reg .u32 %lane, %thread, %old, %new;
    .reg .pred %leads, %few;
    ld.param.u64 %sum, [sum];
    mov.u32 %thread, %tid.x;
    and.b32 %lane, %thread, 31;
    setp.eq.u32 %leads, %lane, 0;
    st.shared.u32 [warps], 0;
    bar.sync 0;
    ld.volatile.shared.u32 %old, [warps];
    BETWEEN
    add.u32 %new, %old, 1;
    @%leads st.volatile.shared.u32 [warps], %new;
DONE:
    bar.sync 0;
    ld.shared.u32 %new, [warps];
    st.global.u32 [%sum], %new;
    ret;
}
"""


@pytest.mark.parametrize("between", ["", "setp.lt.u32 %few, %old, 9;\n    @!%few bra DONE;"])
@pytest.mark.parametrize(("ctas", "total"), [("usual", 4), ("by turns", 1)])
def test_a_warp_that_takes_turns_pauses_before_it_stores_what_it_has_loaded(between, ctas, total):
    number = np.zeros(1, np.uint32)
    emulator.run(COUNTS_WARPS.replace("BETWEEN", between), grid=1, block=128, args=[number], ctas=ctas)
    assert number[0] == total


# Each CTA arrives; the last one begins the next generation, for which the others wait, five thousand times at most.
GENERATIONS = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry generations(.param .u64 words, .param .u64 out)
{
    .reg .u64 %words, %out;
    .reg .u32 %cta, %ctas, %ticket, %before, %now, %tries;
    .reg .pred %last, %same, %more;
    ld.param.u64 %words, [words];
    ld.param.u64 %out, [out];
    mov.u32 %cta, %ctaid.x;
    mad.wide.u32 %out, %cta, 4, %out;
    mov.u32 %ctas, %nctaid.x;
    sub.u32 %ctas, %ctas, 1;
    mov.u32 %tries, 0;
    ARRIVAL
    setp.eq.u32 %last, %ticket, %ctas;
    @%last bra NEXT;
WAIT:
    ld.volatile.global.u32 %now, [%words + 4];
    add.u32 %tries, %tries, 1;
    setp.eq.u32 %same, %now, %before;
    setp.lt.and.u32 %more, %tries, 5000, %same;
    @%more bra WAIT;
    selp.u32 %tries, 1, 0, %same;
    st.global.u32 [%out], %tries;
    ret;
NEXT:
    add.u32 %now, %before, 1;
    st.volatile.global.u32 [%words + 4], %now;
    ret;
}
"""
ARRIVE, READ = "atom.global.add.u32 %ticket, [%words], 1;", "ld.volatile.global.u32 %before, [%words + 4];"


@pytest.mark.parametrize(
    ("arrival", "ctas", "waits_forever"),
    [
        (READ + ARRIVE, "by turns", False),
        (ARRIVE + READ, "usual", False),
        (ARRIVE + READ, "by turns", True),
    ],
)
def test_a_cta_that_takes_turns_pauses_between_its_arrival_and_a_load(arrival, ctas, waits_forever):
    words, out = np.zeros(2, np.uint32), np.zeros(4, np.uint32)
    text = GENERATIONS.replace("ARRIVAL", arrival)
    emulator.run(text, grid=4, block=1, args=[words, out], ctas=ctas)
    assert words.tolist() == [4, 1]
    assert out.any() == waits_forever
