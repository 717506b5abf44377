"""PTX ISA, Integer Arithmetic Instructions."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import U32

instruction = Chapter("Integer Arithmetic Instructions", counted="int")

INTS = ("u16", "u32", "u64", "s16", "s32", "s64")
NARROW = ("u16", "u32", "s16", "s32")


@instruction("add.type d, a, b", type=INTS, section="integer-arithmetic-instructions-add")
def add(e, a, b):
    return e.add(a, b)


@instruction("sub.type d, a, b", type=INTS, section="integer-arithmetic-instructions-sub")
def sub(e, a, b):
    return e.sub(a, b)


@instruction("mul.lo.type d, a, b", type=INTS, section="integer-arithmetic-instructions-mul")
def mul_lo(e, a, b):
    return e.mul(a, b)


@instruction("mul.hi.type d, a, b", type=NARROW, section="integer-arithmetic-instructions-mul")
def mul_hi(e, a, b):
    """Widened before multiplying: the sign of the full product reaches the upper half."""
    return e.high_half(e.mul(e.widen(a), e.widen(b)), a.type)


@instruction("mul.wide.type d:wide, a, b", type=NARROW, section="integer-arithmetic-instructions-mul")
def mul_wide(e, a, b):
    return e.mul(e.widen(a), e.widen(b))


@instruction("mad.lo.type d, a, b, c", type=INTS, section="integer-arithmetic-instructions-mad")
def mad_lo(e, a, b, c):
    return e.add(e.mul(a, b), c)


@instruction("mad.wide.type d:wide, a, b, c:wide", type=NARROW, section="integer-arithmetic-instructions-mad")
def mad_wide(e, a, b, c):
    return e.add(e.mul(e.widen(a), e.widen(b)), c)


@instruction("min.type d, a, b", type=INTS, section="integer-arithmetic-instructions-min")
def minimum(e, a, b):
    return e.min(a, b)


@instruction("max.type d, a, b", type=INTS, section="integer-arithmetic-instructions-max")
def maximum(e, a, b):
    return e.max(a, b)


@instruction("neg.type d, a", type=("s16", "s32", "s64"), section="integer-arithmetic-instructions-neg")
def neg(e, a):
    """The least value stays what it is: arithmetic is modulo 2^width."""
    return e.negate(a)


@instruction("abs.type d, a", type=("s16", "s32", "s64"), section="integer-arithmetic-instructions-abs")
def absolute(e, a):
    return e.absolute(a)


@instruction("div.type d, a, b", type=INTS, section="integer-arithmetic-instructions-div")
def div(machine, a, b):
    """x / 0 has all bits set, as on every GPU; the least value over -1 is itself."""
    return machine.divide(a, b)[0]


@instruction("rem.type d, a, b", type=INTS, section="integer-arithmetic-instructions-rem")
def rem(machine, a, b):
    """x rem 0 is x; the sign is that of a."""
    return machine.divide(a, b)[1]


@instruction("popc.type d:u32, a", type=("b32", "b64"), section="integer-arithmetic-instructions-popc")
def popc(e, a):
    return e.convert(e.population(a), U32)


@instruction("clz.type d:u32, a", type=("b32", "b64"), section="integer-arithmetic-instructions-clz")
def clz(e, a):
    """The width where a is 0."""
    return e.convert(e.leading_zeros(a), U32)


@instruction("brev.type d, a", type=("b32", "b64"), section="integer-arithmetic-instructions-brev")
def brev(e, a):
    return e.reverse_bits(a)
