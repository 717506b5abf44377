"""PTX ISA, Warp Level Matrix Instructions: products of 4, 6 and 8-bit floats with a .kind, and with block scales.

sm_120a and its family have them. With kind::f8f6f4 and kind::mxf8f6f4, an element of A or B takes a byte, whatever its
type; with the others, four bits. runtime/scales.py says which lane has which scale.
"""

import functools

from ptxbench import architecture
from ptxbench.emulator import immediates, tensor, tensor_models
from ptxbench.emulator.isa.matrix import MMA, instruction, multiply
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import scales
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.runtime.product import Multiply, Scales
from ptxbench.emulator.syntax import Immediate, Vector
from ptxbench.emulator.types import B32
from ptxbench.errors import UnsupportedInstruction

NARROW = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1")
PAIRS = tuple(f"{a}.{b}" for a in NARROW for b in NARROW)
EIGHT_BITS = tuple(f"{d}.{a}.{b}.{d}" for d in ("f32", "f16") for a in NARROW[:2] for b in NARROW[:2])
UNSCALED = tuple(f"{d}.{pair}.{d}" for d in ("f32", "f16") for pair in PAIRS)
FOUR = ("f32.e2m1.e2m1.f32",)
SCALED = tuple(f"f32.{pair}.f32" for pair in PAIRS)
OPERANDS = "{d}, {a}:b32, {b}:b32, {c}:b32"
SCALES = "scales_a:b32, {select_a}:u16, scales_b:b32, {select_b}:u16"
FOUR_BITS = (
    ("mxf4", "{.scale_vec::2X}", "ue8m0", 2),
    ("mxf4nvf4", ".scale_vec::2X", "ue8m0", 2),
    ("mxf4nvf4", ".scale_vec::4X", "ue8m0", 4),
    ("mxf4nvf4", ".scale_vec::4X", "ue4m3", 4),
)
"""For e2m1 in four bits: the kind, its modifier for the number of scales, their type, and how many a row has."""
DEFAULT = dict.fromkeys(("scale_vec::1X", "scale_vec::2X"), "the only number of scales of this kind")


def need_family(ops):
    """Raise an error if this run is not for sm_120 or another architecture of its family."""
    if architecture.number(ops.arch) // 10 != 12:
        raise UnsupportedInstruction(
            f"line {ops.line}: this matrix instruction needs sm_120a, sm_120f or sm_121a; this run is for {ops.arch}"
        )


@functools.cache
def described(arch, shape, types, kind, scale="", count=0, sparse=None):
    """The product of `shape` and `types` (d.a.b.c) with .kind, and with `count` scales in a row if there are any."""
    m, n, k = tensor.shape(shape)
    bits = 4 if kind in ("mxf4", "mxf4nvf4") else 8
    a, b = tensor.a_fragment(m, k // 2 if sparse else k, bits), tensor.b_fragment(k, n, bits)
    with_scales = Scales(scale, count) if scale else None
    return Multiply(shape, m, n, k, tuple(types.split(".")), a, b, tensor.c_fragment(m, n),
                    tensor_models.model(arch, kind), packing=bits, scales=with_scales, sparse=sparse)  # fmt: skip


def selected(ops, name, values, allowed, matrix):
    """The byte and the thread that have the scales, 32 lanes each. A register must be the same in all lanes."""
    operand = immediates.operand(ops, name)
    assert isinstance(operand, Vector)
    if len(operand.parts) != 2:
        raise syntax_error(
            ops.line, f"expected a byte and a thread for the scales of {matrix}, found {len(operand.parts)} operands."
        )
    result = []
    for part, value, numbers, role in zip(operand.parts, values, allowed, ("byte", "thread"), strict=True):
        wide = ops.e.convert(value, B32)
        if isinstance(part, Immediate):
            choices = " or ".join(map(str, numbers))
            immediates.one_of(ops, part, numbers, f"{choices} as the {role} of the scales of {matrix}")
        else:
            check = ops.function(scales.check(numbers))
            site = ops.site("selector")
            ops.e.line(f"call void @{check}(ptr %env, ptr {site}, {V32} {wide.ir}, i32 {ops.active})")
        result.append(wide)
    return result


def scale_operands(ops, count, scales_a, select_a, scales_b, select_b):
    """The parameters of a product with scales, in the order of scales.NAMES."""
    first = {1: (0, 1, 2, 3), 2: (0, 2), 4: (0,)}[count]
    a = selected(ops, "select_a", select_a, (first, (0, 1)), "A")
    b = selected(ops, "select_b", select_b, (first, (0, 1, 2, 3)), "B")
    return [scales_a, scales_b, *a, *b]


for shape, kinds in (("m16n8k32", UNSCALED), ("m16n8k16", EIGHT_BITS)):

    @instruction(f"mma.sync.aligned.{shape}.row.col.kind::f8f6f4.types {OPERANDS}", types=kinds, flow="aligned",
                 section=MMA)  # fmt: skip
    def mma(ops, types, a, b, c, shape=shape):
        need_family(ops)
        return multiply(ops, described(ops.arch, shape, types, "f8f6f4"), a, b, c)


@instruction("mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale{.scale_vec::1X}.types.ue8m0 "
             f"{OPERANDS}, {SCALES}", types=SCALED, flow="aligned", section=MMA, ignored=DEFAULT)  # fmt: skip
def mma_scaled(ops, types, a, b, c, scales_a, select_a, scales_b, select_b):
    """One scale for a row of A, and one for a column of B."""
    need_family(ops)
    more = scale_operands(ops, 1, scales_a, select_a, scales_b, select_b)
    return multiply(ops, described(ops.arch, "m16n8k32", types, "mxf8f6f4", "ue8m0", 1), a, b, c, more)


for of_kind, vector, of_scales, number in FOUR_BITS:

    @instruction(f"mma.sync.aligned.m16n8k64.row.col.kind::{of_kind}.block_scale{vector}.types.{of_scales} "
                 f"{OPERANDS}, {SCALES}", types=FOUR, flow="aligned", section=MMA, ignored=DEFAULT)  # fmt: skip
    def mma_four_bits(ops, types, a, b, c, scales_a, select_a, scales_b, select_b, kind=of_kind, scale=of_scales,
                      scale_count=number):  # fmt: skip
        """Two or four scales for a row of A and a column of B."""
        need_family(ops)
        more = scale_operands(ops, scale_count, scales_a, select_a, scales_b, select_b)
        return multiply(ops, described(ops.arch, "m16n8k64", types, kind, scale, scale_count), a, b, c, more)
