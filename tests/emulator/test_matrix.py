"""mma.sync: fragments as in the manual's figures, and the bits of sums that studies of the hardware found."""

import math
import platform

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import process, tensor_models
from ptxbench.errors import UnsupportedInstruction
from tests import quick
from tests.emulator import block_sums, exact
from tests.emulator.fragments import BITS, case, kernel

FLOATS = {
    **{f"mma.sync.aligned.{shape}.row.col.{kinds}": archs
       for shape, archs in (("m16n8k8", ("sm_75", "sm_80", "sm_90")),
                            ("m16n8k16", ("sm_80", "sm_89", "sm_90", "sm_100")))
       for kinds in ("f16.f16.f16.f16", "f32.f16.f16.f32")},
    **{f"mma.sync.aligned.m8n8k4.{a}.{b}.{kinds}": archs
       for a, b, kinds, archs in (
           ("row", "row", "f32.f16.f16.f32", ("sm_70",)), ("row", "col", "f32.f16.f16.f16", ("sm_70", "sm_90")),
           ("col", "row", "f16.f16.f16.f16", ("sm_70", "sm_80")), ("col", "col", "f32.f16.f16.f32", ("sm_70",)))},
    "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32": ("sm_80", "sm_90"),
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32": ("sm_86", "sm_90", "sm_120"),
    "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32": ("sm_80", "sm_90"),
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32": ("sm_80", "sm_90"),
    **{f"mma.sync.aligned.{shape}.row.col.{d}.{a}.{b}.{d}": ("sm_89", "sm_90", "sm_100", "sm_120")
       for shape, d, a, b in (
           ("m16n8k16", "f32", "e4m3", "e4m3"), ("m16n8k32", "f32", "e4m3", "e5m2"),
           ("m16n8k32", "f16", "e5m2", "e4m3"), ("m16n8k16", "f16", "e5m2", "e5m2"))},
}  # fmt: skip
"""Opcodes, and the architectures to try them on."""
CASES = {opcode: case(opcode) for opcode in FLOATS}
PROGRAMS = {opcode: kernel(product) for opcode, product in CASES.items()}


E4M3 = np.array([float(block_sums.read(pattern, "e4m3")) for pattern in range(0x7F)])
"""Its numbers that are not negative, ascending."""


def encoded(values, kind):
    """Bit patterns of float64 values that the format can hold, to nearest even."""
    form = block_sums.FORMATS[kind]
    bits = np.zeros(values.shape, np.uint64)
    for at, value in np.ndenumerate(values):
        if value == 0:
            pattern = form.sign if math.copysign(1, value) < 0 else 0
        elif kind == "e4m3":
            pattern = int(np.argmin(abs(E4M3 - abs(value)))) | (0x80 if value < 0 else 0)
        else:
            pattern = exact.rounded(block_sums.Fraction(float(value)), form, "rn")
        bits[at] = pattern << 13 if kind == "tf32" else pattern
    return bits


def run(case, a, b, c, arch, text=None):
    """D of matrices given as bit patterns, shape (products, matrices, rows, columns)."""
    products = len(a)
    operands = [np.zeros((products, 32, case.d.registers), np.uint64 if case.d.bits == 64 else np.uint32)]
    for operand_fragment, matrix in ((case.a, a), (case.b, b), (case.c, c)):
        words = np.zeros((products, 32, operand_fragment.registers), np.uint64)
        per = max(1, 32 // operand_fragment.bits)
        for lane, places in enumerate(operand_fragment.places):
            for i, place in enumerate(places):
                shift = np.uint64(operand_fragment.bits * (i % per) if operand_fragment.bits < 32 else 0)
                words[:, lane, i // per] |= matrix[:, *place].astype(np.uint64) << shift
        operands.append(words if operand_fragment.bits == 64 else words.astype(np.uint32))
    execution = emulator.run(text or PROGRAMS[case.opcode], grid=products, block=32, args=operands, arch=arch)
    out = operands[0].astype(np.uint64)
    result = np.zeros((products, a.shape[1], case.m, case.n), np.uint64)
    per = max(1, 32 // case.d.bits)
    for lane, places in enumerate(case.d.places):
        for i, place in enumerate(places):
            shift = np.uint64(case.d.bits * (i % per) if case.d.bits < 32 else 0)
            result[:, *place] = out[:, lane, i // per] >> shift & np.uint64((1 << case.d.bits) - 1)
    return result, execution


def some_of(shape, count=48):
    """A random choice of places to compare, because exact sums in Python are slow."""
    places = np.random.default_rng(7).permutation(list(np.ndindex(shape)))
    return map(tuple, places[:count].tolist())


def matrices(case, products, make):
    """A, B and C as `make(rng, shape, kind, addend)` fills them."""
    rng = np.random.default_rng(len(case.opcode))
    stacked = 4 if case.m == 8 and case.kinds[1] == "f16" else 1
    shapes = ((case.m, case.k), (case.k, case.n), (case.m, case.n))
    return [
        make(rng, (products, stacked, *shape), kind, addend)
        for shape, kind, addend in zip(shapes, case.kinds[1:], (False, False, True), strict=True)
    ]


def powers(rng, shape, low, high):
    """Magnitudes from 2^low to 2^high, of either sign."""
    return rng.choice((-1.0, 1.0), shape) * np.exp2(rng.uniform(low, high, shape))


def ordinary(rng, shape, kind, addend):
    """Values about 1, with zeros among them."""
    return encoded(rng.normal(size=shape) * (rng.random(shape) > 0.1), kind)


def spread(rng, shape, kind, addend):
    """Magnitudes far apart: products drop out of the sum, are subnormal, or zero times something large."""
    form = block_sums.FORMATS[kind]
    low = max(form.least - form.fraction, -40) if kind != "f32" else -45
    high = {"f16": 10, "e4m3": 7, "e5m2": 13}.get(kind, 20)
    return encoded(powers(rng, shape, low, high) * (rng.random(shape) > 0.3), kind)


def patterns(rng, shape, kind, addend):
    """Random bits: infinities, NaN and subnormals are among them."""
    drawn = rng.integers(0, 1 << BITS[kind], shape, np.uint64)
    chance = rng.random(shape)
    form = block_sums.FORMATS[kind]
    shift = np.uint64(13 if kind == "tf32" else 0)
    if kind != "e4m3":
        drawn = np.where(chance < 0.01, np.uint64(form.infinity) << shift, drawn)
        drawn = np.where((chance > 0.01) & (chance < 0.02), np.uint64(form.infinity | form.sign) << shift, drawn)
    return np.where(chance > 0.9, drawn & np.uint64(form.sign) << shift, drawn)


def cancelling(rng, shape, kind, addend):
    """Few distinct values, so that sums are ties, zeros and one bit beyond."""
    values = rng.choice((1.0, 2.0**-4, 1 + 2.0**-2, 2.0**-6, 8.0), shape)
    return encoded(rng.choice((-1.0, 1.0), shape) * values, kind)


def greatest(rng, shape, kind, addend):
    """Significands just below 2, all of one sign: the largest sums that units of the last place can have."""
    return encoded(np.full(shape, 2 - 2.0 ** -block_sums.FORMATS[kind].fraction), kind)


def tiny(rng, shape, kind, addend):
    """Results that are subnormal, or nearly; and zeros that must not seem larger than they are."""
    least = block_sums.FORMATS[kind].least
    low, high = (least - 8, least + 1) if addend else (least // 2 - 5, least // 2 + 1)
    return encoded(powers(rng, shape, low, high) * (rng.random(shape) > 0.3), kind)


def huge(rng, shape, kind, addend):
    """Sums beyond the greatest number, in the middle of a chain too."""
    high = {"f16": 10, "e4m3": 8, "e5m2": 12}.get(kind, 126 if kind == "f32" else 64)
    return encoded(powers(rng, shape, high - 4, high), kind)


def infinite_addend(rng, shape, kind, addend):
    """Only the addend is infinite or NaN."""
    if not addend:
        return ordinary(rng, shape, kind, addend)
    form = block_sums.FORMATS[kind]
    return rng.choice(np.array([form.infinity, form.infinity | form.sign, form.infinity + 1, 1], np.uint64), shape)


MAKERS = (ordinary, spread, patterns, cancelling, greatest, tiny, huge, infinite_addend)
RUNS = [(opcode, arch) for opcode, archs in FLOATS.items() for arch in archs]


@pytest.mark.parametrize(("opcode", "arch"), quick.first_of_each(lambda run: run[0], RUNS))
def test_a_float_product_has_the_bits_of_the_exact_model(opcode, arch):
    case = CASES[opcode]
    a, b, c = (np.concatenate(parts) for parts in zip(*(matrices(case, 2, make) for make in MAKERS), strict=True))
    actual, execution = run(case, a, b, c, arch)
    wrong = []
    for product, matrix, row, column in some_of(actual.shape, 240):
        xs, ys = a[product, matrix, row].tolist(), b[product, matrix, :, column].tolist()
        wanted = block_sums.expected(xs, ys, int(c[product, matrix, row, column]), case.kinds, arch)
        got = int(actual[product, matrix, row, column])
        if got != wanted:
            wrong.append((MAKERS[product // 2].__name__, matrix, row, column, hex(got), hex(wanted)))
    assert wrong == []
    assert execution.counters["ptx_mma_operations"] == len(a)
    flops = len(a) * 2 * case.m * case.n * case.k * actual.shape[1]
    assert execution.counters[f"ptx_mma_flops_{case.kinds[1]}"] == flops


@pytest.mark.parametrize(
    ("shape", "kind", "arch", "block", "unit"),
    [("m16n8k8", "bf16", "sm_80", 8, -156), ("m16n8k4", "tf32", "sm_80", 4, -156),
     ("m16n8k16", "bf16", "sm_90", 16, -158), ("m16n8k8", "tf32", "sm_90", 8, -158)],
)  # fmt: skip
def test_products_are_not_cut_below_the_lowest_unit(shape, kind, arch, block, unit):
    """Of a row, half of the products are x, and half are y, which is half a unit; all of them are 2^-149.

    With a lowest unit the halves of units are cut, and the result is 0. In the second row all are 2^8 as large: exact.
    """
    case = CASES[f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32"]
    half = block // 2
    y = 2.0 ** (unit - 1)
    terms = np.array([2.0**-149 / half - y, y] * half)
    a, b = np.zeros((1, 1, 16, block)), np.full((1, 1, block, 8), 2.0**-80)
    a[0, 0, 0], a[0, 0, 1] = terms * 2.0**80, terms * 2.0**88
    result, _ = run(case, encoded(a, kind), encoded(b, kind), np.zeros((1, 1, 16, 8), np.uint64), arch)
    values = result.astype(np.uint32).view(np.float32)[0, 0]
    assert values[0].tolist() == [0.0] * 8
    assert values[1].tolist() == [2.0**-141] * 8


def signed(values, bits):
    return np.where(values >> bits - 1 & 1, values - (1 << bits), values) if bits > 1 else values


def integers(case, products):
    """Bit patterns of A, B and C with sums that sometimes wrap."""
    rng = np.random.default_rng(len(case.opcode))
    a, b = (
        rng.integers(0, 1 << BITS[kind], (products, 1, *shape))
        for kind, shape in zip(case.kinds[1:3], ((case.m, case.k), (case.k, case.n)), strict=True)
    )
    c = rng.integers(-(2**31), 2**31, (products, 1, case.m, case.n))
    c[rng.random(c.shape) < 0.3] = 2**31 - 5
    c[rng.random(c.shape) < 0.3] = -(2**31) + 5
    return a, b, c


EIGHT = [f"s32.{a}.{b}.s32" for a in ("s8", "u8") for b in ("s8", "u8")]
FOUR = [f"s32.{a}.{b}.s32" for a in ("s4", "u4") for b in ("s4", "u4")]
INTEGERS = [
    *(f"mma.sync.aligned.{shape}.row.col{limit}.{kinds}"
      for shape, types in (("m8n8k16", EIGHT), ("m16n8k16", EIGHT), ("m16n8k32", EIGHT), ("m8n8k32", FOUR),
                           ("m16n8k32", FOUR), ("m16n8k64", FOUR))
      for kinds, limit in zip(types, ("", ".satfinite", ".satfinite", ""), strict=True)),
    *(f"mma.sync.aligned.{shape}.row.col.s32.b1.b1.s32.{op}.popc"
      for shape in ("m8n8k128", "m16n8k128", "m16n8k256") for op in ("xor", "and")),
]  # fmt: skip
for opcode in INTEGERS:
    CASES[opcode] = case(opcode)
    PROGRAMS[opcode] = kernel(CASES[opcode])


@pytest.mark.parametrize("opcode", INTEGERS)
def test_an_integer_product_is_exact_and_wraps_or_clamps(opcode):
    case = CASES[opcode]
    a, b, c = integers(case, 3)
    actual, execution = run(case, a, b, c & 0xFFFFFFFF, "sm_90")
    if case.kinds[1] == "b1":
        joined = np.bitwise_xor if ".xor" in opcode else np.bitwise_and
        product = joined(a[..., :, :, None], b[..., None, :, :]).sum(axis=-2)
    else:
        x = signed(a, BITS[case.kinds[1]]) if case.kinds[1][0] == "s" else a
        y = signed(b, BITS[case.kinds[2]]) if case.kinds[2][0] == "s" else b
        product = x @ y
    total = product + c
    if ".satfinite" in opcode:
        total = np.clip(total, -(2**31), 2**31 - 1)
    assert np.array_equal(actual.astype(np.int64), total & 0xFFFFFFFF)
    assert execution.counters[f"ptx_mma_flops_{case.kinds[1]}"] == 3 * 2 * case.m * case.n * case.k


F64 = [
    f"mma.sync.aligned.{shape}.row.col{rounding}.f64.f64.f64.f64"
    for shape, rounding in (
        ("m8n8k4", ""), ("m16n8k4", ".rz"), ("m16n8k8", ".rn"), ("m16n8k16", ""), ("m8n8k4", ".rm"),
        ("m16n8k16", ".rp"),
    )
]  # fmt: skip
for opcode in F64:
    CASES[opcode] = case(opcode)
    PROGRAMS[opcode] = kernel(CASES[opcode])


@pytest.mark.parametrize("opcode", F64)
def test_an_f64_product_is_a_chain_of_fused_multiply_adds_with_k_ascending(opcode):
    case = CASES[opcode]
    rng = np.random.default_rng(2)
    a, b, c = (rng.normal(size=(2, 1, *shape)) for shape in ((case.m, case.k), (case.k, case.n), (case.m, case.n)))
    a[0, 0, 1, 0], a[0, 0, 2, 1], b[0, 0, 2, 3], c[0, 0, 4, 4] = np.inf, np.nan, 2.0**-1070, -0.0
    a, b, c = (matrix.view(np.uint64) for matrix in (a, b, c))
    actual, _ = run(case, a, b, c, "sm_90")
    rounding = next((part for part in opcode.split(".") if part in exact.ROUNDINGS), "rn")
    for product, matrix, row, column in some_of(actual.shape):
        total = int(c[product, matrix, row, column])
        for k in range(case.k):
            x, y = int(a[product, matrix, row, k]), int(b[product, matrix, k, column])
            total = exact.fma(exact.F64, rounding, x, y, total)
        assert int(actual[product, matrix, row, column]) == total


OLDEST = [
    ("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", "sm_70", "sm_75"),
    ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "sm_75", "sm_80"),
    ("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", "sm_75", "sm_80"),
    ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32", "sm_86", "sm_89"),
    ("mma.sync.aligned.m16n8k8.row.col.rn.f64.f64.f64.f64", "sm_80", "sm_90"),
    ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "sm_75", "sm_80"),
    ("mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.and.popc", "sm_75", "sm_80"),
]


@pytest.mark.parametrize(("opcode", "lacks", "needs"), OLDEST)
def test_an_architecture_that_lacks_an_instruction_is_refused(opcode, lacks, needs):
    case = CASES[opcode]
    zeros = [np.zeros((1, 1, *shape), np.uint64) for shape in ((case.m, case.k), (case.k, case.n), (case.m, case.n))]
    with pytest.raises(UnsupportedInstruction, match=f"needs {needs}; this run is for {lacks}"):
        run(case, *zeros, arch=lacks)
    run(case, *zeros, arch=needs)


LESSER = {"x86_64": ["x86-64", "x86-64-v3"]}.get(platform.machine(), ["generic"])
EVERYWHERE = [
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "mma.sync.aligned.m16n8k32.row.col.f16.e5m2.e4m3.f16",
    "mma.sync.aligned.m8n8k4.row.col.rm.f64.f64.f64.f64",
    "mma.sync.aligned.m16n8k64.row.col.satfinite.s32.s4.u4.s32",
    "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc",
]


@pytest.fixture
def another_process(monkeypatch):
    """Restarts the emulator's process for a CPU."""

    def start(cpu):
        process.stop_process()
        monkeypatch.setenv("PTXBENCH_EMULATOR_CPU", cpu)

    yield start
    process.stop_process()


def test_code_for_lesser_cpus_gives_the_same_bits(another_process):
    rng = np.random.default_rng(11)
    operands = {
        opcode: [
            np.where(rng.random(shape) < 0.5, 0x3C3C3C3C3C3C3C3C, rng.integers(0, 1 << 62, shape))
            .astype(np.uint64) & np.uint64((1 << operand_fragment.bits) - 1)
            for operand_fragment, shape in ((case.a, (4, 1, case.m, case.k)), (case.b, (4, 1, case.k, case.n)),
                                (case.c, (4, 1, case.m, case.n)))
        ]
        for opcode, case in ((opcode, CASES[opcode]) for opcode in EVERYWHERE)
    }  # fmt: skip
    expected = {opcode: run(CASES[opcode], *operands[opcode], arch="sm_90")[0] for opcode in EVERYWHERE}
    for cpu in LESSER:
        another_process(cpu)
        for opcode in EVERYWHERE:
            assert np.array_equal(run(CASES[opcode], *operands[opcode], arch="sm_90")[0], expected[opcode]), (
                cpu,
                opcode,
            )


@pytest.mark.parametrize(
    ("arch", "block"),
    [("sm_103", "halves"), ("sm_110", "halves"), ("sm_120", "one of 32"), ("sm_121", "one of 32")],
)
def test_fp8_is_one_block_of_32_products_where_the_machine_code_has_one_instruction(arch, block):
    """2^14 and -2^14, k = 0 and 1, cancel; 2^-12, k = 2, is cut in a sum with them, and not in a separate sum."""
    case = CASES["mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32"]
    a, b = np.zeros((1, 1, 16, 32), np.uint64), np.zeros((1, 1, 32, 8), np.uint64)
    row = np.zeros(32)
    row[:3] = 2.0**7, -(2.0**7), 2.0**-6
    a[0, 0, 0] = encoded(row, "e4m3")
    b[0, 0, :, 0] = encoded(np.where(np.arange(32) == 2, 2.0**-6, 2.0**7), "e5m2")
    actual, _ = run(case, a, b, np.zeros((1, 1, 16, 8), np.uint64), arch)
    value = float(actual[0, 0, 0, 0].astype(np.uint32).view(np.float32))
    assert value == (0.0 if block == "one of 32" else 2.0**-12)


@pytest.mark.parametrize(
    ("opcode", "arch", "origin"),
    [
        ("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32",         "sm_80",  "reproduces recorded hardware results"),
        ("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32",         "sm_75",  "is assumed to be that of sm_80"),
        ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",      "sm_120", "is assumed to be that of sm_100"),
        ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32",      "sm_110", "is assumed to be that of sm_100"),
        ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32",      "sm_121", "is assumed to be that of sm_120"),
        ("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32",           "sm_80",  "exact"),
    ],
)  # fmt: skip
def test_an_execution_names_the_origin_of_its_matrix_models(opcode, arch, origin):
    product = case(opcode)
    operands = [
        np.zeros((32, operand_fragment.registers), np.uint64)
        for operand_fragment in (product.d, product.a, product.b, product.c)
    ]
    execution = emulator.run(kernel(product), grid=1, block=32, args=operands, arch=arch)
    assert execution.models == {opcode: origin}


def test_the_origin_of_a_model_completes_a_sentence():
    models = [model for rows in tensor_models.MODELS.values() for _, model in rows]
    for origin in (
        *(model.origin for model in (*models, *tensor_models.WARPGROUP_MODELS.values())),
        tensor_models.SPARSE,
    ):
        assert origin.startswith(("reproduces ", "follows ", "is assumed to be that of ")), origin


NOT_TAKEN = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry not_taken(.param .u32 n)
{
    .reg .f32 %d<4>;
    .reg .b32 %a<4>, %b<2>, %n;
    .reg .pred %none;
    ld.param.u32 %n, [n];
    setp.eq.u32 %none, %n, 0;
    @%none bra DONE;
    mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b0, %b1},
        {%d0, %d1, %d2, %d3};
DONE:
    ret;
}
"""


@pytest.mark.parametrize(("n", "models"), [(0, 0), (1, 1)])
def test_an_instruction_that_did_not_run_reports_no_model(n, models):
    assert len(emulator.run(NOT_TAKEN, grid=1, block=32, args=[np.uint32(n)]).models) == models
