"""ldmatrix, stmatrix and movmatrix: the data in each lane, and the counters."""

import math
from collections import Counter

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import Deadlock, MemoryFault, UnsupportedInstruction
from tests.emulator.fragments import program

BYTES = 2048
FORMS = [(count, trans, space) for count in (1, 2, 4) for trans in ("", ".trans") for space in (".shared", "")]


def name(instruction, count, trans, space):
    return f"{instruction}_x{count}{trans}{space}".replace(".", "_").replace("::", "_")


def kernel(opcode, count, trans, space):
    """Copies `memory` to shared memory, executes one instruction on each lane's address in `rows`, and copies back."""
    registers = "{" + ", ".join(f"%r{i}" for i in range(count)) + "}"
    operation = f"{opcode}.sync.aligned.m8n8.x{count}{trans}{space}.b16"
    address = "%row" if space else "%generic"
    operands = f"{registers}, [{address}]" if opcode == "ldmatrix" else f"[{address}], {registers}"
    loads = [f"ld.global.b32 %r{i}, [%to + {4 * i}];" for i in range(count)] if opcode == "stmatrix" else []
    stores = [f"st.global.b32 [%to + {4 * i}], %r{i};" for i in range(count)] if opcode == "ldmatrix" else []
    lines = "\n    ".join(
        [
            *loads,
            f"{operation} {operands};",
            *stores,
        ]
    )
    return program(
        f""".visible .entry {name(opcode, count, trans, space)}(.param .u64 memory, .param .u64 rows, .param .u64 to)
{{
    .reg .u32 %thread, %row, %base, %at, %i;
    .reg .u64 %memory, %from, %to, %rows, %generic;
    .reg .b32 %r<4>, %word;
    .reg .pred %more;
    .shared .align 16 .b8 tile[{BYTES}];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %memory, [memory];
    ld.param.u64 %rows, [rows];
    ld.param.u64 %to, [to];
    mad.wide.u32 %rows, %thread, 4, %rows;
    ld.global.u32 %row, [%rows];
    mov.u32 %base, tile;
    add.u32 %row, %row, %base;
    cvt.u64.u32 %generic, %row;
    cvta.shared.u64 %generic, %generic;
    mad.wide.u32 %to, %thread, {4 * count}, %to;
    mov.u32 %i, %thread;
FILL:
    mad.wide.u32 %from, %i, 4, %memory;
    ld.global.b32 %word, [%from];
    mad.lo.u32 %at, %i, 4, %base;
    st.shared.b32 [%at], %word;
    add.u32 %i, %i, 32;
    setp.lt.u32 %more, %i, {BYTES // 4};
    @%more bra FILL;
    bar.warp.sync 0xffffffff;
    {lines}
    bar.warp.sync 0xffffffff;
    mov.u32 %i, %thread;
DRAIN:
    mad.wide.u32 %from, %i, 4, %memory;
    mad.lo.u32 %at, %i, 4, %base;
    ld.shared.b32 %word, [%at];
    st.global.b32 [%from], %word;
    add.u32 %i, %i, 32;
    setp.lt.u32 %more, %i, {BYTES // 4};
    @%more bra DRAIN;
    ret;
}}
"""
    )


KERNELS = {
    (instruction, *form): kernel(instruction, *form) for instruction in ("ldmatrix", "stmatrix") for form in FORMS
}


def in_lanes(matrix, trans):
    """(lane, element) of an 8 x 8 matrix: a lane holds two neighbours of a row. (PTX ISA, ldmatrix, Figure.)"""
    matrix = matrix.T if trans else matrix
    return np.array([[matrix[lane // 4, 2 * (lane % 4) + e] for e in (0, 1)] for lane in range(32)])


def passes(rows):
    """The wavefronts of rows of 16 bytes, eight a group, with and beyond the ideal. (docs/counters.md.)"""
    total = ideal = 0
    for first in range(0, len(rows), 8):
        words = {word for row in rows[first : first + 8] for word in range(row // 4, row // 4 + 4)}
        total += max(Counter(word % 32 for word in words).values())
        ideal += math.ceil(len(words) / 32)
    return total, total - ideal


ORDERS = {
    "in a row": lambda rng: 16 * np.arange(32),
    "of a wide matrix": lambda rng: 64 * np.arange(32) % BYTES,
    "anywhere": lambda rng: 16 * rng.permutation(BYTES // 16)[:32],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("count", "trans", "space"), FORMS)
def test_ldmatrix_gives_each_lane_two_neighbours_of_each_matrix(count, trans, space, order):
    rng = np.random.default_rng(3)
    memory = rng.integers(0, 2**16, BYTES // 2, np.uint16)
    rows = ORDERS[order](rng).astype(np.uint32)
    addresses = rows.copy()
    addresses[8 * count :] = 0xFFFF0001  # the addresses of the other lanes do not matter
    result = np.zeros((32, count, 2), np.uint16)
    text = KERNELS["ldmatrix", count, trans, space]
    execution = emulator.run(text, grid=1, block=32, args=[memory, addresses, result])
    for j in range(count):
        matrix = np.array([memory[row // 2 : row // 2 + 8] for row in rows[8 * j : 8 * j + 8]])
        assert np.array_equal(result[:, j], in_lanes(matrix, trans))
    line = next(i for i, line_text in enumerate(text.splitlines(), 1) if "ldmatrix.sync" in line_text)
    counts = execution.by_line[line]
    wavefronts, conflicts = passes([int(row) for row in rows[: 8 * count]])
    assert counts["ptx_shared_load_requests"] == 1
    assert counts["ptx_shared_load_bytes"] == 128 * count
    assert counts["ptx_shared_load_wavefronts"] == wavefronts
    assert counts.get("ptx_shared_load_conflicts", 0) == conflicts
    assert counts["ptx_warp_instructions_matrix"] == 1


@pytest.mark.parametrize("order", [order for order in ORDERS if order != "of a wide matrix"])
@pytest.mark.parametrize(("count", "trans", "space"), FORMS)
def test_stmatrix_undoes_ldmatrix(count, trans, space, order):
    rng = np.random.default_rng(4)
    memory = rng.integers(0, 2**16, BYTES // 2, np.uint16)
    wanted = memory.copy()
    rows = ORDERS[order](rng).astype(np.uint32)
    matrices = rng.integers(0, 2**16, (count, 8, 8), np.uint16)
    held = np.ascontiguousarray(np.stack([in_lanes(matrix, trans) for matrix in matrices], axis=1))
    for row, content in zip(rows, matrices.reshape(-1, 8), strict=False):
        wanted[row // 2 : row // 2 + 8] = content
    text = KERNELS["stmatrix", count, trans, space]
    execution = emulator.run(text, grid=1, block=32, args=[memory, rows, held])
    assert np.array_equal(memory, wanted)
    line = next(i for i, line_text in enumerate(text.splitlines(), 1) if "stmatrix.sync" in line_text)
    counts = execution.by_line[line]
    assert counts["ptx_shared_store_requests"] == 1
    assert counts["ptx_shared_store_bytes"] == 128 * count
    assert counts["ptx_shared_store_wavefronts"] == passes([int(row) for row in rows[: 8 * count]])[0]


WMMA = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry load()
{
    .reg .b32 %%f<8>;
    .shared .align 32 .b8 tile[4096];
    wmma.load.%s.sync.aligned.%s.m16n16k16.shared.f16 {%%f0, %%f1, %%f2, %%f3, %%f4, %%f5, %%f6, %%f7}, [tile], %d;
    ret;
}
"""


@pytest.mark.parametrize("stride", [16, 24, 32, 40, 64, 72, 120])
@pytest.mark.parametrize(("use", "layout"), [("a", "row"), ("b", "row"), ("a", "col")])
def test_wmma_reads_sixteen_bits_as_ldmatrix_does(use, layout, stride):
    """Eight rows of 16 bytes at a time: with rows of 40 halves these do not conflict, but row by row they would."""
    counts = emulator.run(WMMA % (use, layout, stride), grid=1, block=32, args=[]).counters
    wavefronts, conflicts = passes([2 * stride * row + 16 * piece for piece in range(2) for row in range(16)])
    assert counts["ptx_shared_load_wavefronts"] == wavefronts
    assert counts["ptx_shared_load_conflicts"] == conflicts
    assert (conflicts == 0) == (stride % 16 == 8)


def test_a_row_that_is_not_aligned_is_named():
    rows = (16 * np.arange(32)).astype(np.uint32)
    rows[9] = 24
    arguments = [np.zeros(BYTES, np.uint8), rows, np.zeros((32, 2), np.uint32)]
    with pytest.raises(MemoryFault, match="by thread 9 of CTA 0 reads 16 bytes at byte 24 of shared memory"):
        emulator.run(KERNELS["ldmatrix", 2, "", ".shared"], grid=1, block=32, args=arguments)


def test_stmatrix_needs_sm_90():
    arguments = [np.zeros(BYTES, np.uint8), np.zeros(32, np.uint32), np.zeros((32, 1), np.uint32)]
    with pytest.raises(UnsupportedInstruction, match="needs sm_90; this run is for sm_89"):
        emulator.run(KERNELS["stmatrix", 1, "", ".shared"], grid=1, block=32, args=arguments, arch="sm_89")


MOVMATRIX = program("""
.visible .entry movmatrix(.param .u64 from, .param .u64 to)
{
    .reg .u32 %thread;
    .reg .u64 %from, %to;
    .reg .b32 %a, %d;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    mad.wide.u32 %from, %thread, 4, %from;
    mad.wide.u32 %to, %thread, 4, %to;
    ld.global.b32 %a, [%from];
    movmatrix.sync.aligned.m8n8.trans.b16 %d, %a;
    st.global.b32 [%to], %d;
    ret;
}
""")


def test_movmatrix_transposes():
    matrix = np.arange(64, dtype=np.uint16).reshape(8, 8)
    result = np.zeros((32, 2), np.uint16)
    emulator.run(MOVMATRIX, grid=1, block=32, args=[in_lanes(matrix, "").copy(), result])
    assert np.array_equal(result, in_lanes(matrix, ".trans"))


GATHERED = program("""
.visible .entry gathered(.param .u64 from, .param .u64 to, .param .u32 absent)
{
    .reg .u32 %thread, %absent;
    .reg .u64 %from, %to;
    .reg .b32 %a, %d;
    .reg .pred %upper, %out;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    ld.param.u32 %absent, [absent];
    mad.wide.u32 %from, %thread, 4, %from;
    mad.wide.u32 %to, %thread, 4, %to;
    setp.eq.u32 %out, %thread, %absent;
    @%out bra LAST;
    setp.ge.u32 %upper, %thread, 16;
    @%upper bra FAR;
BACK:
    movmatrix.sync.aligned.m8n8.trans.b16 %d, %a;
    st.global.b32 [%to], %d;
    bra END;
FAR:
    ld.global.b32 %a, [%from];
    bra BACK;
LAST:
    bar.warp.sync 0xffffffff;
END:
    ret;
}
""")


def test_movmatrix_waits_for_late_lanes():
    """The lower half reaches movmatrix first: without waiting, the upper half's values would be missing."""
    matrix = np.arange(1, 65, dtype=np.uint16).reshape(8, 8)
    held = in_lanes(matrix, "").copy()
    expected = matrix.copy()
    expected[:4] = 0  # the lower half never loaded
    result = np.zeros((32, 2), np.uint16)
    emulator.run(GATHERED, grid=1, block=32, args=[held, result, np.uint32(32)])
    assert np.array_equal(result, in_lanes(expected, ".trans"))


def test_a_lane_that_never_reaches_movmatrix_is_a_deadlock():
    arguments = [np.zeros((32, 2), np.uint16), np.zeros((32, 2), np.uint16), np.uint32(5)]
    with pytest.raises(Deadlock, match=r"waits at line \d+, movmatrix"):
        emulator.run(GATHERED, grid=1, block=32, args=arguments)
