"""Errors in a launch and invalid launches: each error of the emulator with its whole message."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import process
from ptxbench.emulator.launch import default_fuel
from ptxbench.errors import (
    Deadlock,
    EmulatorCrash,
    FuelExhausted,
    LaunchError,
    MemoryFault,
    PtxSyntaxError,
    UnsupportedInstruction,
    UsageError,
)
from tests.emulator.harness import HEADER, program


def line_of(text, part):
    """The number of the first line that contains `part`."""
    return text[: text.index(part)].count("\n") + 1


def accessing(instruction, name, declarations=""):
    """A kernel in which every thread runs `instruction` with %at = x + 4 * its number in the grid + `shift` bytes."""
    return program(f"""
.visible .entry {name}(.param .u64 x, .param .u64 y, .param .s32 shift)
{{
    .reg .u64 %x, %at, %y, %z;
    .reg .u32 %thread, %block, %threads, %i, %slot, %in_tile;
    .reg .s32 %shift;
    .reg .f32 %v, %w, %p, %q;
    {declarations}
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mov.u32 %threads, %ntid.x;
    mad.lo.u32 %i, %block, %threads, %thread;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.s32 %shift, [shift];
    cvt.s64.s32 %z, %shift;
    mad.wide.u32 %at, %i, 4, %x;
    add.s64 %at, %at, %z;
    cvt.u32.u64 %slot, %z;
    mad.lo.u32 %slot, %i, 4, %slot;
    {"mov.u32 %in_tile, tile; add.u32 %in_tile, %in_tile, %slot;" if "tile" in declarations else ""}
    {instruction}
    ret;
}}
""")


LOAD = accessing("ld.global.f32 %v, [%at];", "fault_load")
STORE = accessing("st.global.f32 [%at], %v;", "fault_store")
ATOMIC = accessing("red.global.add.f32 [%at], 0f3F800000;", "fault_atomic")
VECTOR = accessing("ld.global.v4.f32 {%v, %w, %p, %q}, [%at];", "fault_vector")
SHARED = accessing("ld.shared.f32 %v, [%in_tile];", "fault_shared", ".shared .f32 tile[32];")
SHARED_VECTOR = accessing("st.shared.v2.f32 [%in_tile], {%v, %w};", "fault_shared_vector", ".shared .f32 tile[32];")
LOCAL = accessing("st.local.f32 [%slot], %v;", "fault_local", ".local .f32 own[8];")
NULL = accessing("st.global.f32 [%z], %v;", "fault_null")
GENERIC = accessing("add.u64 %at, %at, 0x100000000000;\n    ld.f32 %v, [%at];", "fault_generic")
UNSIGNED = accessing("mad.wide.u32 %at, %shift, 4, %x;\n    ld.global.f32 %v, [%at];", "fault_unsigned")
DYNAMIC = accessing("st.shared.f32 [%in_tile], %v;", "fault_dynamic", ".shared .f32 tile[16];")

FAULTS = [
    # kernel, grid, block, shift in bytes, the message after "line N: ", with its line's text
    (LOAD, 5, 256, 0, "ld.global.f32", "by thread 1 of CTA 4 reads byte 4100 of 'x', which has 4100. Check its guard."),
    (LOAD, 1, 32, -4, "ld.global.f32", "by thread 0 of CTA 0 reads byte -4 of 'x', which has 4100. Check its guard."),
    (STORE, (2, 3), (8, 8, 2), 4096, "st.global.f32",
     "by thread (1, 0, 0) of CTA (0, 0, 0) writes byte 4100 of 'x', which has 4100. Check its guard."),
    (ATOMIC, 1, 5, 4088, "red.global.add.f32",
     "by thread 3 of CTA 0 updates byte 4100 of 'x', which has 4100. Check its guard."),
    (VECTOR, 1, 1, 4096, "ld.global.v4.f32",
     "by thread 0 of CTA 0 reads byte 4100 of 'x', which has 4100. Check its guard."),
    (UNSIGNED, 1, 1, (1 << 31) - 1, "ld.global.f32",
     "by thread 0 of CTA 0 reads address 0x7f01ffeffffc, which is in no buffer. Check its guard."),
    (UNSIGNED, 1, 1, -3, "ld.global.f32",
     "by thread 0 of CTA 0 reads byte 4 * 2^32 - 12 of 'x', which has 4100. "
     "A negative index of 32 bits was extended as unsigned. Check its guard."),
    (LOAD, 1, 32, 2, "ld.global.f32",
     "by thread 0 of CTA 0 reads 4 bytes at byte 2 of 'x', which has 4100; they must start at a multiple of 4."),
    (VECTOR, 1, 32, 0, "ld.global.v4.f32",
     "by thread 1 of CTA 0 reads 16 bytes at byte 4 of 'x', which has 4100; they must start at a multiple of 16."),
    (SHARED, 1, 40, 0, "ld.shared.f32",
     "by thread 32 of CTA 0 reads byte 128 of shared memory, which has 128. Check its guard."),
    (SHARED, 1, 1, 2, "ld.shared.f32",
     "by thread 0 of CTA 0 reads 4 bytes at byte 2 of shared memory, which has 128; "
     "they must start at a multiple of 4."),
    (SHARED_VECTOR, 1, 2, 124, "st.shared.v2.f32",
     "by thread 0 of CTA 0 writes byte 124 of shared memory, which has 128. Check its guard."),
    (LOCAL, 1, 10, 0, "st.local.f32",
     "by thread 8 of CTA 0 writes byte 32 of local memory, which has 32. Check its guard."),
    (NULL, 1, 1, 0, "st.global.f32",
     "by thread 0 of CTA 0 writes address 0x0, which is in no buffer. Check its guard."),
    (NULL, 1, 1, -4, "st.global.f32",        # the last bytes of the address space: their end is address 0
     "by thread 0 of CTA 0 writes address 0xfffffffffffffffc, which is in no buffer. Check its guard."),
    (GENERIC, 1, 1, 0, "ld.f32",
     "by thread 0 of CTA 0 reads address 0x8efffff00000, which is in no buffer. Check its guard."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "grid", "block", "shift", "opcode", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_bad_access_names_line_thread_cta_buffer_and_byte(text, grid, block, shift, opcode, message):
    x, y = np.zeros(1025, np.float32), np.zeros(64, np.float32)
    with pytest.raises(MemoryFault) as caught:
        emulator.run(text, grid=grid, block=block, args=[x, y, np.int32(shift)])
    line = line_of(text, f"    {opcode} ")
    assert str(caught.value) == f"line {line}: {opcode} {message}"


def test_an_access_to_the_last_element_is_valid_at_every_width():
    x, y = np.zeros(1024, np.float32), np.zeros(64, np.float32)
    for text, block, shift in ((LOAD, 32, 4096 - 128), (STORE, 1, 4092), (VECTOR, 1, 4080)):
        emulator.run(text, grid=1, block=block, args=[x, y, np.int32(shift)])


def test_a_fault_leaves_the_arrays_as_they_were():
    x, y = np.arange(8, dtype=np.float32), np.zeros(1, np.float32)
    with pytest.raises(MemoryFault, match="writes byte 32 of 'x', which has 32"):
        emulator.run(STORE, grid=1, block=32, args=[x, y, np.int32(0)])
    assert x.tolist() == list(range(8))


def test_a_stray_access_is_reported_with_the_nearest_buffer():
    """Arrays lie 4 KiB apart, so that one past the end of x is not the start of y."""
    x, y = np.zeros(16, np.float32), np.zeros(16, np.float32)
    with pytest.raises(MemoryFault, match=r"reads byte 64 of 'x', which has 64\."):
        emulator.run(LOAD, grid=1, block=17, args=[x, y, np.int32(0)])


INDEXED = accessing(
    "ld.global.u32 %i, [%y]; mad.wide.u32 %at, %i, 4, %x;\n    ld.global.f32 %v, [%at+8192];", "fault_indexed"
)
ONE_OF_TWO = accessing("min.u64 %at, %x, %y;\n    ld.global.f32 %v, [%at+8192];", "fault_one_of_two")


@pytest.mark.parametrize(
    ("text", "shift", "place"),
    [
        (LOAD, 8192, "byte 8192 of 'x', which has 64"),  # y is nearer
        (INDEXED, 0, "byte 8192 of 'x', which has 64"),  # the index is from y, the pointer is not
        (ONE_OF_TWO, 0, "byte 3840 of 'y', which has 64"),  # which one is not known: the nearest
    ],
)
def test_an_access_far_from_its_buffer_is_reported_with_the_buffer_of_its_pointer(text, shift, place):
    x, y = np.zeros(16, np.float32), np.zeros(16, np.float32)
    with pytest.raises(MemoryFault, match=f"reads {place}"):
        emulator.run(text, grid=1, block=1, args=[x, y, np.int32(shift)])


def test_dynamic_shared_memory_counts_in_the_message():
    x, y = np.zeros(16, np.float32), np.zeros(16, np.float32)
    arguments = [x, y, np.int32(0)]
    emulator.run(DYNAMIC, grid=1, block=32, args=arguments, dynamic_shared_bytes=64)
    with pytest.raises(MemoryFault, match="byte 128 of shared memory, which has 128"):
        emulator.run(DYNAMIC, grid=1, block=33, args=arguments, dynamic_shared_bytes=64)


SOME = program("""
.visible .entry fault_in_some_ctas(.param .u64 x, .param .u64 bad)
{
    .reg .u64 %x, %bad;
    .reg .u32 %block, %i, %flag, %thread;
    .reg .pred %p;
    mov.u32 %block, %ctaid.x;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %bad, [bad];
    mad.wide.u32 %bad, %block, 4, %bad;
    ld.global.u32 %flag, [%bad];
    mul.lo.u32 %i, %flag, %thread;
    mad.wide.u32 %x, %i, 4, %x;
    st.global.u32 [%x], %thread;
    ret;
}
""")


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("first", [0, 1, 5, 20, 39])
def test_the_fault_of_the_lowest_cta_is_reported_for_any_number_of_threads(first, threads):
    bad = np.zeros(40, np.uint32)
    bad[[first, 39]] = 1
    with pytest.raises(MemoryFault, match=rf"by thread 4 of CTA {first} writes byte 16 of 'x', which has 16"):
        emulator.run(SOME, grid=40, block=64, args=[np.zeros(4, np.uint32), bad], threads=threads)


ENDLESS = program("""
.visible .entry endless(.param .u64 x)
{
    .reg .u64 %x;
    .reg .u32 %thread, %i;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    setp.lt.u32 %p, %thread, 40;
    @%p bra DONE;
    mov.u32 %i, 0;
AGAIN:
    add.u32 %i, %i, 2;
    setp.ne.u32 %p, %i, 7;
    @%p bra AGAIN;
DONE:
    st.global.u32 [%x], %i;
    ret;
}
""")


def test_an_endless_loop_runs_out_of_fuel_at_its_line():
    with pytest.raises(FuelExhausted) as caught:
        emulator.run(ENDLESS, grid=1, block=64, args=[np.zeros(1, np.uint32)], fuel=10_000)
    assert str(caught.value) == (
        f"line {line_of(ENDLESS, 'add.u32 %i')}: warp 1 of CTA 0 ran 10,000 loop iterations, the last one here. "
        "If this is not an endless loop, raise the limit (--max-loop-iterations)."
    )


def test_an_endless_loop_of_many_warps_ends_as_soon_as_that_of_one():
    assert default_fuel((33, 1, 1), None, sanitize=False) == 2**27 // 2
    assert default_fuel((32, 4, 2), (4, 1, 1), sanitize=True) == 2**25 // 32
    with pytest.raises(FuelExhausted, match=r" ran 1,048,576 loop iterations"):
        emulator.run(ENDLESS, grid=1, block=1024, args=[np.zeros(1, np.uint32)], sanitize=True)


def test_a_loop_within_its_fuel_ends():
    text = ENDLESS.replace("endless(", "not_endless(").replace("%i, 7;", "%i, 8;")
    x = np.zeros(1, np.uint32)
    emulator.run(text, grid=1, block=64, args=[x], fuel=5)
    assert x[0] == 8


STUCK = program("""
.visible .entry stuck()
{
    .reg .u32 %thread, %warp;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    shr.u32 %warp, %thread, 5;
    setp.eq.u32 %p, %warp, 0;
    @%p bra FIRST;
    bar.sync 1;
    ret;
FIRST:
    bar.sync 2;
    ret;
}
""")


def test_warps_at_different_barriers_are_a_deadlock():
    with pytest.raises(Deadlock) as caught:
        emulator.run(STUCK, grid=2, block=64, args=[])
    one, two = line_of(STUCK, "bar.sync 1"), line_of(STUCK, "bar.sync 2")
    assert str(caught.value) == (
        f"CTA 0 is deadlocked: warp 0 waits at line {two}, bar.sync, barrier 2, 32 of 64 threads; "
        f"warp 1 waits at line {one}, bar.sync, barrier 1, 32 of 64 threads."
    )


HALF = program("""
.visible .entry waiting_for_nobody()
{
    .reg .u32 %lane, %x;
    .reg .pred %p;
    mov.u32 %lane, %tid.x;
    setp.lt.u32 %p, %lane, 16;
    @!%p bra OTHER;
    shfl.sync.bfly.b32 %x, %lane, 1, 31, 0xffffffff;
    ret;
OTHER:
    bar.sync 0;
    ret;
}
""")


def test_a_shuffle_whose_other_lanes_wait_elsewhere_is_a_deadlock():
    with pytest.raises(Deadlock) as caught:
        emulator.run(HALF, grid=1, block=32, args=[])
    assert str(caught.value).startswith("CTA 0 is deadlocked: warp 0 (lanes ")
    assert f"waits at line {line_of(HALF, 'shfl.sync')}, shfl.sync.bfly.b32" in str(caught.value)


@pytest.mark.parametrize(
    "instruction", ["shfl.sync.bfly.b32 %x, %lane, 2, 31, 0xffffffff;", "elect.sync _|%p, 0xffffffff;"]
)
def test_two_shuffles_or_elections_in_two_branches_are_unsupported_and_no_deadlock(instruction):
    ptx = HALF.replace("bar.sync 0;", instruction)
    ptx = ptx.replace("shfl.sync.bfly.b32 %x, %lane, 1, 31, 0xffffffff;", instruction)
    opcode = instruction.split()[0]
    with pytest.raises(UnsupportedInstruction, match=rf"wait here at {opcode}, and others at line \d+\. On a GPU"):
        emulator.run(ptx, grid=1, block=32, args=[])


SIMPLE = program("""
.visible .entry simple(.param .u64 x, .param .f32 s, .param .u32 n)
.maxntid 64, 2
{
    .reg .u64 %x;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    mad.wide.u32 %x, %thread, 4, %x;
    st.global.u32 [%x], %thread;
    ret;
}
""")
TWO = HEADER + "".join(SIMPLE[len(HEADER) :].replace("simple", name) for name in ("first", "second"))
X = np.zeros(64, np.uint32)
GOOD = [X, np.float32(1), np.uint32(1)]


def launch(text=SIMPLE, entry=None, *, grid=1, block=32, args=GOOD, **options):
    return emulator.run(text, entry, grid=grid, block=block, args=args, **options)


CONTIGUOUS = "The array for 'x' must be C-contiguous. Pass numpy.ascontiguousarray of it."

LAUNCHES = [
    ({"args": GOOD[:2]}, LaunchError, "'simple' has 3 parameters; 2 arguments were given."),
    ({"args": GOOD[:1]}, LaunchError, "'simple' has 3 parameters; 1 argument was given."),
    ({"args": [*GOOD, np.uint32(0)]}, LaunchError, "'simple' has 3 parameters; 4 arguments were given."),
    ({"args": [X, np.float64(1), np.uint32(1)]}, LaunchError,
     "'s' is .f32 (4 bytes), but its argument is float64."),
    ({"args": [X, np.uint32(1), np.uint32(1)]}, LaunchError, "'s' is .f32 (4 bytes), but its argument is uint32."),
    ({"args": [X, np.float32(1), np.float32(1)]}, LaunchError, "'n' is .u32 (4 bytes), but its argument is float32."),
    ({"args": [X, np.float32(1), np.uint64(1)]}, LaunchError, "'n' is .u32 (4 bytes), but its argument is uint64."),
    ({"args": [X, 1.0, np.uint32(1)]}, TypeError, "1.0 for 's' has no width; use np.float32(1.0)."),
    ({"args": [X, np.float32(1), 7]}, TypeError, "7 for 'n' has no width; use np.uint32(7)."),
    ({"args": [X, np.float32(1), X]}, LaunchError, "'n' is .u32, which takes a NumPy scalar, not an array."),
    ({"args": [np.zeros((8, 8), np.uint32).T, *GOOD[1:]]}, LaunchError, CONTIGUOUS),
    ({"args": [X[::2], *GOOD[1:]]}, LaunchError, CONTIGUOUS),
    ({"block": 129}, LaunchError, "'simple' allows at most 128 threads in a block (.maxntid); this one has 129."),
    ({"block": (32, 32, 2)}, LaunchError, "The block has 2048 threads; the maximum is 1024."),
    ({"grid": 0}, LaunchError, "grid is 0; expected one to three whole numbers of at least 1."),
    ({"grid": (1, 2, 3, 4)}, LaunchError, "grid is (1, 2, 3, 4); expected one to three whole numbers of at least 1."),
    ({"block": (8, -1)}, LaunchError, "block is (8, -1); expected one to three whole numbers of at least 1."),
    ({"grid": (1, 70000)}, LaunchError, "The grid is (1, 70000, 1); the maximum is (2147483647, 65535, 65535)."),
    ({"dynamic_shared_bytes": 300_000}, LaunchError,
     "'simple' asks for 300000 bytes of shared memory; the maximum is 232448."),
    ({"entry": "simpel"}, LaunchError, "The PTX has no entry 'simpel'; it has: simple."),
    ({"text": TWO}, LaunchError, "The PTX has 2 entries; name one of them: first, second."),
    ({"text": HEADER}, LaunchError, "The PTX has no kernel: no .entry."),
    ({"ctas": "last"}, LaunchError, "ctas is 'last'; expected one of usual, first first, last first, by turns, stores "
     "first, first warps, first alone, last alone."),
    ({"threads": 0}, LaunchError, "threads is 0; expected a whole number of at least 1."),
    ({"threads": "2"}, LaunchError, "threads is '2'; expected a whole number of at least 1."),
    ({"most_threads": 1.5}, LaunchError, "most_threads is 1.5; expected a whole number of at least 1."),
    ({"fuel": -1}, LaunchError, "fuel is -1; expected a whole number of at least 0."),
    ({"names": ["x"]}, LaunchError, "'simple' has 3 parameters, but 'names' has 1."),
    ({"dynamic_shared_bytes": 1.5}, LaunchError,
     "1.5 bytes of dynamic shared memory; expected 0 or more, a whole number."),
    ({"text": b"ret;"}, UsageError, "ptx is b'ret;'; expected the text of a module."),
    ({"entry": ["simple"]}, UsageError, "entry is ['simple']; expected the name of a kernel."),
    ({"args": {}}, UsageError, "args is {}; expected a list, such as [{}]."),
    ({"names": [1, 2, 3]}, UsageError, "a value of names is 1; expected a text."),
    ({"placement": "a"}, LaunchError, "placement is 'a'; expected a whole number of at least 0."),
    ({"kept": 3}, UsageError, "kept is 3; expected a dict."),
    ({"variation": 3}, UsageError, "variation is 3; expected a Variation of ptxbench.emulator.variation."),
    ({"sanitize": "no"}, UsageError, "sanitize is 'no'; expected True or False."),
    ({"cooperative": 1}, UsageError, "cooperative is 1; expected True or False."),
    ({"arch": "h100"}, UsageError, "Unknown architecture 'h100'. Write it as sm_90 or sm_90a."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), LAUNCHES, ids=[row[2] for row in LAUNCHES])
def test_an_impossible_launch_is_refused_in_a_sentence(change, error, message):
    with pytest.raises(error) as caught:
        launch(**change)
    assert str(caught.value) == message


def test_a_kernel_chosen_by_name_runs():
    X[:] = 99
    launch(TWO, "second")
    assert X[:32].tolist() == list(range(32))


def test_numpy_integers_are_accepted_for_a_grid_and_a_block():
    launch(grid=np.int64(2), block=(np.int32(8), np.int64(2)))


REQUIRED = program("""
.visible .entry required()
.reqntid 64
{
    ret;
}
""")


def test_a_kernel_that_requires_a_block_gets_no_other():
    launch(REQUIRED, block=64, args=[])
    with pytest.raises(LaunchError) as caught:
        launch(REQUIRED, block=32, args=[])
    assert str(caught.value) == "'required' needs blocks of (64, 1, 1) (.reqntid); this one is (32, 1, 1)."


def test_more_memory_than_available_is_refused():
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (1 << 46,), (1,), writeable=True)
    with pytest.raises(
        LaunchError, match=r"The arrays and variables take 70368\.7 GB; .* GB are free\. Use a smaller size\."
    ):
        launch(args=[huge, *GOOD[1:]])


def body(lines, registers=".reg .u32 %a, %b;"):
    return f"{HEADER}.visible .entry broken()\n{{\n    {registers}\n{lines}\n    ret;\n}}\n"


SYNTAX = [
    ("add.u32 %a, %b, %c;", "line 7: '%c' is not declared; add it to a .reg line."),
    ("mov.u32 %a, blockIdx.y;", "line 7: 'blockIdx.y' is CUDA C; in PTX it is '%ctaid.y'."),
    ("bra NOWHERE;", "line 7: label 'NOWHERE' is not defined in 'broken'."),
    ("HERE: bra HERE;\nHERE: ret;", "line 8: duplicate label 'HERE'."),
    ("@%a bra HERE;", "line 7: the guard '%a' is not a declared predicate register."),
    ("ld.global.u32 %a, [%q];", "line 7: '%q' is not declared; add it to a .reg line."),
    ("add.u32 %a, %b", "line 7: a ';' is missing at the end of the line."),
    (".shared .u33 x;", "line 7: expected a type, found '.u33'."),
    ("mov.u32 %a, nothing;", "line 7: 'nothing' is not defined."),
]


@pytest.mark.parametrize(("lines", "message"), SYNTAX)
def test_a_mistake_in_the_text_is_reported_with_its_line(lines, message):
    with pytest.raises(PtxSyntaxError) as caught:
        launch(body(lines), args=[])
    assert str(caught.value) == message


def test_every_unknown_instruction_is_listed_with_the_nearest_known_ones():
    lines = [
        "add.u32 %a, %b, 1;",
        "ad.u32 %a, %b, 1;",
        "shl.b33 %a, %b, 1;",
        "ad.u32 %a, %b, 2;",
        "shl.b32 %a, {%a, %b}, 3;",
    ]
    with pytest.raises(UnsupportedInstruction) as caught:
        launch(body("\n".join(lines)), args=[])
    sentences = str(caught.value).split("; line ")
    assert sentences[0].startswith("line 8: unknown instruction 'ad.u32'; nearest: ")
    assert "add.u32" in sentences[0]
    assert sentences[1].startswith("9: unknown instruction 'shl.b33'; nearest: shl.b32")
    assert sentences[2:] == ["11: 'shl.b32' does not take these operands; expected d, a, b"]


@pytest.mark.parametrize(
    "store",
    [
        "st.global.v4.f32 [%q], {%f, _, %f, %f};",  # 16 bytes: ptxas refuses it too
        "st.global.v8.f32 [%q], {_, _, _, _, _, _, _, _};",
    ],
)
def test_other_stores_of_no_value_are_mistakes(store):
    with pytest.raises(PtxSyntaxError, match="'_'"):
        launch(body(f".reg .f32 %f;\n.reg .u64 %q;\n{store}"), args=[])


# ---- the process


SLOW = ENDLESS.replace("endless(", "endless_slow(")


def test_a_process_that_dies_is_reported_and_the_next_launch_starts_another():
    launch()
    pid = process.RUNNING[0].process.pid
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(EmulatorCrash) as caught:
        launch(SLOW, block=64, args=[X], fuel=1 << 40)
    killer.join()
    message = str(caught.value)
    assert message.startswith(
        "The emulator's process ended with SIGKILL while it ran 'endless_slow'; its PTX is saved as "
    )
    saved = Path(message.rsplit(" ", 1)[-1].rstrip("."))
    assert saved.read_text() == SLOW
    saved.unlink()
    X[:] = 99
    launch()
    assert X[:32].tolist() == list(range(32))
    assert process.RUNNING[0].process.pid != pid


def test_an_interrupt_ends_the_launch_and_its_process():
    launch()
    pid = process.RUNNING[0].process.pid
    waker = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    waker.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        launch(SLOW, block=64, args=[X], fuel=1 << 40)
    waker.join()
    assert time.monotonic() - started < 5
    assert not process.RUNNING
    assert not Path(f"/proc/{pid}").exists()
    launch()


def test_a_larger_launch_works_while_an_error_is_kept():
    small = np.zeros(4, np.float32)
    try:
        emulator.run(LOAD, grid=1, block=32, args=[small, small.copy(), np.int32(0)])
    except MemoryFault as error:
        kept_error = error
    process.stop_process()
    emulator.run(LOAD, grid=1, block=4, args=[small, small.copy(), np.int32(0)])
    try:
        emulator.run(LOAD, grid=1, block=32, args=[small, small.copy(), np.int32(0)])
    except MemoryFault as error:
        kept_error = error
    large = np.zeros(1 << 22, np.float32)
    emulator.run(LOAD, grid=1, block=4, args=[large, large.copy(), np.int32(0)])
    assert "which has 16" in str(kept_error)


def entries(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", ["cut", "altered", "emptied", "replaced"])
def test_a_damaged_cache_entry_is_made_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    process.stop_process()  # the process remembers kernels too, and the folder is part of its environment
    launch()
    whole = entries(tmp_path)
    assert len(whole) > 1  # the kernel, and each function that kernels share
    for path, content in whole.items():
        middle = len(content) // 2
        path.write_bytes(
            {
                "cut": content[:-100],
                "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "emptied": b"",
                "replaced": b"not an entry at all" * 100,
            }[damage]
        )
    process.stop_process()
    X[:] = 99
    launch()
    assert X[:32].tolist() == list(range(32))
    assert {path: len(stored) for path, stored in entries(tmp_path).items()} == {
        path: len(content) for path, content in whole.items()
    }
    process.stop_process()


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("PTXBENCH_CACHE", str(blocked / "folder"))
    process.stop_process()
    launch()
    process.stop_process()
