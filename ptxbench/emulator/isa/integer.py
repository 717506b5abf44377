"""PTX ISA, Integer Arithmetic Instructions."""

from dataclasses import replace

from ptxbench.emulator.isa.outline import outlined
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import S32, U32, U64

instruction = Chapter("Integer Arithmetic Instructions", counted="int")

INTS = ("u16", "u32", "u64", "s16", "s32", "s64")
NARROW = ("u16", "u32", "s16", "s32")
WIDE = ("u64", "s64")
WORDS = ("u32", "s32")


def of_two(name):
    """Add an instruction of two numbers that does the same as the emitter's method of this name."""

    @instruction(f"{name}.type d, a, b", type=INTS, section=f"integer-arithmetic-instructions-{name}")
    def result(e, a, b):
        return getattr(e, name)(a, b)


of_two("add")
of_two("sub")


@instruction("add.sat.s32 d, a, b", section="integer-arithmetic-instructions-add")
def add_sat(e, a, b):
    """Clamped to the least and the greatest s32."""
    return e.saturating("add", a, b)


@instruction("add.sat.u32 d, a, b", section="integer-arithmetic-instructions-add")
def add_sat_unsigned(e, a, b):
    """Clamped to the greatest u32."""
    return e.saturating("add", a, b)


@instruction("sub.sat.s32 d, a, b", section="integer-arithmetic-instructions-sub")
def sub_sat(e, a, b):
    return e.saturating("sub", a, b)


@instruction("mul.lo.type d, a, b", type=INTS, section="integer-arithmetic-instructions-mul")
def mul_lo(e, a, b):
    return e.mul(a, b)


@instruction("mul.hi.type d, a, b", type=INTS, section="integer-arithmetic-instructions-mul")
def mul_hi(e, a, b):
    return upper_product(e, a, b)


def upper_product(e, a, b):
    """Widened before multiplying: the sign of the full product reaches the upper half."""
    if a.type.bits == 64:
        return replace(e.outline(upper_of_64, a, b, signed=a.type.signed), type=a.type)
    return e.high_half(e.mul(e.widen(a), e.widen(b)), a.type)


def upper_of_64(e, a, b, signed):
    """The upper 64 bits of 128, from four products of halves.

    A signed product is the unsigned one minus b if a < 0, and minus a if b < 0. (Warren, "Hacker's Delight", 8-3.)
    """
    zero, half, low = (e.constant(number, U64) for number in (0, 32, 0xFFFFFFFF))
    a, b = e.unsigned(a), e.unsigned(b)
    (a0, a1), (b0, b1) = ((e.and_(factor, low), e.shr(factor, half)) for factor in (a, b))
    p10 = e.mul(a1, b0)
    middle = e.add(e.add(e.shr(e.mul(a0, b0), half), e.and_(p10, low)), e.mul(a0, b1))
    high = e.add(e.add(e.mul(a1, b1), e.shr(p10, half)), e.shr(middle, half))
    if signed:
        for factor, other in ((a, b), (b, a)):
            negative = e.compare("lt", e.signed(factor), e.signed(zero))
            high = e.sub(high, e.select(negative, other, zero))
    return high


@instruction("mul.wide.type d:wide, a, b", type=NARROW, section="integer-arithmetic-instructions-mul")
def mul_wide(e, a, b):
    return e.mul(e.widen(a), e.widen(b))


@instruction("mad.lo.type d, a, b, c", type=INTS, section="integer-arithmetic-instructions-mad")
def mad_lo(e, a, b, c):
    return e.add(e.mul(a, b), c)


@instruction("mad.hi.type d, a, b, c", type=INTS, section="integer-arithmetic-instructions-mad")
def mad_hi(e, a, b, c):
    return e.add(upper_product(e, a, b), c)


@instruction("mad.hi.sat.s32 d, a, b, c", section="integer-arithmetic-instructions-mad")
def mad_hi_sat(e, a, b, c):
    return e.saturating("add", upper_product(e, a, b), c)


@instruction("mad.wide.type d:wide, a, b, c:wide", type=NARROW, section="integer-arithmetic-instructions-mad")
def mad_wide(e, a, b, c):
    return e.add(e.mul(e.widen(a), e.widen(b)), c)


def product24(e, half, a, b):
    """Bits 0 to 31 (lo) or 16 to 47 (hi) of the product of the low 24 bits, signed as the type."""
    eight = e.constant(8, a.type)
    full = e.mul(*(e.widen(e.shr(e.shl(factor, eight), eight)) for factor in (a, b)))
    return e.convert(e.shr(full, e.constant(16, full.type)) if half == "hi" else full, a.type)


@instruction("clmad.half.type d, a, b, c", half=("lo", "hi"), type=WIDE,
             section="integer-arithmetic-instructions-clmad")  # fmt: skip
def clmad(e, half, a, b, c):
    """The lower or the upper half of the product of polynomials over two elements, plus c: no carries."""
    return e.xor(e.outline(polynomial, a, b, half=half), c)


def polynomial(e, a, b, half):
    zero = e.constant(0, a.type)
    a = e.unsigned(a)
    total = zero
    for bit in range(half == "hi", 64):
        moved = e.shr(a, e.constant(64 - bit, a.type)) if half == "hi" else e.shl(a, e.constant(bit, a.type))
        bit_of_b = e.and_(e.unsigned(b), e.constant(1 << bit, a.type))
        total = e.xor(total, e.select(e.compare("eq", bit_of_b, zero), zero, moved))
    return total


@instruction("mul24.half.type d, a, b", half=("lo", "hi"), type=WORDS, section="integer-arithmetic-instructions-mul24")
def mul24(e, half, a, b):
    return product24(e, half, a, b)


@instruction("mad24.half.type d, a, b, c", half=("lo", "hi"), type=WORDS,
             section="integer-arithmetic-instructions-mad24")  # fmt: skip
def mad24(e, half, a, b, c):
    return e.add(product24(e, half, a, b), c)


@instruction("mad24.hi.sat.s32 d, a, b, c", section="integer-arithmetic-instructions-mad24")
def mad24_hi_sat(e, a, b, c):
    return e.saturating("add", product24(e, "hi", a, b), c)


@instruction("sad.type d, a, b, c", type=INTS, section="integer-arithmetic-instructions-sad")
def sad(e, a, b, c):
    """c + |a - b|, the difference of the least and the greatest value modulo 2^width."""
    return e.add(c, e.select(e.compare("lt", a, b), e.sub(b, a), e.sub(a, b)))


of_two("min")
of_two("max")


def positive(e, a):
    """.relu: at least 0."""
    return e.max(a, e.constant(0, a.type))


@instruction("min.relu.s32 d, a, b", section="integer-arithmetic-instructions-min")
def minimum_relu(e, a, b):
    return positive(e, e.min(a, b))


@instruction("max.relu.s32 d, a, b", section="integer-arithmetic-instructions-max")
def maximum_relu(e, a, b):
    return positive(e, e.max(a, b))


# ---- sign, quotient


@instruction("neg.type d, a", type=("s16", "s32", "s64"), section="integer-arithmetic-instructions-neg")
def neg(e, a):
    """The least value is not changed: arithmetic is modulo 2^width."""
    return e.negate(a)


@instruction("abs.type d, a", type=("s16", "s32", "s64"), section="integer-arithmetic-instructions-abs")
def absolute(e, a):
    return e.absolute(a)


@instruction("div.type d, a, b", type=INTS, section="integer-arithmetic-instructions-div")
def div(ops, a, b):
    """x / 0 has all bits set, as in the code of ptxas for every type; the least value over -1 is itself."""
    return ops.divide(a, b)[0]


@instruction("rem.type d, a, b", type=INTS, section="integer-arithmetic-instructions-rem")
def rem(ops, a, b):
    """x rem 0 has all bits set, as in the code of ptxas for every type; the sign is that of a."""
    return ops.divide(a, b)[1]


# ---- bits


@instruction("popc.type d:u32, a", type=("b32", "b64"), section="integer-arithmetic-instructions-popc")
def popc(e, a):
    return e.convert(e.population(a), U32)


@instruction("clz.type d:u32, a", type=("b32", "b64"), section="integer-arithmetic-instructions-clz")
def clz(e, a):
    """The width if a is 0."""
    return e.convert(e.leading_zeros(a), U32)


@instruction("bfind{.shiftamt}.type d:u32, a", type=("u32", "s32", "u64", "s64"),
             section="integer-arithmetic-instructions-bfind")  # fmt: skip
def bfind(e, a, shiftamt):
    """The highest bit that differs from the sign, or its distance from the top; all ones if there is none."""
    if a.type.signed:
        a = e.xor(a, e.shr(a, e.constant(a.type.bits - 1, a.type)))
    zeros = e.convert(e.leading_zeros(a), U32)
    if not shiftamt:
        return e.sub(e.constant(a.type.bits - 1, U32), zeros)
    none = e.compare("eq", zeros, e.constant(a.type.bits, U32))
    return e.select(none, e.constant(0xFFFFFFFF, U32), zeros)


@instruction("fns.b32 d, a, b, c", section="integer-arithmetic-instructions-fns")
def fns(e, a, b, c):
    """The position of the c-th set bit of a from bit b on: upward, or downward if c < 0; 0 means bit b itself.

    All ones if there is none. Downward is upward in the reversed bits. b above 31 is undefined; its low bits are used.
    """
    zero, one, ones = (e.constant(value, U32) for value in (0, 1, 0xFFFFFFFF))
    b, c = e.unsigned(b), e.signed(c)
    last = e.constant(31, U32)
    down, here = (e.compare(comparison, c, e.constant(0, S32)) for comparison in ("lt", "eq"))
    base = e.and_(b, last)
    base = e.select(down, e.sub(last, base), base)
    word = e.convert(a, U32)
    word = e.select(down, e.reverse_bits(word), word)
    from_base = e.shl(ones, base)
    word = e.and_(word, e.select(here, e.shl(one, base), from_base))
    rank = e.select(here, one, e.convert(e.absolute(c), U32))
    exists = e.compare("le", rank, e.population(word))
    position = zero
    for width in (16, 8, 4, 2, 1):  # binary search: is the bit of this rank above the next `width` bits?
        lower = e.population(e.and_(e.shr(word, position), e.constant((1 << width) - 1, U32)))
        above = e.compare("gt", rank, lower)
        rank = e.sub(rank, e.select(above, lower, zero))
        position = e.or_(position, e.select(above, e.constant(width, U32), zero))
    position = e.and_(position, last)
    position = e.select(down, e.sub(last, position), position)
    return e.select(exists, position, ones)


@instruction("brev.type d, a", type=("b32", "b64"), section="integer-arithmetic-instructions-brev")
def brev(e, a):
    return e.reverse_bits(a)


def field_number(e, a, width):
    """A position or a length as bfe and bfi take it: its low 8 bits.

    The manual says so for both widths. ptxas does so for 32 bits; its code for 64 bits uses the whole number, of which
    255 or more is beyond every field.
    """
    return e.and_(a, e.constant(0xFF, U32)) if width == 32 else e.clamp_below(a, 0xFF)


@instruction("bfe.type d, a, b:u32, c:u32", type=("u32", "u64", "s32", "s64"),
             section="integer-arithmetic-instructions-bfe")  # fmt: skip
def bfe(e, a, b, c):
    """c bits of a from bit b on; above them zeros, or, for a signed type, the field's highest bit.

    The field is shifted to the top and back down; past the top of a, its sign fills the missing bits.
    """
    width, zero = a.type.bits, e.constant(0, U32)
    last = e.constant(width - 1, U32)
    start, count = field_number(e, b, width), field_number(e, c, width)
    left = e.sub(e.constant(width, U32), e.clamp_below(e.add(start, count), width))
    right = e.add(left, start)
    empty = e.compare("eq", count, zero)
    if not a.type.signed:
        empty = e.or_(empty, e.compare("gt", start, last))
    left, right = (e.convert(e.min(distance, last), a.type) for distance in (left, right))
    return e.select(empty, e.constant(0, a.type), e.shr(e.shl(a, left), right))


@instruction("bfi.type d, a, b, c:u32, length:u32", type=("b32", "b64"), section="integer-arithmetic-instructions-bfi")
def bfi(e, a, b, c, length):
    """b with its bits from bit c on replaced by the low `length` bits of a."""
    last = e.constant(a.type.bits - 1, U32)
    start, count = field_number(e, c, a.type.bits), field_number(e, length, a.type.bits)
    inside = e.compare("le", start, last)
    position = e.convert(e.min(start, last), a.type)
    field = e.select(inside, e.shl(ones_below(e, count, a.type), position), e.constant(0, a.type))
    return e.or_(e.and_(b, e.not_(field)), e.and_(e.shl(a, position), field))


def ones_below(e, count, type):
    """A mask of the low `count` bits; all bits from the width on."""
    inside = e.compare("lo", count, e.constant(type.bits, count.type))
    shift = e.convert(e.select(inside, count, e.constant(0, count.type)), type)
    ones = e.constant(-1, type)
    return e.select(inside, e.not_(e.shl(ones, shift)), ones)


@instruction("szext.mode.type d, a, b:u32", mode=("clamp", "wrap"), type=WORDS,
             section="integer-arithmetic-instructions-szext")  # fmt: skip
def szext(e, mode, a, b):
    """The low b bits of a, extended by their sign or by zeros; b above 31 leaves a (clamp) or counts modulo 32."""
    low = e.and_(b, e.constant(31, U32))
    unused = e.and_(e.sub(e.constant(32, U32), low), e.constant(31, U32))
    unused = e.convert(unused, a.type)
    result = e.shr(e.shl(a, unused), unused)
    result = e.select(e.compare("eq", low, e.constant(0, U32)), e.constant(0, a.type), result)
    return e.select(e.compare("gt", b, e.constant(31, U32)), a, result) if mode == "clamp" else result


@instruction("bmsk.mode.b32 d:u32, a:u32, b:u32", mode=("clamp", "wrap"),
             section="integer-arithmetic-instructions-bmsk")  # fmt: skip
def bmsk(e, mode, a, b):
    """b ones from bit a on. clamp: a above 31 gives 0, b above 31 ones to the top; wrap: both are taken modulo 32."""
    low_five_bits, zero, ones = (e.constant(value, U32) for value in (31, 0, 0xFFFFFFFF))
    start, count = e.and_(a, low_five_bits), e.and_(b, low_five_bits)
    from_start = e.shl(ones, start)
    end = e.add(start, count)
    from_end = e.select(e.compare("gt", end, low_five_bits), zero, e.shl(ones, e.and_(end, low_five_bits)))
    if mode == "wrap":
        return e.and_(from_start, e.not_(from_end))
    from_end = e.select(e.compare("gt", b, low_five_bits), zero, from_end)
    return e.select(e.compare("gt", a, low_five_bits), zero, e.and_(from_start, e.not_(from_end)))


# ---- dot products


def piece(e, a, first_bit, bits, type):
    """`bits` bits of the 32-bit `a` from `first_bit` on, extended by the sign of `type`."""
    up = e.shl(e.convert(a, type), e.constant(32 - bits - first_bit, type))
    return e.shr(up, e.constant(32 - bits, type))


def dot(e, pairs, c):
    """c + the products, modulo 2^32."""
    for x, y in pairs:
        c = e.add(c, e.convert(e.mul(x, y), c.type))
    return c


@instruction("dp4a.atype.btype d:u32, a:u32, b:u32, c:u32", atype=WORDS, btype=WORDS,
             section="integer-arithmetic-instructions-dp4a")  # fmt: skip
@outlined
def dp4a(e, a, b, c, atype, btype):
    return dot(e, ((piece(e, a, k, 8, atype), piece(e, b, k, 8, btype)) for k in (0, 8, 16, 24)), c)


@instruction("dp2a.half.atype.btype d:u32, a:u32, b:u32, c:u32", half=("lo", "hi"), atype=WORDS, btype=WORDS,
             section="integer-arithmetic-instructions-dp2a")  # fmt: skip
@outlined
def dp2a(e, half, a, b, c, atype, btype):
    """The two halves of a times the lower or the upper two bytes of b."""
    first = 0 if half == "lo" else 16
    return dot(e, ((piece(e, a, 2 * k, 16, atype), piece(e, b, first + k, 8, btype)) for k in (0, 8)), c)
