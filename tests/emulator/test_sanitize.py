"""`sanitize=True`: each kind of mistake is found, named with its line and thread, and correct kernels stay clean."""

import gc
import re
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator import process
from ptxbench.emulator.console import Console
from ptxbench.emulator.process import emulator_process
from ptxbench.emulator.variation import Variation
from tests.emulator.pairs import SIDES, emulated_arch, launches, marked, source

NOTHING = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry nothing()\n{\n    ret;\n}\n"
KERNEL = """.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u32 n)
{
    .reg .u32 %t, %v, %w, %slot, %next, %n, %lane;
    .reg .u64 %out, %at, %p;
    .reg .pred %inside, %first;
    .shared .u32 tile[64];
    .shared .u8 bytes[64];
    .local .u32 own[4];
    mov.u32 %t, %tid.x;
    ld.param.u64 %out, [out];
    ld.param.u32 %n, [n];
    mul.wide.u32 %at, %t, 4;
    add.u64 %at, %at, %out;
    mov.u32 %slot, tile;
    xor.b32 %next, %t, 1;
    mad.lo.u32 %next, %next, 4, %slot;
    mad.lo.u32 %slot, %t, 4, %slot;
    setp.lt.u32 %inside, %t, %n;
    setp.eq.u32 %first, %t, 0;
BODY
    ret;
}
"""
FIRST_LINE = 23  # of BODY


def sanitized(body, threads=64, n=64, out=64, grid=1, functions="", **options):
    array = np.zeros(out, np.uint32)
    ptx = KERNEL.replace("BODY", body.strip("\n")).replace(".visible", f"{functions}.visible")
    return emulator.run(ptx, grid=grid, block=threads, args=[array, np.uint32(n)], sanitize=True, **options), array


def only(execution):
    """The one finding."""
    assert len(execution.findings) == 1, execution.findings
    return execution.findings[0]


def test_a_store_past_the_end_is_a_finding_and_the_launch_continues():
    execution, out = sanitized("st.global.u32 [%at], 7;", out=63)
    finding = only(execution)
    assert (finding.kind, finding.line) == ("out-of-bounds", FIRST_LINE)
    assert finding.message == (
        "line 23: st.global.u32 by thread 63 of CTA 0 writes byte 252 of 'out', which has 252. Check its guard."
    )
    assert out.tolist() == [7] * 63


def test_a_misaligned_load_is_a_finding_and_gives_zero():
    execution, out = sanitized("ld.global.u32 %v, [%at+2];\nst.global.u32 [%at], %v;", threads=32)
    assert [finding.kind for finding in execution.findings] == ["misaligned"]
    assert not out.any()


def test_a_neighbour_read_without_a_barrier_is_a_race_with_both_lines():
    execution, _ = sanitized("st.shared.u32 [%slot], %t;\nld.shared.u32 %v, [tile];\nst.global.u32 [%at], %v;")
    finding = only(execution)
    assert (finding.kind, finding.line) == ("race", 24)
    assert finding.message == (
        "line 24: ld.shared.u32 by thread 1 of CTA 0 reads byte 0 of shared memory, which "
        "st.shared.u32 by thread 0 of CTA 0 at line 23 wrote, and nothing orders the two."
    )


def test_the_same_with_a_barrier_is_clean():
    execution, _ = sanitized(
        "st.shared.u32 [%slot], %t;\nbar.sync 0;\nld.shared.u32 %v, [tile];\nst.global.u32 [%at], %v;"
    )
    assert execution.findings == ()
    assert execution.notes == ()


def test_a_write_after_another_threads_read_is_a_race():
    body = """
    st.shared.u32 [%slot], %t;
    bar.sync 0;
    ld.shared.u32 %v, [tile+4];
    st.shared.u32 [%slot], %n;
    """
    execution, _ = sanitized(body, threads=32)
    finding = only(execution)
    assert finding.kind == "race"
    assert finding.message == (
        "line 26: st.shared.u32 by thread 1 of CTA 0 writes byte 4 of shared memory, which "
        "ld.shared.u32 by thread 31 of CTA 0 at line 25 read, and nothing orders the two."
    )


def test_lanes_that_store_different_values_to_one_address_are_found():
    execution, _ = sanitized("st.shared.u32 [tile], %t;", threads=32)
    finding = only(execution)
    assert finding.kind == "race"
    assert "writes another value in the same instruction" in finding.message


def test_lanes_that_store_one_value_to_one_address_are_not_found():
    execution, _ = sanitized("st.shared.u32 [tile], 1;", threads=32)
    assert execution.findings == ()


def test_warps_that_store_to_one_address_race_unless_it_has_the_value_already():
    assert (
        only(
            sanitized("@!%inside st.shared.u32 [tile], %t;\n@%first st.shared.u32 [tile], 5;", n=32, threads=33)[0]
        ).kind
        == "race"
    )
    execution, _ = sanitized("st.shared.u32 [tile], 1;")
    assert execution.findings == ()
    assert execution.notes == (
        "same value: line 23: st.shared.u32 by thread 32 of CTA 0 writes the value that byte 0 of shared memory "
        "already holds; st.shared.u32 by thread 31 of CTA 0 at line 23 wrote it, and nothing orders the two",
    )


def test_neighbouring_bytes_do_not_race():
    body = "mov.u32 %v, bytes;\nadd.u32 %v, %v, %t;\nst.shared.u8 [%v], %t;\nst.shared.u32 [%slot], 0;"
    execution, _ = sanitized(body)
    assert execution.findings == ()


def test_atomics_do_not_race_with_each_other_but_with_a_plain_read():
    body = "@%first st.shared.u32 [tile], 0;\nbar.sync 0;\nred.shared.add.u32 [tile], 1;\n"
    assert sanitized(body)[0].findings == ()
    finding = only(sanitized(body + "ld.shared.u32 %v, [tile];\nst.global.u32 [%at], %v;", threads=32)[0])
    assert (finding.kind, finding.line) == ("race", 26)


def test_a_warp_sync_orders_lanes_of_one_warp_only():
    exchange = """
    st.shared.u32 [%slot], %t;
    SYNC
    ld.shared.u32 %v, [%next];
    st.global.u32 [%at], %v;
    """
    assert sanitized(exchange.replace("SYNC", "bar.warp.sync 0xffffffff;"))[0].findings == ()
    assert only(sanitized(exchange.replace("SYNC", ""))[0]).kind == "race"
    across = exchange.replace("%next", "tile+128").replace("SYNC", "bar.warp.sync 0xffffffff;")
    kinds = [finding.kind for finding in sanitized(across)[0].findings]
    assert "race" in kinds
    assert "uninitialised" in kinds  # warp 0 reads before warp 1 has written


@pytest.mark.parametrize(
    ("body", "space"),
    [
        ("ld.shared.u32 %v, [%slot];\nst.global.u32 [%at], %v;", "shared"),
        ("atom.shared.add.u32 %v, [%slot], 1;\nst.global.u32 [%at], %v;", "shared"),
        ("red.shared.or.b32 [tile], 1;", "shared"),
        ("atom.shared.exch.b32 %v, [%next], 1;\nst.global.u32 [%at], %v;", "shared"),
        ("mov.u64 %p, tile;\ncvta.shared.u64 %p, %p;\natom.cas.b32 %v, [%p], 1, 2;", "shared"),
        ("ld.local.u32 %v, [own+8];\nst.global.u32 [%at], %v;", "local"),
        ("mov.u64 %p, own;\ncvta.local.u64 %p, %p;\nld.u32 %v, [%p];\nst.global.u32 [%at], %v;", "local"),
    ],
)
def test_a_read_of_uninitialised_memory_is_a_finding(body, space):
    finding = only(sanitized(body)[0])
    assert finding.kind == "uninitialised"
    assert f"of {space} memory, which was never written." in finding.message


@pytest.mark.parametrize("address", ["%slot", "%next", "tile+4"])
def test_an_exchange_whose_result_nothing_uses_writes_memory_and_does_not_read_it(address):
    body = f"atom.shared.exch.b32 %w, [{address}], %t;\nbar.sync 0;\natom.shared.add.u32 %v, [{address}], 1;"
    execution, _ = sanitized(f"{body}\nst.global.u32 [%at], %v;")
    assert execution.findings == ()


@pytest.mark.parametrize(
    ("update", "kinds"),
    [
        ("atom.shared.and.b32 %w, [tile], 0;", []),
        ("atom.shared.and.b32 %w, [tile], 1;", ["uninitialised"]),
        ("atom.shared.and.b32 %w, [tile], 0;\nst.global.u32 [%at], %w;", ["uninitialised"]),
        ("red.shared.or.b32 [tile], -1;", []),
        ("red.shared.or.b32 [tile], 1;", ["uninitialised"]),
    ],
)
def test_an_atomic_that_leaves_the_same_value_whatever_memory_has_does_not_read_it(update, kinds):
    execution, _ = sanitized(f"@!%first bra READY;\n{update}\nREADY:\nbar.sync 0;\nld.shared.u32 %v, [tile];")
    assert [finding.kind for finding in execution.findings] == kinds


def test_an_exchange_whose_result_nothing_uses_races_with_plain_accesses():
    finding = only(sanitized("st.shared.u32 [%next], 5;\natom.shared.exch.b32 %w, [%slot], %t;")[0])
    assert (finding.kind, finding.line) == ("race", FIRST_LINE + 1)


def test_data_of_an_earlier_cta_counts_as_uninitialised():
    """Both CTAs read, then one writes; this must not make the other one clean."""
    finding = only(
        sanitized(
            "ld.shared.u32 %v, [%slot];\nst.global.u32 [%at], %v;\nst.shared.u32 [%slot], %t;",
            threads=32,
            grid=2,
        )[0]
    )
    assert finding.kind == "uninitialised"


def test_a_local_array_that_is_written_first_is_clean():
    assert sanitized("st.local.u32 [own+4], %t;\nld.local.u32 %v, [own+4];\nst.global.u32 [%at], %v;")[0].findings == ()


def test_a_register_that_some_lanes_never_wrote_is_found():
    finding = only(sanitized("@%first mov.u32 %w, 5;\nadd.u32 %v, %w, 1;\nst.global.u32 [%at], %v;")[0])
    assert finding.kind == "uninitialised"
    assert finding.message == "line 24: add.u32 by thread 1 of CTA 0 reads '%w' before it was written."


def test_a_guarded_chain_on_one_guard_is_clean():
    body = "@%inside ld.global.u32 %w, [%at];\n@%inside add.u32 %w, %w, 1;\n@%inside st.global.u32 [%at], %w;"
    assert sanitized(body, n=40)[0].findings == ()


def test_lanes_of_a_warp_at_different_barriers_are_found():
    body = "@%first bra ONE;\nbar.sync 0;\nbra OUT;\nONE:\nbar.sync 0;\nOUT:\nst.global.u32 [%at], %t;"
    finding = only(sanitized(body)[0])
    assert (finding.kind, finding.line) == ("divergent-barrier", 27)
    assert "thread 0 of CTA 0 reaches a barrier while other lanes of its warp wait at another one" in finding.message


def test_lanes_that_reach_one_barrier_one_after_the_other_cause_no_finding():
    """For example, one lane tests a flag in a loop: the others continue, and ptxas makes them reconverge."""
    body = "@!%first bra HERE;\nadd.u32 %v, %t, 1;\nst.global.u32 [%at], %v;\nHERE:\nbar.sync 0;"
    assert sanitized(body)[0].findings == ()
    turned = "@%first bra AWAY;\nHERE:\nbar.sync 0;\nbra OUT;\nAWAY:\nst.global.u32 [%at], %t;\nbra HERE;\nOUT:"
    assert sanitized(turned)[0].findings == ()


LEAVE = ".func leave(.reg .b32 v) { .reg .pred %q; setp.lt.u32 %q, v, 4; @%q ret.uni; ret; } "


@pytest.mark.parametrize(
    ("body", "thread"),
    [
        ("@%inside bra.uni OUT;\nst.global.u32 [%at], %t;\nOUT:", 32),
        ("@!%inside bra.uni OUT;\nst.global.u32 [%at], %t;\nOUT:", 40),
        ("@!%inside ret.uni;\nst.global.u32 [%at], %t;", 40),
        ("@%inside call.uni leave, (%n);", 40),
        ("ways: .branchtargets ON, OUT;\nand.b32 %v, %t, 1;\nbrx.idx.uni %v, ways;\nON:\nOUT:", 1),
    ],
    ids=["bra", "bra not", "ret", "call", "brx"],
)
def test_lanes_that_go_different_ways_where_none_may_are_found(body, thread):
    finding = only(sanitized(body, n=40, functions=LEAVE)[0])
    assert finding.kind == "divergent-branch"
    assert f".uni by thread {thread} of CTA 0 goes another way than other lanes of its warp" in finding.message
    assert sanitized(body.replace(".uni", ""), n=40, functions=LEAVE)[0].findings == ()
    assert "brx" in body or sanitized(body, n=32, functions=LEAVE)[0].findings == ()


def test_a_return_of_a_function_is_checked_too():
    body = "call.uni leave, (%v);\nst.global.u32 [%at], %v;"
    assert sanitized(f"mov.u32 %v, %n;\n{body}", functions=LEAVE)[0].findings == ()
    assert only(sanitized(f"shr.u32 %v, %t, 2;\n{body}", functions=LEAVE)[0]).kind == "divergent-branch"


WAYS = ".func one(.reg .b32 v) { ret; } .func two(.reg .b32 v) { ret; } "


@pytest.mark.parametrize("label", ["WAYS: .calltargets one, two;", "WAYS: .callprototype _ (.reg .b32 _);"])
def test_lanes_that_call_different_functions_where_none_may_are_found(label):
    body = f"""{label}
    .reg .pred %odd;
    .reg .u64 %f, %g;
    mov.u64 %f, one;
    mov.u64 %g, two;
    and.b32 %v, %n, 1;
    setp.eq.u32 %odd, %v, 1;
    selp.u64 %f, %g, %f, %odd;
    call.uni %f, (%t), WAYS;
    st.global.u32 [%at], %t;
    """
    assert sanitized(body, functions=WAYS)[0].findings == ()
    finding = only(sanitized(body.replace("%v, %n, 1", "%v, %t, 1"), functions=WAYS)[0])
    assert (finding.kind, finding.line) == ("divergent-branch", 31)
    assert finding.message.startswith(
        "line 31: call by thread 1 of CTA 0 goes another way than other lanes of its warp"
    )
    assert sanitized(body.replace("%v, %n, 1", "%v, %t, 1").replace(".uni", ""), functions=WAYS)[0].findings == ()


TRANSPOSED = "movmatrix.sync.aligned.m8n8.trans.b16 %w, %t;\nst.global.u32 [%at], %w;"


@pytest.mark.parametrize(
    "body",
    [
        f"@!%inside ret;\n{TRANSPOSED}",
        f"@!%inside bra OUT;\n{TRANSPOSED}\nOUT:",
        f"mov.u32 %w, 0;\n@%inside {TRANSPOSED}",
    ],
    ids=["exit", "branch to the end", "guard"],
)
def test_a_part_of_a_warp_that_executes_what_all_lanes_must_is_found(body):
    finding = only(sanitized(body, n=40)[0])
    assert finding.kind == "partial-warp"
    assert "by thread 32 of CTA 0 needs all lanes of its warp, but some have exited" in finding.message
    assert sanitized(body, n=32)[0].findings == ()


def test_a_barrier_behind_an_exit_is_found():
    finding = only(sanitized("@!%inside ret;\nbar.sync 0;\nst.global.u32 [%at], %t;", n=40)[0])
    assert (finding.kind, finding.line) == ("barrier-after-exit", 24)


def test_an_exit_of_lanes_for_which_others_wait_is_found():
    body = "@%first bra AWAY;\nbar.sync 0;\nst.global.u32 [%at], %t;\nAWAY:"
    finding = only(sanitized(body)[0])
    assert finding.kind == "barrier-after-exit"
    assert "ret by thread 0 of CTA 0 exits while other lanes of its warp wait at a barrier" in finding.message


@pytest.mark.parametrize("before", ["", "bar.warp.sync -1;", "shfl.sync.idx.b32 %v, %t, 0, 31, -1;"])
def test_a_missing_warp_sync_between_strong_accesses_is_found_by_another_schedule(before):
    body = f"""
    {before}
    st.volatile.global.u32 [%at], %t;
    SYNC
    xor.b32 %w, %t, 1;
    mul.wide.u32 %p, %w, 4;
    add.u64 %p, %p, %out;
    ld.volatile.global.u32 %v, [%p];
    SYNC
    st.volatile.global.u32 [%at], %v;
    """
    finding = only(sanitized(body.replace("SYNC", ""))[0])
    assert finding.kind == "schedule"
    assert "a __syncwarp (bar.warp.sync), a barrier or an atomic is missing" in finding.message
    execution, out = sanitized(body.replace("SYNC", "bar.warp.sync 0xffffffff;"))
    assert execution.findings == ()
    assert out.tolist() == [i ^ 1 for i in range(64)]


@pytest.mark.parametrize("clock", ["%clock", "%globaltimer_lo"])
def test_a_clock_makes_the_second_schedule_inconclusive(clock):
    body = f"@%first bra AWAY;\nxor.b32 %v, %t, 3;\nAWAY:\nmov.u32 %v, {clock};\nst.global.u32 [%at], %v;"
    execution, _ = sanitized(body)
    assert execution.findings == ()
    note = f"second schedule inconclusive: line 26 reads {clock}, whose results may depend on the order"
    assert execution.unchecked == (note,)


def test_the_same_with_plain_accesses_is_a_race_through_global_memory():
    body = "st.global.u32 [%at], %t;\nSYNC\nld.global.u32 %v, [%out];"
    assert only(sanitized(body.replace("SYNC", ""))[0]).message == (
        "line 25: ld.global.u32 by thread 1 of CTA 0 reads byte 0 of 'out', which st.global.u32 by thread 0 of CTA 0 "
        "at line 23 wrote, and nothing orders the two."
    )
    assert sanitized(body.replace("SYNC", "bar.sync 0;"))[0].findings == ()


def test_messages_between_ctas_of_a_large_grid_are_reported_as_unchecked():
    body = "st.global.u32 [%at], 1;\nfence.acq_rel.gpu;\nst.relaxed.gpu.global.u32 [%at], 1;"
    note = sanitized(body, threads=32, grid=4097)[0].notes[0]
    assert note == (
        "races between CTAs not checked: they send messages to each other, and the grid has 4,097 warps; the "
        "maximum is 4,096; use a smaller grid"
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_findings_do_not_depend_on_the_host_threads(threads):
    body = "st.shared.u32 [%slot], %t;\nld.shared.u32 %v, [tile];\nst.global.u32 [%at+4], %v;"
    one, _ = sanitized(body, threads=64, grid=2)
    again, _ = sanitized(body, threads=64, grid=2)
    assert one.findings == again.findings
    array = np.zeros(64, np.uint32)
    ptx = KERNEL.replace("BODY", body)
    execution = emulator.run(ptx, grid=2, block=64, args=[array, np.uint32(64)], sanitize=True, threads=threads)
    assert execution.findings == one.findings
    assert {finding.kind for finding in one.findings} == {"race", "out-of-bounds"}


def test_counters_and_outputs_match_a_plain_launch():
    body = "st.shared.u32 [%slot], %t;\nbar.sync 0;\nld.shared.u32 %v, [%next];\n@%inside st.global.u32 [%at], %v;"
    execution, out = sanitized(body, n=50)
    plain = np.zeros(64, np.uint32)
    expected = emulator.run(KERNEL.replace("BODY", body), grid=1, block=64, args=[plain, np.uint32(50)])
    assert execution.counters == expected.counters
    assert execution.by_line == expected.by_line
    assert out.tolist() == plain.tolist()


VARIANTS = [side for side in SIDES if not source(*side).flags]
"""Of the rows of one file, one."""
LARGE = {"warp_special"}
"""Pairs whose smallest ring is larger than the global memory that is checked whole: half of its pages are."""


@pytest.mark.parametrize(("name", "variant"), marked(VARIANTS, of=["ptx"]))
def test_no_shipped_kernel_raises_a_false_alarm(name, variant):
    arch = emulated_arch(name)
    build = toolchain.build_source(source(name, variant), arch, "driver")
    for options, arguments in launches(name, variant):
        execution = emulator.run(build.ptx, build.entry, args=[*arguments.values()], names=[*arguments], arch=arch,
                                 sanitize=True, **options)  # fmt: skip
        assert execution.findings == ()
        partly = [note for note in execution.notes if "race" in note]
        assert not partly or (name in LARGE and all("global memory checked on one page" in note for note in partly))


def test_lanes_that_poll_an_mbarrier_take_turns_with_another_schedule_too():
    body = """
    @%first mbarrier.init.shared.b64 [gate], 64;
    bar.sync 0;
    mov.u32 %w, 0;
ROUND:
    mbarrier.arrive.shared.b64 %p, [gate];
POLL:
    mbarrier.test_wait.shared.b64 %inside, [gate], %p;
    @%inside bra OVER;
    add.u32 %v, %t, 1;
    bra POLL;
OVER:
    add.u32 %w, %w, 1;
    setp.lt.u32 %inside, %w, 4;
    @%inside bra ROUND;
    st.global.u32 [%at], %w;
    """
    ptx = KERNEL.replace("BODY", ".shared .align 8 .b64 gate;" + body)
    out = np.zeros(64, np.uint32)
    execution = emulator.run(ptx, grid=1, block=64, args=[out, np.uint32(64)], sanitize=True)
    assert execution.findings == ()
    assert execution.unchecked == ()
    assert out.tolist() == [4] * 64


@pytest.mark.parametrize(
    ("load", "kinds"),
    [
        ("ld.global.u32 %v, [%out];", set()),
        ("ld.global.u32 %next, [%out];\nadd.u32 %v, %next, 1;", {"race"}),
    ],
)
def test_a_plain_load_does_not_race_where_an_atomic_compares_with_its_value(load, kinds):
    body = f"{load}\nadd.u32 %w, %v, 1;\natom.global.cas.b32 %w, [%out], %v, %w;"
    assert {finding.kind for finding in sanitized(body)[0].findings} == kinds


LONG = """.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x)
{
    .reg .u32 %t, %c, %i, %v, %slot, %step;
    .reg .u64 %x, %at;
    .reg .pred %more;
    .shared .u32 tile[64];
    ld.param.u64 %x, [x];
    mov.u32 %t, %tid.x;
    mov.u32 %c, %ctaid.x;
    mad.lo.u32 %i, %c, 64, %t;
    mad.wide.u32 %at, %i, 4, %x;
    mov.u32 %slot, tile;
    mad.lo.u32 %slot, %t, 4, %slot;
    mov.u32 %step, 0;
AGAIN:
    st.shared.u32 [%slot], %t;
    BARRIER
    xor.b32 %v, %t, 32;
    mov.u32 %i, tile;
    mad.lo.u32 %i, %v, 4, %i;
    ld.shared.u32 %v, [%i];
    bar.sync 0;
    add.u32 %step, %step, 1;
    setp.lt.u32 %more, %step, 50;
    @%more bra AGAIN;
    st.global.u32 [%at], %v;
    NEIGHBOUR
    ret;
}
"""


@pytest.mark.parametrize(
    ("barrier", "neighbour", "place"),
    [
        ("bar.sync 0;", "",                             None),
        ("",            "",                             "shared memory"),
        ("bar.sync 0;", "ld.global.u32 %v, [%at+256];", "'x'"),
    ],
)  # fmt: skip
def test_a_long_launch_is_sampled_says_so_and_still_finds_a_race(barrier, neighbour, place):
    x = np.zeros((1 << 21) + 64, np.uint32)
    text = LONG.replace("BARRIER", barrier).replace("NEIGHBOUR", neighbour)
    execution = emulator.run(text, grid=2000, block=64, args=[x], sanitize=True)
    assert any("shared memory checked in CTAs 0 to" in note for note in execution.unchecked), execution.unchecked
    assert any("one page of 4 KiB in 4" in note for note in execution.unchecked), execution.unchecked
    races = [finding.message for finding in execution.findings if finding.kind == "race"]
    assert any(place in message for message in races) if place else execution.findings == ()


@pytest.mark.parametrize("sanitize", [False, True])
def test_no_memory_of_a_launch_is_left_to_the_garbage_collector(sanitize, monkeypatch):
    """A judgement, which runs without it, kept all of some hundred launches."""
    monkeypatch.setattr(process, "RUNNING", [process.InThisProcess()])
    gc.collect()
    gc.disable()
    try:
        for seed in range(3):
            variation = Variation(memory=seed)
            emulator.run(NOTHING, grid=1, block=32, args=[], sanitize=sanitize, variation=variation)
        consoles = [thing for thing in gc.get_objects() if isinstance(thing, Console)]
    finally:
        gc.enable()
        process.RUNNING[0].stop()
    assert len(consoles) <= 1  # of the last launch, which the same launch would use again


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's address space")
def test_a_launch_gives_its_address_space_back_when_it_ends():
    """A launch reserves some 300 MiB; kept until Python's next collection, they passed the limit of `check`."""

    def reserved():
        status = Path(f"/proc/{emulator_process().process.pid}/status").read_text()
        return int(re.search(r"VmSize:\s+(\d+)", status)[1]) << 10

    sanitized("st.global.u32 [%at], 7;")
    before = reserved()
    for _ in range(3):
        sanitized("st.global.u32 [%at], 7;")
    assert reserved() - before < 128 << 20
