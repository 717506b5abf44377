"""Strong loads that give old values: only where the memory consistency model allows it, so right kernels stay right.

Each kernel has CTAs that write and then announce what they wrote, and one CTA that reads it after the announcement.
"""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator.variation import EVERY_LINE, Variation
from tests.emulator.test_snippets import alone

FOLDER = Path(__file__).with_name("races")

KERNEL = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry exchange(.param .u64 out, .param .u64 value, .param .u64 flag)
{
    .reg .u64 %out, %value, %flag, %pair;
    .reg .u32 %thread, %cta, %last, %v, %f, %old, %four;
    .reg .pred %reads, %again, %first, %others, %one;
    .shared .u32 drawn;
    ld.param.u64 %out, [out];
    ld.param.u64 %value, [value];
    ld.param.u64 %flag, [flag];
    mov.u32 %thread, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mov.u32 %last, %nctaid.x;
    sub.u32 %last, %last, 1;
    setp.eq.u32 %first, %thread, 0;
    setp.ne.u32 %others, %thread, 0;
    mul.lo.u32 %four, %thread, 4;
    cvt.u64.u32 %pair, %four;
    setp.eq.u32 %reads, %cta, %last;
    @%reads bra READ;
WRITER
    ret;
READ:
READER
    mul.wide.u32 %pair, %thread, 4;
    add.u64 %out, %out, %pair;
    st.global.u32 [%out], %v;
    ret;
}
"""
POLL = """
POLL:
    ld.relaxed.gpu.global.u32 %f, [%flag];
    setp.eq.u32 %again, %f, 0;
    @%again bra POLL;
"""
STORE, LOAD = "st.relaxed.gpu.global.u32 [%value], 42;", "ld.relaxed.gpu.global.u32 %v, [%value];"
RAISE = "st.relaxed.gpu.global.u32 [%flag], 1;"


def read(writer, reader, threads=1, ctas=2, loads=EVERY_LINE, order="usual", store=None):
    """What each thread of the last CTA read, and the launch. `store`: what 'value' has in the end, if it matters."""
    ptx = KERNEL.replace("WRITER", writer).replace("READER", reader)
    out, value, flag = (np.zeros(64, np.uint32) for _ in range(3))
    execution = emulator.run(
        ptx, grid=ctas, block=threads, args=[out, value, flag], sanitize=True, ctas=order,
        variation=Variation(loads=loads),
    )  # fmt: skip
    assert execution.findings == ()
    assert store is None or value[0] == store
    return out[:threads].tolist(), execution


def values(*parts, **launch):
    return read(*parts, **launch)[0]


FENCES = ("", "fence.acq_rel.cta;", "fence.acq_rel.gpu;", "membar.gl;")


@pytest.mark.parametrize("of_reader", FENCES)
@pytest.mark.parametrize("of_writer", FENCES)
def test_a_value_is_old_unless_both_sides_have_a_fence_that_is_wide_enough(of_writer, of_reader):
    ordered = not {of_writer, of_reader} & {"", "fence.acq_rel.cta;"}
    for order in ("usual", "by turns"):
        read_values = values(f"{STORE} {of_writer} {RAISE}", f"{POLL} {of_reader} {LOAD}", order=order)
        assert read_values == [42 if ordered else 0]


WORD = "st.relaxed.gpu.global.u64 [%value], %pair;"
RIGHT = {
    "release_acquire": (
        f"{STORE} st.release.gpu.global.u32 [%flag], 1;", f"{POLL.replace('relaxed', 'acquire')} {LOAD}", {}
    ),
    "atomics": (
        f"{STORE} atom.release.gpu.global.exch.b32 %old, [%flag], 1;",
        f"{POLL.replace('ld.relaxed.gpu.global.u32 %f, [%flag]', 'atom.acquire.gpu.global.add.u32 %f, [%flag], 0')} "
        f"{LOAD}", {},
    ),
    "polls_the_value": (STORE, POLL.replace("%flag", "%value").replace("%f,", "%v,").replace("%f;", "%v;"), {}),
    "one_word": (
        "mov.b64 %pair, {42, 1}; st.relaxed.gpu.global.u64 [%value], %pair;",
        "POLL: ld.relaxed.gpu.global.u64 %pair, [%value]; mov.b64 {%v, %f}, %pair; setp.eq.u32 %again, %f, 0; "
        "@%again bra POLL;", {},
    ),
    "half_of_a_word_polled": (
        "mov.b64 %pair, {42, 1}; st.volatile.global.u64 [%value], %pair;",
        "POLL: ld.volatile.global.u32 %f, [%value+4]; setp.eq.u32 %again, %f, 0; @%again bra POLL; "
        "ld.volatile.global.u64 %pair, [%value]; mov.b64 {%v, %f}, %pair;", {},
    ),
    "one_thread_waits": (
        f"{STORE} st.release.gpu.global.u32 [%flag], 1;",
        f"@%others bra MET; {POLL.replace('relaxed', 'acquire')} MET: bar.sync 0; {LOAD}", {"readers": 64},
    ),
    "one_thread_announces": (
        f"@%others bra MET; bra DONE; MET: {STORE} DONE: bar.sync 0; @%others ret; membar.gl; {RAISE}",
        f"{POLL} membar.gl; {LOAD}", {"readers": 64},
    ),
    "read_before_by_another_cta": (
        f"setp.eq.u32 %one, %cta, 0; @%one {STORE} @%one ret; "
        "SEEN: ld.relaxed.gpu.global.u32 %f, [%value]; setp.eq.u32 %again, %f, 0; @%again bra SEEN; "
        "st.release.gpu.global.u32 [%flag], 1;",
        f"{POLL.replace('relaxed', 'acquire')} {LOAD}", {"ctas": 3},
    ),
    "fences_alone": (f"{STORE} membar.gl;", f"membar.gl; {LOAD}", {}),
    # The load of the writer gives the value before the store of the reader: so its fence comes first.
    "fence_between_a_store_and_a_load": (
        f"{STORE} {RAISE} membar.gl; ld.relaxed.gpu.global.u32 %f, [%flag+4];",
        f"{POLL} st.relaxed.gpu.global.u32 [%flag+4], 1; membar.gl; {LOAD}", {},
    ),
    "last_cta_of_the_programming_guide": (
        f"{STORE} membar.gl; red.global.add.u32 [%flag], 1;",
        f"@%others bra MET; {POLL.replace('ld.relaxed.gpu', 'ld.volatile')} MET: bar.sync 0; "
        f"{LOAD.replace('relaxed.gpu', 'volatile')}", {"readers": 64},
    ),
    "in_its_own_cta": (f"{STORE} {RAISE}", f"{STORE} {RAISE} {LOAD}", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_kernel_reads_new_values(name):
    writer, reader, launch = RIGHT[name]
    threads = launch.get("readers", 1)
    assert values(writer, reader, threads=threads, ctas=launch.get("ctas", 2)) == [42] * threads


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("fence.acq_rel.gpu; " + STORE + RAISE, f"{POLL} fence.acq_rel.gpu; {LOAD}"),  # the fence is too early
        (f"{STORE} fence.acq_rel.gpu; {RAISE}", f"fence.acq_rel.gpu; {POLL} {LOAD}"),
        ("red.global.add.u32 [%value], 42; red.global.add.u32 [%flag], 1;", f"{POLL} fence.acq_rel.gpu; {LOAD}"),
        (f"{STORE} {RAISE} membar.gl;", f"{POLL} membar.gl; {LOAD}"),  # the fence is too late
        (
            f"{STORE} {RAISE} fence.sc.gpu; st.shared.u32 [drawn], %f; bar.sync 0; ld.shared.u32 %f, [drawn];",
            f"{POLL} fence.sc.gpu; {LOAD}",
        ),
    ],
)
def test_other_orders_that_are_not_enough(writer, reader):
    assert values(writer, reader) == [0]


SWAP = "exch.b32 %old, [%value], 42;"
READING_ATOMICS = (
    "add.u32 %v, [%value], 0;", "or.b32 %v, [%value], %thread;", "max.u32 %v, [%value], 0;",
    "and.b32 %v, [%value], 0xffffffff;", "min.s32 %v, [%value], 0x7fffffff;", "cas.b32 %v, [%value], 7, 7;",
    "acquire.gpu.add.u32 %v, [%value], 0;",
)  # fmt: skip


@pytest.mark.parametrize("store", [STORE, f"atom.global.{SWAP}", "red.global.add.u32 [%value], 42;"])
@pytest.mark.parametrize("atomic", READING_ATOMICS)
def test_an_atomic_that_leaves_memory_as_it_is_reads_an_old_value_as_a_load_does(store, atomic):
    fence = "fence.acq_rel.gpu;"
    for of_writer, of_reader in (("", ""), (fence, ""), ("", fence), (fence, fence)):
        found, execution = read(f"{store} {of_writer} {RAISE}", f"{POLL} {of_reader} atom.global.{atomic}", store=42)
        assert found == [42 if of_writer and of_reader else 0]
        assert bool(execution.old_values) == (found == [0])


@pytest.mark.parametrize(
    "atomic", ["add.u32 %v, [%value], 1;", "exch.b32 %v, [%value], 0;", "inc.u32 %v, [%value], 9;"]
)
def test_an_atomic_that_changes_memory_reads_the_old_value_of_a_store_alone(atomic):
    """An atomic of the other CTA would have read what it stores, unless it is an exchange whose result is not used."""
    fence = "fence.acq_rel.gpu;"
    for store in ("red.global.add.u32 [%value], 42;", f"atom.global.{SWAP} mov.u32 %f, %old;"):
        assert values(f"{store} {RAISE}", f"{POLL} atom.global.{atomic}") == [42]
    for store in (STORE, f"atom.global.{SWAP}"):
        assert read(f"{store} {RAISE}", f"{POLL} atom.global.{atomic}", store=42)[0] == [0]
    assert values(f"{STORE} {fence} {RAISE}", f"{POLL} {fence} atom.global.{atomic}") == [42]


def test_all_lanes_of_an_atomic_that_reads_an_old_value_leave_memory_as_it_is():
    reader = f"{POLL} add.u32 %thread, %thread, -1; atom.global.or.b32 %v, [%value], %thread; mov.u32 %thread, %tid.x;"
    store = f"atom.global.{SWAP} mov.u32 %f, %old;"
    assert values(f"{store} @%others ret; {RAISE}", reader, threads=2) == [42, 0xFFFFFFFF]


def test_all_threads_that_read_without_a_fence_after_a_barrier_get_the_old_value():
    writer = f"{STORE} bar.sync 0; @%others ret; {RAISE}"  # no fence of any thread
    assert values(writer, f"{POLL} fence.acq_rel.gpu; {LOAD}", threads=32) == [0] * 32


def test_an_old_value_is_given_once():
    assert values(f"{STORE} {RAISE}", f"{POLL} {LOAD} {LOAD}") == [42]


def test_an_old_value_is_named_with_the_store_and_only_loads_of_the_chosen_line_give_one():
    _, execution = read(f"{STORE}\n{RAISE}", f"{POLL}\n{LOAD}")
    [load] = execution.old_values
    assert load.message == (
        f"line {load.line}: ld.relaxed.gpu.global.u32 by thread 0 of CTA 1 may give the value of byte 0 of 'value' "
        f"before st.relaxed.gpu.global.u32 by thread 0 of CTA 0 at line 24 wrote it: no release by that thread and "
        f"acquire by this one order the two."
    )
    read_values, execution = read(f"{STORE}\n{RAISE}", f"{POLL}\n{LOAD}", loads=load.line - 1)
    assert (read_values, execution.old_values) == ([42], ())
    assert values(f"{STORE}\n{RAISE}", f"{POLL}\n{LOAD}", loads=load.line) == [0]


def test_a_launch_without_the_variation_gives_new_values():
    assert values(f"{STORE} {RAISE}", f"{POLL} {LOAD}", loads=None) == [42]


# ---- kernels of races/old_values.cu


def exchanged(name, *, planted, loads):
    """What a kernel makes with the CTAs in two orders. `planted`: without the fences in ORDERED(...)."""
    parts = [(FOLDER / file).read_text() for file in ("order.cuh", "old_values.cu")]
    source = "\n".join(["#define PLANTED" if planted else "", *parts])
    ptx, *_ = toolchain.compiled(source.encode(), FOLDER / "old_values.cu", "sm_90", ())
    results = []
    for order in ("usual", "by turns"):
        out, data, flags = (np.zeros(512, np.uint32) for _ in range(3))
        execution = emulator.run(
            alone(ptx, name), name, grid=6, block=32, args=[out, data, flags], sanitize=True, fuel=1 << 14, ctas=order,
            variation=Variation(loads=loads),
        )  # fmt: skip
        assert execution.findings == ()
        results.append(out.tolist())
    return results


@pytest.mark.parametrize(
    "name",
    ["lock", "in_turns", "numbered", "queue", "rounds", "last_reads_sums", "last_reads_total", "last_reads_two_totals"],
)
def test_values_that_ctas_exchange_are_old_if_a_fence_is_missing_and_only_then(name):
    right = exchanged(name, planted=False, loads=None)
    assert any(right[0])
    assert exchanged(name, planted=False, loads=EVERY_LINE) == right
    assert exchanged(name, planted=True, loads=None) == right
    assert exchanged(name, planted=True, loads=EVERY_LINE) != right
