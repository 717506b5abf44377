"""wgmma.mma_async.sp: metadata and descriptors, the exact bits of sums, and the errors of misuse."""

import re
from typing import Any, cast

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.races import products
from ptxbench.errors import MemoryFault, PtxSyntaxError
from ptxbench.toolchain import locate, ptxas
from tests.emulator import block_sums
from tests.emulator.narrow_products import Product, indices, kept, metadata_places
from tests.emulator.test_matrix import ordinary, patterns
from tests.emulator.test_warpgroup import (
    B_AT,
    BITS,
    BODY,
    HEADER,
    RULES,
    SIXTEEN,
    TILE,
    Operand,
    fragment_of,
    kernel,
    places_of,
    registers_of,
    words_of,
)

LOAD = f"""
    mul.wide.u32 %at, %t, 4;
    add.u64 %at, %at, %from;
    ld.global.b32 %meta, [%at + {TILE}];
"""
"""The metadata of a thread follow the image of shared memory."""
DECLARED = ".reg .b32 %meta;"


class Wide(Operand):
    """Rows of 64 bytes of k."""

    def __init__(self, at, rows, width, transposed):
        super().__init__(at, rows, width, transposed)
        if width == 16:
            self.leading, self.stride = 128, 512


CASES = [
    # types, columns, .satfinite, selector, A in registers, swizzles of A and B, transpositions
    ("f32.f16.f16", 16, "", 1, False, (16, 16), (0, 0)),
    ("f32.f16.f16", 32, "", 0, False, (128, 64), (0, 0)),
    ("f16.f16.f16", 64, "", 0, False, (32, 128), (1, 1)),
    ("f32.bf16.bf16", 24, "", 1, True, (16, 16), (0, 1)),
    ("f32.bf16.bf16", 32, "", 0, False, (64, 32), (0, 1)),
    ("f32.tf32.tf32", 8, "", 1, False, (32, 128), (0, 0)),
    ("f32.tf32.tf32", 16, "", 0, True, (16, 64), (0, 0)),
    ("f32.e4m3.e5m2", 16, "", 0, False, (128, 16), (0, 0)),
    ("f16.e5m2.e4m3", 8, "", 0, True, (16, 128), (0, 0)),
    ("s32.s8.u8", 16, "", 0, False, (64, 64), (0, 0)),
    ("s32.u8.s8", 32, ".satfinite", 0, True, (16, 128), (0, 0)),
]


def opcode_of(types, columns, limit=""):
    k = 512 // BITS[types.split(".")[1]]
    return f"wgmma.mma_async.sp.sync.aligned.m64n{columns}k{k}{limit}.{types}"


def program(types, n, limit, selector, in_registers, transposed, name=None, load=LOAD, scale=1):
    more = "" if types.startswith("s32") else ", 1, -1"
    if types in SIXTEEN:
        more += f", {transposed[1]}" if in_registers else f", {transposed[0]}, {transposed[1]}"
    name = name or "sparse_" + re.sub(r"\W+", "_", f"{types}_{n}_{limit}_{selector}_{in_registers}_{transposed}")
    return kernel(opcode_of(types, n, limit), "{%a0, %a1, %a2, %a3}" if in_registers else "%da", more,
                  f"%meta, {selector}, {scale}", load + BODY, name, DECLARED)  # fmt: skip


PROGRAMS = [program(*case[:5], case[6]) for case in CASES]


class Operands:
    """A as kept, 64 x terms; B, columns x k; C; the metadata of each thread."""

    def __init__(self, types, n, selector, make, seed=1):
        draw = np.random.default_rng(seed)
        d, a, b = types.split(".")
        self.k = 512 // BITS[a]
        c_kind = "s32" if d == "s32" else d
        self.like = Product(f"mma.sp.sync.aligned.m16n8k{self.k}.row.col.{c_kind}.{a}.{b}.{c_kind}", selector)
        self.a = make(draw, (64, self.k // 2), a, False)
        self.b = make(draw, (n, self.k), b, False)
        self.c = make(draw, (64, n), d, True)
        self.metadata = draw.integers(0, 1 << 32, 128, dtype=np.uint32)
        self.kept = np.zeros((64, self.k // 2), int)
        for warp in range(4):
            selected = indices(self.like, draw)
            self.kept[16 * warp : 16 * warp + 16] = kept(self.like, selected)
            for lane, low, row, first, count in metadata_places(self.like):
                word = sum(int(selected[row, first + i]) << low + 2 * i for i in range(count))
                mask = (1 << 2 * count) - 1 << low
                thread = 32 * warp + lane
                self.metadata[thread] = int(self.metadata[thread]) & ~mask & 0xFFFFFFFF | word


def multiply(text, types, operands, a_operand, b_operand, in_registers, **options):
    """D of these operands as codes, 64 x columns."""
    _, a, b = types.split(".")
    n = len(operands.b)
    _, count = registers_of(opcode_of(types, n))
    halves = count == n // 4
    image = np.full(TILE + 512, 0xFF, np.uint8)
    if not in_registers:
        a_operand.fill(image, words_of(operands.a, a))
    b_operand.fill(image, words_of(operands.b, b))
    image[TILE:] = operands.metadata.view(np.uint8)
    rows, column = places_of(n)
    held = operands.c[rows, column].astype(np.uint32)
    d = np.ascontiguousarray(held[:, ::2] | held[:, 1::2] << 16 if halves else held)
    arguments = [image, fragment_of(words_of(operands.a, a)), d, np.uint64(a_operand.descriptor),
                 np.uint64(b_operand.descriptor)]  # fmt: skip
    execution = emulator.run(text, grid=1, block=128, args=arguments, arch="sm_90", **options)
    result = np.zeros((64, n), np.uint32)
    result[rows, column] = np.stack([d & 0xFFFF, d >> 16], axis=2).reshape(128, -1) if halves else d
    return result, execution


def whole(draw, shape, kind, addend):
    if addend:
        return draw.choice(np.array([2**31 - 5, 2**31 + 5, 7]), shape)
    return draw.integers(0, 256, shape)


@pytest.mark.parametrize(("types", "n", "limit", "selector", "in_registers", "widths", "transposed"), CASES)
def test_a_sparse_product_has_the_bits_of_the_exact_model(types, n, limit, selector, in_registers, widths, transposed):
    kinds, text = types.split("."), program(types, n, limit, selector, in_registers, transposed)
    a_operand, b_operand = Operand(0, 64, widths[0], transposed[0]), Wide(B_AT, n, widths[1], transposed[1])
    for make in (whole,) if kinds[0] == "s32" else (ordinary, patterns):
        operands = Operands(types, n, selector, make)
        result, execution = multiply(text, types, operands, a_operand, b_operand, in_registers)
        if kinds[0] == "s32":
            x, y = (
                m - (m >> 7 << 8) if kind == "s8" else m for m, kind in ((operands.a, kinds[1]), (operands.b, kinds[2]))
            )
            total = np.einsum("rt,rtc->rc", x, y.T[operands.kept]) + operands.c.astype(np.uint32).view(np.int32)
            total = np.clip(total, -(2**31), 2**31 - 1) if limit else total
            assert np.array_equal(result.astype(np.int64), total & 0xFFFFFFFF)
            continue
        draw = np.random.default_rng(3)
        for row, column in zip(draw.integers(0, 64, 40).tolist(), draw.integers(0, n, 40).tolist(), strict=True):
            top = np.uint64(1 << (31 if kinds[2] == "tf32" else BITS[kinds[2]] - 1))  # B is negated
            b = operands.b[column, operands.kept[row]].astype(np.uint64) ^ top
            wanted = block_sums.chain(operands.a[row].tolist(), b.tolist(), int(operands.c[row, column]),
                                      (*kinds, kinds[0]), *RULES[kinds[1]])  # fmt: skip
            assert int(result[row, column]) == wanted, (make.__name__, row, column, hex(wanted))
    assert execution.counters["ptx_wgmma_operations"] == 1
    assert execution.counters[f"ptx_mma_flops_{kinds[1]}"] == 64 * n * operands.k
    assert execution.counters["ptx_wgmma_shared_bytes"] == 64 * n + 32 * 64 * (not in_registers)
    origin = "exact" if kinds[0] == "s32" else "is assumed to be that of a dense product of the elements that A keeps"
    assert execution.models == {opcode_of(types, n, limit): origin}


F16 = ("f32.f16.f16", 16, "", 1, False, (0, 0))


def run_f16(name, load=LOAD, operands=None, b_operand=None, **options):
    text = program(*F16, name=name, load=load, **options)
    operands = operands or Operands("f32.f16.f16", 16, 1, ordinary)
    return multiply(text, "f32.f16.f16", operands, Operand(0, 64), b_operand or Wide(B_AT, 16, 16, False), False)[0]


def test_the_metadata_are_read_when_the_product_is_issued():
    changed = BODY.replace("PRODUCT", "PRODUCT not.b32 %meta, %meta;")
    text = kernel(opcode_of("f32.f16.f16", 16), "%da", ", 1, -1, 0, 0", "%meta, 1, 1", LOAD + changed, "sparse_changed",
                  DECLARED)  # fmt: skip
    product = Operands("f32.f16.f16", 16, 1, ordinary)
    operands = Operand(0, 64), Wide(B_AT, 16, 16, False)
    assert np.array_equal(multiply(text, "f32.f16.f16", product, *operands, False)[0], run_f16("sparse_plain"))


def test_dense_and_sparse_products_share_a_queue():
    """The sparse product starts from 0; a dense one of the first 32 bytes of k comes before it, and one after it."""
    dense = "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16"
    d = "{" + ", ".join(f"%d{i}" for i in range(8)) + "}"
    both = BODY.replace(
        "PRODUCT", f"{dense} {d}, %da, %db, 0, 1, 1, 0, 0; PRODUCT {dense} {d}, %da, %db, 1, 1, 1, 0, 0;"
    )
    text = kernel(opcode_of("f32.f16.f16", 16), "%da", ", 1, -1, 0, 0", "%meta, 1, 0", LOAD + both, "sparse_mixed",
                  DECLARED)  # fmt: skip
    draw = np.random.default_rng(1)
    product = Operands("f32.f16.f16", 16, 1, lambda _, shape, kind, addend: draw.choice((0, 0x3C00, 0xBC00), shape))
    result = multiply(text, "f32.f16.f16", product, Operand(0, 64), Wide(B_AT, 16, 16, False), False)[0].view(
        np.float32
    )
    a, b = (m.astype(np.uint16).view(np.float16).astype(int) for m in (product.a, product.b))
    assert np.array_equal(result, a @ b[:, :16].T - np.einsum("rt,rtc->rc", a, b.T[product.kept]))


def test_products_in_a_loop_need_no_more_memory():
    product = Operands("f32.f16.f16", 16, 1, ordinary)
    body = f"{LOAD} mov.u32 %i, 0; NEXT: {BODY} add.u32 %i, %i, 1; setp.lt.u32 %p, %i, 3000; @%p bra NEXT;"
    text = kernel(opcode_of("f32.f16.f16", 16), "%da", ", 1, -1, 0, 0", "%meta, 1, 0", body, "sparse_loop", DECLARED)
    operands = Operand(0, 64), Wide(B_AT, 16, 16, False)
    assert np.array_equal(multiply(text, "f32.f16.f16", product, *operands, False)[0], run_f16("sparse_once", scale=0))


def test_metadata_that_are_not_valid_are_a_fault():
    product = Operands("f32.f16.f16", 16, 1, ordinary)
    product.metadata[32 + 6] |= 0xF0
    with pytest.raises(MemoryFault, match=r"^line \d+: wgmma\.mma_async\.sp.* by thread 38 of CTA 0 .* twice"):
        run_f16("sparse_plain", operands=product)


def test_a_swizzle_of_32_bytes_is_too_narrow_for_b():
    with pytest.raises(MemoryFault, match=r"^line \d+: wgmma\.mma_async\.sp.* swizzle of 32 bytes, but B has 64 bytes"):
        run_f16("sparse_plain", b_operand=Wide(B_AT, 16, 32, False))


@pytest.mark.parametrize(
    ("product", "complaint"),
    [
        ("m64n16k32.f32.f16.f16 D, %da, %db, %t, 2, 1, 1, 1, 0, 0;", "a number from 0 to 1 as the sparsity selector"),
        ("m64n16k64.f32.e4m3.e4m3 D, %da, %db, %t, 1, 1, 1, 1;", "expected 0 as the sparsity selector, found 1"),
        ("m64n16k32.f32.f16.f16 D, %da, %db, %t, %t, 1, 1, 1, 0, 0;", "sparsity selector, found a register"),
        ("m64n16k32.f32.f16.f16 D, %da, %db, 0x44444444, 0, 1, 1, 1, 0, 0;", "takes a register here, not a number"),
    ],
)
def test_what_ptxas_refuses_is_refused(product, complaint):
    d = "{" + ", ".join(f"%d{i}" for i in range(8)) + "}"
    text = kernel(opcode_of("f32.f16.f16", 16), body="BODY", name="wg_refused_sparse")
    text = text.replace("BODY", f"wgmma.mma_async.sp.sync.aligned.{product.replace('D', d)}")
    with pytest.raises(PtxSyntaxError, match=complaint):
        emulator.run(text, grid=1, block=128, args=[*[np.zeros(TILE, np.uint8)] * 3, np.uint64(0), np.uint64(0)])
    with pytest.raises(ptxas.RefusedError):
        ptxas.assemble(locate.program("ptxas"), text, "sm_90a")


def test_ptxas_accepts_every_kernel():
    ptxas.assemble(
        locate.program("ptxas"), HEADER + "\n".join(text.removeprefix(HEADER) for text in PROGRAMS), "sm_90a"
    )


@pytest.mark.parametrize(("width", "transposed"), [(16, False), (64, False), (128, False), (16, True), (128, True)])
def test_the_sanitizer_knows_which_bytes_b_is_read_from(width, transposed):
    operand, address = Wide(2048, 64, width, transposed), cast(Any, products.piece_address)
    read = {
        address.py_func(operand.descriptor, transposed, 0, 4, i) + byte for i in range(4 * 64) for byte in range(16)
    }
    assert read == {operand.address_of(row, byte) for row in range(64) for byte in range(64)}
