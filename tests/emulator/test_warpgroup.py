"""wgmma: operands by descriptor, the exact bits of sums, when a product is done, and the errors of misuse."""

import re
from typing import Any

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.races import products
from ptxbench.errors import MemoryFault, PtxSyntaxError, UnsupportedInstruction
from ptxbench.toolchain import locate, ptxas
from tests import quick
from tests.emulator import block_sums, warpgroup_gemm
from tests.emulator.test_matrix import encoded, ordinary, patterns, spread

HEADER = ".version 8.4\n.target sm_90a\n.address_size 64\n"
KERNELS = {"gemm": warpgroup_gemm.PTX}
"""Every kernel of these tests, by name."""
TILE, B_AT = 45056, 16384
"""Bytes of shared memory; B's place there. A is at the start."""
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "b1": 1}
RULES = {"f16": (16, 25, 23), "bf16": (16, 25, 23), "tf32": (8, 25, 23), "e4m3": (32, 13, 13), "e5m2": (32, 13, 13)}
"""By the type of A: products in a block, fraction bits of a term and of an f32 result (docs/matrix.md)."""
MODES = {16: 0, 128: 1, 64: 2, 32: 3}
"""Bytes of a swizzle, 16 for none -> its number in a descriptor."""


def descriptor_of(at, leading, stride, width):
    """The matrix descriptor of operands in shared memory, with offsets in bytes."""
    return at >> 4 | (leading >> 4) << 16 | (stride >> 4) << 32 | MODES[width] << 62


class Operand:
    """Rows of 32 bytes of k in shared memory, with each byte where the manual's canonical layouts have it.

    The offsets leave gaps, so that a wrong offset reads other bytes.
    """

    def __init__(self, at, rows, width=16, transposed=False, step=0):
        """`step`: how many times 32 bytes of k, or 16 rows of k, lie before."""
        self.at, self.rows, self.width, self.transposed, self.step = at, rows, width, transposed, step
        if width == 16:
            self.leading, self.stride = 128, 256
        else:
            self.leading, self.stride = 4 * 8 * width if transposed else 16, 8 * width

    @property
    def descriptor(self):
        more = self.step * (2 * self.stride if self.transposed else 32)
        return descriptor_of(self.at + more, self.leading, self.stride, self.width)

    def address_of(self, row, byte):
        """The address of a byte of a row; with rows together, of a 16-bit element's byte."""
        lines = {16: lambda line: 0, 32: lambda line: line // 4, 64: lambda line: line // 2, 128: lambda line: line}
        exchange = lines[self.width]
        if self.transposed:
            k, part = divmod(byte, 2)
            k += 16 * self.step
            if self.width == 16:
                return self.at + row // 8 * self.stride + k // 8 * self.leading + k % 8 * 16 + row % 8 * 2 + part
            block, inside = divmod(row, self.width // 2)
            chunk, rest = divmod(2 * inside + part, 16)
            line = k % 8
            start = self.at + block * self.leading + k // 8 * self.stride
            return start + line * self.width + (chunk ^ exchange(line)) * 16 + rest
        if self.width == 16:
            return self.at + row // 8 * self.stride + row % 8 * 16 + byte // 16 * self.leading + byte % 16
        chunk, rest = divmod(byte + 32 * self.step, 16)
        line = row % 8
        return self.at + row // 8 * self.stride + line * self.width + (chunk ^ exchange(line)) * 16 + rest

    def fill(self, image, matrix):
        """Write rows of 32 bytes."""
        for row, row_bytes in enumerate(matrix):
            for byte, value in enumerate(row_bytes):
                image[self.address_of(row, byte)] = value


def registers_of(opcode):
    columns = int(re.search(r"n(\d+)k", opcode)[1])
    return columns, (
        columns // 4 if ".f16.f16.f16" in opcode or re.search(r"k(?:32|64)\.f16", opcode) else columns // 2
    )


BODY = """
    wgmma.fence.sync.aligned;
    PRODUCT
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
"""


def kernel(opcode, a="%da", more="", scale="1", body=BODY, name=None, declared=""):
    """The kernel D += A B: an image of shared memory, A's registers, D and the descriptors are its arguments."""
    _, count = registers_of(opcode)
    d = ", ".join(f"%d{i}" for i in range(count))
    product = f"{opcode} {{{d}}}, {a}, %db, {scale}{more};"
    loads = "\n    ".join(f"ld.global.b32 %d{i}, [%td + {4 * i}];" for i in range(count))
    stores = "\n    ".join(f"st.global.b32 [%td + {4 * i}], %d{i};" for i in range(count))
    fragment = "\n    ".join(f"ld.global.b32 %a{i}, [%ta + {4 * i}];" for i in range(4))
    name = name or "wg_" + re.sub(r"\W+", "_", f"{opcode[28:]}_{a}{more}_{scale}".replace("-", "m"))
    text = f"""
.visible .entry {name}(.param .u64 image, .param .u64 a, .param .u64 d, .param .u64 da, .param .u64 db)
{{
    .reg .b32 %t, %i, %to, %w<4>, %a<4>, %d<{max(count, 4)}>, %scale, %lane;
    .reg .b64 %da, %db, %from, %ta, %td, %at, %tile;
    .reg .pred %p, %q;
    {declared}
    .shared .align 1024 .b8 tile[{TILE}];
    mov.u32 %t, %tid.x;
    ld.param.u64 %from, [image];
    ld.param.u64 %ta, [a];
    ld.param.u64 %td, [d];
    shl.b32 %i, %t, 4;
COPY:
    cvt.u64.u32 %at, %i;
    add.u64 %at, %at, %from;
    ld.global.v4.b32 {{%w0, %w1, %w2, %w3}}, [%at];
    mov.u32 %to, tile;
    add.u32 %to, %to, %i;
    st.shared.v4.b32 [%to], {{%w0, %w1, %w2, %w3}};
    add.u32 %i, %i, 2048;
    setp.lt.u32 %p, %i, {TILE};
    @%p bra COPY;
    fence.proxy.async;
    bar.sync 0;
    mul.wide.u32 %at, %t, 16;
    add.u64 %ta, %ta, %at;
    mul.wide.u32 %at, %t, {4 * count};
    add.u64 %td, %td, %at;
    {fragment}
    {loads}
    mov.u32 %to, tile;
    and.b32 %to, %to, 0x3ffff;  // a descriptor has no place for the rank in a cluster
    shr.u32 %to, %to, 4;
    cvt.u64.u32 %tile, %to;
    ld.param.u64 %da, [da];
    ld.param.u64 %db, [db];
    add.u64 %da, %da, %tile;
    add.u64 %db, %db, %tile;
    ld.global.b32 %scale, [%td];
    setp.ne.u32 %p, %t, 4096;
    {body.replace("PRODUCT", product)}
    {stores}
    ret;
}}
"""
    if KERNELS.setdefault(name, text) != text:
        raise ValueError(f"two kernels are called '{name}'")
    return HEADER + text


def words_of(matrix, kind):
    """Rows of bit patterns as rows of 32 bytes."""
    if kind == "b1":
        return np.packbits(matrix.astype(np.uint8), axis=1, bitorder="little")
    return np.ascontiguousarray(matrix.astype({8: np.uint8, 16: np.uint16, 32: np.uint32}[BITS[kind]])).view(np.uint8)


def fragment_of(rows):
    """A's registers: a lane has words of two rows, near and far, as for mma.sync."""
    words = rows.view(np.uint32)
    out = np.zeros((128, 4), np.uint32)
    for thread in range(128):
        warp, lane = divmod(thread, 32)
        for register in range(4):
            row = 16 * warp + 8 * (register % 2) + lane // 4
            out[thread, register] = words[row, 4 * (register // 2) + lane % 4]
    return out


def places_of(columns):
    """Row and column of each element of D that a thread holds, in order: arrays of (128, columns / 2)."""
    thread, i = np.meshgrid(np.arange(128), np.arange(columns // 2), indexing="ij")
    warp, lane = thread // 32, thread % 32
    return 16 * warp + 8 * (i // 2 % 2) + lane // 4, 8 * (i // 4) + 2 * (lane % 4) + i % 2


def multiply(text, opcode, a, b, c, a_operand, b_operand, kinds, in_registers=False, **options):
    """D of bit patterns A (64 x k), B (columns x k) and C."""
    columns, count = registers_of(opcode)
    halves = count == columns // 4
    image = np.full(TILE, 0xFF, np.uint8)
    if not in_registers:
        a_operand.fill(image, words_of(a, kinds[1]))
    b_operand.fill(image, words_of(b, kinds[2]))
    rows, column = places_of(columns)
    addends = c[rows, column].astype(np.uint32)
    d = np.ascontiguousarray(addends[:, ::2] | addends[:, 1::2] << 16 if halves else addends)
    fragment = fragment_of(words_of(a, kinds[1]))
    arguments = [image, fragment, d, np.uint64(a_operand.descriptor), np.uint64(b_operand.descriptor)]
    execution = emulator.run(text, grid=1, block=128, args=arguments, arch="sm_90", **options)
    elements = np.stack([d & 0xFFFF, d >> 16], axis=2).reshape(128, -1) if halves else d
    result = np.zeros((64, columns), np.uint32)
    result[rows, column] = elements
    return result, execution


def data(kinds, columns, k, make):
    rng = np.random.default_rng(columns + k)
    shapes = ((64, k), (columns, k), (64, columns))
    operands = zip(shapes, (*kinds[1:], kinds[0]), (False, False, True), strict=True)
    return [make(rng, shape, kind, addend) for shape, kind, addend in operands]


SIXTEEN = ("f32.f16.f16", "f16.f16.f16", "f32.bf16.bf16")
FLOATS = [
    # types, columns, A in registers, widths of the swizzles, transpositions, steps of k
    *((types, n, False, wide, trans, step) for types, n, wide, trans, step in (
        ("f32.f16.f16", 8, (16, 16), (0, 0), 0), ("f32.f16.f16", 64, (128, 128), (0, 0), 2),
        ("f32.f16.f16", 64, (64, 32), (0, 0), 0), ("f32.f16.f16", 64, (32, 64), (1, 1), 0),
        ("f32.f16.f16", 128, (128, 128), (1, 1), 1), ("f16.f16.f16", 24, (16, 16), (1, 1), 0),
        ("f16.f16.f16", 256, (16, 16), (0, 0), 0), ("f32.bf16.bf16", 40, (64, 64), (0, 0), 1),
        ("f32.bf16.bf16", 64, (64, 64), (1, 0), 0), ("f32.tf32.tf32", 16, (128, 16), (0, 0), 0),
        ("f32.tf32.tf32", 48, (32, 128), (0, 0), 0), ("f32.e4m3.e5m2", 32, (128, 128), (0, 0), 3),
        ("f32.e5m2.e5m2", 16, (16, 32), (0, 0), 0), ("f16.e4m3.e4m3", 32, (64, 64), (0, 0), 1),
        ("f16.e5m2.e4m3", 8, (16, 16), (0, 0), 0))),
    *((types, n, True, (16, wide), (0, trans), 0) for types, n, wide, trans in (
        ("f32.f16.f16", 32, 128, 0), ("f16.f16.f16", 64, 64, 1), ("f32.bf16.bf16", 8, 16, 0),
        ("f32.tf32.tf32", 32, 128, 0), ("f32.e4m3.e4m3", 16, 32, 0), ("f16.e5m2.e5m2", 32, 128, 0))),
]  # fmt: skip
MAKERS = (ordinary, spread, patterns)


def opcode_of(types, columns, limit=""):
    k = 256 // BITS[types.split(".")[1]]
    return f"wgmma.mma_async.sync.aligned.m64n{columns}k{k}{limit}.{types}"


def float_program(types, columns, in_registers, transposed, signs=(1, 1)):
    more = ", " + ", ".join(map(str, signs))
    if types in SIXTEEN:
        more += f", {transposed[1]}" if in_registers else f", {transposed[0]}, {transposed[1]}"
    return kernel(opcode_of(types, columns), "{%a0, %a1, %a2, %a3}" if in_registers else "%da", more)


PROGRAMS = [float_program(types, n, where, trans) for types, n, where, _, trans, _ in FLOATS]


@pytest.mark.parametrize(("types", "n", "in_registers", "widths", "transposed", "step"), quick.every(3, FLOATS))
def test_a_float_product_has_the_bits_of_the_exact_model(types, n, in_registers, widths, transposed, step):
    opcode, kinds = opcode_of(types, n), types.split(".")
    k = 256 // BITS[kinds[1]]
    a_operand = Operand(0, 64, widths[0], transposed[0], step)
    b_operand = Operand(B_AT, n, widths[1], transposed[1], step)
    block, fraction, result_bits = RULES[kinds[1]]
    draw = np.random.default_rng(3)
    for make in MAKERS:
        a, b, c = data(kinds, n, k, make)
        text = float_program(types, n, in_registers, transposed)
        result, execution = multiply(text, opcode, a, b, c, a_operand, b_operand, kinds, in_registers)
        for row, column in zip(draw.integers(0, 64, 60).tolist(), draw.integers(0, n, 60).tolist(), strict=True):
            expected = block_sums.chain(a[row].tolist(), b[column].tolist(), int(c[row, column]),
                                      (*kinds, kinds[0]), block, fraction, result_bits)  # fmt: skip
            assert int(result[row, column]) == expected, (make.__name__, row, column, hex(expected))
    counters = execution.counters
    assert counters["ptx_wgmma_operations"] == 1
    assert counters[f"ptx_mma_flops_{kinds[1]}"] == 2 * 64 * n * k
    assert counters["ptx_wgmma_shared_bytes"] == 32 * (n + 64 * (not in_registers))
    assert "MMA-Sim" in execution.models[opcode] or "recorded hardware" in execution.models[opcode]


@pytest.mark.parametrize("types", ["f32.f16.f16", "f32.e4m3.e4m3", "f32.tf32.tf32"])
def test_a_product_is_close_to_the_product_in_float64(types):
    opcode, kinds = opcode_of(types, 16), types.split(".")
    k = 256 // BITS[kinds[1]]
    a, b, c = data(kinds, 16, k, ordinary)
    x, y = (np.array([[float(block_sums.read(int(v), kind)) for v in row] for row in m])
            for m, kind in ((a, kinds[1]), (b, kinds[2])))  # fmt: skip
    z = c.astype(np.uint32).view(np.float32).astype(float).reshape(64, 16)
    text = float_program(types, 16, False, (0, 0))
    result, _ = multiply(text, opcode, a, b, c, Operand(0, 64), Operand(B_AT, 16), kinds)
    bound = (abs(x) @ abs(y).T + abs(z)) * 2.0 ** (-12 if "e4m3" in types else -22) * 4
    assert (abs(result.view(np.float32) - (x @ y.T + z)) <= bound).all()


SIGNED = [(-1, 1, "f32.f16.f16"), (1, -1, "f32.bf16.bf16"), (-1, -1, "f32.tf32.tf32"), (-1, 1, "f32.e4m3.e5m2")]
PROGRAMS += [float_program(types, 8, False, (0, 0), (a, b)) for a, b, types in SIGNED]


@pytest.mark.parametrize(("sign_a", "sign_b", "types"), SIGNED)
def test_a_sign_negates_a_factor(sign_a, sign_b, types):
    kinds = types.split(".")
    a, b, c = data(kinds, 8, 256 // BITS[kinds[1]], ordinary)
    results = []
    for signs, flipped in (((sign_a, sign_b), 1), ((1, 1), sign_a * sign_b)):
        top = np.uint64(1 << (31 if kinds[1] == "tf32" else BITS[kinds[1]] - 1))
        negated = a ^ top if flipped < 0 else a
        text = float_program(types, 8, False, (0, 0), signs)
        results.append(multiply(text, opcode_of(types, 8), negated, b, c, Operand(0, 64), Operand(B_AT, 8), kinds)[0])
    assert np.array_equal(*results)


INTEGERS = [
    # types, columns, .satfinite, A in registers, widths
    ("s32.s8.s8", 8, "", False, (16, 16)), ("s32.u8.s8", 24, ".satfinite", False, (128, 64)),
    ("s32.s8.u8", 96, "", False, (32, 128)), ("s32.u8.u8", 32, ".satfinite", True, (16, 128)),
    ("s32.s8.u8", 16, "", True, (16, 16)), ("s32.b1.b1", 16, "", False, (128, 32)),
    ("s32.b1.b1", 8, "", True, (16, 16)), ("s32.s8.s8", 256, "", False, (64, 16)),
]  # fmt: skip


def integer_program(types, n, limit, in_registers):
    opcode = opcode_of(types, n, limit) + ".and.popc" * ("b1" in types)
    return opcode, kernel(opcode, "{%a0, %a1, %a2, %a3}" if in_registers else "%da")


PROGRAMS += [integer_program(*case[:4])[1] for case in INTEGERS]


@pytest.mark.parametrize(("types", "n", "limit", "in_registers", "widths"), INTEGERS)
def test_an_integer_product_is_exact_and_wraps_or_clamps(types, n, limit, in_registers, widths):
    opcode, text = integer_program(types, n, limit, in_registers)
    kinds = types.split(".")
    rng = np.random.default_rng(n)
    bits = BITS[kinds[1]]
    k = 256 // bits
    a, b = rng.integers(0, 1 << bits, (64, k)), rng.integers(0, 1 << bits, (n, k))
    c = rng.choice(np.array([2**31 - 5, -(2**31) + 5, 7, -1000]), (64, n))
    result, execution = multiply(text, opcode, a, b, c & 0xFFFFFFFF, Operand(0, 64, widths[0]),
                                Operand(B_AT, n, widths[1]), kinds, in_registers)  # fmt: skip
    x, y = (m - (m >> 7 << 8) if kind == "s8" else m for m, kind in ((a, kinds[1]), (b, kinds[2])))
    total = x @ y.T + c
    if limit:
        total = np.clip(total, -(2**31), 2**31 - 1)
    assert np.array_equal(result.astype(np.int64), total & 0xFFFFFFFF)
    assert execution.models[opcode] == "exact"


# ---- when a product is done

F16 = opcode_of("f32.f16.f16", 8)
D = "{%d0, %d1, %d2, %d3}"
CALL = f"{F16} {D}, %da, %db, 1, 1, 1, 0, 0;"
FENCE, COMMIT, WAIT = "wgmma.fence.sync.aligned;", "wgmma.commit_group.sync.aligned;", "wgmma.wait_group.sync.aligned"
PLAIN = f"{FENCE} {CALL} {COMMIT} {WAIT} 0;"
CLEAR = "mov.u32 %to, tile; mad.lo.u32 %to, %t, 64, %to; mov.b32 %w0, 0; st.shared.b32 [%to], %w0;"
REGISTERS = CALL.replace("%da", "{%a0, %a1, %a2, %a3}").replace("0, 0;", "0;")


def misuse(name, body, declared="", block=128, grid=1, **options):
    """D of a kernel with that body, as f32, and what it would be: small whole numbers, so that sums are exact."""
    text = kernel(F16, body=body, name=name, declared=declared)
    rng = np.random.default_rng(1)
    a, b, c = rng.integers(-4, 5, (64, 16)), rng.integers(-4, 5, (8, 16)), rng.integers(-4, 5, (64, 8))
    x, y = (encoded(m.astype(float), "f16") for m in (a, b))
    z = c.astype(np.float32).view(np.uint32)
    a_at, b_at = options.pop("a_at", Operand(0, 64)), options.pop("b_at", Operand(B_AT, 8))
    image = np.full(TILE, 0xFF, np.uint8)
    a_at.fill(image, words_of(x, "f16"))
    b_at.fill(image, words_of(y, "f16"))
    rows, columns = places_of(8)
    d = np.ascontiguousarray(z[rows, columns])
    descriptors = [np.uint64(options.pop(name, at.descriptor)) for name, at in (("da", a_at), ("db", b_at))]
    arguments = [image, fragment_of(words_of(x, "f16")), d, *descriptors]
    emulator.run(text, grid=grid, block=block, args=arguments, arch="sm_90", **options)
    result = np.zeros((64, 8), np.float32)
    result[rows, columns] = d.view(np.float32)
    return result, (a @ b.T).astype(np.float32), c.astype(np.float32)


RIGHT = {
    "plain": (PLAIN, 1, 1),
    "false_scale": (PLAIN.replace("%db, 1,", "%db, 0,"), 1, 0),
    "scale_by_predicate": (PLAIN.replace("%db, 1,", "%db, !%p,"), 1, 0),
    "two_in_one_group": (f"{FENCE} {CALL} {CALL} {COMMIT} {WAIT} 0;", 2, 1),
    "two_groups": (f"{FENCE} {CALL} {COMMIT} {CALL} {COMMIT} {WAIT} 1; {WAIT} 0;", 2, 1),
    "from_registers": (f"{FENCE} {REGISTERS} {COMMIT} {WAIT} 0;", 1, 1),
    "more_than_a_queue": (f"{FENCE} {CALL * 70} {COMMIT} {WAIT} 0;", 70, 1),
    "stage_used_again_after_the_wait": (f"{PLAIN} bar.sync 0; {CLEAR}", 1, 1),
    "not_executed": (f"{PLAIN} setp.eq.u32 %q, %t, 999; @%q {CALL}", 1, 1),
    "in_a_loop": (
        f"mov.u32 %i, 0; {FENCE} L: {CALL} {COMMIT} {WAIT} 1; add.u32 %i, %i, 1; setp.lt.u32 %q, %i, 5; @%q bra L; "
        f"{WAIT} 0;", 5, 1),
    "fence_between": (
        f"{PLAIN} add.f32 %f, %d0, %d0; mov.b32 %d0, %f; mul.f32 %f, %f, 0f3f000000; mov.b32 %d0, %f; {PLAIN}", 2, 1),
}  # fmt: skip
"""Body, how often the product is in D, and how often C."""
LATE = {
    "no_wait": f"{FENCE} {CALL} {COMMIT}",
    "no_commit": f"{FENCE} {CALL} {WAIT} 0;",
    "wait_for_fewer": f"{FENCE} {CALL} {COMMIT} {WAIT} 1;",
    "stage_filled_too_early": f"{FENCE} {CALL} {COMMIT} bar.sync 0; {CLEAR} bar.sync 0; {WAIT} 0;",
    "read_too_early": f"{FENCE} {CALL} {COMMIT} mov.b32 %w0, %d0; {WAIT} 0; mov.b32 %d0, %w0;",
    "written_before_the_wait": f"{FENCE} {CALL} {COMMIT} add.u32 %d0, %d0, 1; mov.b32 %w0, %d0; {WAIT} 0; "
    "mov.b32 %d0, %w0;",
}
FAULTS = {
    "no_fence": (f"{CALL} {COMMIT} {WAIT} 0;", "comes before the first wgmma.fence of its warp"),
    "d_written_after_the_fence": (f"{FENCE} mov.b32 %d1, 0; {CALL} {COMMIT} {WAIT} 0;", "after the last wgmma.fence"),
    "d_changed_between_products": (f"{PLAIN} mov.b32 %d1, 0; {CALL} {COMMIT} {WAIT} 0;", "after the last wgmma.fence"),
    "a_written_after_the_fence": (f"{FENCE} mov.b32 %a0, 0; {REGISTERS} {COMMIT} {WAIT} 0;", "last wgmma.fence"),
    "a_overwritten": (
        f"{FENCE} {REGISTERS} {COMMIT} mov.b32 %a0, 7; bar.sync 0; {WAIT} 0; st.global.b32 [%ta], %a0;",
        "registers of A that were overwritten before wgmma.wait_group"),
    "half_a_warp": (f"{FENCE} and.b32 %lane, %t, 1; setp.eq.u32 %q, %lane, 0; @%q {CALL}", "needs all 32 threads"),
    "half_a_warp_waits": (f"and.b32 %lane, %t, 1; setp.eq.u32 %q, %lane, 0; @%q {WAIT} 0;", "needs all 32 threads"),
    "half_a_scale": (
        f"{FENCE} and.b32 %lane, %t, 1; setp.eq.u32 %q, %lane, 0; {CALL.replace('%db, 1,', '%db, %q,')}",
        "not the same in all threads of the warp"),
    "descriptor_of_a_lane": (
        f"{FENCE} cvt.u64.u32 %at, %t; add.u64 %db, %db, %at; {CALL}", "not the same in all threads of the warp"),
    "descriptor_of_a_warp": (
        f"{FENCE} shr.u32 %i, %t, 5; cvt.u64.u32 %at, %i; add.u64 %db, %db, %at; {CALL} {COMMIT} {WAIT} 0;",
        "is not the same product, with the same operands, as in another warp"),
}  # fmt: skip
DECLARED = ".reg .f32 %f;"


@pytest.mark.parametrize("name", RIGHT)
def test_a_product_is_done_when_its_group_is_waited_for(name):
    body, products, addends = RIGHT[name]
    result, product, c = misuse(f"wg_{name}", body, DECLARED)
    assert np.array_equal(result, products * product + addends * c)


@pytest.mark.parametrize("name", LATE)
def test_a_product_that_is_not_waited_for_gives_wrong_numbers(name):
    result, product, c = misuse(f"wg_{name}", LATE[name], DECLARED)
    assert not np.array_equal(result, product + c)


@pytest.mark.parametrize("name", FAULTS)
def test_misuse_is_a_fault_with_its_line(name):
    body, complaint = FAULTS[name]
    with pytest.raises(MemoryFault, match=rf"^line \d+: wgmma\..* by thread \d+ of CTA 0 .*{complaint}"):
        misuse(f"wg_{name}", body, DECLARED)


@pytest.mark.parametrize(
    ("name", "before", "complaint"),
    [
        ("wg_leaves", "", "line \\d+: exit by thread 96 .* without a wgmma that another warp"),
        ("wg_left", "bar.sync 1, 96;", "line \\d+: wgmma.* is not executed by another warp"),
    ],
)
def test_all_warps_of_a_warpgroup_execute_a_product(name, before, complaint):
    with pytest.raises(MemoryFault, match=complaint):
        misuse(name, f"setp.ge.u32 %q, %t, 96; @%q exit; {before} {PLAIN}", DECLARED)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"da": 1 << 49}, "a base offset"),
        *(({"da": 1 << bit}, "a bit that must be 0") for bit in (14, 15, 30, 31, 46, 47, 48, 52, 61)),
        ({"db": 1 << 61}, "a bit that must be 0"),
        ({"db": 0x3000}, "outside the shared memory"),
        ({"db": descriptor_of(TILE - 64, 128, 256, 16)}, "outside the shared memory"),
        ({"da": descriptor_of(0, 128, 45056, 16)}, "outside the shared memory"),
        ({"block": 96}, "needs four whole warps"),
        ({"block": 112}, "needs all 32 threads|needs four whole warps"),
    ],
)
def test_a_bad_descriptor_or_warpgroup_is_a_fault(options, complaint):
    with pytest.raises(MemoryFault, match=complaint):
        misuse("wg_plain", PLAIN, DECLARED, **options)


def test_a_wrong_stride_gives_a_wrong_product():
    result, product, c = misuse("wg_plain", PLAIN, DECLARED, db=descriptor_of(B_AT, 144, 256, 16))
    assert not np.array_equal(result, product + c)


def test_the_second_warpgroup_computes_the_rows_of_its_own_descriptor():
    body = f"setp.lt.u32 %q, %t, 128; @%q bra ON; {PLAIN} ON: bar.sync 0;"
    text = kernel(F16, body=body, name="wg_second", declared=DECLARED)
    arguments = [np.zeros(TILE, np.uint8), np.zeros((256, 4), np.uint32), np.ones((256, 4), np.float32),
                 np.uint64(Operand(0, 64).descriptor), np.uint64(Operand(B_AT, 8).descriptor)]  # fmt: skip
    execution = emulator.run(text, grid=3, block=256, args=arguments, arch="sm_90")
    assert np.all(arguments[2] == 1)
    assert execution.counters["ptx_wgmma_operations"] == 3


def test_a_matrix_product_is_that_of_numpy():
    a, b, c = warpgroup_gemm.operands()
    execution = warpgroup_gemm.multiply([a, b, c])
    assert np.array_equal(c, a.astype(np.float32) @ b.astype(np.float32).T)
    assert execution.counters["ptx_mma_flops_f16"] == 2 * a.size * len(b)


@pytest.mark.parametrize(
    ("product", "complaint"),
    [
        (CALL.replace("1, 1, 0, 0;", "2, 1, 0, 0;"), "expected 1 or -1 for a sign, found 2"),
        (CALL.replace("1, 1, 0, 0;", "1, 1, 0, 3;"), "expected 0 or 1 for a transposition, found 3"),
        (CALL.replace("%db, 1,", "%db, 2,"), "expected a predicate, 0 or 1 for the scale of D, found 2"),
        (CALL.replace(", %d3}", "}"), "expected 4 registers of D, found 3"),
        (CALL.replace("%d3}", "_}"), "expected registers in the vector of D"),
        (REGISTERS.replace(", %a3}", "}"), "expected 4 registers of A, found 3"),
    ],
)
def test_what_ptxas_refuses_is_refused(product, complaint):
    text = kernel(F16, body="BODY", name="wg_refused").replace("BODY", product)
    with pytest.raises(PtxSyntaxError, match=complaint):
        emulator.run(text, grid=1, block=128, args=[*[np.zeros(TILE, np.uint8)] * 3, np.uint64(0), np.uint64(0)])
    with pytest.raises(ptxas.RefusedError):
        ptxas.assemble(locate.program("ptxas"), text, "sm_90a")


IN_CLUSTER = f"{PLAIN} mov.u32 %i, %cluster_ctarank; setp.eq.u32 %q, %i, 0; @%q exit;"


def test_a_cta_of_a_cluster_multiplies_from_its_own_shared_memory():
    result, product, c = misuse("wg_in_cluster", IN_CLUSTER, DECLARED, grid=2, cluster=2)
    assert np.array_equal(result, product + c)


@pytest.mark.parametrize("options", [{"sanitize": True}, {"placement": 3}, {"threads": 2}])
def test_a_product_is_the_same_when_watched_or_placed_elsewhere(options):
    result, product, c = misuse("wg_two_groups", RIGHT["two_groups"][0], DECLARED, **options)
    assert np.array_equal(result, 2 * product + c)


def test_the_sanitizer_finds_sums_that_a_product_adds_to_unwritten():
    """Only the first product of the first slab may add to them, or not; zeros are as good as a scale of 0."""
    adds = warpgroup_gemm.PTX.replace("%a_at, %b_at, %adds, 1", "%a_at, %b_at, 1, 1")
    zeros = "".join(f"mov.f32 %c{i}, 0f00000000; " for i in range(warpgroup_gemm.COUNT))
    for body, kinds in ((adds, {"uninitialised"}), (adds.replace("NEXT:", f"{zeros}\nNEXT:"), set())):
        execution = warpgroup_gemm.multiply(warpgroup_gemm.operands(), body=body, sanitize=True)
        assert {finding.kind for finding in execution.findings} == kinds


@pytest.mark.parametrize("width", MODES)
@pytest.mark.parametrize("transposed", [False, True])
def test_the_sanitizer_knows_which_bytes_an_operand_is_read_from(width, transposed):
    first, rows = 16, 64
    address: Any = products.piece_address
    for step in range(2 if width > 32 else 1):
        operand = Operand(2048, 128, width, transposed, step)
        read = {
            address.py_func(operand.descriptor, transposed, first, 2, i) + byte
            for i in range(2 * rows)
            for byte in range(16)
        }
        assert read == {operand.address_of(first + row, byte) for row in range(rows) for byte in range(32)}


def test_other_architectures_have_no_wgmma():
    text = kernel(F16, body=PLAIN, name="wg_plain", declared=DECLARED)
    arguments = [*[np.zeros(TILE, np.uint8)] * 3, np.uint64(0), np.uint64(0)]
    with pytest.raises(UnsupportedInstruction, match="wgmma needs sm_90a; this run is for sm_100"):
        emulator.run(text, grid=1, block=128, args=arguments, arch="sm_100")


def test_ptxas_accepts_every_kernel():
    for table in (RIGHT, LATE, FAULTS):
        for name, case in table.items():
            kernel(F16, body=case if isinstance(case, str) else case[0], name=f"wg_{name}", declared=DECLARED)
    kernels = [text for name, text in KERNELS.items() if not name.startswith("wg_refused")]
    ptxas.assemble(locate.program("ptxas"), HEADER + "\n".join(kernels), "sm_90a")
