"""PTX ISA, Warp Level Matrix Instructions: mma.sp, products whose A has half of its elements, with metadata.

The elements that A keeps are in its registers as those of a dense A with half of k. runtime/sparse.py says which lanes
have the metadata, and what they mean.
"""

import functools

from ptxbench.emulator import immediates, tensor, tensor_models
from ptxbench.emulator.isa import scaled_matrix
from ptxbench.emulator.isa.matrix import instruction, multiply, need
from ptxbench.emulator.isa.scaled_matrix import DEFAULT, FOUR, FOUR_BITS, SCALED, SCALES, need_family, scale_operands
from ptxbench.emulator.runtime import sparse
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.runtime.product import Multiply, Sparsity

SPARSE = "warp-level-matrix-instructions-sparse-mma"
ORDERED = "sp::ordered_metadata"
VARIANTS = ("sp", ORDERED)
OPERANDS = "{d}, {a}:b32, {b}:b32, {c}:b32, metadata:b32, selector:u32"
EIGHT_BITS, FOUR_BIT_INTEGERS = (
    tuple(f"s32.{sign_a}{bits}.{sign_b}{bits}.s32" for sign_a in "su" for sign_b in "su") for bits in (8, 4)
)
FP8 = tuple(f"f32.{a}.{b}.f32" for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2"))
HALF_FP8 = tuple(types.replace("f32", "f16") for types in FP8)


@functools.cache
def described(arch, shape, types, rule=""):
    """The product of `shape` and `types` (d.a.b.c)."""
    m, n, k = tensor.shape(shape)
    kinds = tuple(types.split("."))
    bits = tensor.element_bits(kinds[1])
    return Multiply(shape, m, n, k, kinds, tensor.a_fragment(m, k // 2, bits), tensor.b_fragment(k, n, bits),
                    tensor.c_fragment(m, n), tensor_models.model(arch, kinds[1]), rule,
                    sparse=Sparsity(2 if bits == 4 else 1, pairs=bits == 32))  # fmt: skip


def indices(ops, product, metadata, ordered):
    """The metadata of each lane's rows, after a check that they are valid."""
    allowed = sparse.selectors(product)
    choices = f"a number from 0 to {allowed[-1]}" if len(allowed) > 1 else "0"
    selector = immediates.number(ops, "selector", allowed, f"{choices} as the sparsity selector")
    assert product.sparse is not None
    check = ops.function(sparse.check(pairs=product.sparse.pairs, ordered=ordered))
    lanes = ops.e.op(f"and i32 {ops.active}, {sparse.lanes(product, selector)}")
    ops.e.line(f"call void @{check}(ptr %env, ptr {ops.site('metadata')}, {V32} {metadata.ir}, i32 {lanes})")
    return sparse.words(ops.e, product, metadata, selector)


FLOATS = (
    (("m16n8k16", "m16n8k32"), ("f16.f16.f16.f16", "f32.f16.f16.f32", "f32.bf16.bf16.f32"), 80),
    (("m16n8k8", "m16n8k16"), ("f32.tf32.tf32.f32",), 80),
    (("m16n8k64",), FP8, 89),
)
"""Shapes, types and the lowest architecture."""

for shapes, kinds, oldest in FLOATS:

    @instruction(f"mma.variant.sync.aligned.shape.row.col.types {OPERANDS}", variant=VARIANTS, shape=shapes,
                 types=kinds, flow="aligned", section=SPARSE)  # fmt: skip
    def mma(ops, variant, shape, types, a, b, c, metadata, least=oldest):
        need(ops, least)
        product = described(ops.arch, shape, types)
        return multiply(ops, product, a, b, c, indices(ops, product, metadata, variant == ORDERED))


for shapes, kinds in ((("m16n8k32", "m16n8k64"), EIGHT_BITS), (("m16n8k64", "m16n8k128"), FOUR_BIT_INTEGERS)):

    @instruction(f"mma.variant.sync.aligned.shape.row.col{{.satfinite}}.types {OPERANDS}", variant=VARIANTS,
                 shape=shapes, types=kinds, flow="aligned", section=SPARSE)  # fmt: skip
    def mma_integer(ops, variant, shape, satfinite, types, a, b, c, metadata):
        """Exact; the sum wraps, or is clamped with satfinite."""
        need(ops, 80)
        product = described(ops.arch, shape, types, "satfinite" if satfinite else "")
        return multiply(ops, product, a, b, c, indices(ops, product, metadata, variant == ORDERED))


# ---- with a .kind

KEPT = Sparsity()
KEPT_PAIRS = Sparsity(2)

for spelled, kinds in (("", HALF_FP8), ("kind::f8f6f4.", scaled_matrix.UNSCALED)):

    @instruction(f"mma.{ORDERED}.sync.aligned.m16n8k64.row.col.{spelled}types {OPERANDS}", types=kinds, flow="aligned",
                 section=SPARSE)  # fmt: skip
    def mma_narrow(ops, types, a, b, c, metadata):
        """The .kind may be omitted from f16 results of e4m3 and e5m2."""
        need_family(ops)
        product = scaled_matrix.described(ops.arch, "m16n8k64", types, "f8f6f4", sparse=KEPT)
        return multiply(ops, product, a, b, c, indices(ops, product, metadata, ordered=True))


@instruction(f"mma.{ORDERED}.sync.aligned.m16n8k64.row.col.kind::mxf8f6f4.block_scale{{.scale_vec::1X}}.types.ue8m0 "
             f"{OPERANDS}, {SCALES}", types=SCALED, flow="aligned", section=SPARSE, ignored=DEFAULT)  # fmt: skip
def mma_scaled(ops, types, a, b, c, metadata, scales_a, select_a, scales_b, select_b):
    need_family(ops)
    product = scaled_matrix.described(ops.arch, "m16n8k64", types, "mxf8f6f4", "ue8m0", 1, KEPT)
    more = scale_operands(ops, 1, scales_a, select_a, scales_b, select_b)
    return multiply(ops, product, a, b, c, [*indices(ops, product, metadata, ordered=True), *more])


for of_kind, vector, of_scales, number in FOUR_BITS:

    @instruction(f"mma.{ORDERED}.sync.aligned.m16n8k128.row.col.kind::{of_kind}.block_scale{vector}.types.{of_scales} "
                 f"{OPERANDS}, {SCALES}", types=FOUR, flow="aligned", section=SPARSE, ignored=DEFAULT)  # fmt: skip
    def mma_four_bits(ops, types, a, b, c, metadata, scales_a, select_a, scales_b, select_b, kind=of_kind,
                      scale=of_scales, scale_count=number):  # fmt: skip
        """A keeps pairs of elements."""
        need_family(ops)
        product = scaled_matrix.described(ops.arch, "m16n8k128", types, kind, scale, scale_count, KEPT_PAIRS)
        more = scale_operands(ops, scale_count, scales_a, select_a, scales_b, select_b)
        return multiply(ops, product, a, b, c, [*indices(ops, product, metadata, ordered=True), *more])
