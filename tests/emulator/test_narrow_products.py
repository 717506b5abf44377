"""mma with a .kind, block scales and sparse A: places of operands, the exact bits of sums, and the errors of misuse."""

import dataclasses

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault, PtxSyntaxError, UnsupportedInstruction
from ptxbench.toolchain import locate, ptxas
from tests.emulator import block_sums
from tests.emulator.narrow_products import CODES, Operands, Product, header, indices, kept, kernel, run, words_of

NARROW = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1")
SPARSE = "mma.sp.sync.aligned"
ORDERED = "mma.sp::ordered_metadata.sync.aligned"
F8 = "row.col.kind::f8f6f4"
MXF8 = "row.col.kind::mxf8f6f4.block_scale"
MXF4, NVF4 = "row.col.kind::mxf4.block_scale", "row.col.kind::mxf4nvf4.block_scale.scale_vec"
E2M1 = "f32.e2m1.e2m1.f32"

UNSCALED = [
    *(Product(f"mma.sync.aligned.m16n8k32.{F8}.f32.{a}.{b}.f32")
      for a, b in zip(NARROW, NARROW[2:] + NARROW[:2], strict=True)),
    Product(f"mma.sync.aligned.m16n8k32.{F8}.f16.e2m1.e3m2.f16"),
    Product(f"mma.sync.aligned.m16n8k16.{F8}.f32.e5m2.e4m3.f32"),
    Product("mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e5m2.f16"),
    Product(f"{ORDERED}.m16n8k64.{F8}.f32.e2m3.e4m3.f32"),
    Product(f"{ORDERED}.m16n8k64.{F8}.f16.e2m1.e5m2.f16"),
    Product(f"{ORDERED}.m16n8k64.row.col.f16.e5m2.e4m3.f16"),
]  # fmt: skip
SCALED = [
    Product(f"mma.sync.aligned.m16n8k32.{MXF8}.f32.e4m3.e2m1.f32.ue8m0", 0, (3, 1), (2, 3)),
    Product(f"mma.sync.aligned.m16n8k32.{MXF8}.scale_vec::1X.f32.e3m2.e5m2.f32.ue8m0", 0, (0, 0), (1, 0)),
    Product(f"mma.sync.aligned.m16n8k64.{MXF4}.{E2M1}.ue8m0", 0, (2, 1), (0, 2)),
    Product(f"mma.sync.aligned.m16n8k64.{NVF4}::2X.{E2M1}.ue8m0", 0, (0, 0), (2, 1)),
    Product(f"mma.sync.aligned.m16n8k64.{NVF4}::4X.{E2M1}.ue8m0", 0, (0, 1), (0, 3)),
    Product(f"mma.sync.aligned.m16n8k64.{NVF4}::4X.{E2M1}.ue4m3", 0, (0, 0), (0, 1)),
    Product(f"{ORDERED}.m16n8k64.{MXF8}.f32.e5m2.e2m3.f32.ue8m0", 0, (1, 1), (3, 2)),
    Product(f"{ORDERED}.m16n8k128.{MXF4}.scale_vec::2X.{E2M1}.ue8m0", 0, (0, 1), (2, 0)),
    Product(f"{ORDERED}.m16n8k128.{NVF4}::2X.{E2M1}.ue8m0", 0, (2, 0), (0, 0)),
    Product(f"{ORDERED}.m16n8k128.{NVF4}::4X.{E2M1}.ue4m3", 0, (0, 1), (0, 2)),
]
FLOATS = [
    Product(f"{SPARSE}.m16n8k16.row.col.f32.f16.f16.f32", 3),
    Product(f"{SPARSE}.m16n8k32.row.col.f16.f16.f16.f16", 1),
    Product(f"{ORDERED}.m16n8k32.row.col.f32.bf16.bf16.f32", 0),
    Product(f"{SPARSE}.m16n8k8.row.col.f32.tf32.tf32.f32", 2),
    Product(f"{ORDERED}.m16n8k16.row.col.f32.tf32.tf32.f32", 1),
    Product(f"{SPARSE}.m16n8k64.row.col.f32.e4m3.e5m2.f32", 0),
]
INTEGERS = [
    Product(f"{SPARSE}.m16n8k32.row.col.s32.s8.u8.s32", 1),
    Product(f"{ORDERED}.m16n8k64.row.col.satfinite.s32.u8.s8.s32", 0),
    Product(f"{SPARSE}.m16n8k64.row.col.satfinite.s32.s4.u4.s32", 0),
    Product(f"{ORDERED}.m16n8k128.row.col.s32.u4.s4.s32", 0),
]
PROGRAMS = {
    "scaled": (kernel([*UNSCALED, *SCALED], "scaled"), "sm_120a"),
    "sparse": (kernel([*FLOATS, *INTEGERS], "sparse"), "sm_90"),
    "first": (kernel(FLOATS[:5], "first"), "sm_80"),
}
"""Each kernel, and the target that ptxas assembles it for."""


def patterns(draw, shape, kind):
    """Random codes with few infinities and NaN, and many zeros."""
    codes = draw.integers(0, 1 << CODES[kind], shape)
    return np.where(draw.random(shape) < 0.2, codes & 1 << CODES[kind] - 1, codes)


def around_one(draw, shape, kind):
    """Numbers about 1, so that sums cancel."""
    if kind.startswith("e") or kind[0] in "su":
        return patterns(draw, shape, kind)
    values = draw.normal(size=shape) * np.exp2(draw.integers(-6, 6, shape))
    if kind == "f16":
        return values.astype(np.float16).view(np.uint16).astype(int)
    bits = values.astype(np.float32).view(np.uint32).astype(int)
    return bits >> 16 if kind == "bf16" else bits


def drawn(product, draw, make):
    kept_indices = indices(product, draw)
    shape = (16, product.scales), (8, product.scales)
    if "ue4m3" in product.opcode:
        scales = [draw.integers(0, 256, extent) for extent in shape]
    else:
        scales = [draw.integers(110, 140, extent) for extent in shape]
        for factors in scales if product.scales else ():
            factors[0, 0] = 255 if make is patterns else 1
            factors[1, -1] = 254
    return Operands(make(draw, (16, product.terms), product.kinds[1]), make(draw, (product.k, 8), product.kinds[2]),
                 make(draw, (16, 8), product.kinds[3]), kept_indices, *scales)  # fmt: skip


def multiply(text, products, operands, arch, **options):
    """`operands`: for each CTA, the operands of each product."""
    draw = np.random.default_rng(9)
    words = np.array([[words_of(product, matrices, draw) for product, matrices in zip(products, cta, strict=True)]
                      for cta in operands])  # fmt: skip
    return run(text, products, words.transpose(0, 2, 1, 3), arch, **options)


def operands_of(product, matrices, row, column):
    """The codes that one element of D sums, in the order of A."""
    places = kept(product, matrices.indices)[row]
    return matrices.a[row].tolist(), matrices.b[places, column].tolist(), int(matrices.c[row, column])


def expected_code(product, matrices, row, column, arch):
    """D's code at a place, by the models of docs/matrix.md."""
    a, b, c = operands_of(product, matrices, row, column)
    if product.scales > 1:
        kind = product.opcode.rsplit(".", 1)[-1]
        return block_sums.grouped(a, b, c, kind, matrices.scale_a[row].tolist(), matrices.scale_b[column].tolist())
    if "kind::" in product.opcode or (arch == "sm_120" and product.kinds[1] in ("e4m3", "e5m2")):
        scales = (int(matrices.scale_a[row, 0]), int(matrices.scale_b[column, 0])) if product.scales else (127, 127)
        return block_sums.scaled(a, b, c, product.kinds, scales)
    return block_sums.expected(a, b, c, tuple(product.kinds), arch)


def differences(products, operands, results, arch, count=24):
    draw, wrong = np.random.default_rng(5), []
    for number, product in enumerate(products):
        for cta, matrices in enumerate(arrays[number] for arrays in operands):
            places = [
                (0, 0),
                (1, 1),
                (1, 0),
                *zip(draw.integers(0, 16, count).tolist(), draw.integers(0, 8, count), strict=True),
            ]
            for row, column in places:
                expected = expected_code(product, matrices, row, int(column), arch)
                if int(results[number][cta, row, column]) != expected:
                    wrong.append((product.opcode, cta, row, int(column), hex(results[number][cta, row, column]),
                                  hex(expected)))  # fmt: skip
    return wrong


RUNS = [("scaled", UNSCALED + SCALED, "sm_120"), ("sparse", FLOATS, "sm_90"), ("first", FLOATS[:5], "sm_80")]


@pytest.mark.parametrize(("name", "products", "arch"), RUNS)
def test_a_float_product_has_the_bits_of_the_exact_model(name, products, arch):
    draw = np.random.default_rng(len(name))
    every = products if name != "sparse" else FLOATS + INTEGERS
    operands = [[drawn(product, draw, make) for product in every] for make in (around_one, patterns)]
    results, execution = multiply(PROGRAMS[name][0], every, operands, arch)
    assert differences(products, operands, results, arch) == []
    assert execution.counters["ptx_mma_operations"] == 2 * len(every)
    for kind in {product.kinds[1] for product in products}:
        flops = sum(2 * 16 * 8 * product.terms for product in every if product.kinds[1] == kind)
        assert execution.counters[f"ptx_mma_flops_{kind}"] == 2 * flops, kind


def test_an_integer_product_is_exact_and_wraps_or_clamps():
    draw = np.random.default_rng(4)
    operands = [[drawn(product, draw, patterns) for product in FLOATS + INTEGERS]]
    for matrices in operands[0][len(FLOATS) :]:
        matrices.c[:] = draw.choice(np.array([2**31 - 5, 2**31 + 5, 7]), (16, 8))
    results, execution = multiply(PROGRAMS["sparse"][0], FLOATS + INTEGERS, operands, "sm_90")
    for number, product in enumerate(INTEGERS, len(FLOATS)):
        matrices, (_, a, b, _) = operands[0][number], product.kinds
        x, y = (np.where((m >> CODES[kind] - 1 & 1) * (kind[0] == "s"), m.astype(int) - (1 << CODES[kind]), m)
                .astype(int) for m, kind in ((matrices.a.astype(int), a), (matrices.b.astype(int), b)))  # fmt: skip
        places = kept(product, matrices.indices)
        total = np.einsum("rt,rtc->rc", x, y[places]) + matrices.c.astype(np.uint32).view(np.int32)
        if "satfinite" in product.opcode:
            total = np.clip(total, -(2**31), 2**31 - 1)
        assert np.array_equal(results[number][0], total & 0xFFFFFFFF), product.opcode
        assert execution.models[product.opcode] == "exact"


def values(codes, kind):
    return np.array([[float(block_sums.number(int(code), kind)) for code in row] for row in codes])


def test_products_of_integers_are_those_of_numpy():
    """The sums are exact in every model, so only the places of elements, indices and scales decide the result."""
    draw = np.random.default_rng(6)
    products = UNSCALED + SCALED
    operands = []
    for product in products:
        matrices = drawn(product, draw, patterns)
        integral_codes = {"e4m3": (0, 0x38, 0x40, 0xB8), "e5m2": (0, 0x3C, 0x40, 0xBC), "e3m2": (0, 0xC, 0x10, 0x2C),
                 "e2m3": (0, 8, 16, 40), "e2m1": (0, 2, 4, 10)}  # fmt: skip
        a, b = (
            draw.choice(integral_codes[kind], m.shape)
            for kind, m in ((product.kinds[1], matrices.a), (product.kinds[2], matrices.b))
        )
        one_scale = 0x38 if "ue4m3" in product.opcode else 127
        scales = [one_scale + draw.integers(0, 3, m.shape) * (8 if one_scale == 0x38 else 1)
                  for m in (matrices.scale_a, matrices.scale_b)]  # fmt: skip
        operands.append(
            dataclasses.replace(matrices, a=a, b=b, c=np.zeros((16, 8), int), scale_a=scales[0], scale_b=scales[1])
        )
    results, _ = multiply(PROGRAMS["scaled"][0], products, [operands], "sm_120")
    for product, matrices, result in zip(products, operands, results, strict=True):
        dense = np.zeros((16, product.k))
        np.put_along_axis(dense, kept(product, matrices.indices), values(matrices.a, product.kinds[1]), axis=1)
        right = values(matrices.b, product.kinds[2])
        if product.scales:
            base, size = (0x38, 8) if "ue4m3" in product.opcode else (127, 1)
            dense *= np.repeat(2.0 ** ((matrices.scale_a - base) // size), product.k // product.scales, axis=1)
            right *= np.repeat(2.0 ** ((matrices.scale_b - base) // size), product.k // product.scales, axis=1).T
        kind = np.float16 if product.halves else np.float32
        actual = result[0].astype(np.uint16 if product.halves else np.uint32).view(kind)
        assert np.array_equal(actual, (dense @ right).astype(kind)), product.opcode


# ---- how well it is known


@pytest.mark.parametrize(
    ("product", "arch", "origin"),
    [
        (UNSCALED[2], "sm_120", "is assumed to be that of e4m3 on sm_120"),
        (UNSCALED[6], "sm_120", "follows a published model"),
        (UNSCALED[6], "sm_121", "is assumed to be that of sm_120"),
        (SCALED[5],   "sm_120", "follows a published model"),
        (SCALED[7],   "sm_120", "is assumed to be that of a dense product of the elements that A keeps"),
        (FLOATS[0],   "sm_90",  "is assumed to be that of a dense product of the elements that A keeps"),
    ],
)  # fmt: skip
def test_an_execution_names_the_origin_of_its_matrix_models(product, arch, origin):
    matrices = drawn(product, np.random.default_rng(1), around_one)
    _, execution = multiply(kernel([product]), [product], [[matrices]], arch)
    assert execution.models[product.opcode].startswith(origin)


# ---- misuse

BAD = [
    (FLOATS[0], 0b0101, "name one element twice"),
    (FLOATS[1], 0b1111, "name one element twice"),
    (FLOATS[2], 0b0001, "not in ascending order"),
    (FLOATS[2], 0b1010, "not in ascending order"),
    (FLOATS[3], 0b1100, "other than 0b0100 and 0b1110"),
    (INTEGERS[0], 0b0000, "name one element twice"),
    (UNSCALED[8], 0b0110, "not in ascending order"),
]


@pytest.mark.parametrize(("product", "nibble", "complaint"), BAD)
def test_metadata_that_are_not_valid_are_a_fault(product, nibble, complaint):
    matrices = drawn(product, np.random.default_rng(1), around_one)
    matrices.indices[9, 2:4] = nibble & 3, nibble >> 2
    arch = "sm_120" if "kind" in product.opcode else "sm_90"
    with pytest.raises(MemoryFault, match=rf"^line \d+: mma\.sp.* by thread \d+ of CTA 0 has sparsity .*{complaint}"):
        multiply(kernel([product]), [product], [[matrices]], arch)


BY_REGISTERS = SCALED[0].text(0).replace("{3, 1}", "{%h0, %h1}").replace("{2, 3}", "{%h2, 3}")
SELECTORS = "mov.b16 %h0, {}; mov.b16 %h1, {}; mov.b16 %h2, {};"


def test_selectors_may_be_registers():
    matrices = drawn(SCALED[0], np.random.default_rng(1), around_one)
    text = kernel(SCALED[:1], "selectors", SELECTORS.format(3, 1, 2), {0: BY_REGISTERS})
    ptxas.assemble(locate.program("ptxas"), header("sm_120") + text, "sm_120a")
    results, _ = multiply(text, SCALED[:1], [[matrices]], "sm_120")
    assert differences(SCALED[:1], [[matrices]], results, "sm_120") == []


@pytest.mark.parametrize(
    "setting",
    [SELECTORS.format(4, 1, 2), SELECTORS.format(3, 2, 2), SELECTORS.format(3, 1, -1),
     SELECTORS.format(3, 1, 2) + "cvt.u16.u32 %h0, %lane; and.b16 %h0, %h0, 1;"],
)  # fmt: skip
def test_a_selector_in_a_register_that_is_not_valid_is_a_fault(setting):
    matrices = drawn(SCALED[0], np.random.default_rng(1), around_one)
    text = kernel(SCALED[:1], "selectors", setting, {0: BY_REGISTERS})
    with pytest.raises(MemoryFault, match=r"^line \d+: mma\.sync.* by thread 0 .* selector of scales that is out of"):
        multiply(text, SCALED[:1], [[matrices]], "sm_120")


@pytest.mark.parametrize(
    ("product", "changes", "complaint"),
    [
        (FLOATS[0], {"selector": 4}, "expected a number from 0 to 3 as the sparsity selector, found 4"),
        (FLOATS[1], {"selector": 2}, "expected a number from 0 to 1 as the sparsity selector, found 2"),
        (INTEGERS[1], {"selector": 1}, "expected 0 as the sparsity selector, found 1"),
        (SCALED[0], {"of_a": (4, 0)}, "expected 0 or 1 or 2 or 3 as the byte of the scales of A, found 4"),
        (SCALED[0], {"of_a": (0, 2)}, "expected 0 or 1 as the thread of the scales of A, found 2"),
        (SCALED[2], {"of_b": (1, 0)}, "expected 0 or 2 as the byte of the scales of B, found 1"),
        (SCALED[5], {"of_b": (0, 4)}, "expected 0 or 1 or 2 or 3 as the thread of the scales of B, found 4"),
        (SCALED[5], {"of_a": (2, 0)}, "expected 0 as the byte of the scales of A, found 2"),
    ],
)
def test_a_selector_that_ptxas_refuses_is_refused(product, changes, complaint):
    wrong = dataclasses.replace(product, **changes)
    refused(kernel([wrong]), complaint)


@pytest.mark.parametrize(
    ("product", "old", "new"),
    [
        (FLOATS[0], "%m0", "0x44444444"), (FLOATS[0], ", 3;", ", %m0;"), (SCALED[0], "%s0", "0x7f7f7f7f"),
        (SCALED[0], "{3, 1}", "{3}"), (SCALED[0], "{3, 1}", "{3.0, 1}"), (SCALED[0], "{3, 1}", "{%lane, 1}"),
        (SCALED[0], "{3, 1}", "3"), (SCALED[0], "%a0_0, %a0_1, %a0_2, %a0_3", "%lane, %lane, %lane, %lane"),
        (FLOATS[0], "%a0_0, %a0_1", "%lane, %block"), (SCALED[0], ".ue8m0", ".ue4m3"),
        (SCALED[3], "::2X", "::4X.ue4m3"), (SCALED[2], "mxf4", "mxf4nvf4"),
        (SCALED[0], "f32.e4m3.e2m1.f32", "f16.e4m3.e2m1.f16"), (UNSCALED[4], "k32", "k16"),
        (FLOATS[5], "f32", "f16"), (UNSCALED[8], "sp::ordered_metadata", "sp"), (UNSCALED[2], ".kind::f8f6f4", ""),
    ],
)  # fmt: skip
def test_what_ptxas_refuses_is_refused(product, old, new):
    assert old in product.text(0)
    refused(kernel([product], lines={0: product.text(0).replace(old, new)}), ".")


def refused(text, complaint):
    words, out = np.zeros((32, 400), np.uint32), np.zeros((32, 400), np.uint32)
    with pytest.raises((PtxSyntaxError, UnsupportedInstruction), match=complaint):
        emulator.run(header("sm_120") + text, grid=1, block=32, args=[words, out], arch="sm_120")
    with pytest.raises(ptxas.RefusedError):
        ptxas.assemble(locate.program("ptxas"), header("sm_120") + text, "sm_120a")


@pytest.mark.parametrize(
    ("product", "arch", "needs"),
    [(UNSCALED[0], "sm_100", "sm_120a"), (SCALED[2], "sm_90", "sm_120a"), (UNSCALED[9], "sm_100", "sm_120a"),
     (FLOATS[0], "sm_75", "sm_80"), (FLOATS[5], "sm_86", "sm_89"), (INTEGERS[0], "sm_75", "sm_80")],
)  # fmt: skip
def test_an_architecture_that_lacks_an_instruction_is_refused(product, arch, needs):
    words, out = np.zeros((32, 20), np.uint32), np.zeros((32, 4), np.uint32)
    with pytest.raises(UnsupportedInstruction, match=f"needs {needs}.*; this run is for {arch}"):
        emulator.run(header("sm_120") + kernel([product]), grid=1, block=32, args=[words, out], arch=arch)


def test_ptxas_accepts_every_kernel():
    for text, target in PROGRAMS.values():
        ptxas.assemble(locate.program("ptxas"), header(target.removesuffix("a")) + text, target)


NAN = {"ue8m0": (255,), "ue4m3": (0x7F, 0xFF)}


@pytest.mark.parametrize("place", ["row", "column"])
def test_a_scale_that_is_nan_makes_its_row_or_column_nan(place):
    """All products are 1, so that no infinity among them could be the reason."""
    draw, operands = np.random.default_rng(2), []
    for product in SCALED:
        matrices = drawn(product, draw, patterns)
        codes = {"e4m3": 0x38, "e5m2": 0x3C, "e3m2": 0xC, "e2m3": 8, "e2m1": 2}
        kind = product.opcode.rsplit(".", 1)[-1]
        scales = [np.full(m.shape, 0x38 if kind == "ue4m3" else 127) for m in (matrices.scale_a, matrices.scale_b)]
        scales[place == "column"][3, -1] = draw.choice(NAN[kind])
        a, b = (
            np.full(m.shape, codes[code_kind])
            for m, code_kind in ((matrices.a, product.kinds[1]), (matrices.b, product.kinds[2]))
        )
        operands.append(dataclasses.replace(matrices, a=a, b=b, c=matrices.c * 0, scale_a=scales[0], scale_b=scales[1]))
    results, _ = multiply(PROGRAMS["scaled"][0], UNSCALED + SCALED, [[*map(zeros, UNSCALED), *operands]], "sm_120")
    for product, result in zip(SCALED, results[len(UNSCALED) :], strict=True):
        expected = np.full((16, 8), product.terms, np.float32)
        expected[(slice(None), 3) if place == "column" else 3] = np.nan
        assert np.array_equal(result[0].astype(np.uint32).view(np.float32), expected, equal_nan=True), product.opcode


def zeros(product):
    matrices = drawn(product, np.random.default_rng(1), patterns)
    return dataclasses.replace(matrices, a=matrices.a * 0, b=matrices.b * 0, c=matrices.c * 0)
