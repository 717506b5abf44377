"""PTX ISA, Warp Level Matrix Instructions.

All of them are executed by the whole warp at once (`flow="aligned"`). tensor.py knows what each lane holds,
tensor_models.py how an architecture accumulates.
"""

import functools

from ptxbench import architecture
from ptxbench.emulator import tensor, tensor_models
from ptxbench.emulator.emit import Value
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.layout import Site
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import context, dot_products, elements, matrix, rearrange
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.types import B32, B64, LANES, U32, U64
from ptxbench.errors import UnsupportedInstruction

instruction = Chapter("Warp Level Matrix Instructions", counted="matrix")

MMA, LOAD, STORE, WMMA = (
    f"warp-level-matrix-instructions-{name}" for name in ("mma", "wmma-load", "wmma-store", "wmma-mma")
)
SHARED = ("shared", "shared::cta")
Names = tuple[str, ...]


def need(ops, least):
    """Raise an error if the architecture of this run is below `least`."""
    if architecture.number(ops.arch) < least:
        raise UnsupportedInstruction(
            f"line {ops.line}: this matrix instruction needs sm_{least}; this run is for {ops.arch}"
        )


def first_lanes(ops, count):
    """Only the first `count` lanes access memory."""
    if count < LANES:
        ops.active = ops.e.op(f"and i32 {ops.active}, {(1 << count) - 1}")


def call(ops, function, inputs, count, more=""):
    """Call a function on registers; returns registers of 32 or 64 bits."""
    name = ops.function(function)
    kind = inputs[0].type
    arguments = ", ".join(f"{value.type.vector} {value.ir}" for value in inputs)
    returns = rearrange.struct(kind, count)
    result = ops.e.op(f"call {returns} @{name}({arguments}{more})")
    return tuple(Value(ops.e.op(f"extractvalue {returns} {result}, {i}"), kind) for i in range(count))


# ---- products

ROUNDINGS = ("rn", "rz", "rm", "rp")


def multiply(ops, product, a, b, c, more=()):
    """D = A B + C: the registers of D. The first use of a product creates its function. `more`: its other operands."""
    registers = zip((a, b, c), product.registers[1:], strict=True)
    inputs = [value for values, count in registers for value in ops.require_count(values, count)]
    slot = ops.reserve_counters(context.SITE_SLOTS)
    ops.sites.append(Site(ops.step, slot, product.types[1], "mma", product.flops))
    site = ops.e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
    name = ops.function(matrix.multiply(product, ops.e.hardware_fma))
    if product.types[1] == "f64":
        ops.e.functions.update(dot_products.fma_functions(product.rule, ops.e.hardware_fma))
    count, kind = product.registers[0], elements.word(product.types[0])
    arguments = ", ".join(f"{value.type.vector} {value.ir}" for value in (*inputs, *more))
    returns = rearrange.struct(kind, count)
    result = ops.e.op(f"call {returns} @{name}({arguments}, i32 {ops.active}, ptr {site})")
    return tuple(Value(ops.e.op(f"extractvalue {returns} {result}, {i}"), kind) for i in range(count))


@functools.cache
def described(arch, shape, types, rule="", repeated=False):
    """The product of `shape` and `types` (d.a.b.c), with the fragments of mma.sync. `repeated`: wmma's f16
    fragments."""
    m, n, k = tensor.shape(shape)
    kinds = tuple(types.split("."))
    depth, bits = tensor.in_units(kinds[1], k)
    a, b = tensor.a_fragment(m, depth, bits), tensor.b_fragment(depth, n, bits)
    if repeated:
        a, b = tensor.repeated(a), tensor.repeated(b)
    return Multiply(shape, m, n, k, kinds, a, b, tensor.c_fragment(m, n), tensor_models.model(arch, kinds[1]), rule)


@functools.cache
def described_quad(arch, types, alayout, blayout):
    """mma.m8n8k4 of f16: four products, each by two groups of four lanes."""
    kinds = tuple(types.split("."))
    a, b = tensor.quad_a_fragment(alayout), tensor.quad_b_fragment(blayout)
    c, d = tensor.quad_c_fragment(kinds[3]), tensor.quad_c_fragment(kinds[0])
    return Multiply(f"m8n8k4_{alayout}_{blayout}", 8, 8, 4, kinds, a, b, c, tensor_models.model(arch, "f16"), d=d)


EIGHT_BITS, FOUR_BITS = (
    tuple(f"s32.{sign_a}{bits}.{sign_b}{bits}.s32" for sign_a in "su" for sign_b in "su") for bits in (8, 4)
)
FP8 = tuple(f"{d}.{a}.{b}.{d}" for d in ("f16", "f32") for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2"))
MMAS: tuple[tuple[Names, Names, int], ...] = (
    (("m16n8k8",), ("f16.f16.f16.f16", "f32.f16.f16.f32"), 75),
    (("m16n8k16",), ("f16.f16.f16.f16", "f32.f16.f16.f32"), 80),
    (("m16n8k8", "m16n8k16"), ("f32.bf16.bf16.f32",), 80),
    (("m16n8k4", "m16n8k8"), ("f32.tf32.tf32.f32",), 80),
    (("m16n8k16", "m16n8k32"), FP8, 89),
)
"""Shapes, types and the lowest architecture of mma.sync."""

for shapes, kinds, oldest in MMAS:

    @instruction("mma.sync.aligned.shape.row.col.types {d}, {a}:b32, {b}:b32, {c}:b32", shape=shapes, types=kinds,
                 flow="aligned", section=MMA)  # fmt: skip
    def mma(ops, shape, types, a, b, c, least=oldest):
        """Rounded as tensor_models.py says for the architecture."""
        need(ops, least)
        return multiply(ops, described(ops.arch, shape, types), a, b, c)


@instruction("mma.sync.aligned.m8n8k4.alayout.blayout.types {d}, {a}:b32, {b}:b32, {c}:b32", alayout=("row", "col"),
             blayout=("row", "col"), types=("f16.f16.f16.f16", "f32.f16.f16.f16", "f32.f16.f16.f32"), flow="aligned",
             section=MMA)  # fmt: skip
def mma_quads(ops, alayout, blayout, types, a, b, c):
    """The only shape with a choice of layouts: made for sm_70, also supported later."""
    need(ops, 70)
    return multiply(ops, described_quad(ops.arch, types, alayout, blayout), a, b, c)


@instruction("mma.sync.aligned.shape.row.col{.rnd}.f64.f64.f64.f64 {d}, {a}:b64, {b}:b64, {c}:b64",
             shape=("m8n8k4", "m16n8k4", "m16n8k8", "m16n8k16"), rnd=ROUNDINGS, flow="aligned",
             section=MMA)  # fmt: skip
def mma_f64(ops, shape, rnd, a, b, c):
    """A chain of fused multiply-adds, k ascending."""
    need(ops, 80 if shape == "m8n8k4" else 90)
    return multiply(ops, described(ops.arch, shape, "f64.f64.f64.f64", rnd or "rn"), a, b, c)


def multiply_integers(ops, least, shape, types, satfinite, a, b, c):
    """Exact; the sum wraps, or is clamped with satfinite. `least`: the lowest architecture."""
    need(ops, least)
    return multiply(ops, described(ops.arch, shape, types, "satfinite" if satfinite else ""), a, b, c)


INTEGERS: tuple[tuple[Names, Names, int], ...] = (
    (("m8n8k16",), EIGHT_BITS, 75),
    (("m16n8k16", "m16n8k32"), EIGHT_BITS, 80),
    (("m8n8k32",), FOUR_BITS, 75),
    (("m16n8k32", "m16n8k64"), FOUR_BITS, 80),
)

for shapes, kinds, oldest in INTEGERS:

    @instruction("mma.sync.aligned.shape.row.col{.satfinite}.types {d}, {a}:b32, {b}:b32, {c}:b32", shape=shapes,
                 types=kinds, flow="aligned", section=MMA)  # fmt: skip
    def mma_integer(ops, shape, satfinite, types, a, b, c, least=oldest):
        return multiply_integers(ops, least, shape, types, satfinite, a, b, c)


@instruction("mma.sync.aligned.shape.row.col.s32.b1.b1.s32.op.popc {d}, {a}:b32, {b}:b32, {c}:b32",
             shape=("m8n8k128", "m16n8k128", "m16n8k256"), op=("xor", "and"), flow="aligned", section=MMA)  # fmt: skip
def mma_bits(ops, shape, op, a, b, c):
    """The population count of (A's row op B's column), added to C."""
    need(ops, 75 if shape == "m8n8k128" and op == "xor" else 80)
    return multiply(ops, described(ops.arch, shape, "s32.b1.b1.s32", op), a, b, c)


# ---- wmma

SIXTEEN = ("m16n16k16", "m8n32k16", "m32n8k16")
LAYOUTS = ("row", "col")
SPACES = ("global", *SHARED)
WMMA_LEAST = {"f16": 70, "f32": 70, "s8": 72, "u8": 72, "s32": 72, "s4": 75, "u4": 75, "b1": 75}
"""The lowest architecture by type; 80 for the rest."""
OPERANDS: tuple[tuple[Names, Names, Names], ...] = (
    (LAYOUTS, SIXTEEN, ("f16", "bf16", "s8", "u8")),
    (LAYOUTS, ("m16n16k8",), ("tf32",)),
    (LAYOUTS, ("m8n8k4",), ("f64",)),
)
"""Layouts, shapes and types of A and B."""
ADDENDS: tuple[tuple[Names, Names], ...] = (
    (SIXTEEN, ("f16", "f32", "s32")),
    (("m16n16k8",), ("f32",)),
    (("m8n8k4",), ("f64",)),
    (("m8n8k32", "m8n8k128"), ("s32",)),
)
"""Shapes and types of C and D."""


def tile(use, shape, kind, layout):
    """The layout of A, B or C in memory, and which lanes hold the elements."""
    m, n, k = tensor.shape(shape)
    stride_bits = bits = tensor.element_bits(kind)
    if bits < 8:
        k, bits = k * bits // tensor.WORD, tensor.WORD
    if use == "a":
        fragment, rows, columns = tensor.a_fragment(m, k, bits), m, k
    elif use == "b":
        fragment, rows, columns = tensor.b_fragment(k, n, bits), k, n
    else:
        fragment, rows, columns = tensor.c_fragment(m, n), m, n
    if use in "ab" and kind == "f16":
        fragment = tensor.repeated(fragment)
    down = use in "ab" and bits == 16  # ptxas compiles these to LDSM, which is ldmatrix
    return tensor.Tile(f"{use}_{shape}_{kind}_{layout}", fragment, rows, columns, bits, stride_bits, layout, down)


def pieces(e, ops, tile, address, stride):
    """The addresses of the tile's pieces, one per lane, in requests of up to 32 lanes; sets the active lanes."""
    if not isinstance(address, Value):
        raise syntax_error(ops.line, "needs an address in memory.")
    if stride is None:
        stride = e.constant(8 * tile.row_bytes // tile.stride_bits, U32)
    stride = e.convert(stride, U64)
    active = ops.active
    for lanes in tile.requests:
        majors = e.lanes([major * tile.stride_bits for major, _ in lanes] + [0] * (LANES - len(lanes)), U64)
        within = e.lanes([byte for _, byte in lanes] + [0] * (LANES - len(lanes)), U64)
        offset = e.add(e.shr(e.mul(stride, majors), e.constant(3, U64)), within)
        ops.active = active
        first_lanes(ops, len(lanes))
        yield e.add(address, e.convert(offset, B32 if address.type.bits == 32 else B64))


def wmma_load(e, ops, use, shape, kind, layout, space, address, stride):
    """The fragment's registers, from memory in pieces of up to 16 bytes, one per lane."""
    need(ops, WMMA_LEAST.get(kind, 80))
    from_tile = tile(use, shape, kind, layout)
    word = B64 if kind == "f64" else B32
    space = {None: "generic", "shared::cta": "shared"}.get(space, space)
    words = []
    for address_of_piece in pieces(e, ops, from_tile, address, stride):
        words += ops.load(space, address_of_piece, word, from_tile.piece_bytes // word.bytes)
    table, results = from_tile.gather, from_tile.registers
    name = f"load_{from_tile.name}"
    return call(ops, rearrange.by_table(name, word, len(words), results, from_tile.bits, table), words, results)


def wmma_loads(use, layouts, shapes, kinds):
    """The instructions that load A, B or C."""
    loaded = f"wmma.load.{use}.sync.aligned.layout.shape{{.space}}.type {{d}}, [a]"

    @instruction(loaded, layout=layouts, shape=shapes, space=SPACES, type=kinds, flow="aligned",
                 section=LOAD)  # fmt: skip
    @instruction(f"{loaded}, stride:u32", layout=layouts, shape=shapes, space=SPACES, type=kinds, flow="aligned",
                 section=LOAD)  # fmt: skip
    def load(e, ops, layout, shape, space, type, a, stride=None):
        return wmma_load(e, ops, use, shape, str(type), layout, space, a, stride)


for use, only in (("a", ("row",)), ("b", ("col",))):
    for operands in (*OPERANDS, (only, ("m8n8k32",), ("s4", "u4")), (only, ("m8n8k128",), ("b1",))):
        wmma_loads(use, *operands)

for shapes, kinds in ADDENDS:
    wmma_loads("c", LAYOUTS, shapes, kinds)

    stored = "wmma.store.d.sync.aligned.layout.shape{.space}.type [a], {b}:" + ("b64" if "f64" in kinds else "b32")

    @instruction(stored, layout=LAYOUTS, shape=shapes, space=SPACES, type=kinds, flow="aligned",
                 section=STORE)  # fmt: skip
    @instruction(f"{stored}, stride:u32", layout=LAYOUTS, shape=shapes, space=SPACES, type=kinds, flow="aligned",
                 section=STORE)  # fmt: skip
    def wmma_store(e, ops, layout, shape, space, type, a, b, stride=None):
        need(ops, WMMA_LEAST.get(str(type), 80))
        to_tile = tile("c", shape, str(type), layout)
        word = B64 if to_tile.bits == 64 else B32
        space = {None: "generic", "shared::cta": "shared"}.get(space, space)
        registers = ops.require_count(b, to_tile.registers)
        words_per_piece = to_tile.piece_bytes // word.bytes
        total = words_per_piece * len(to_tile.requests)
        name = f"store_{to_tile.name}"
        function = rearrange.by_table(name, word, len(registers), total, to_tile.bits, to_tile.scatter)
        words = call(ops, function, registers, total)
        for i, address in enumerate(pieces(e, ops, to_tile, a, stride)):
            ops.store(space, address, words[words_per_piece * i : words_per_piece * (i + 1)])


ANY_LAYOUT = {
    "alayout": "a fragment is the same however it was loaded",
    "blayout": "a fragment is the same however it was loaded",
}


@instruction("wmma.mma.sync.aligned.alayout.blayout.shape.dtype.ctype {d}, {a}:b32, {b}:b32, {c}:b32", alayout=LAYOUTS,
             blayout=LAYOUTS, shape=SIXTEEN, dtype=("f16", "f32"), ctype=("f16", "f32"), flow="aligned", section=WMMA,
             ignored=ANY_LAYOUT)  # fmt: skip
def wmma_f16(ops, shape, dtype, ctype, a, b, c):
    need(ops, 70)
    product = described(ops.arch, shape, f"{dtype}.f16.f16.{ctype}", repeated=True)
    return multiply(ops, product, a, b, c)


@instruction("wmma.mma.sync.aligned.alayout.blayout.shape.f32.bf16.bf16.f32 {d}, {a}:b32, {b}:b32, {c}:b32",
             alayout=LAYOUTS, blayout=LAYOUTS, shape=SIXTEEN, flow="aligned", section=WMMA,
             ignored=ANY_LAYOUT)  # fmt: skip
def wmma_bf16(ops, shape, a, b, c):
    need(ops, 80)
    return multiply(ops, described(ops.arch, shape, "f32.bf16.bf16.f32"), a, b, c)


@instruction("wmma.mma.sync.aligned.alayout.blayout.m16n16k8.f32.tf32.tf32.f32 {d}, {a}:b32, {b}:b32, {c}:b32",
             alayout=LAYOUTS, blayout=LAYOUTS, flow="aligned", section=WMMA, ignored=ANY_LAYOUT)  # fmt: skip
def wmma_tf32(ops, a, b, c):
    need(ops, 80)
    return multiply(ops, described(ops.arch, "m16n16k8", "f32.tf32.tf32.f32"), a, b, c)


@instruction("wmma.mma.sync.aligned.alayout.blayout.m8n8k4{.rnd}.f64.f64.f64.f64 {d}, {a}:b64, {b}:b64, {c}:b64",
             alayout=LAYOUTS, blayout=LAYOUTS, rnd=ROUNDINGS, flow="aligned", section=WMMA,
             ignored=ANY_LAYOUT)  # fmt: skip
def wmma_f64(ops, rnd, a, b, c):
    need(ops, 80)
    return multiply(ops, described(ops.arch, "m8n8k4", "f64.f64.f64.f64", rnd or "rn"), a, b, c)


WHOLE: tuple[tuple[Names, Names, Names, Names, int], ...] = (
    (LAYOUTS, LAYOUTS, SIXTEEN, ("s32.s8.s8.s32", "s32.u8.u8.s32"), 72),
    (("row",), ("col",), ("m8n8k32",), ("s32.s4.s4.s32", "s32.u4.u4.s32"), 75),
)

for alayouts, blayouts, shapes, kinds, oldest in WHOLE:

    @instruction("wmma.mma.sync.aligned.alayout.blayout.shape.types{.satfinite} {d}, {a}:b32, {b}:b32, {c}:b32",
                 alayout=alayouts, blayout=blayouts, shape=shapes, types=kinds, flow="aligned", section=WMMA,
                 ignored=ANY_LAYOUT)  # fmt: skip
    def wmma_integer(ops, shape, types, satfinite, a, b, c, least=oldest):
        return multiply_integers(ops, least, shape, types, satfinite, a, b, c)


@instruction("wmma.mma.op.popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32 {d}, {a}:b32, {b}:b32, {c}:b32",
             op=("xor", "and"), flow="aligned", section=WMMA)  # fmt: skip
def wmma_bits(ops, op, a, b, c):
    need(ops, 75 if op == "xor" else 80)
    return multiply(ops, described(ops.arch, "m8n8k128", "s32.b1.b1.s32", op), a, b, c)
