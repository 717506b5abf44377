"""PTX ISA, Data Movement and Conversion Instructions: cvt and cvt.pack. narrow.py has the types of 8, 6 and 4 bits.

Stochastic rounding (.rs) to other types than bf16x2 is not supported: the manual does not say which random bits count
below their normal range, which is not that of f32.
"""

from dataclasses import replace

from ptxbench.emulator.emit import whole_range
from ptxbench.emulator.floats import formats, rounding
from ptxbench.emulator.floats.formats import BF16, F16, FORMATS, TF32
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F32, F64, TYPES, U16, U32

instruction = Chapter("Data Movement and Conversion Instructions: cvt", counted="convert")

SECTION = "data-movement-and-conversion-instructions-cvt"
INTS = tuple(f"{kind}{bits}" for kind in "us" for bits in (8, 16, 32, 64))
ROUNDINGS = ("rn", "rz", "rm", "rp")
WHOLE = ("rni", "rzi", "rmi", "rpi")
FINITE = {
    "": (False, False), "relu": (True, False), "satfinite": (False, True), "relu.satfinite": (True, True),
}  # fmt: skip
"""The range modifiers -> whether they include .relu, and .satfinite."""
EXACT = "the result is exact, or has no subnormals"


def clamping(source):
    """The integer types that cannot hold every value of `source`: PTX has .sat only for these."""

    def lacks(type):
        low, high = whole_range(TYPES[type])
        least, greatest = whole_range(TYPES[source])
        return least < low or high < greatest

    return tuple(filter(lacks, INTS))


# ---- from integers


for source in INTS:

    @instruction(f"cvt.type.{source} d, a:{source}", type=INTS, section=SECTION)
    def cvt_int(e, a, type):
        """Truncated, or extended by the source's sign."""
        return e.convert(a, type)

    @instruction(f"cvt.sat.type.{source} d, a:{source}", type=clamping(source), section=SECTION)
    def cvt_int_sat(e, a, type):
        """Clamped to the destination's range."""
        return e.convert_saturating(a, type)

    @instruction(f"cvt.rnd{{.ftz}}{{.sat}}.f32.{source} d:f32, a:{source}", rnd=ROUNDINGS, section=SECTION,
                 ignored={"ftz": EXACT})  # fmt: skip
    def cvt_int_to_f32(e, a, rnd, sat):
        return e.finish(integer_to_float(e, a, F32, rnd), sat=sat)

    @instruction(f"cvt.rnd{{.sat}}.f64.{source} d:f64, a:{source}", rnd=ROUNDINGS, section=SECTION)
    def cvt_int_to_f64(e, a, rnd, sat):
        return e.finish(integer_to_float(e, a, F64, rnd), sat=sat)

    @instruction(f"cvt.rnd{{.sat}}.f16.{source} d:f16, a:{source}", rnd=ROUNDINGS, section=SECTION)
    def cvt_int_to_f16(e, a, rnd, sat):
        return e.outline(integer_to_half, a, form=F16, rnd=rnd, sat=sat, signed=a.type.signed)

    @instruction(f"cvt.rnd.bf16.{source} d:bf16, a:{source}", rnd=ROUNDINGS, section=SECTION)
    def cvt_int_to_bf16(e, a, rnd):
        return e.outline(integer_to_half, a, form=BF16, rnd=rnd, sat=False, signed=a.type.signed)


def integer_to_float(e, a, to, rnd):
    if rnd == "rn" or (to is F64 and a.type.bits < 64):
        return e.int_to_float(a, to)
    return e.outline(directed_integer, a, to=to, rnd=rnd, signed=a.type.signed)


def directed_integer(e, a, to, rnd, signed):
    del signed  # part of the function's name; the value's type has it
    return rounding.from_integer(e, a, to, rnd)


def integer_to_half(e, a, form, rnd, sat, signed):
    del signed
    value = e.finish(rounding.integer_to_odd(e, a), sat=sat)
    return e.convert(formats.encode(e, value, form, rnd), U16)


# ---- to integers: always clamped to the destination's range, so that .sat adds nothing


@instruction("cvt.rnd{.ftz}{.sat}.type.f32 d, a:f32", rnd=WHOLE, type=INTS, section=SECTION,
             ignored={"sat": "without it, too, the result is clamped"})  # fmt: skip
def cvt_f32_to_int(e, a, type, rnd, ftz):
    return float_to_integer(e, e.flush_if(ftz, a), type, rnd)


@instruction("cvt.rnd{.sat}.type.f64 d, a:f64", rnd=WHOLE, type=INTS, section=SECTION,
             ignored={"sat": "without it, too, the result is clamped"})  # fmt: skip
def cvt_f64_to_int(e, a, type, rnd):
    return float_to_integer(e, a, type, rnd)


@instruction("cvt.rnd{.sat}.type.f16 d, a:f16", rnd=WHOLE, type=INTS, section=SECTION,
             ignored={"sat": "without it, too, the result is clamped"})  # fmt: skip
def cvt_f16_to_int(e, a, type, rnd):
    return float_to_integer(e, half_to_f32(e, a, F16), type, rnd)


@instruction("cvt.rnd.type.bf16 d, a:bf16", rnd=WHOLE, type=INTS, section=SECTION)
def cvt_bf16_to_int(e, a, type, rnd):
    return float_to_integer(e, half_to_f32(e, a, BF16), type, rnd)


def float_to_integer(e, a, to, rnd):
    """NaN gives 0, or only the highest bit set if the source or the result has 64 bits."""
    result = e.float_to_int(rounding.whole(e, a, rnd), to)
    if a.type is not F64 and to.bits < 64:
        return result
    return e.select(e.compare("nan", a, a), e.constant(1 << to.bits - 1, to), result)


def half_to_f32(e, a, form):
    return e.outline(decode_half, a, form=form)


def decode_half(e, a, form):
    return formats.decode(e, e.convert(e.unsigned(a), U32), form)


# ---- between floats


@instruction("cvt{.rnd}{.ftz}{.sat}.f32.f32 d:f32, a:f32", rnd=WHOLE, section=SECTION)
def cvt_f32(e, a, rnd, ftz, sat):
    """Rounded to an integer if a rounding is given; .sat clamps to [0, 1]."""
    a = e.flush_if(ftz, a)
    return e.finish(rounding.whole(e, a, rnd) if rnd else a, ftz, sat)


@instruction("cvt{.rnd}{.sat}.f64.f64 d:f64, a:f64", rnd=WHOLE, section=SECTION)
def cvt_f64(e, a, rnd, sat):
    return e.finish(rounding.whole(e, a, rnd) if rnd else a, sat=sat)


@instruction("cvt{.ftz}{.sat}.f64.f32 d:f64, a:f32", section=SECTION)
def cvt_f32_to_f64(e, a, ftz, sat):
    return e.finish(e.convert(e.flush_if(ftz, a), F64), sat=sat)


@instruction("cvt.rnd{.ftz}{.sat}.f32.f64 d:f32, a:f64", rnd=ROUNDINGS, section=SECTION)
def cvt_f64_to_f32(e, a, rnd, ftz, sat):
    result = e.outline(rounding.narrow, a, rounding=rnd)
    if ftz:
        result = rounding.flush(e, result, lambda x: e.outline(rounding.narrow, x, rounding=rnd), a)
    return e.finish(result, sat=sat)


@instruction("cvt{.ftz}{.sat}.f32.f16 d:f32, a:f16", section=SECTION, ignored={"ftz": "no f16 is a subnormal f32"})
def cvt_f16_to_f32(e, a, sat):
    return e.finish(half_to_f32(e, a, F16), sat=sat)


@instruction("cvt{.sat}.f64.f16 d:f64, a:f16", section=SECTION)
def cvt_f16_to_f64(e, a, sat):
    return e.finish(e.convert(half_to_f32(e, a, F16), F64), sat=sat)


@instruction("cvt{.rnd}{.ftz}.f32.bf16 d:f32, a:bf16", rnd=ROUNDINGS, section=SECTION, ignored={"rnd": EXACT})
def cvt_bf16_to_f32(e, a, ftz):
    return e.finish(half_to_f32(e, a, BF16), ftz)


@instruction("cvt{.rnd}.f64.bf16 d:f64, a:bf16", rnd=ROUNDINGS, section=SECTION, ignored={"rnd": EXACT})
def cvt_bf16_to_f64(e, a):
    return e.convert(half_to_f32(e, a, BF16), F64)


@instruction("cvt.rnd{.ftz}{.sat}.f16.f32 d:f16, a:f32", rnd=ROUNDINGS, section=SECTION)
def cvt_f32_to_f16(e, a, rnd, ftz, sat):
    return e.outline(to_half, e.flush_if(ftz, a), form=F16, rnd=rnd, sat=sat)


@instruction("cvt.rnd{.ftz}.bf16.f32 d:bf16, a:f32", rnd=ROUNDINGS, section=SECTION)
def cvt_f32_to_bf16(e, a, rnd, ftz):
    return e.outline(to_half, e.flush_if(ftz, a), form=BF16, rnd=rnd, sat=False)


@instruction("cvt.rnd.finite.type.f32 d, a:f32", rnd=("rn", "rz"), finite=tuple(FINITE)[1:], type=("f16", "bf16"),
             section=SECTION)  # fmt: skip
def cvt_f32_to_half_finite(e, a, rnd, finite, type):
    return e.outline(to_half, a, form=FORMATS[type.name], rnd=rnd, sat=False, finite=finite)


@instruction("cvt.rnd{.sat}.f16.f64 d:f16, a:f64", rnd=ROUNDINGS, section=SECTION)
def cvt_f64_to_f16(e, a, rnd, sat):
    return e.outline(to_half, a, form=F16, rnd=rnd, sat=sat)


@instruction("cvt.rnd.bf16.f64 d:bf16, a:f64", rnd=ROUNDINGS, section=SECTION)
def cvt_f64_to_bf16(e, a, rnd):
    return e.outline(to_half, a, form=BF16, rnd=rnd, sat=False)


@instruction("cvt{.rnd}.bf16.f16 d:bf16, a:f16", rnd=ROUNDINGS, section=SECTION)
def cvt_f16_to_bf16(e, a, rnd):
    return e.outline(to_half, half_to_f32(e, a, F16), form=BF16, rnd=rnd or "rn", sat=False)


@instruction("cvt{.rnd}.f16.bf16 d:f16, a:bf16", rnd=ROUNDINGS, section=SECTION)
def cvt_bf16_to_f16(e, a, rnd):
    return e.outline(to_half, half_to_f32(e, a, BF16), form=F16, rnd=rnd or "rn", sat=False)


@instruction("cvt{.rnd}{.sat}.f16.f16 d:f16, a:f16", rnd=WHOLE, section=SECTION)
def cvt_f16(e, a, rnd, sat):
    """A copy of the bits without modifiers."""
    return e.outline(whole_half, a, form=F16, rnd=rnd, sat=sat) if rnd or sat else a


@instruction("cvt{.rnd}.bf16.bf16 d:bf16, a:bf16", rnd=WHOLE, section=SECTION)
def cvt_bf16(e, a, rnd):
    """A copy of the bits without modifiers."""
    return e.outline(whole_half, a, form=BF16, rnd=rnd, sat=False) if rnd else a


def to_half(e, a, form, rnd, sat, finite=""):
    """An f32 or f64, rounded once."""
    if a.type is F64:
        a = rounding.narrow(e, a, "odd")
    return e.convert(encoded(e, e.finish(a, sat=sat), form, rnd, finite), U16)


def encoded(e, a, form, rnd, finite):
    relu, satfinite = FINITE[finite or ""]
    return formats.encode(e, formats.relu(e, a) if relu else a, form, rnd, satfinite=satfinite)


def whole_half(e, a, form, rnd, sat):
    value = decode_half(e, a, form)
    value = rounding.whole(e, value, rnd) if rnd else value
    return e.convert(formats.encode(e, e.finish(value, sat=sat), form), U16)


@instruction("cvt.rnd{.finite}.type.f32 d, a:f32, b:f32", rnd=("rn", "rz"), finite=tuple(FINITE)[1:],
             type=("f16x2", "bf16x2"), section=SECTION)  # fmt: skip
def cvt_f32_to_pair(e, a, b, rnd, finite, type):
    """a is the upper half."""
    return e.outline(packed, a, b, form=FORMATS[type.name[:-2]], rnd=rnd, finite=finite)


def packed(e, a, b, form, rnd, finite):
    """Two patterns side by side; those of 6 bits take 8."""
    upper, lower = (encoded(e, value, form, rnd, finite) for value in (a, b))
    return formats.pack(e, upper, lower, spacing(form))


def spacing(form):
    """The bits from one number of a pair to the next."""
    return 8 if form.width == 6 else form.width


@instruction(
    "cvt.rs{.finite}.bf16x2.f32 d:bf16x2, a:f32, b:f32, random:bf16x2", finite=tuple(FINITE)[1:], section=SECTION
)
def cvt_f32_to_pair_stochastic(e, a, b, random, finite):
    """a is the upper half, and so are its 16 random bits. They are added to the 16 bits that bf16 lacks.

    ptxas takes the random bits in a .b32 only, like a pair of bf16.
    """
    upper, lower = (
        e.outline(stochastic, value, e.shr(random, e.constant(shift, random.type)), finite=finite)
        for value, shift in ((a, 16), (b, 0))
    )
    return formats.pack(e, upper, lower, 16)


def stochastic(e, a, random, finite):
    relu, satfinite = FINITE[finite or ""]
    bits = replace(e.payload(formats.relu(e, a) if relu else a), type=U32)
    magnitude = e.and_(bits, e.constant(0x7FFFFFFF, U32))
    added = e.and_(e.unsigned(random), e.constant(0xFFFF, U32))
    pattern = e.shr(e.add(magnitude, added), e.constant(16, U32))
    if satfinite:
        pattern = e.min(pattern, e.constant(BF16.greatest, U32))
    sign = e.and_(e.shr(bits, e.constant(16, U32)), e.constant(BF16.sign, U32))
    return e.select(e.compare("nan", a, a), e.constant(BF16.nan, U32), e.or_(pattern, sign))


@instruction("cvt.rnd{.finite}.tf32.f32 d:tf32, a:f32", rnd=("rn", "rz"), finite=tuple(FINITE)[1:], section=SECTION)
def cvt_f32_to_tf32(e, a, rnd, finite):
    """An f32 whose low 13 bits are 0; NaN is f32's own."""
    return e.outline(to_tf32, a, rnd=rnd, finite=finite)


@instruction("cvt.rna{.satfinite}.tf32.f32 d:tf32, a:f32", section=SECTION)
def cvt_f32_to_tf32_away(e, a, satfinite):
    """Ties go away from zero."""
    return e.outline(to_tf32, a, rnd="rna", finite="satfinite" if satfinite else "")


def to_tf32(e, a, rnd, finite):
    pattern = e.shl(encoded(e, a, TF32, rnd, finite), e.constant(32 - TF32.width, U32))
    return e.select(e.compare("nan", a, a), e.constant(0x7FFFFFFF, U32), pattern)


# ---- cvt.pack


@instruction("cvt.pack.sat.to.s32 d:u32, a:s32, b:s32", to=("u16", "s16"),
             section="data-movement-and-conversion-instructions-cvt-pack")  # fmt: skip
def cvt_pack(e, a, b, to):
    """a is the upper half."""
    return side_by_side(e, a, b, to.signed, to.bits)


@instruction("cvt.pack.sat.to.s32.b32 d:u32, a:s32, b:s32, c:b32", to=("u2", "s2", "u4", "s4", "u8", "s8"),
             section="data-movement-and-conversion-instructions-cvt-pack")  # fmt: skip
def cvt_pack_onto(e, a, b, c, to):
    """From the top: c shifted left, a, b."""
    name = str(to)
    bits = int(name[1:])
    both = side_by_side(e, a, b, name[0] == "s", bits)
    return e.or_(both, e.shl(e.unsigned(c), e.constant(2 * bits, U32)))


def side_by_side(e, a, b, signed, bits):
    least, greatest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    parts = []
    for value in (a, b):
        clamped = e.min(e.max(value, e.constant(least, value.type)), e.constant(greatest, value.type))
        parts.append(e.and_(replace(clamped, type=U32), e.constant((1 << bits) - 1, U32)))
    upper, lower = parts
    return formats.pack(e, upper, lower, bits)
