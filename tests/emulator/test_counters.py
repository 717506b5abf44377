"""Counters of kernels small enough to count by hand, and of random addresses counted by plain Python."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from tests.emulator.harness import HEADER, program
from tests.emulator.oracle.counters import exact

EVERYTHING = program("""
.visible .entry one_of_each(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %lane, %other;
    .reg .f32 %f;
    .reg .f64 %d;
    .reg .pred %low, %some;
    .shared .u32 tile[64];
    mov.u32 %thread, %tid.x;                        // move
    ld.param.u64 %to, [to];                         // memory, but no request
    mad.wide.u32 %to, %thread, 4, %to;              // int
    and.b32 %lane, %thread, 31;                     // int
    setp.lt.u32 %low, %thread, 20;                  // compare
    @%low ld.global.f32 %f, [%to];                  // memory; warp 0 only
    @%low add.f32 %f, %f, 0f3F800000;               // f32
    cvt.f64.f32 %d, %f;                             // convert
    add.f64 %d, %d, %d;                             // f64
    ex2.approx.f32 %f, %f;                          // special
    shfl.sync.bfly.b32 %other, %lane, 1, 31, -1;    // warp
    setp.eq.u32 %some, %lane, 3;                    // compare
    @%some st.shared.u32 [tile], %other;            // memory
    bar.sync 0;                                     // barrier
    @%low bra SKIP;                                 // control: warp 0 parts, warp 1 does not
    st.global.f32 [%to], %f;                        // memory: lanes 20 to 31 of warp 0, 8 of warp 1
SKIP:
    ret;                                            // control
}
""")
"""Run with 40 threads: warp 0 has 32 lanes, warp 1 has 8."""


def test_every_counter_of_a_kernel_counted_by_hand():
    data = np.ones(40, np.float32)
    counters = emulator.run(EVERYTHING, grid=1, block=40, args=[data]).counters
    expected = {
        "ptx_warp_instructions": 2 * 17,
        "ptx_warp_instructions_move": 2,
        "ptx_warp_instructions_memory": 2 * 4,
        "ptx_warp_instructions_int": 2 * 2,
        "ptx_warp_instructions_compare": 2 * 2,
        "ptx_warp_instructions_f32": 2,
        "ptx_warp_instructions_convert": 2,
        "ptx_warp_instructions_f64": 2,
        "ptx_warp_instructions_special": 2,
        "ptx_warp_instructions_warp": 2,
        "ptx_warp_instructions_barrier": 2,
        "ptx_warp_instructions_control": 2 * 2,
        # Warp 0: 15 instructions of 32 lanes, the store of 12, ret of 32. Warp 1: 17 of 8.
        "ptx_thread_instructions": 15 * 32 + 12 + 32 + 17 * 8,
        # On: the guarded load, add and branch have 20 of 32 and 0 of 8; the guarded store 1 of 32 and 1 of 8.
        "ptx_thread_instructions_on": (11 * 32 + 3 * 20 + 1) + 12 + 32 + (13 * 8 + 1),
        "ptx_branches": 2,
        "ptx_divergent_branches": 1,
        "ptx_global_load_requests": 1,
        "ptx_global_load_sectors": 3,  # 80 bytes
        "ptx_global_load_lines": 1,
        "ptx_global_load_bytes": 80,
        "ptx_global_store_requests": 2,
        "ptx_global_store_sectors": 2 + 1,  # bytes 80 to 127: sectors 2 and 3; bytes 128 to 159: sector 4
        "ptx_global_store_lines": 1 + 1,
        "ptx_global_store_bytes": 48 + 32,
        "ptx_shared_store_requests": 2,
        "ptx_shared_store_wavefronts": 2,
        "ptx_shared_store_bytes": 8,
        "ptx_barriers": 2,
        "ptx_barrier_phases": 1,
    }
    share = expected["ptx_thread_instructions_on"] / (32 * expected["ptx_warp_instructions"])
    ratios = {
        "ptx_active_lane_share": share,
        "ptx_global_load_sectors_per_request": 3.0,
        "ptx_global_store_sectors_per_request": 1.5,
    }
    assert {name: value for name, value in exact(counters).items() if value} == expected | ratios


def test_opcodes_are_counted_by_line():
    """An opcode of several instructions on one line counts for all of them, and one that no warp reaches does not."""
    text = program("""
.visible .entry one_line()
{
    .reg .u32 %thread;
    .reg .pred %low;
    mov.u32 %thread, %tid.x; add.u32 %thread, %thread, 1; add.u32 %thread, %thread, 1;
    setp.le.u32 %low, %thread, 33;
    @%low bra DONE;
    sub.u32 %thread, %thread, 1;
DONE:
    ret;
}
""")
    first = text[: text.index("    mov.u32")].count("\n") + 1
    one = {"mov.u32": 1, "add.u32": 2}
    for threads, warps, expected in ((32, 1, {}), (72, 3, {first + 3: {"sub.u32": 2}})):
        execution = emulator.run(text, grid=1, block=threads, args=[])
        everywhere = {first: one, first + 1: {"setp.le.u32": 1}, first + 2: {"bra": 1}, first + 5: {"ret": 1}}
        expected |= {line: {name: warps * n for name, n in of_line.items()} for line, of_line in everywhere.items()}
        assert execution.opcodes == expected, threads


def test_warp_1_executes_ret_once_and_warp_0_once_for_both_sides():
    """The lanes of warp 0 that skip the store wait at the join: the lowest program counter goes first."""
    execution = emulator.run(EVERYTHING, grid=1, block=40, args=[np.ones(40, np.float32)])
    line = EVERYTHING[: EVERYTHING.index("    ret;")].count("\n") + 1
    assert exact(execution.by_line[line]) == {
        "ptx_warp_instructions": 2,
        "ptx_warp_instructions_control": 2,
        "ptx_thread_instructions": 40,
        "ptx_thread_instructions_on": 40,
    }


def access(space, kind, vector, name):
    """A kernel with loads and stores at byte offsets from an array, one per lane; -1 makes a lane inactive."""
    count = int(vector[1:] or 1) if vector else 1
    registers = [f"%x{i}" for i in range(count)]
    operand = registers[0] if count == 1 else "{" + ", ".join(registers) + "}"
    dot = f".{vector}" if vector else ""
    base = "mov.u64 %at, tile;" if space == "shared" else "ld.param.u64 %at, [data];"
    return program(f"""
.visible .entry access_{name}(.param .u64 data, .param .u64 offsets)
{{
    .reg .u64 %at, %offsets;
    .reg .s32 %lane, %offset;
    .reg .{kind if kind != "b8" else "b16"} {", ".join(registers)};
    .reg .pred %in, %never;
    .shared .align 16 .b8 tile[16384];
    mov.u32 %lane, %tid.x;
    ld.param.u64 %offsets, [offsets];
    mad.wide.s32 %offsets, %lane, 4, %offsets;
    ld.global.s32 %offset, [%offsets];
    setp.ge.s32 %in, %offset, 0;
    setp.lt.s32 %never, %lane, 0;
    {base}
    mad.wide.s32 %at, %offset, 1, %at;
    @%in ld.{space}{dot}.{kind} {operand}, [%at];
    @%in st.{space}{dot}.{kind} [%at], {operand};
    @%never ld.{space}{dot}.{kind} {operand}, [%at + 8];    // neighbours, for which ptxas might merge
    @%never st.{space}{dot}.{kind} [%at + 8], {operand};
    ret;
}}
""")


FORMS = {1: ("b8", ""), 2: ("b16", ""), 4: ("b32", ""), 8: ("b64", ""), 16: ("b32", "v4"), 32: ("b64", "v4")}
SHARED = {size: access("shared", *FORMS[size], f"shared_{size}") for size in (1, 2, 4, 8, 16)}
SHARED_PAIRS = {
    8: access("shared", "b32", "v2", "shared_v2_b32"),
    16: access("shared", "b64", "v2", "shared_v2_b64"),
    4: access("shared", "b16", "v2", "shared_v2_b16"),
}
GLOBAL = {size: access("global", *FORMS[size], f"global_{size}") for size in (1, 2, 4, 8, 16)}


def count(text, offsets):
    """The counters of the load and of the store, by name without the prefix; both must agree except for their names."""
    data = np.zeros(16384, np.uint8)
    execution = emulator.run(text, grid=1, block=32, args=[data, np.array(offsets, np.int32)])
    line = text[: text.index("@%in ld.")].count("\n") + 1
    by_access = []
    for at, kind in ((line, "load"), (line + 1, "store")):
        pattern = re.compile(rf"ptx_(?:global|shared)_{kind}_(\w+)")
        by_access.append({m[1]: n for name, n in execution.by_line[at].items() if (m := pattern.fullmatch(name))})
    assert by_access[0] == by_access[1]
    wide = [wider(execution, at) for at in (line, line + 1)]
    assert wide[0] == wide[1]
    return by_access[0] | wide[0]


def wider(execution, line):
    """The wavefronts of a line if its narrower accesses had 8 and 16 bytes per lane."""
    return {f"wide_{size}": passes for size, passes in execution.wide_wavefronts.get(line, {}).items()}


def wavefronts(offsets, size):
    """Passes over the 32 banks of 4 bytes, and those beyond the least possible. (docs/counters.md.)

    Up to 4 bytes a lane the warp is one group; of 8 bytes half a warp, of 16 bytes a quarter. Lanes that want the
    same word share it; words of one bank take turns.
    """
    group = 32 if size <= 4 else 128 // size
    passes = least = 0
    for first in range(0, 32, group):
        words = {
            word
            for offset in offsets[first : first + group]
            if offset >= 0
            for word in range(offset // 4, (offset + size - 1) // 4 + 1)
        }
        if words:
            passes += max(Counter(word % 32 for word in words).values())
            least += math.ceil(len(words) / 32)
    return passes, passes - least


def expected_shared(offsets, size):
    active = sum(offset >= 0 for offset in offsets)
    if not active:
        return {}
    passes, conflicts = wavefronts(offsets, size)
    wide = {
        f"wide_{width}": wavefronts([offset // width * width if offset >= 0 else -1 for offset in offsets], width)[0]
        for width in (8, 16)
        if width > size
    }
    counters = {"requests": 1, "bytes": active * size, "wavefronts": passes, "conflicts": conflicts, **wide}
    return {name: value for name, value in counters.items() if value}


def expected_global(offsets, size):
    active = [offset for offset in offsets if offset >= 0]
    if not active:
        return {}
    sectors, lines = (len({offset // unit for offset in active}) for unit in (32, 128))
    return {"requests": 1, "bytes": len(active) * size, "sectors": sectors, "lines": lines}


LANES = range(32)
STRIDES = [
    # size, bytes between lanes: wavefronts, conflicts
    (4, 4, 1, 0),
    (4, 0, 1, 0),  # a broadcast
    (4, 8, 2, 1),
    (4, 16, 4, 3),
    (4, 128, 32, 31),
    (4, 132, 1, 0),  # 33 words: each lane another bank
    (1, 1, 1, 0),  # four lanes a word
    (2, 2, 1, 0),
    (1, 128, 32, 31),
    (8, 8, 2, 0),  # two groups of 16 lanes
    (8, 0, 2, 0),  # each group its own pass, though both read one address
    (8, 16, 4, 2),
    (16, 16, 4, 0),
    (16, 0, 4, 0),
    (16, 128, 32, 28),
]


@pytest.mark.parametrize(("size", "stride", "passes", "conflicts"), STRIDES)
def test_wavefronts_of_strides(size, stride, passes, conflicts):
    offsets = [stride * lane for lane in LANES]
    counted = count(SHARED[size], offsets)
    assert (counted["wavefronts"], counted.get("conflicts", 0)) == (passes, conflicts)
    assert (counted["requests"], counted["bytes"]) == (1, 32 * size)


def offset_patterns(size):
    """32 offsets, multiples of `size`, -1 for lanes that stay out: near each other, in few banks, or anywhere."""
    most = 16384 // size - 1
    near = st.integers(0, min(most, 40))
    anywhere = st.integers(0, most)
    banks = st.builds(
        lambda bank, row: min(most, (row * 128 + bank * 4) // size), st.integers(0, 3), st.integers(0, 100)
    )
    active = st.one_of(st.just((1 << 32) - 1), st.integers(0, (1 << 32) - 1))
    elements = st.one_of(*(st.lists(offsets, min_size=32, max_size=32) for offsets in (near, anywhere, banks)))

    def together(units, mask):
        return [size * unit if mask >> lane & 1 else -1 for lane, unit in enumerate(units)]

    return st.builds(together, elements, active)


@pytest.mark.parametrize("size", SHARED)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_wavefronts_of_any_addresses(size, data):
    offsets = data.draw(offset_patterns(size))
    assert count(SHARED[size], offsets) == expected_shared(offsets, size)


@pytest.mark.parametrize("size", SHARED_PAIRS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_vector_counts_as_one_access_of_its_size(size, data):
    offsets = data.draw(offset_patterns(size))
    assert count(SHARED_PAIRS[size], offsets) == expected_shared(offsets, size)


SECTORS = [
    # size, offset of each lane: sectors, lines
    (4, [0] * 32, 1, 1),  # a broadcast
    (4, [4 * lane for lane in LANES], 4, 1),
    (4, [4 * lane for lane in reversed(LANES)], 4, 1),
    (4, [32 * lane for lane in LANES], 32, 8),
    (4, [128 * lane for lane in LANES], 32, 32),
    (4, [8 * lane for lane in LANES], 8, 2),
    (4, [4 + 4 * lane for lane in LANES], 5, 2),  # a start that is not aligned to the sector, and to the line
    (4, [28 + 4 * lane for lane in LANES], 5, 2),
    (4, [4 * lane if lane < 16 else -1 for lane in LANES], 2, 1),
    (4, [4 * lane if lane % 2 else -1 for lane in LANES], 4, 1),
    (4, [-1] * 31 + [40], 1, 1),
    (1, list(LANES), 1, 1),
    (8, [8 * lane for lane in LANES], 8, 2),
    (16, [16 * lane for lane in LANES], 16, 4),
    (16, [512 - 16 * lane for lane in LANES], 17, 5),
]  # fmt: skip


@pytest.mark.parametrize(("size", "offsets", "sectors", "lines"), SECTORS)
def test_sectors_and_lines_of_global_accesses(size, offsets, sectors, lines):
    active = sum(offset >= 0 for offset in offsets)
    expected = {"requests": 1, "bytes": active * size, "sectors": sectors, "lines": lines}
    assert count(GLOBAL[size], offsets) == expected


@pytest.mark.parametrize("size", GLOBAL)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_sectors_and_lines_of_any_addresses(size, data):
    offsets = data.draw(offset_patterns(size))
    assert count(GLOBAL[size], offsets) == expected_global(offsets, size)


def rounds(space, kind, vector, name):
    """A kernel that loads from row after row of byte offsets, -1 for lanes that stay out: many requests of one line."""
    count = int(vector[1:] or 1) if vector else 1
    registers = [f"%x{i}" for i in range(count)]
    operand = registers[0] if count == 1 else "{" + ", ".join(registers) + "}"
    base = "mov.u64 %base, tile;" if space == "shared" else "ld.param.u64 %base, [data];"
    return program(f"""
.visible .entry rounds_{name}(.param .u64 data, .param .u64 offsets, .param .u32 rounds)
{{
    .reg .u64 %at, %base, %offsets;
    .reg .s32 %lane, %offset;
    .reg .u32 %rounds;
    .reg .{kind if kind != "b8" else "b16"} {", ".join(registers)};
    .reg .pred %in, %more, %never;
    .shared .align 16 .b8 tile[16384];
    mov.u32 %lane, %tid.x;
    ld.param.u64 %offsets, [offsets];
    ld.param.u32 %rounds, [rounds];
    mad.wide.s32 %offsets, %lane, 4, %offsets;
    {base}
AGAIN:
    ld.global.s32 %offset, [%offsets];
    setp.ge.s32 %in, %offset, 0;
    mad.wide.s32 %at, %offset, 1, %base;
    @%in ld.{space}{f".{vector}" if vector else ""}.{kind} {operand}, [%at];
    setp.lt.u32 %never, %rounds, 0;
    @%never ld.{space}{f".{vector}" if vector else ""}.{kind} {operand}, [%at + 8];    // a neighbour
    add.u64 %offsets, %offsets, 128;
    sub.u32 %rounds, %rounds, 1;
    setp.ne.u32 %more, %rounds, 0;
    @%more bra AGAIN;
    ret;
}}
""")


ROUNDS = {
    (space, size): rounds(space, *FORMS[size], f"{space}_{size}")
    for space in ("global", "shared")
    for size in (1, 4, 16)
}


@pytest.mark.parametrize(("space", "size"), ROUNDS)
@pytest.mark.parametrize("seed", range(4))
def test_requests_of_one_line_add_up_after_any_earlier_patterns(space, size, seed):
    """Patterns repeat, shifted or with other lanes: the cached counts of one pattern must not be used for another."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(40):
        spread = int(rng.choice([12, 40, 200, 8000 // size]))
        pattern = size * rng.integers(0, spread, 32)
        out = rng.random(32) < rng.choice([0.0, 0.1, 0.5])
        for distance in rng.choice([0, size, 3 * size, 32, 128, 4096], 4):
            moved = np.where(out, -1, pattern + distance)
            if rng.random() < 0.2:
                moved[rng.integers(32)] = -1
            rows.append(moved.tolist())
    text = ROUNDS[space, size]
    arguments = [np.zeros(16384, np.uint8), np.array(rows, np.int32), np.uint32(len(rows))]
    execution = emulator.run(text, grid=1, block=32, args=arguments)
    line = text[: text.index(f"@%in ld.{space}")].count("\n") + 1
    expected = Counter()
    for row in rows:
        expected.update(expected_shared(row, size) if space == "shared" else expected_global(row, size))
    prefix = f"ptx_{space}_load_"
    counted = {
        name.removeprefix(prefix): value for name, value in execution.by_line[line].items() if name.startswith(prefix)
    }
    assert counted | wider(execution, line) == expected


ATOMICS = program("""
.visible .entry atomic_counts(.param .u64 cells, .param .u64 offsets)
{
    .reg .u64 %cells, %offsets, %at, %tile;
    .reg .s32 %lane, %offset, %old;
    .reg .pred %in;
    .shared .u32 tile[64];
    mov.u32 %lane, %tid.x;
    ld.param.u64 %cells, [cells];
    ld.param.u64 %offsets, [offsets];
    mad.wide.s32 %offsets, %lane, 4, %offsets;
    ld.global.s32 %offset, [%offsets];
    setp.ge.s32 %in, %offset, 0;
    mad.wide.s32 %at, %offset, 1, %cells;
    mov.u64 %tile, tile;
    mad.wide.s32 %tile, %offset, 1, %tile;
    @%in atom.global.add.u32 %old, [%at], 1;
    @%in red.shared.add.u32 [%tile], 1;
    ret;
}
""")

TURNS = [
    ([0] * 32, 32, 32, 1),
    ([4 * lane for lane in LANES], 32, 1, 4),
    ([4 * (lane // 2) for lane in LANES], 32, 2, 2),
    ([4 * (lane % 3) for lane in LANES], 32, 11, 1),
    ([8 * lane for lane in LANES], 32, 1, 8),
    ([124 - 4 * lane for lane in LANES], 32, 1, 4),
    ([8 if lane < 5 else -1 for lane in LANES], 5, 5, 1),
    ([-1] * 32, 0, 0, 0),
]


@pytest.mark.parametrize(("offsets", "lanes", "turns", "sectors"), TURNS)
def test_atomics_count_sectors_and_the_most_lanes_of_one_address(offsets, lanes, turns, sectors):
    arguments = [np.zeros(64, np.uint32), np.array(offsets, np.int32)]
    counters = emulator.run(ATOMICS, grid=1, block=32, args=arguments).counters
    for space in ("global", "shared"):
        counted = [counters[f"ptx_atomic_{space}_{what}"] for what in ("requests", "lanes", "serial")]
        assert counted == [int(lanes > 0), lanes, turns]
    assert counters["ptx_atomic_global_sectors"] == sectors
    assert counters["ptx_global_load_requests"] == 1  # the offsets; atomics do not count as loads
    assert counters["ptx_global_store_requests"] == counters["ptx_shared_store_requests"] == 0


LOCAL = program("""
.visible .entry local_counts(.param .u64 to)
{
    .reg .u64 %to, %at;
    .reg .u32 %lane, %x;
    .reg .pred %p;
    .local .align 8 .u32 own[4];
    mov.u32 %lane, %tid.x;
    ld.param.u64 %to, [to];
    setp.lt.u32 %p, %lane, 7;
    st.local.u32 [own], %lane;
    @%p st.local.v2.u32 [own+8], {%lane, %lane};
    @%p ld.local.u32 %x, [own+12];
    mov.u64 %at, own;
    cvta.local.u64 %at, %at;
    ld.u32 %x, [%at];
    st.u32 [%to], %x;
    ret;
}
""")


def test_generic_accesses_count_in_the_space_that_they_hit():
    counters = emulator.run(LOCAL, grid=1, block=32, args=[np.zeros(1, np.uint32)]).counters
    assert (counters["ptx_local_store_requests"], counters["ptx_local_store_bytes"]) == (2, 128 + 56)
    assert (counters["ptx_local_load_requests"], counters["ptx_local_load_bytes"]) == (2, 28 + 128)
    assert (counters["ptx_global_store_requests"], counters["ptx_global_store_sectors"]) == (1, 1)
    assert counters["ptx_global_load_requests"] == 0


LOOP = program("""
.visible .entry loop_counts(.param .u64 limits)
{
    .reg .u64 %at;
    .reg .u32 %lane, %limit, %i;
    .reg .pred %more;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %at, [limits];
    mad.wide.u32 %at, %lane, 4, %at;
    ld.global.u32 %limit, [%at];
    mov.u32 %i, 0;
AGAIN:
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %limit;
    @%more bra AGAIN;
    @!%more ret;
    ret;
}
""")


@pytest.mark.parametrize(
    ("limits", "rounds", "lanes", "divergent"),
    [
        ([5] * 32, 5, 5 * 32, 0),
        ([1] * 32, 1, 32, 0),
        ([1 + lane for lane in LANES], 32, sum(range(1, 33)), 31),
        ([1] * 31 + [4], 4, 32 + 3, 1),
    ],
)
def test_branches_of_a_loop_diverge_when_some_lanes_leave_and_others_stay(limits, rounds, lanes, divergent):
    execution = emulator.run(LOOP, grid=1, block=32, args=[np.array(limits, np.uint32)])
    counters = execution.counters
    assert counters["ptx_branches"] == rounds + 1  # plus the guarded ret, where all lanes leave
    assert counters["ptx_divergent_branches"] == divergent
    assert counters["ptx_warp_instructions"] == 5 + 3 * rounds + 1
    assert counters["ptx_thread_instructions"] == 6 * 32 + 3 * lanes
    assert counters["ptx_warp_instructions_control"] == rounds + 1  # the last ret is never reached


def test_lines_add_up_to_the_totals():
    execution = emulator.run(EVERYTHING, grid=3, block=40, args=[np.ones(40, np.float32)])
    summed = Counter()
    for counts in execution.by_line.values():
        summed.update(counts)
        assert all(counts.values())
    ratios = ("ptx_active_lane_share", "ptx_global_load_sectors_per_request", "ptx_global_store_sectors_per_request")
    for name, value in execution.counters.items():
        if name not in (*ratios, "ptx_barrier_phases", "ptx_mbarrier_phases"):
            assert summed[name] == value, name


CONSTANT = f"""{HEADER}
.const .align 4 .u32 table[4] = {{1, 2, 3, 4}};
.visible .entry constant_load(.param .u64 to)
{{
    .reg .u64 %to, %at;
    .reg .u32 %value;
    ld.param.u64 %to, [to];
    mov.u64 %at, table;
    ld.const.u32 %value, [%at + 4];     // an instruction of memory, and no more
    st.global.u32 [%to], %value;
    ret;
}}
"""


def test_a_load_of_a_constant_does_not_count_as_a_global_load():
    to = np.zeros(1, np.uint32)
    counters = emulator.run(CONSTANT, grid=1, block=1, args=[to]).counters
    assert to[0] == 2
    assert counters["ptx_global_load_requests"] == counters["ptx_global_load_bytes"] == 0
    assert counters["ptx_warp_instructions_memory"] == 3


PARAMETER = f"""{HEADER}
.visible .entry parameter_load(.param .align 8 .b8 table[16], .param .u64 to)
{{
    .reg .u64 %to, %at;
    .reg .u32 %value, %lane;
    ld.param.u64 %to, [to];
    mov.u32 %lane, %tid.x;
    mov.u64 %at, table;
    mad.wide.u32 %at, %lane, 4, %at;
    ld.param.u32 %value, [%at];
    mad.wide.u32 %to, %lane, 4, %to;
    st.global.u32 [%to], %value;
    ret;
}}
"""


def test_a_load_of_a_parameter_by_its_address_does_not_count_as_a_global_load():
    to = np.zeros(4, np.uint32)
    table = np.void(np.array([3, 1, 4, 1], np.uint32).tobytes())
    counters = emulator.run(PARAMETER, grid=1, block=4, args=[table, to]).counters
    assert to.tolist() == [3, 1, 4, 1]
    assert counters["ptx_global_load_requests"] == counters["ptx_global_load_sectors"] == 0
    with pytest.raises(MemoryFault, match=r"ld\.param.*reads byte 24 of 'the parameters', which has 24"):
        emulator.run(PARAMETER, grid=1, block=7, args=[table, np.zeros(7, np.uint32)])
