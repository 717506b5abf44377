"""ldmatrix and stmatrix of elements of 8, 6 and 4 bits: what each lane gets, what is stored, and the counters."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault, UnsupportedInstruction
from ptxbench.toolchain import locate, ptxas

ROWS = 64
"""Rows of 16 bytes in shared memory."""
BITS = {"b8": 8, "b8x16.b4x16_p64": 4, "b8x16.b6x16_p32": 6}
LOADS = [
    *((f"m16n16.x{count}.trans", count, form) for count in (1, 2) for form in BITS),
    *((f"m8n16.x{count}", count, form) for count in (1, 2, 4) for form in BITS if form != "b8"),
]
STORES = (1, 2, 4)


def registers(count):
    return "{" + ", ".join(f"%r{i}" for i in range(count)) + "}"


def results(shape, count):
    return 2 * count if shape.startswith("m16n16") else count


def kernel():
    """Each load in turn, every second one from a generic address; then each store, and shared memory back."""
    body = []
    at = 0
    for i, (shape, count, form) in enumerate(LOADS):
        space, address = (".shared", "%row") if i % 2 else ("", "%generic")
        number = results(shape, count)
        body.append(f"ldmatrix.sync.aligned.{shape}{space}.{form} {registers(number)}, [{address}];")
        body += [f"st.global.b32 [%to + {128 * (at + k)}], %r{k};" for k in range(number)]
        at += number
    for i, count in enumerate(STORES):
        space, address = (".shared::cta", "%row") if i % 2 else ("", "%generic")
        body += ["bar.warp.sync 0xffffffff;", "mov.u32 %i, 0;", f"CLEAR{count}:", "mov.u32 %at, tile;"]
        body += ["mad.lo.u32 %at, %i, 32, %at;", "mad.lo.u32 %at, %thread, 4, %at;", "st.shared.b32 [%at], -1;"]
        body += ["add.u32 %i, %i, 4;", f"setp.lt.u32 %more, %i, {ROWS // 2};", f"@%more bra CLEAR{count};"]
        body += ["bar.warp.sync 0xffffffff;"]
        body += [f"ld.global.b32 %r{k}, [%given + {128 * k}];" for k in range(count)]
        body.append(f"stmatrix.sync.aligned.m16n8.x{count}.trans{space}.b8 [{address}], {registers(count)};")
        body += ["bar.warp.sync 0xffffffff;", "mov.u32 %i, 0;", f"DRAIN{count}:", "mov.u32 %at, tile;"]
        body += ["mad.lo.u32 %at, %i, 32, %at;", "mad.lo.u32 %at, %thread, 4, %at;", "ld.shared.b32 %word, [%at];"]
        body += [f"st.global.b32 [%stored + {16 * ROWS * i}], %word;", "add.u64 %stored, %stored, 128;"]
        body += ["add.u32 %i, %i, 4;", f"setp.lt.u32 %more, %i, {ROWS // 2};", f"@%more bra DRAIN{count};"]
        body += [f"sub.u64 %stored, %stored, {16 * ROWS};"]
    text = "\n    ".join(body)
    return f"""
.version 8.8
.target sm_100a
.address_size 64
.visible .entry bytes(.param .u64 memory, .param .u64 rows, .param .u64 given, .param .u64 to, .param .u64 stored)
{{
    .reg .u32 %thread, %row, %at, %i;
    .reg .u64 %memory, %rows, %given, %to, %stored, %generic;
    .reg .b32 %r<4>, %word;
    .reg .pred %more;
    .shared .align 16 .b8 tile[{16 * ROWS}];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %memory, [memory];
    ld.param.u64 %rows, [rows];
    ld.param.u64 %given, [given];
    ld.param.u64 %to, [to];
    ld.param.u64 %stored, [stored];
    mad.wide.u32 %memory, %thread, 4, %memory;
    mad.wide.u32 %rows, %thread, 4, %rows;
    mad.wide.u32 %given, %thread, 4, %given;
    mad.wide.u32 %to, %thread, 4, %to;
    mad.wide.u32 %stored, %thread, 4, %stored;
    ld.global.u32 %row, [%rows];
    mov.u32 %at, tile;
    add.u32 %row, %row, %at;
    cvt.u64.u32 %generic, %row;
    cvta.shared.u64 %generic, %generic;
    mad.lo.u32 %at, %thread, 4, %at;
    mov.u32 %i, 0;
FILL:
    ld.global.b32 %word, [%memory];
    st.shared.b32 [%at], %word;
    add.u64 %memory, %memory, 128;
    add.u32 %at, %at, 128;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, {ROWS // 8};
    @%more bra FILL;
    bar.warp.sync 0xffffffff;
    {text}
    ret;
}}
"""


TEXT = kernel()


def launch(rows, arch="sm_100a"):
    """Shared memory, the operands of the stores, what the loads gave, shared memory after each store."""
    rng = np.random.default_rng(5)
    memory = rng.integers(0, 256, (ROWS, 16), np.uint8)
    to_store = rng.integers(0, 256, (4, 32, 4), np.uint8)
    loaded = np.zeros((sum(results(shape, count) for shape, count, _ in LOADS), 32, 4), np.uint8)
    stored = np.zeros((len(STORES), ROWS, 16), np.uint8)
    arguments = [memory, np.uint32(16) * rows.astype(np.uint32), to_store, loaded, stored]
    execution = emulator.run(TEXT, grid=1, block=32, args=arguments, arch=arch)
    return memory, to_store, loaded, stored, execution


def elements(row, bits):
    """The 16 elements of a row, one byte each: from its lowest bits on. (PTX ISA, "Optional Decompression".)"""
    number = int.from_bytes(row.tobytes(), "little")
    return [number >> bits * i & (1 << bits) - 1 for i in range(16)]


def test_ptxas_accepts_these_instructions():
    for target in ("sm_100a", "sm_120a"):
        ptxas.assemble(locate.program("ptxas"), TEXT.replace("sm_100a", target), target)


@pytest.fixture(scope="module", params=["in a row", "anywhere"])
def launched(request):
    order = np.arange(32) if request.param == "in a row" else np.random.default_rng(6).permutation(ROWS)[:32]
    return order, *launch(order)


def test_ldmatrix_gives_each_lane_four_elements_of_a_row_or_a_column(launched):
    order, memory, _, loaded, _, execution = launched
    at = 0
    for shape, count, form in LOADS:
        row_elements = np.array([elements(memory[row], BITS[form]) for row in order], np.uint8)
        expected = []
        for matrix in range(count):
            if shape.startswith("m16n16"):
                turned = row_elements[16 * matrix : 16 * matrix + 16].T
                expected += [[turned[lane // 4 + 8 * half, 4 * (lane % 4) :][:4] for lane in range(32)]
                           for half in range(2)]  # fmt: skip
            else:
                rows = row_elements[8 * matrix : 8 * matrix + 8]
                expected.append([rows[lane // 4, 4 * (lane % 4) :][:4] for lane in range(32)])
        assert loaded[at : at + len(expected)].tolist() == np.array(expected).tolist(), (shape, form)
        at += len(expected)
        line = next(
            i for i, text in enumerate(TEXT.splitlines(), 1) if re.search(rf"{shape}(\.shared)?\.{form} ", text)
        )
        counts = execution.by_line[line]
        assert counts["ptx_shared_load_requests"] == 1
        assert counts["ptx_shared_load_bytes"] == 16 * (16 if shape.startswith("m16n16") else 8) * count


def test_stmatrix_writes_the_columns_of_a_fragment_as_rows(launched):
    """A lane has two neighbours of row lane / 4 and of the row 8 below, as an accumulator does."""
    order, _, to_store, _, stored, execution = launched
    for count, after in zip(STORES, stored, strict=True):
        expected = np.full((ROWS, 16), 255, np.uint8)
        for matrix in range(count):
            fragment = np.zeros((16, 8), np.uint8)
            for lane in range(32):
                row, column = lane // 4, 2 * (lane % 4)
                fragment[row, column : column + 2] = to_store[matrix, lane, :2]
                fragment[row + 8, column : column + 2] = to_store[matrix, lane, 2:]
            expected[order[8 * matrix : 8 * matrix + 8]] = fragment.T
        assert after.tolist() == expected.tolist(), count
        line = next(i for i, text in enumerate(TEXT.splitlines(), 1) if f"m16n8.x{count}" in text)
        assert execution.by_line[line]["ptx_shared_store_bytes"] == 128 * count


def test_a_row_outside_shared_memory_is_a_fault():
    with pytest.raises(MemoryFault, match=r"m16n16\.x1\.trans\.b8 by thread 3 of CTA 0 reads byte 1024"):
        launch(np.where(np.arange(32) == 3, ROWS, np.arange(32)))


def test_matrices_of_bytes_need_sm_100():
    with pytest.raises(UnsupportedInstruction, match="needs sm_100; this run is for sm_90"):
        launch(np.arange(32), "sm_90")


PADDED = """
.version 8.8
.target sm_100a
.address_size 64
.visible .entry padded(.param .u32 bytes, .param .u64 to)
{
    .reg .u32 %thread, %row, %bytes;
    .reg .u64 %to;
    .reg .b32 %r0;
    .reg .pred %more;
    .shared .align 16 .b8 tile[512];
    mov.u32 %thread, %tid.x;
    mov.u32 %row, tile;
    mad.lo.u32 %row, %thread, 16, %row;
    ld.param.u32 %bytes, [bytes];
    st.shared.b32 [%row], 0;
    setp.gt.u32 %more, %bytes, 4;
    @%more st.shared.b32 [%row+4], 0;
    setp.gt.u32 %more, %bytes, 8;
    @%more st.shared.b32 [%row+8], 0;
    bar.sync 0;
    ldmatrix.sync.aligned.m8n16.x1.shared.b8x16.FORMAT {%r0}, [%row];
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    st.global.b32 [%to], %r0;
    ret;
}
"""


@pytest.mark.parametrize(
    ("form", "written", "reported"),
    [("b4x16_p64", 8, False), ("b4x16_p64", 4, True), ("b6x16_p32", 12, False), ("b6x16_p32", 8, True)],
)
def test_the_padding_of_a_row_need_not_be_written(form, written, reported):
    text = PADDED.replace("FORMAT", form)
    args = [np.uint32(written), np.zeros(32, np.uint32)]
    execution = emulator.run(text, grid=1, block=32, args=args, arch="sm_100a", sanitize=True)
    assert [finding.kind for finding in execution.findings] == ["uninitialised"] * reported
