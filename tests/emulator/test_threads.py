"""No result of a launch depends on the number of host threads, even if CTAs access each other's bytes."""

import os

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import host_thread, native, worker
from ptxbench.emulator.memory import Arena
from ptxbench.emulator.messages import RetryReply
from ptxbench.emulator.process import Process, stop_process
from ptxbench.errors import KernelError

CTAS, BLOCK = 24, 32
WORDS = 4 * CTAS * BLOCK
"""Elements of each of the two arrays: more than the launch has threads, for kernels that access further elements."""
THREADS = (1, 2, 7, None)
"""None: as many as shorten the launch."""

HEAD = """.version 8.0
.target sm_90
.address_size 64
.global .u32 common;
.visible .entry kernel(.param .u64 x, .param .u64 y)
{
    .reg .u64 %x, %y, %xi, %yi, %z, %zi, %long;
    .reg .u32 %cta, %thread, %i, %k, %v, %w;
    .reg .pred %p, %q;
    .shared .align 16 .b8 tile[1024];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.u32 %cta, %ctaid.x;
    mov.u32 %thread, %tid.x;
    mad.lo.u32 %i, %cta, 32, %thread;
    mad.wide.u32 %xi, %i, 4, %x;
    mad.wide.u32 %yi, %i, 4, %y;
"""

FETCH = """setp.eq.u32 %p, %thread, 0;
    @%p mbarrier.init.shared::cta.b64 [full], 1;
    bar.sync 0;
    @%p mbarrier.arrive.expect_tx.shared::cta.b64 %long, [full], 128;
    mad.wide.u32 %z, %cta, 128, %x;
    @%p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%z + AWAY], 128, [full];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %q, [full], 0;
    @!%q bra WAIT;
    shl.b32 %k, %thread, 2; mov.u32 %w, tile; add.u32 %k, %k, %w; ld.shared.u32 %v, [%k]; add.u32 %v, %v, 1;
    st.global.u32 [%yi], %v;"""
SEND = """shl.b32 %k, %thread, 2; mov.u32 %w, tile; add.u32 %k, %k, %w; st.shared.u32 [%k], %i;
    bar.sync 0;
    setp.eq.u32 %p, %thread, 0;
    mad.wide.u32 %z, %cta, STEP, %x;
    @%p cp.async.bulk.global.shared::cta.bulk_group [%z], [tile], 128;
    @%p cp.async.bulk.commit_group;
    @%p cp.async.bulk.wait_group 0;"""
COPY = """shl.b32 %k, %thread, 2; mov.u32 %w, tile; add.u32 %k, %k, %w;
    cp.async.ca.shared.global [%k], [%xi + AWAY], 4;
    cp.async.commit_group;
    cp.async.wait_group 0;
    ld.shared.u32 %v, [%k]; add.u32 %v, %v, 1; st.global.u32 [%xi], %v;"""
COUNT = """mov.u32 %k, 0;
AGAIN: ld.global.u32 %v, [%x]; add.u32 %v, %v, 1; st.global.u32 [%x], %v;
    add.u32 %k, %k, 1; setp.lt.u32 %p, %k, 20; @%p bra AGAIN;"""
WAIT_FOR_RANK = """ld.global.u32 %v, [%x]; setp.ge.u32 %p, %v, %cta; @!%p bra LATER; bra NOW;
LATER: ld.global.u32 %v, [%x]; setp.ge.u32 %p, %v, %cta; @!%p bra LATER;
NOW: add.u32 %v, %v, 1; st.global.u32 [%x], %v;"""
AT_BYTE = "cvt.u64.u32 %long, %cta; add.u64 %z, %x, %long; "

SEPARATE = {  # each CTA stores only to its own part: any order gives the same result
    "own words":               "st.global.u32 [%xi], %i;",
    "in place":                "ld.global.u32 %v, [%xi]; add.u32 %v, %v, 5; st.global.u32 [%xi], %v;",
    "twice the same words":    "st.global.u32 [%xi], %i; st.global.u32 [%xi], %cta; ld.global.u32 %v, [%xi];",
    "one word further":        "st.global.u32 [%xi + 4], %i;",
    "words of one line":       "st.global.u32 [%xi], %i; and.b32 %k, %thread, 7; mad.lo.u32 %k, %cta, 8, %k; "
                               "mad.wide.u32 %z, %k, 4, %y; st.global.u32 [%z], %k;",
    "bytes of one word":       f"{AT_BYTE} st.global.u8 [%z], %cta;",
    "vectors":                 "mad.wide.u32 %z, %i, 16, %x; st.global.v4.u32 [%z], {%i, %i, %i, %cta};",
    "everybody reads":         "ld.global.u32 %v, [%x]; ld.global.u32 %w, [%xi + 128]; st.global.u32 [%yi], %v;",
    "counted":                 "red.global.add.u32 [%x], 1; atom.global.add.u32 %v, [%x + 4], 2;",
    "by generic address":      "ld.u32 %v, [%xi]; add.u32 %v, %v, 5; st.u32 [%xi], %v;",
    "fetched":                 FETCH.replace("AWAY", "0"),
    "fetched from the next":   FETCH.replace("AWAY", "128"),
    "sent":                    SEND.replace("STEP", "128"),
    "copied in place":         COPY.replace("AWAY", "0"),
}  # fmt: skip

SHARED = {  # the body; the first conflicting access with its byte, and the earlier access of another CTA
    "a counter":               (COUNT, "reads byte 0 of 'x'", "written"),
    "a variable's counter":    ("ld.global.u32 %v, [common]; add.u32 %v, %v, 1; st.global.u32 [common], %v; "
                                "st.global.u32 [%xi], %v;", "reads byte 0 of 'common'", "written"),
    "one word":                ("st.global.u32 [%x], %i;", "writes byte 0 of 'x'", "written"),
    "one word of a line":      ("st.global.u32 [%xi], %i; st.global.u32 [%y + 64], %i;",
                                "writes byte 64 of 'y'", "written"),
    "the next CTA's words":    ("ld.global.u32 %v, [%xi + 128]; add.u32 %v, %v, 1; st.global.u32 [%xi], %v;",
                                "writes byte 128 of 'x'", "read"),
    "the next CTA's last":     ("ld.global.u32 %v, [%xi + 4]; add.u32 %v, %v, 1; st.global.u32 [%xi], %v;",
                                "writes byte 128 of 'x'", "read"),
    "the last CTA's words":    ("setp.eq.u32 %p, %cta, 0; mov.u32 %v, 1; @!%p ld.global.u32 %v, [%xi + -128]; "
                                "add.u32 %v, %v, 1; st.global.u32 [%xi], %v;", "reads byte 0 of 'x'", "written"),
    "overlapping stores":      ("mad.wide.u32 %z, %cta, 64, %x; mad.wide.u32 %z, %thread, 4, %z; "
                                "st.global.u32 [%z], %cta;", "writes byte 64 of 'x'", "written"),
    "a byte of a word":        (f"{AT_BYTE} st.global.u8 [%z], %cta; and.b64 %long, %long, -4; add.u64 %z, %x, %long; "
                                "ld.global.u32 %v, [%z]; st.global.u32 [%yi], %v;", "writes byte 1 of 'x'", "read"),
    "halves and bytes":        (f"{AT_BYTE} st.global.u8 [%z], %cta; and.b64 %long, %long, -2; add.u64 %z, %x, %long; "
                                "st.global.u16 [%z], %cta;", "writes byte 1 of 'x'", "written"),
    "by generic address":      (COUNT.replace(".global", ""), "reads byte 0 of 'x'", "written"),
    "volatile and plain":      ("st.volatile.global.u32 [%x], %cta; ld.global.u32 %v, [%x]; st.global.u32 [%yi], %v;",
                                "writes byte 0 of 'x'", "written"),
    "counted and looked at":   ("red.global.add.u32 [%x], 1; ld.global.u32 %v, [%x]; st.global.u32 [%yi], %v;",
                                "updates byte 0 of 'x'", "read"),
    "counted and stored":      ("st.global.u32 [%x], 7; red.global.add.u32 [%x], 1;",
                                "writes byte 0 of 'x'", "written"),
    "a place that is read":    ("ld.global.u32 %v, [%x]; and.b32 %v, %v, 255; add.u32 %w, %i, 3; "
                                "st.global.u32 [%x], %w; mad.wide.u32 %z, %v, 4, %y; st.global.u32 [%z], %i;",
                                "reads byte 0 of 'x'", "written"),
    "waiting for the last":    (WAIT_FOR_RANK, "reads byte 0 of 'x'", "written"),
    "sent to one place":       (SEND.replace("STEP", "64"), "writes byte 64 of 'x'", "written"),
    "fetched, then changed":   (FETCH.replace("AWAY", "128").replace("[%yi]", "[%xi]"),
                                "writes byte 128 of 'x'", "read"),
    "copied from the next":    (COPY.replace("AWAY", "128"), "writes byte 128 of 'x'", "read"),
}  # fmt: skip

FAILING = {
    "one CTA reaches too far": "setp.eq.u32 %p, %cta, 11; @%p add.u64 %xi, %xi, 1000000; st.global.u32 [%xi], %i;",
    "many CTAs reach too far": "setp.gt.u32 %p, %cta, 5; @%p add.u64 %xi, %xi, 1000000; st.global.u32 [%xi], %i;",
    "a place that is read":    "ld.global.u32 %v, [%x]; mad.wide.u32 %z, %v, 4, %y; st.global.u32 [%z], %i; "
                               "mad.lo.u32 %w, %cta, 700, 1; st.global.u32 [%x], %w;",
    "waits for a later CTA":   "st.global.u32 [%xi], %i; sub.u32 %k, 23, %cta; mad.wide.u32 %z, %k, 128, %y; "
                               "L: ld.global.u32 %v, [%z]; setp.eq.u32 %p, %v, 99; @%p bra L; mov.u32 %w, 1; "
                               "mad.wide.u32 %z, %cta, 128, %y; st.global.u32 [%z], %w;",
    "a trap in some":          "st.global.u32 [%x], %cta; setp.gt.u32 %p, %cta, 8; @%p trap;",
}  # fmt: skip


def text(body):
    return f"{HEAD}\n    {body}\n    ret;\n}}\n"


def launch(body, threads, **options):
    """Everything that a launch reports, with the error message in place of a result."""
    x = np.arange(WORDS, dtype=np.uint32)
    y = np.full(WORDS, 99, np.uint32)
    x[0] = 0
    try:
        execution = emulator.run(text(body), grid=CTAS, block=BLOCK, args=[x, y], threads=threads, fuel=3000, **options)
    except KernelError as error:
        return type(error).__name__, str(error)
    return (
        x.tobytes(),
        y.tobytes(),
        dict(execution.counters),
        execution.by_line,
        execution.order,
        execution.order_reason,
        execution.findings,
    )


BODIES = {**SEPARATE, **{name: row[0] for name, row in SHARED.items()}, **FAILING}


@pytest.mark.parametrize("name", SEPARATE)
def test_ctas_may_run_in_any_order_if_none_stores_to_bytes_of_another(name):
    for threads in THREADS:
        *_, order, reason, _ = launch(SEPARATE[name], threads)
        assert (order, reason) == ("any", "")


@pytest.mark.parametrize("name", SHARED)
def test_ctas_that_share_bytes_run_by_rank_and_the_launch_says_why(name):
    body, conflict, earlier = SHARED[name]
    for threads in THREADS:
        *_, order, reason, _ = launch(body, threads)
        assert order == "ascending"
        assert f"{conflict}, which another CTA has {earlier}" in reason


@pytest.mark.parametrize("name", BODIES)
def test_each_launch_gives_the_same_on_any_number_of_threads(name):
    expected = launch(BODIES[name], 1)
    for repeat in range(50):
        assert launch(BODIES[name], THREADS[repeat % 4]) == expected, repeat


CHOSEN = ("in place", "fetched", "a counter", "the next CTA's words", "many CTAs reach too far")
"""For kernels that need more than a few seconds."""


def test_a_process_that_has_not_run_a_kernel_gives_the_same_result(tmp_path, monkeypatch):
    expected = {name: launch(BODIES[name], 1) for name in CHOSEN}
    monkeypatch.setenv("PTXBENCH_CACHE", os.fspath(tmp_path))
    for threads in (2, 7, 1):  # with an empty cache, then from the cache
        stop_process()
        for name in CHOSEN:
            assert launch(BODIES[name], threads) == expected[name], (name, threads)
    stop_process()


@pytest.mark.parametrize("name", CHOSEN)
def test_findings_are_the_same_on_any_number_of_threads(name):
    expected = launch(BODIES[name], 1, sanitize=True)
    for threads in (2, 7):
        assert launch(BODIES[name], threads, sanitize=True) == expected


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("a counter", {0: 20 * CTAS}, {}),
        ("one word", {0: 32 * CTAS - 1}, {}),  # the highest lane of the last CTA
        ("the next CTA's words", {k: k + 33 for k in range(32 * CTAS)}, {}),  # the next CTA has not run yet
        ("the last CTA's words", {32 * k + 5: k + 2 for k in range(CTAS)}, {}),
        ("counted and looked at", {0: 32 * CTAS}, {32 * k: 32 * (k + 1) for k in range(CTAS)}),
        ("overlapping stores", {16 * k: k for k in range(CTAS)}, {}),
        ("waiting for the last", {0: CTAS}, {}),
        ("fetched, then changed", {32 * k: 32 * k + 33 for k in range(CTAS)}, {}),
        ("copied from the next", {32 * k: 32 * k + 33 for k in range(CTAS)}, {}),
    ],
)
def test_racing_ctas_give_the_same_results_as_by_rank(name, x, y):
    x_bytes, y_bytes, *_ = launch(SHARED[name][0], 7)
    for stored, expected in ((x_bytes, x), (y_bytes, y)):
        values = np.frombuffer(stored, np.uint32)
        assert {index: values[index] for index in expected} == expected


class SameProcess:
    """Runs launches in this process, and notes how many host threads each one had."""

    def __init__(self, monkeypatch):
        self.arena, self.threads = Arena(), []
        self.host = worker.ProcessHost(self.arena.handle)
        together = self.host.run_together
        monkeypatch.setattr(
            self.host,
            "run_together",
            lambda first, others: self.threads.append(1 + len(others)) or together(first, others),
        )
        monkeypatch.setattr(emulator.launch, "emulator_process", lambda: self)

    def perform(self, job, contents):
        self.arena.reserve(job.arena_bytes)
        answer = RetryReply()
        while isinstance(answer, RetryReply):
            results = [self.arena.put(offset, content) for offset, content in contents]
            answer = worker.launch(job, self.host)
        return answer, results


@pytest.mark.parametrize(
    ("body", "grid", "short", "long"),
    [
        ("st.global.u32 [%xi], %i;", CTAS, [1], [3]),
        ("st.global.u32 [%xi], %k; setp.gt.u32 %p, %cta, 5; @%p trap;", CTAS, [1], [3]),
        ("st.global.u32 [%x], %cta;", 8 * CTAS, [1], [1]),  # the first CTAs share bytes before others start
        ("setp.gt.u32 %q, %cta, 20; @%q st.global.u32 [%x], %cta;", CTAS, [1], [3, 1]),  # later: all run again, by rank
    ],
)
def test_a_launch_gets_more_threads_if_the_remaining_ctas_take_long(monkeypatch, body, grid, short, long):
    process, outcomes = SameProcess(monkeypatch), []
    for limit, threads in ((0.0, long), (1e6, short)):
        monkeypatch.setattr(host_thread, "WORTH_A_THREAD", limit)
        native.kernel.cache_clear()  # a kernel remembers that its CTAs share
        process.threads.clear()
        x = np.zeros(WORDS, np.uint32)
        try:
            execution = emulator.run(text(body), grid=grid, block=BLOCK, args=[x, x[:0]], most_threads=3)
            outcomes.append((x.tobytes(), execution.counters, execution.order_reason))
        except KernelError as error:
            outcomes.append(str(error))
        assert process.threads == threads
    assert outcomes[0] == outcomes[1]


def test_a_launch_is_repeated_by_rank_if_a_thread_stops_and_others_never_start(monkeypatch):
    process = SameProcess(monkeypatch)
    process.host.team.count = 2  # no thread takes what is meant for these two
    x = np.zeros(WORDS, np.uint32)
    execution = emulator.run(text("st.global.u32 [%x], %cta;"), grid=8 * CTAS, block=BLOCK, args=[x, x[:0]], threads=3)
    assert (x[0], execution.order, process.threads) == (8 * CTAS - 1, "ascending", [3, 1])


def test_one_array_under_two_names_is_shared():
    body = "ld.global.u32 %v, [%yi + 128]; add.u32 %v, %v, 1; st.global.u32 [%xi], %v;"
    for threads in THREADS:
        x = np.arange(WORDS, dtype=np.uint32)
        execution = emulator.run(text(body), grid=CTAS, block=BLOCK, args=[x, x], threads=threads)
        assert (x[:768] == np.arange(33, 801)).all()
        assert execution.order_reason.endswith("which another CTA has read")


@pytest.mark.parametrize(
    ("body", "launches", "reason"),
    [
        (SEPARATE["in place"], 1, "the text shows that x is loaded from and stored to"),
        ("mov.u64 %z, %x; add.u64 %z, %z, 4; ld.global.u32 %v, [%z]; st.global.u32 [%yi], %v;", 1, "x is only read"),
        ("st.local.u64 [kept], %xi; ld.local.u64 %z, [kept]; ld.global.u32 %v, [%z]; st.global.u32 [%xi], %v;", 2,
         "the text does not show that z is a pointer into x"),
        (SHARED["one word"][0], 2, "CTAs in parallel turned out to share x"),
    ],
)  # fmt: skip
def test_a_launch_is_repeated_only_if_its_records_are_not_enough(monkeypatch, body, launches, reason):
    jobs = []
    ask = Process.ask
    monkeypatch.setattr(Process, "ask", lambda process, job: jobs.append(job) or ask(process, job))
    kernel = text(body).replace(".shared .align 8", ".local .align 8 .b64 kept;\n    .shared .align 8")
    stop_process()
    for expected in (launches, 1):  # observations at the first launch are remembered
        jobs.clear()
        x, y = np.zeros(WORDS, np.uint32), np.zeros(WORDS, np.uint32)
        emulator.run(kernel, grid=CTAS, block=BLOCK, args=[x, y], threads=2)
        assert len(jobs) == expected, reason


def test_ctas_of_a_kernel_may_share_bytes_in_one_launch_and_not_in_the_next():
    for grid, order in ((CTAS, "ascending"), (1, "any"), (CTAS, "ascending"), (1, "any"), (1, "any")):
        x = np.zeros(WORDS, np.uint32)
        execution = emulator.run(text(COUNT), grid=grid, block=1, args=[x, x], threads=2)
        assert (x[0], execution.order) == (20 * grid, order)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("ld.volatile.global.u32 %v, [%x];", "line 20 uses ld.volatile.global.u32, which may wait for another CTA"),
        ("atom.global.add.u32 %v, [%x], 1; st.global.u32 [%yi], %v;",
         "line 20 uses atom.global.add.u32, whose result depends on the order"),
        ("red.global.add.u32 [%x], 1; red.global.max.u32 [%x], 5;",
         "line 20 uses red.global.add.u32 and line 20 uses red.global.max.u32, whose result depends on the order"),
    ],
)  # fmt: skip
def test_an_instruction_that_depends_on_the_order_is_the_reason(body, reason):
    for threads in (1, 2):
        assert launch(body, threads)[-3:-1] == ("ascending", reason)


PLACES = """
    mad.wide.u32 %z, %i, 8, %y;
    ld.global.v2.u32 {%v, %w}, [%z];
    cvt.u64.u32 %long, %v; add.u64 %z, %x, %long; st.global.u32 [%z], %i;
    cvt.u64.u32 %long, %w; add.u64 %z, %x, %long; ld.global.u16 %k, [%z];
"""


@pytest.mark.parametrize("seed", range(40))
def test_shared_bytes_are_found_exactly(seed):
    """Each thread stores 4 bytes at one drawn place and loads 2 at another; sharing is worked out here by hand."""
    drawn = np.random.default_rng(seed)
    ctas, threads = 6, 16
    size = int(drawn.choice([1024, 4096, 16384]))
    ranks = np.repeat(np.arange(ctas), threads)
    distinct = drawn.permutation(size // 4)[: ranks.size] * 4  # mostly near each other's, never the same
    nearby = np.where(
        drawn.random(ranks.size) < drawn.choice([0, 0.02]), drawn.integers(size // 2, size=ranks.size) * 2, distinct
    )
    store, load = (distinct, nearby) if seed % 4 else (distinct // 4 % 64 * 4, distinct)
    table = np.zeros((CTAS * BLOCK, 2), np.uint32)
    table[: ranks.size, 0], table[: ranks.size, 1] = store, load
    writers, users = (
        {(byte, rank) for places, width in accesses for place, rank in zip(places, ranks, strict=True)
         for byte in range(place, place + width)}
        for accesses in ([(store, 4)], [(store, 4), (load, 2)])
    )  # fmt: skip
    written = {}
    for byte, rank in writers:
        written.setdefault(byte, set()).add(rank)
    shares = any(written.get(byte, set()) - {rank} for byte, rank in users)
    ptx = text(PLACES).replace("%cta, 32, %thread", f"%cta, {threads}, %thread")
    for number in THREADS:
        x = np.zeros(size, np.uint8)
        execution = emulator.run(ptx, grid=ctas, block=threads, args=[x, table], threads=number)
        assert (execution.order == "ascending") == shares


@pytest.mark.parametrize("ctas", ["last first", "by turns", "first alone", "last alone"])
def test_a_requested_order_is_reported(ctas):
    assert launch(SHARED["one word"][0], 2, ctas=ctas)[-3:-1] == (ctas, "")
