"""wmma as mma.h uses it, against NumPy; whole kernels on matrix units; and every spelling with ptxas."""

import functools
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator.isa import TABLE
from ptxbench.toolchain import locate, ptxas
from tests.emulator.fragments import HEADER, KERNELS, program
from tests.emulator.spelled import of_narrow_floats, vector_registers

SOURCE = Path(__file__).with_name("wmma.cu")


@functools.cache
def module(arch):
    """wmma.cu as NVRTC compiles it."""
    return toolchain.compiled(SOURCE.read_bytes(), SOURCE, arch, ())[0]


SIXTEEN = [(16, 16, 16), (32, 8, 16), (8, 32, 16)]
LAYOUTS = [("row", "row", "row"), ("row", "col", "col"), ("col", "row", "row"), ("col", "col", "col")]
TYPES = {
    **dict.fromkeys(
        [("f16", "f32"), ("f16", "f16"), ("bf16", "f32"), ("s8", "s32"), ("u8", "s32")], (SIXTEEN, LAYOUTS)
    ),
    ("tf32", "f32"): ([(16, 16, 8)], LAYOUTS),
    ("f64", "f64"): ([(8, 8, 4)], LAYOUTS),
    ("s4", "s32"): ([(8, 8, 32)], [("row", "col", "row")]),
    ("u4", "s32"): ([(8, 8, 32)], [("row", "col", "col")]),
    ("b1", "s32"): ([(8, 8, 128)], [("row", "col", "row")]),
}  # fmt: skip
CASES = [
    (kind, result, shape, layouts)
    for (kind, result), (shapes, all_layouts) in TYPES.items()
    for i, shape in enumerate(shapes)
    for j, layouts in enumerate(all_layouts)
    if (kind, result) == ("f16", "f32")
    or len(shapes) < 3
    or (i + j) % 3 == 0  # the layout is the same as for f16 and f32
]
STORED = {
    "f16": np.float16, "f32": np.float32, "tf32": np.float32, "f64": np.float64, "s8": np.int8, "u8": np.uint8,
    "s32": np.int32,
}  # fmt: skip
UNIT_ROUNDOFF = {"f16": 2.0**-11, "f32": 2.0**-23, "f64": 2.0**-53}


def matrix_of(rng, shape, kind):
    """A matrix of numbers that `kind` can hold, as float64 or int64."""
    if kind[0] == "f" or kind in ("bf16", "tf32"):
        return rng.integers(-128, 128, shape) / 64.0  # eight bits: exact in bf16 too
    low, high = {"s8": (-128, 128), "u8": (0, 256), "s4": (-8, 8), "u4": (0, 16), "b1": (0, 2)}.get(kind, (-99, 99))
    return rng.integers(low, high, shape)


def laid_out(matrix, layout, kind, padding):
    """The matrix in memory, with `padding` elements between rows (or columns): the array and its leading dimension."""
    lines = matrix if layout == "row" else matrix.T
    padded = np.zeros((lines.shape[0], lines.shape[1] + padding), lines.dtype)
    padded[:, : lines.shape[1]] = lines
    if kind == "bf16":
        return (padded.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), padded.shape[1]
    if kind in ("s4", "u4"):
        nibbles = (padded & 15).astype(np.uint8)
        return np.ascontiguousarray(nibbles[:, ::2] | nibbles[:, 1::2] << 4), padded.shape[1]
    if kind == "b1":
        return np.packbits(padded.astype(np.uint8), axis=1, bitorder="little"), padded.shape[1]
    return padded.astype(STORED[kind]), padded.shape[1]


def padding_for(kind):
    """A leading dimension must keep rows aligned to 16 bytes."""
    return {
        "f16": 8,
        "bf16": 8,
        "f32": 4,
        "tf32": 4,
        "s32": 4,
        "f64": 2,
        "s8": 16,
        "u8": 16,
        "s4": 32,
        "u4": 32,
        "b1": 128,
    }[kind]


@pytest.mark.parametrize(("kind", "result", "shape", "layouts"), CASES)
def test_a_product_by_mma_h_matches_numpy(kind, result, shape, layouts):
    m, n, k = shape
    rng = np.random.default_rng(m + n + len(kind))
    a, b, c = matrix_of(rng, (m, k), kind), matrix_of(rng, (k, n), kind), matrix_of(rng, (m, n), result)
    (a_memory, lda), (b_memory, ldb), (c_memory, ldc) = (
        laid_out(matrix, layout, element_kind, padding_for(element_kind))
        for matrix, layout, element_kind in zip((a, b, c), layouts, (kind, kind, result), strict=True)
    )
    d_memory = np.zeros_like(c_memory)
    entry = f"{kind}_{result}_{m}_{n}_{k}_{'_'.join(layouts)}"
    args = [a_memory, b_memory, c_memory, d_memory, np.uint32(lda), np.uint32(ldb), np.uint32(ldc)]
    execution = emulator.run(module("sm_90"), entry, grid=1, block=32, args=args)
    d = d_memory[:, : (n if layouts[2] == "row" else m)]
    d = d if layouts[2] == "row" else d.T
    expected = (a[:, :, None] ^ b[None]).sum(axis=1) + c if kind == "b1" else a @ b + c
    if result == "s32":
        assert np.array_equal(d, expected)
    else:
        bound = (k + 1) * UNIT_ROUNDOFF[result] * (abs(a) @ abs(b) + abs(c))
        assert (abs(d - expected) <= bound).all()
    assert execution.counters["ptx_mma_operations"] == 1
    assert execution.counters[f"ptx_mma_flops_{kind}"] == 2 * m * n * k
    size = a.size * {"s4": 4, "u4": 4, "b1": 1}.get(kind, 8 * a_memory.itemsize) // 8
    loaded = size + b.size * size // a.size + c.size * c_memory.itemsize
    assert execution.counters["ptx_global_load_bytes"] == loaded  # every element once
    assert execution.counters["ptx_global_store_bytes"] == c.size * c_memory.itemsize
    assert execution.counters["ptx_global_load_requests"] == sum(
        -(-count // 32) for count in (pieces(m, k, kind, layouts[0]), pieces(k, n, kind, layouts[1]),
                                      pieces(m, n, result, layouts[2])))  # fmt: skip


def pieces(rows, columns, kind, layout):
    """A request takes up to 32 pieces of a tile, each of 16 bytes or of a shorter row."""
    bits = {"f16": 16, "bf16": 16, "f64": 64, "s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1}.get(kind, 32)
    lines, size = (rows, columns * bits // 8) if layout == "row" else (columns, rows * bits // 8)
    return lines * -(-size // 16)


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_120"])
@pytest.mark.parametrize("from_shared", [0, 1])
def test_fragments_come_from_whatever_memory_an_address_is_in(from_shared, arch):
    rng = np.random.default_rng(5)
    a, b, c = matrix_of(rng, (16, 16), "f16"), matrix_of(rng, (16, 16), "f16"), matrix_of(rng, (16, 16), "f32")
    d = np.zeros((16, 16), np.float32)
    args = [a.astype(np.float16), b.astype(np.float16), c.astype(np.float32), d, np.int32(from_shared)]
    emulator.run(module(arch), "generic", grid=1, block=32, args=args, arch=arch)
    assert np.array_equal(d, a @ b + 3 * c)


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])  # a chain of two blocks, and one block
@pytest.mark.parametrize(("result", "addend"), [("f32", "f16"), ("f16", "f32")])
def test_the_addend_may_have_another_type_than_the_result(result, addend, arch):
    rng = np.random.default_rng(9)
    a, b, c = matrix_of(rng, (16, 16), "f16"), matrix_of(rng, (16, 16), "f16"), matrix_of(rng, (16, 16), "f32")
    d = np.zeros((16, 16), STORED[result])
    args = [a.astype(np.float16), b.astype(np.float16), c.astype(STORED[addend]), d]
    emulator.run(module(arch), f"mixed_{result}_{addend}", grid=1, block=32, args=args, arch=arch)
    bound = 17 * UNIT_ROUNDOFF[result] * (abs(a) @ abs(b) + abs(c))
    assert (abs(d - (a @ b + c)) <= bound).all()


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_a_gemm_by_mma_h_matches_numpy(arch):
    n = 128
    rng = np.random.default_rng(6)
    a, b = (rng.normal(size=(n, n)).astype(np.float16) for _ in range(2))
    c = np.zeros((n, n), np.float32)
    execution = emulator.run(
        module(arch), "wmma_gemm", grid=(n // 64, n // 64), block=128, args=[a, b, c, np.uint32(n)], arch=arch
    )
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = (n + 1) * 2.0**-23 * (abs(a.astype(np.float64)) @ abs(b.astype(np.float64)))
    assert (abs(c - exact) <= bound).all()
    assert execution.counters["ptx_mma_flops_f16"] == 2 * n**3


def gemm(unrolled):
    """C = A B of bf16, 64 x 64 a CTA of four warps, by ldmatrix and mma.sync, `unrolled` steps of k in the text."""
    lines = []
    for _ in range(unrolled):
        lines += [
            # 128 threads copy 64 x 16 of A and 16 x 64 of B, sixteen bytes each
            "ld.global.v4.b32 {%w0, %w1, %w2, %w3}, [%a_from];",
            "st.shared.v4.b32 [%a_to], {%w0, %w1, %w2, %w3};",
            "ld.global.v4.b32 {%w0, %w1, %w2, %w3}, [%b_from];",
            "st.shared.v4.b32 [%b_to], {%w0, %w1, %w2, %w3};",
            "add.u64 %a_from, %a_from, 32;",
            "add.u64 %b_from, %b_from, %b_step;",
            "bar.sync 0;",
        ]
        for i in range(2):
            registers = f"{{%a{i}0, %a{i}1, %a{i}2, %a{i}3}}"
            lines.append(f"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {registers}, [%a_row + {i * 16 * 48}];")
        for j in range(2):  # two columns of 8 each
            registers = f"{{%b{2 * j}0, %b{2 * j}1, %b{2 * j + 1}0, %b{2 * j + 1}1}}"
            lines.append(f"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {registers}, [%b_row + {32 * j}];")
        for i in range(2):
            for j in range(4):
                d = "{" + ", ".join(f"%d{i}{j}{e}" for e in range(4)) + "}"
                a = "{" + ", ".join(f"%a{i}{e}" for e in range(4)) + "}"
                lines.append(f"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {d}, {a}, {{%b{j}0, %b{j}1}}, {d};")
        lines.append("bar.sync 0;")
    ordered = [register for i in range(2) for high in range(2) for register in (
        *(f"st.global.v2.f32 [%c_to + {32 * j}], {{%d{i}{j}{2 * high}, %d{i}{j}{2 * high + 1}}};" for j in range(4)),
        "add.u64 %c_to, %c_to, %c_step;")]  # fmt: skip
    sums = [f"%d{i}{j}{e}" for i in range(2) for j in range(4) for e in range(4)]
    newline = "\n    "
    return program(
        f""".visible .entry mma_gemm_{unrolled}(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{{
    .reg .u32 %thread, %lane, %warp, %row, %column, %n, %k, %part, %at, %top, %left, %a_to, %b_to, %a_row, %b_row;
    .reg .u64 %a_from, %b_from, %c_to, %b_step, %c_step, %offset;
    .reg .b32 %w<4>, %a00, %a01, %a02, %a03, %a10, %a11, %a12, %a13;
    .reg .b32 %b00, %b01, %b10, %b11, %b20, %b21, %b30, %b31;
    .reg .f32 {", ".join(sums)};
    .reg .pred %more;
    .shared .align 16 .b8 as[{64 * 48}];        // 64 rows of 16, padded to 48 bytes
    .shared .align 16 .b8 bs[{16 * 144}];       // 16 rows of 64, padded to 144 bytes

    mov.u32 %thread, %tid.x;
    and.b32 %lane, %thread, 31;
    shr.u32 %warp, %thread, 5;
    ld.param.u32 %n, [n];
    mov.u32 %row, %ctaid.y;
    shl.b32 %row, %row, 6;
    mov.u32 %column, %ctaid.x;
    shl.b32 %column, %column, 6;

    // ---- A: thread t copies half a row, t / 2
    shr.u32 %at, %thread, 1;
    and.b32 %part, %thread, 1;
    mov.u32 %a_to, as;
    mad.lo.u32 %a_to, %at, 48, %a_to;
    mad.lo.u32 %a_to, %part, 16, %a_to;
    add.u32 %at, %at, %row;
    mul.lo.u32 %at, %at, %n;
    mad.lo.u32 %at, %part, 8, %at;
    ld.param.u64 %a_from, [a];
    mad.wide.u32 %a_from, %at, 2, %a_from;

    // ---- B: an eighth of row t / 8
    shr.u32 %at, %thread, 3;
    and.b32 %part, %thread, 7;
    mov.u32 %b_to, bs;
    mad.lo.u32 %b_to, %at, 144, %b_to;
    mad.lo.u32 %b_to, %part, 16, %b_to;
    mul.lo.u32 %at, %at, %n;
    mad.lo.u32 %at, %part, 8, %at;
    add.u32 %at, %at, %column;
    ld.param.u64 %b_from, [b];
    mad.wide.u32 %b_from, %at, 2, %b_from;
    mul.wide.u32 %b_step, %n, 32;

    // ---- what ldmatrix reads: rows of the warp's 32 x 16 and of its 16 x 32
    shr.u32 %top, %warp, 1;
    shl.b32 %top, %top, 5;
    and.b32 %left, %warp, 1;
    shl.b32 %left, %left, 5;
    and.b32 %at, %lane, 15;
    shr.u32 %part, %lane, 4;
    mov.u32 %a_row, as;
    mad.lo.u32 %a_row, %part, 16, %a_row;
    add.u32 %k, %at, %top;
    mad.lo.u32 %a_row, %k, 48, %a_row;
    mov.u32 %b_row, bs;
    mad.lo.u32 %b_row, %at, 144, %b_row;
    mad.lo.u32 %b_row, %part, 16, %b_row;
    mad.lo.u32 %b_row, %left, 2, %b_row;

    {newline.join(f"mov.f32 {register}, 0f00000000;" for register in sums)}
    mov.u32 %k, 0;
STEP:
    {newline.join(lines)}
    add.u32 %k, %k, {16 * unrolled};
    setp.lt.u32 %more, %k, %n;
    @%more bra STEP;

    // ---- rows lane / 4 and 8 below, columns 2 (lane % 4) and on
    shr.u32 %at, %lane, 2;
    add.u32 %at, %at, %top;
    add.u32 %at, %at, %row;
    mul.lo.u32 %at, %at, %n;
    and.b32 %part, %lane, 3;
    mad.lo.u32 %at, %part, 2, %at;
    add.u32 %at, %at, %left;
    add.u32 %at, %at, %column;
    ld.param.u64 %c_to, [c];
    mad.wide.u32 %c_to, %at, 4, %c_to;
    mul.wide.u32 %c_step, %n, 32;
    {newline.join(ordered)}
    ret;
}}
"""
    )


ROLLED, UNROLLED = gemm(1), gemm(16)


def problem(n):
    """A and B as float64, and as bf16 in memory."""
    rng = np.random.default_rng(8)
    a, b = (rng.integers(-128, 128, (n, n)) / 64.0 for _ in range(2))
    return a, b, [(matrix.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for matrix in (a, b)]


@pytest.mark.parametrize("text", [ROLLED, UNROLLED], ids=["rolled", "unrolled"])
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_a_handwritten_gemm_matches_numpy(text, arch):
    n = 256
    a, b, in_memory = problem(n)
    c = np.zeros((n, n), np.float32)
    execution = emulator.run(text, grid=(n // 64, n // 64), block=128, args=[*in_memory, c, np.uint32(n)], arch=arch)
    bound = (n + 1) * 2.0**-23 * (abs(a) @ abs(b))
    assert (abs(c - a @ b) <= bound).all()
    assert execution.counters["ptx_mma_flops_bf16"] == 2 * n**3
    assert execution.counters["ptx_shared_load_conflicts"] == 0  # the padding is there to avoid conflicts


def test_a_sanitised_gemm_is_clean_and_one_without_its_barriers_races():
    n = 64
    _, _, in_memory = problem(n)

    def findings(text):
        c = np.zeros((n, n), np.float32)
        return emulator.run(text, grid=1, block=128, args=[*in_memory, c, np.uint32(n)], sanitize=True).findings

    assert findings(ROLLED) == ()
    assert any("ldmatrix" in str(finding) for finding in findings(ROLLED.replace("bar.sync 0;", "", 1)))


TILE_BY_LANES = program(
    """
.visible .entry tile_by_lanes(.param .u64 x, .param .u64 y)
{
    .reg .b64 %x, %y, %at; .reg .b32 %lane, %patch, %its; .reg .f32 %c<8>, %v<4>;
    .shared .align 16 .f32 patch[256];
    ld.param.u64 %x, [x]; ld.param.u64 %y, [y];
    mov.u32 %lane, %tid.x; mov.u32 %patch, patch; mad.lo.u32 %its, %lane, 16, %patch;
    wmma.load.c.sync.aligned.row.m16n16k16.f32 {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}, [%x];
    wmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [patch], {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7};
    bar.warp.sync 0xffffffff; // stored
    ld.shared.v4.f32 {%v0, %v1, %v2, %v3}, [%its];
    mad.wide.u32 %at, %lane, 16, %y;
    st.global.v4.f32 [%at], {%v0, %v1, %v2, %v3};
    bar.warp.sync 0xffffffff; // read
    st.shared.v4.f32 [%its], {%v3, %v2, %v1, %v0};
    bar.warp.sync 0xffffffff; // written
    wmma.load.c.sync.aligned.row.m16n16k16.shared.f32 {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}, [patch];
    ret;
}
"""
)
"""Each lane reads and writes 16 bytes of a tile, in the order of the lanes: wmma may use the same order."""


@pytest.mark.parametrize("missing", ["", "stored", "read", "written"])
def test_lanes_that_share_a_tile_with_wmma_race_without_a_warp_sync_whatever_lanes_it_uses(missing):
    x, y = np.arange(256, dtype=np.float32), np.zeros(128, np.float32)
    text = TILE_BY_LANES.replace(f"bar.warp.sync 0xffffffff; // {missing}\n", "\n")
    assert (text == TILE_BY_LANES) == (not missing)
    findings = emulator.run(text, grid=1, block=32, args=[x, y], sanitize=True).findings
    kinds = {finding.kind for finding in findings}
    # Nothing orders the lanes that read and those that write the same bytes.
    assert kinds == ({"race"} if missing in ("stored", "written") else set())
    assert np.array_equal(y, x[:128])


@pytest.mark.long
def test_ptxas_accepts_every_spelling_of_the_matrix_chapter():
    """But those of sm_90a, sm_100a and sm_120a: test_spellings.py."""
    declared, lines = [".reg .u64 %at;", ".reg .u32 %stride;", ".reg .b32 %one, %other;"], []
    entries = [entry for forms in TABLE.values() for entry in forms if entry.counted == "matrix"]
    others = re.compile(r"wgmma|ldmatrix.*n16|stmatrix.*m16")
    entries = [entry for entry in entries if not (others.match(entry.opcode) or of_narrow_floats(entry.opcode))]
    assert len(entries) > 500
    for number, entry in enumerate(entries):
        if "wmma" in entry.opcode and ".shared::cta" in entry.opcode and "m16n16k16" not in entry.opcode:
            continue  # they add no new case, and ptxas is slow
        counts = iter(vector_registers(entry))
        operands = []
        for form in entry.operands:
            if form.vector:
                kind, count = next(counts)
                names = [f"%x{number}_{len(operands)}_{i}" for i in range(count)]
                declared.append(f".reg .{kind} {', '.join(names)};")
                operands.append("{" + ", ".join(names) + "}")
            else:
                operands.append({"d": "%one", "stride": "%stride", "selector": "0"}.get(form.name, "%other"))
                if form.kind == "address":
                    operands[-1] = "[%at]"
        lines.append(f"{entry.opcode} {', '.join(operands)};")
    body = "\n".join([*declared, *lines])
    assemble(f"{HEADER}.visible .entry spellings()\n{{\n{body}\nret;\n}}\n")


def assemble(text):
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, text, "sm_90")


def test_ptxas_accepts_every_kernel_of_the_matrix_tests():
    for module_name in ("test_matrix", "test_matrix_memory"):
        importlib.import_module(f"tests.emulator.{module_name}")
    assemble(HEADER + "\n".join(KERNELS.values()))
