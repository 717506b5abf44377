"""PTX ISA, Integer Arithmetic Instructions on two or four integers in a register: u16x2, s16x2, u8x4, s8x4."""

from ptxbench.emulator.isa.integer import positive
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import B32, TYPES

instruction = Chapter("Integer Arithmetic Instructions: packed", counted="int")

PAIRS, FOURS = ("u16x2", "s16x2"), ("u8x4", "s8x4")
OPERANDS = "d:f16x2, a:f16x2, b:f16x2"
ADD, SUB, MIN, MAX, NEG = (f"integer-arithmetic-instructions-{name}" for name in ("add", "sub", "min", "max", "neg"))


def parts(e, a, type):
    """The integers in a 32-bit value, the lowest first."""
    part = TYPES[type.partition("x")[0]]
    first = e.convert(a, part)
    return [first, *(e.convert(e.shr(a, e.constant(bit, B32)), part) for bit in range(part.bits, 32, part.bits))]


def joined(e, elements):
    if len(elements) == 1:
        return elements[0]
    return joined(e, [e.pair(low, high) for low, high in zip(elements[::2], elements[1::2], strict=True)])


def by_parts(e, operation, a, b, type):
    return joined(e, [operation(x, y) for x, y in zip(parts(e, a, type), parts(e, b, type), strict=True)])


@instruction(f"add.type {OPERANDS}", type=(*PAIRS, *FOURS), section=ADD)
def add_packed(e, a, b, type):
    return by_parts(e, e.add, a, b, type)


@instruction(f"add.sat.type {OPERANDS}", type=(*PAIRS, *FOURS), section=ADD)
def add_packed_sat(e, a, b, type):
    return by_parts(e, lambda x, y: e.saturating("add", x, y), a, b, type)


@instruction(f"sub.type {OPERANDS}", type=FOURS, section=SUB)
def sub_packed(e, a, b, type):
    return by_parts(e, e.sub, a, b, type)


@instruction(f"sub.sat.type {OPERANDS}", type=FOURS, section=SUB)
def sub_packed_sat(e, a, b, type):
    return by_parts(e, lambda x, y: e.saturating("sub", x, y), a, b, type)


@instruction(f"min.type {OPERANDS}", type=(*PAIRS, *FOURS), section=MIN)
def min_packed(e, a, b, type):
    return by_parts(e, e.min, a, b, type)


@instruction(f"max.type {OPERANDS}", type=(*PAIRS, *FOURS), section=MAX)
def max_packed(e, a, b, type):
    return by_parts(e, e.max, a, b, type)


@instruction(f"min.relu.type {OPERANDS}", type=("s16x2", "s8x4"), section=MIN)
def min_packed_relu(e, a, b, type):
    return by_parts(e, lambda x, y: positive(e, e.min(x, y)), a, b, type)


@instruction(f"max.relu.type {OPERANDS}", type=("s16x2", "s8x4"), section=MAX)
def max_packed_relu(e, a, b, type):
    return by_parts(e, lambda x, y: positive(e, e.max(x, y)), a, b, type)


@instruction("neg.s8x4 d:f16x2, a:f16x2", section=NEG)
def neg_packed(e, a):
    """The least value is not changed."""
    return joined(e, [e.negate(part) for part in parts(e, a, "s8x4")])
