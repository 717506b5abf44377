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


@instruction("lop3.b32 d, a, b, c, immLut", section="logic-and-shift-instructions-lop3")
def lop3(e, a, b, c, immLut):  # noqa: N803  the manual's spelling
    """Bit k of the table is the result where a, b, c have the bits of k: the sum of the minterms whose bit is set."""
    result = e.constant(0, a.type)
    for k in range(8):
        if immLut.constant >> k & 1:
            terms = [each if k >> place & 1 else e.not_(each) for each, place in ((a, 2), (b, 1), (c, 0))]
            result = e.or_(result, e.and_(e.and_(terms[0], terms[1]), terms[2]))
    return result


@instruction("shl.type d, a, b:u32", type=BITS, section="logic-and-shift-instructions-shl")
def shl(e, a, b):
    """0 once b reaches the width. LLVM's shl is poison there, so the count is cut first and the 0 chosen after."""
    width = e.constant(a.type.bits, U32)
    safe = e.convert(e.select(e.compare("lt", b, width), b, e.constant(0, U32)), a.type)
    return e.select(e.compare("lt", b, width), e.shl(a, safe), e.constant(0, a.type))


@instruction("shr.type d, a, b:u32", type=(*BITS, "u16", "u32", "u64", "s16", "s32", "s64"),
             section="logic-and-shift-instructions-shr")  # fmt: skip
def shr(e, a, b):
    """Counts stop at the width: then 0, or the sign in every bit."""
    last = e.constant(a.type.bits - 1, U32)
    inside = e.compare("le", b, last)
    shifted = e.shr(a, e.convert(e.select(inside, b, last), a.type))
    return shifted if a.type.signed else e.select(inside, shifted, e.constant(0, a.type))


@instruction("shf.direction.mode.b32 d, a, b, c", direction=("l", "r"), mode=("clamp", "wrap"),
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
    """Four bytes picked from b:a by the low three bits of each nibble of c; its high bit spreads the byte's sign."""
    both = e.pair(a, b)
    result = e.constant(0, a.type)
    for k in range(4):
        nibble = e.shr(c, e.constant(4 * k, c.type))
        place = e.convert(e.shl(e.and_(nibble, e.constant(7, c.type)), e.constant(3, c.type)), both.type)
        byte = e.and_(e.convert(e.shr(both, place), a.type), e.constant(0xFF, a.type))
        sign = e.negate(e.shr(byte, e.constant(7, a.type)))
        spread = e.compare("ne", e.and_(nibble, e.constant(8, c.type)), e.constant(0, c.type))
        byte = e.select(spread, e.and_(sign, e.constant(0xFF, a.type)), byte)
        result = e.or_(result, e.shl(byte, e.constant(8 * k, a.type)))
    return result
