"""PTX ISA, Logic and Shift Instructions."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import U32

instruction = Chapter("Logic and Shift Instructions", counted="int")

BITS = ("b16", "b32", "b64")


@instruction("op.type d, a, b", op=("and", "or", "xor"), type=("pred", *BITS),
             section="logic-and-shift-instructions-and")  # fmt: skip
def logic(e, op, a, b):
    return {"and": e.and_, "or": e.or_, "xor": e.xor}[op](a, b)


@instruction("not.type d, a", type=("pred", *BITS), section="logic-and-shift-instructions-not")
def not_(e, a):
    return e.not_(a)


@instruction("cnot.type d, a", type=BITS, section="logic-and-shift-instructions-cnot")
def cnot(e, a):
    """1 if a is 0, else 0: the ! of C."""
    return e.one_if(e.compare("eq", a, e.constant(0, a.type)), a.type)


@instruction("lop3.b32 d, a, b, c, immLut", section="logic-and-shift-instructions-lop3")
def lop3(e, a, b, c, immLut):  # noqa: N803  the manual's spelling
    return by_table(e, a, b, c, immLut.constant)


@instruction("lop3.bool.b32 d|p, a, b, c, immLut, q:pred", bool=("or", "and"),
             section="logic-and-shift-instructions-lop3")  # fmt: skip
def lop3_predicate(e, bool, a, b, c, immLut, q):  # noqa: N803  the manual's spelling
    """The result, and whether it has any bit set, combined with q."""
    result = by_table(e, a, b, c, immLut.constant)
    any_bit = e.compare("ne", result, e.constant(0, result.type))
    return result, {"or": e.or_, "and": e.and_}[bool](any_bit, q)


def by_table(e, a, b, c, table):
    """Bit k of the table is the result if a, b, c have the bits of k."""
    return expansion(e, (a, b, c), table)


def expansion(e, operands, table):
    """The function of these bits with this table, as low ^ first & (low ^ high). `low` and `high`, the halves of the
    table, are functions of the other operands: for a first bit of 0 and of 1. (Positive Davio expansion.)"""
    first, *others = operands
    size = 1 << len(others)
    low, high = table & (1 << size) - 1, table >> size & (1 << size) - 1
    differs = low ^ high

    def of_rest(part):
        if part in (0, (1 << size) - 1):
            return e.constant(-1 if part else 0, first.type)
        return expansion(e, others, part)

    if not differs:
        return of_rest(low)
    term = first if differs == (1 << size) - 1 else e.and_(first, of_rest(differs))
    return e.xor(of_rest(low), term) if low else term


@instruction("shl.type d, a, b:u32", type=BITS, section="logic-and-shift-instructions-shl")
def shl(e, a, b):
    """0 if b is at least the width. LLVM's shl is poison there, so the count is clamped first, then 0 is selected."""
    width = e.constant(a.type.bits, U32)
    safe = e.convert(e.select(e.compare("lt", b, width), b, e.constant(0, U32)), a.type)
    return e.select(e.compare("lt", b, width), e.shl(a, safe), e.constant(0, a.type))


@instruction("shr.type d, a, b:u32", type=(*BITS, "u16", "u32", "u64", "s16", "s32", "s64"),
             section="logic-and-shift-instructions-shr")  # fmt: skip
def shr(e, a, b):
    """Counts are clamped to the width, which gives 0, or the sign in every bit."""
    last = e.constant(a.type.bits - 1, U32)
    inside = e.compare("le", b, last)
    shifted = e.shr(a, e.convert(e.select(inside, b, last), a.type))
    return shifted if a.type.signed else e.select(inside, shifted, e.constant(0, a.type))


@instruction("shf.direction.mode.b32 d, a, b, c:u32", direction=("l", "r"), mode=("clamp", "wrap"),
             section="logic-and-shift-instructions-shf")  # fmt: skip
def shf(e, direction, mode, a, b, c):
    """32 bits of b:a, shifted left (the upper half) or right (the lower); c is clamped to 32 or taken modulo 32."""
    count = e.and_(c, e.constant(31, c.type)) if mode == "wrap" else e.clamp_below(c, 32)
    both = e.pair(a, b)
    count = e.convert(count, both.type)
    if direction == "l":
        return e.high_half(e.shl(both, count), a.type)
    return e.convert(e.shr(both, count), a.type)


@instruction("prmt.b32 d, a, b, c", section="data-movement-and-conversion-instructions-prmt")
def prmt(e, a, b, c):
    """Four bytes of b:a, selected by the low three bits of c's nibbles; a nibble's high bit replicates the sign."""
    return permuted(e, a, b, c)


PERMUTATIONS = {
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543),  # forward: the four bytes from byte c on
    "b4e": (0x5670, 0x6701, 0x7012, 0x0123),  # backward: from byte c down, modulo 8
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333),  # one byte, replicated
    "ecl": (0x3210, 0x3211, 0x3222, 0x3333),  # bytes below c are byte c
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210),  # bytes above c are byte c
    "rc16": (0x1010, 0x3232, 0x1010, 0x3232),  # one half, replicated
}
"""The nibbles of prmt's modes, by the low two bits of c. (PTX ISA, prmt, Description.)"""


@instruction("prmt.b32.mode d:b32, a:b32, b:b32, c:b32", mode=PERMUTATIONS,
             section="data-movement-and-conversion-instructions-prmt")  # fmt: skip
def prmt_mode(e, mode, a, b, c):
    low = e.and_(c, e.constant(3, c.type))
    control = e.constant(PERMUTATIONS[mode][0], c.type)
    for k in range(1, 4):
        chosen = e.constant(PERMUTATIONS[mode][k], c.type)
        control = e.select(e.compare("eq", low, e.constant(k, c.type)), chosen, control)
    return permuted(e, a, b, control)


def permuted(e, a, b, control):
    both = e.pair(a, b)
    result = e.constant(0, a.type)
    for k in range(4):
        nibble = e.shr(control, e.constant(4 * k, control.type))
        shift = e.shl(e.and_(nibble, e.constant(7, control.type)), e.constant(3, control.type))
        byte = e.and_(e.convert(e.shr(both, e.convert(shift, both.type)), a.type), e.constant(0xFF, a.type))
        sign = e.negate(e.shr(byte, e.constant(7, a.type)))
        spread = e.compare("ne", e.and_(nibble, e.constant(8, control.type)), e.constant(0, control.type))
        byte = e.select(spread, e.and_(sign, e.constant(0xFF, a.type)), byte)
        result = e.or_(result, e.shl(byte, e.constant(8 * k, a.type)))
    return result
