"""Trips of loops: kernels counted by hand, and random ones with trips known by construction."""

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ptxbench import emulator
from tests.emulator.harness import HEADER, program
from tests.emulator.oracle import Counters, interpret
from tests.emulator.oracle.counters import merged
from tests.emulator.oracle.loops import Trips

BODY = """
.visible .entry {name}(.param .u64 trips)
{{
    .reg .u64 %trips;
    .reg .u32 %thread, %n, %i, %j, %m;
    .reg .pred %more, %some;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %trips, [trips];
    mad.wide.u32 %trips, %thread, 4, %trips;
    ld.global.u32 %n, [%trips];
    mov.u32 %i, 0;
    mov.u32 %m, 0;
{body}
    ret;
}}
"""


def kernel(name, body):
    return program(BODY.format(name=f"loops_{name}", body=body))


def counted(text, trips, block=None, **options):
    """(the loops of a launch in the order of their lines, the Execution) with `trips` a thread."""
    trips = np.asarray(trips, np.uint32)
    execution = emulator.run(text, grid=options.pop("grid", 1), block=block or trips.size, args=[trips], **options)
    return [dict(entries) for entries in execution.loops.values()], execution


DO = kernel("do", "LOOP: add.u32 %i, %i, 1; setp.lt.u32 %more, %i, %n; @%more bra LOOP;")
WHILE = kernel("while", "LOOP: setp.ge.u32 %more, %i, %n; @%more bra END; add.u32 %i, %i, 1; bra LOOP; END:")
NESTED = kernel(
    "nested",
    """
OUTER:
    mov.u32 %j, 0;
INNER:
    add.u32 %j, %j, 1;
    setp.le.u32 %more, %j, %i;
    @%more bra INNER;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra OUTER;
""",
)
CONTINUES = kernel(
    "continues",
    """
LOOP:
    add.u32 %i, %i, 1;
    setp.ge.u32 %more, %i, %n;
    @%more bra END;
    and.b32 %j, %i, 1;
    setp.eq.u32 %some, %j, 0;
    @%some bra LOOP;
    add.u32 %m, %m, 1;
    bra LOOP;
END:
""",
)
AT_A_BARRIER = kernel(
    "at_a_barrier",
    """
AGAIN:
    mov.u32 %j, 0;
    bar.sync 0;
LOOP:
    add.u32 %j, %j, 1;
    setp.lt.u32 %more, %j, %n;
    @%more bra LOOP;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 2;
    @%more bra AGAIN;
""",
)
BY_TABLE = kernel(
    "by_table",
    """
AGAIN:
TO: .branchtargets ASIDE, LOOP;
    mov.u32 %j, 0;
    min.u32 %m, %n, 1;
    brx.idx %m, TO;
LOOP:
    add.u32 %j, %j, 1;
    setp.lt.u32 %more, %j, 3;
    @%more bra LOOP;
ASIDE:
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 2;
    @%more bra AGAIN;
""",
)
SHUFFLES = kernel(
    "shuffles",
    """
AGAIN:
    mov.u32 %j, 0;
LOOP:
    shfl.sync.bfly.b32 %m, %n, 1, 31, -1;
    add.u32 %j, %j, 1;
    setp.lt.u32 %more, %j, 4;
    @%more bra LOOP;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, 5;
    @%more bra AGAIN;
""",
)

CASES = [
    # The kernel, the trips that each thread asks for, and {trips: entries} of each loop by its line.
    (DO,           [5] * 96,                      [{5: 3}]),
    (DO,           [0] * 32,                      [{1: 1}]),              # the test is at the end: once
    (WHILE,        [0] * 32,                      [{1: 1}]),              # the test runs once more than the body
    (WHILE,        [5] * 32,                      [{6: 1}]),
    (DO,           range(32),                     [{31: 1}]),             # a warp continues as long as one lane does
    (DO,           [3] * 31 + [9] + [2] * 8,      [{2: 1, 9: 1}]),        # the second warp has 8 lanes
    (DO,           [63] * 32 + [64] * 32,         [{63: 1, 64: 1}]),
    (DO,           [1000] * 32 + [2**18] * 32,    [{1000: 1, 2**18: 1}]), # different remainders by 16
    (DO,           [80] * 32 + [160] * 32,        [{112: 1, 128: 1}]),    # the same: 2 entries, 240 trips
    (NESTED,       [4] * 32,                      [{1: 1, 2: 1, 3: 1, 4: 1}, {4: 1}]),
    (NESTED,       [2] * 16 + [3] * 16,           [{1: 1, 2: 1, 3: 1}, {3: 1}]),
    (CONTINUES,    [7] * 32,                      [{7: 1}]),              # two branches back are one loop
    (AT_A_BARRIER, [3] * 32 + [5] * 32,           [{3: 2, 5: 2}, {2: 2}]),
    (BY_TABLE,     [0, 1] * 16 + [0] * 32,        [{3: 2}, {2: 2}]),      # no lane of the second warp reaches it
    (SHUFFLES,     [0] * 32,                      [{4: 5}, {5: 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "trips", "expected"), CASES)
def test_entries_are_counted_by_their_trips(text, trips, expected):
    entries, execution = counted(text, trips)
    assert entries == expected
    assert execution.irreducible == ()


def test_host_threads_ctas_and_the_sanitizer_change_no_trips():
    trips = np.random.default_rng(1).integers(0, 100, 96)
    entries, _ = counted(NESTED, trips, grid=40, threads=1)
    assert sum(entries[1].values()) == 40 * 3
    assert counted(NESTED, trips, grid=40, threads=4)[0] == entries
    assert counted(NESTED, trips, grid=40, threads=4, sanitize=True)[0] == entries


def test_a_cycle_with_two_entrances_is_named_and_not_counted():
    text = kernel(
        "irreducible",
        """
    setp.eq.u32 %some, %n, 0;
    @%some bra SECOND;
FIRST:
    add.u32 %i, %i, 1;
SECOND:
    add.u32 %j, %i, 1;
INNER:
    sub.u32 %j, %j, 1;
    setp.gt.u32 %more, %j, 0;
    @%more bra INNER;
    setp.lt.u32 %more, %i, 4;
    @%more bra FIRST;
""",
    )
    entries, execution = counted(text, [1] * 32)
    lines = text.splitlines()
    assert [lines[line - 1].strip() for line in execution.irreducible] == ["@%more bra FIRST;"]
    assert entries == [{2: 1, 3: 1, 4: 1, 5: 1}]  # the inner loop


def test_a_loop_of_a_function_counts_for_every_call():
    function = """
.func spin{attribute}(.param .u32 n)
{{
    .reg .u32 %n, %i;
    .reg .pred %more;
    ld.param.u32 %n, [n];
    mov.u32 %i, 0;
LOOP: add.u32 %i, %i, 1; setp.lt.u32 %more, %i, %n; @%more bra LOOP;
    {recursion}
    ret;
}}
"""
    calls = """
    {{ .param .u32 n; st.param.u32 [n], %n; call spin, (n); }}
    {{ .param .u32 n; add.u32 %m, %n, 2; st.param.u32 [n], %m; call spin, (n); }}
"""
    inlined = HEADER + function.format(attribute="", recursion="") + BODY.format(name="k", body=calls.format())
    assert counted(inlined, [4] * 64)[0] == [{4: 2, 6: 2}]
    again = (
        "setp.le.u32 %more, %n, 4; @%more ret; sub.u32 %n, %n, 1;"
        "{ .param .u32 m; st.param.u32 [m], %n; call spin, (m); }"
    )
    recursive = HEADER + function.format(attribute="", recursion=again) + BODY.format(name="k", body=calls.format())
    assert counted(recursive, [4] * 64)[0] == [{4: 4, 5: 2, 6: 2}]


def test_an_interpreter_that_never_ends_an_entry_is_found(monkeypatch):
    monkeypatch.setattr(Trips, "count", without_ends(Trips.count))
    trips = np.full(32, 3, np.uint32)
    execution = emulator.run(NESTED, grid=1, block=32, args=[trips])
    counters = Counters()
    interpret(NESTED, None, grid=(1, 1, 1), block=(32, 1, 1), args=[trips], counters=counters)
    assert len(counters.differences(execution)) == 1


def without_ends(count):
    def changed(trips, at, threads):
        trips.last[:] = at
        count(trips, at, threads)

    return changed


# ---- random loops

COLUMNS = 6
"""Numbers of a thread, for loops to take as their trips. The last may be large; only a loop with none in it takes it,
since lanes that wait for others get a turn after some thousand blocks."""


@dataclass(frozen=True)
class Loop:
    """`tested_first`: a while, else a do. `trips`, `leave`: the column with a thread's number of rounds, and with the
    round in which it leaves early."""

    tested_first: bool
    trips: int
    leave: int | None
    body: tuple


def loops(depth=0):
    inner = st.just(()) if depth == 2 else st.lists(st.deferred(lambda: loops(depth + 1)), max_size=2).map(tuple)
    few = st.integers(0, COLUMNS - 2)
    any_loop = st.builds(Loop, st.booleans(), few, st.none() | few, inner)
    return (
        any_loop
        if depth
        else any_loop | st.builds(Loop, st.booleans(), st.just(COLUMNS - 1), st.none() | few, st.just(()))
    )


def lines_of(loop, names):
    n = next(names)
    yield f"mov.u32 %i{n}, 0;"
    yield f"LOOP{n}:"
    if loop.tested_first:
        yield from (f"setp.ge.u32 %p, %i{n}, %c{loop.trips};", f"@%p bra END{n};")
    yield f"add.u32 %i{n}, %i{n}, 1;"
    if loop.leave is not None:
        yield from (f"setp.eq.u32 %p, %i{n}, %c{loop.leave};", f"@%p bra END{n};")
    for line in loop.body:
        yield from lines_of(line, names)
    if not loop.tested_first:
        yield f"setp.lt.u32 %p, %i{n}, %c{loop.trips};"
    yield f"{'' if loop.tested_first else '@%p '}bra LOOP{n}; // back {n}"
    yield f"END{n}:"


def rendered(tree):
    names = itertools.count()
    body = "\n".join(line for loop in tree for line in lines_of(loop, names))
    count = next(names)
    loads = "\n".join(f"ld.global.u32 %c{k}, [%at + {4 * k}];" for k in range(COLUMNS))
    return (
        HEADER
        + f"""
.visible .entry loops(.param .u64 table)
{{
    .reg .u64 %at;
    .reg .u32 %thread, %cta, %threads, %c<{COLUMNS}>, %i<{max(count, 1)}>;
    .reg .pred %p;
    ld.param.u64 %at, [table];
    mov.u32 %thread, %tid.x; mov.u32 %cta, %ctaid.x; mov.u32 %threads, %ntid.x;
    mad.lo.u32 %thread, %cta, %threads, %thread;
    mad.wide.u32 %at, %thread, {4 * COLUMNS}, %at;
{loads}
{body}
    ret;
}}
"""
    )


def truth(tree, lanes):
    """{number of the loop: {trips: entries}} of one warp; its lanes have these columns."""
    by_loop = {}

    def go(loop, names, active):
        n = next(names)
        inner = list(names_of(loop.body, names))
        rounds = trips = 0
        running = active.copy()
        while running.any():
            trips += 1
            if loop.tested_first:
                running &= rounds < lanes[:, loop.trips]
            rounds += 1
            if loop.leave is not None:
                running &= rounds != lanes[:, loop.leave]
            for nested, numbers in inner:
                if running.any():
                    go(nested, iter(numbers), running)
            if not loop.tested_first:
                running &= rounds < lanes[:, loop.trips]
        by_loop.setdefault(n, Counter())[trips] += 1

    for outer, numbers in names_of(tree, itertools.count()):
        go(outer, iter(numbers), np.ones(len(lanes), bool))
    return by_loop


def names_of(body, names):
    """Each loop with the numbers of itself and of the loops inside it."""
    for loop in body:
        yield loop, list(itertools.islice(names, size(loop)))


def size(loop):
    return 1 + sum(map(size, loop.body))


@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(st.lists(loops(), min_size=1, max_size=2), st.sampled_from((40, 64)), st.integers(0, 999))
def test_random_loops_have_the_trips_that_they_were_made_with(tree, block, seed):
    rng = np.random.default_rng(seed)
    threads = 2 * block
    table = rng.integers(0, 5, (threads, COLUMNS)).astype(np.uint32)
    table[rng.random(threads) < 0.02, -1] = 70
    text = rendered(tree)
    expected: dict[int, Counter] = {}
    for cta in range(2):
        for first in range(0, block, 32):
            lanes = table[cta * block + first : cta * block + min(first + 32, block)]
            for n, entries in truth(tree, lanes).items():
                expected.setdefault(n, Counter()).update(entries)
    execution = emulator.run(text, grid=2, block=block, args=[table])
    entries_of = {int(text.splitlines()[line - 1].split("back ")[1]): dict(e) for line, e in execution.loops.items()}
    assert entries_of == {n: merged(entries) for n, entries in expected.items()}, text
    headers = {int(line[4:-1]): i + 2 for i, line in enumerate(text.splitlines()) if line.startswith("LOOP")}
    for n, entries in entries_of.items():
        executed = execution.by_line[headers[n]]["ptx_warp_instructions"]
        assert executed == sum(trips * count for trips, count in entries.items())
    counters = Counters()
    interpret(text, None, grid=(2, 1, 1), block=(block, 1, 1), args=[table], counters=counters)
    assert not counters.differences(execution)
