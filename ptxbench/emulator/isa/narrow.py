"""PTX ISA, Data Movement and Conversion Instructions: cvt of numbers of 8, 6 and 4 bits, in pairs.

A pair of scales, of type ue8m0, belongs to the upper and the lower number.
"""

from dataclasses import replace

from ptxbench.emulator.floats import formats, rounding
from ptxbench.emulator.floats.formats import BF16, E2M1, E2M3, E3M2, E4M3, E5M2, F16
from ptxbench.emulator.isa.convert import FINITE, SECTION, encoded, half_to_f32, packed, spacing
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F32, F64, S32, TYPES, U16, U32

instruction = Chapter("Data Movement and Conversion Instructions: cvt of narrow types", counted="convert")

CLAMPED = ("satfinite", "relu.satfinite")
NARROW = {"e4m3x2": E4M3, "e5m2x2": E5M2, "e2m3x2": E2M3, "e3m2x2": E3M2, "e2m1x2": E2M1}

for pair in NARROW:

    @instruction("cvt.rn.finite.type.f32 d, a:f32, b:f32", type=(pair,), section=SECTION, finite=CLAMPED)
    def cvt_f32_to_narrow(e, a, b, type, finite):
        """a is the upper part. NaN is the greatest number in 6 and 4 bits, which have no NaN."""
        pattern = e.outline(packed, a, b, form=NARROW[type.name], rnd="rn", finite=finite)
        return e.convert(pattern, TYPES["b8" if type.name == "e2m1x2" else "b16"])

    @instruction("cvt.rn{.relu}.f16x2.type d:f16x2, a", type=(pair,), section=SECTION)
    def cvt_narrow_to_f16x2(e, a, type, relu):
        """Exact."""
        return e.outline(unpacked, a, form=NARROW[type.name], relu=relu)


for source, form in (("f16x2", F16), ("bf16x2", BF16)):

    @instruction(f"cvt.rn.finite.type.{source} d, a:{source}", type=NARROW, section=SECTION, finite=CLAMPED)
    def cvt_halves_to_narrow(e, a, type, finite, form=form):
        upper, lower = halves_of(e, a, form)
        pattern = e.outline(packed, upper, lower, form=NARROW[type.name], rnd="rn", finite=finite)
        return e.convert(pattern, TYPES["b8" if type.name == "e2m1x2" else "b16"])


def halves_of(e, a, form):
    """The upper and the lower half of f16x2 or bf16x2, as f32."""
    halves = (e.convert(e.shr(e.unsigned(a), e.constant(shift, U32)), U16) for shift in (16, 0))
    return tuple(half_to_f32(e, half, form) for half in halves)


def unpacked(e, a, form, relu):
    """Two narrow patterns as f16x2."""
    bits = e.convert(e.unsigned(a), U32)
    halves = []
    for shift in (spacing(form), 0):
        value = part_of(e, bits, shift, form)
        halves.append(formats.encode(e, formats.relu(e, value) if relu else value, F16))
    upper, lower = halves
    return formats.pack(e, upper, lower, 16)


def part_of(e, bits, shift, form):
    """A narrow number in the lanes' u32, as f32."""
    part = e.and_(e.shr(bits, e.constant(shift, U32)), e.constant((1 << form.width) - 1, U32))
    return formats.decode(e, part, form)


RANGES = tuple(FINITE)[1:]


@instruction("cvt.rn{.finite}.bf16x2.type d:bf16x2, a", type=NARROW, section=SECTION, finite=RANGES)
def cvt_narrow_to_bf16x2(e, a, type, finite):
    """Exact."""
    return e.outline(widened, a, form=NARROW[type.name], finite=finite)


@instruction("cvt.rn{.finite}.scaled::n2::ue8m0.bf16x2.type d:bf16x2, a, scales:ue8m0x2", type=NARROW, section=SECTION,
             finite=RANGES)  # fmt: skip
def cvt_narrow_to_bf16x2_scaled(e, a, scales, type, finite):
    """Each number times its power of two, rounded once."""
    return e.outline(widened, a, scales, form=NARROW[type.name], finite=finite)


def widened(e, a, scales=None, form=None, finite=""):
    """Two narrow numbers as bf16x2. `form`: None for s2f6."""
    bits = e.convert(e.unsigned(a), U32)
    step = spacing(form) if form else 8
    halves = []
    for number, shift in enumerate((step, 0)):
        value = part_of(e, bits, shift, form) if form else fixed(e, bits, shift)
        if scales is not None:
            value = e.mul(value, scale_of(e, scales, 8 - 8 * number))
        halves.append(encoded(e, value, BF16, "rn", finite))
    upper, lower = halves
    return formats.pack(e, upper, lower, 16)


def scale_of(e, scales, shift):
    """A ue8m0 of a pair, as f32: a power of two, or NaN."""
    field = e.and_(e.shr(e.convert(e.unsigned(scales), U32), e.constant(shift, U32)), e.constant(0xFF, U32))
    bits = e.shl(field, e.constant(23, U32))
    bits = e.select(e.compare("eq", field, e.constant(0, U32)), e.constant(1 << 22, U32), bits)
    bits = e.select(e.compare("eq", field, e.constant(0xFF, U32)), e.constant(0x7FFFFFFF, U32), bits)
    return replace(e.as_type(bits, F32), raw=True)


# ---- s2f6: 8-bit integers in two's complement, in units of 1/64


@instruction("cvt.rn.finite.s2f6x2.f32 d:b16, a:f32, b:f32", section=SECTION, finite=CLAMPED)
def cvt_f32_to_fixed(e, a, b, finite):
    """a is the upper part. NaN is the greatest number."""
    return e.outline(fixed_pair, a, b, finite=finite)


@instruction("cvt.rn.finite.scaled::n2::ue8m0.s2f6x2.f32 d:b16, a:f32, b:f32, scales:ue8m0x2", section=SECTION,
             finite=CLAMPED)  # fmt: skip
def cvt_f32_to_fixed_scaled(e, a, b, scales, finite):
    """Each number is divided by its power of two, and rounded once."""
    return e.outline(fixed_pair, a, b, scales, finite=finite)


@instruction("cvt.rn.finite.s2f6x2.bf16x2 d:b16, a:bf16x2", section=SECTION, finite=CLAMPED)
def cvt_bf16x2_to_fixed(e, a, finite):
    return e.outline(fixed_pair, *halves_of(e, a, BF16), finite=finite)


@instruction("cvt.rn.finite.scaled::n2::ue8m0.s2f6x2.bf16x2 d:b16, a:bf16x2, scales:ue8m0x2", section=SECTION,
             finite=CLAMPED)  # fmt: skip
def cvt_bf16x2_to_fixed_scaled(e, a, scales, finite):
    return e.outline(fixed_pair, *halves_of(e, a, BF16), scales, finite=finite)


@instruction("cvt.rn{.finite}.bf16x2.s2f6x2 d:bf16x2, a:s2f6x2", section=SECTION, finite=RANGES)
def cvt_fixed_to_bf16x2(e, a, finite):
    """Exact."""
    return e.outline(widened, a, finite=finite)


@instruction("cvt.rn{.finite}.scaled::n2::ue8m0.bf16x2.s2f6x2 d:bf16x2, a:s2f6x2, scales:ue8m0x2", section=SECTION,
             finite=RANGES)  # fmt: skip
def cvt_fixed_to_bf16x2_scaled(e, a, scales, finite):
    """Each number times its power of two, rounded once."""
    return e.outline(widened, a, scales, finite=finite)


def fixed(e, bits, shift):
    """An s2f6 in the lanes' u32, as f32."""
    top = replace(e.shl(bits, e.constant(24 - shift, U32)), type=S32)
    return e.mul(e.int_to_float(e.shr(top, e.constant(24, S32)), F32), e.constant(2.0**-6, F32))


def fixed_pair(e, a, b, scales=None, finite=""):
    relu, _ = FINITE[finite]
    parts = []
    for number, value in enumerate((a, b)):
        steps = e.mul(e.convert(value, F64), e.constant(64.0, F64))
        if scales is not None:
            scale = e.convert(scale_of(e, scales, 8 - 8 * number), F64)
            steps = e.divide(steps, scale)  # exact: no power of two or f32 is so small or large
        units = e.float_to_int(rounding.whole(e, steps, "rni"), S32)
        units = e.max(e.min(units, e.constant(127, S32)), e.constant(0 if relu else -128, S32))
        units = e.select(e.compare("nan", steps, steps), e.constant(127, S32), units)
        parts.append(e.and_(replace(units, type=U32), e.constant(0xFF, U32)))
    upper, lower = parts
    return e.convert(formats.pack(e, upper, lower, 8), U16)


# ---- ue8m0: powers of two, 2^-127 to 2^127, and NaN (0xff)


@instruction("cvt.rnd{.satfinite}.ue8m0x2.f32 d:ue8m0x2, a:f32, b:f32", rnd=("rz", "rp"), section=SECTION)
def cvt_f32_to_ue8m0(e, a, b, rnd, satfinite):
    """Converts the magnitude; a is the upper part."""
    return e.outline(powers, a, b, rnd=rnd, satfinite=satfinite)


@instruction("cvt.rnd{.satfinite}.ue8m0x2.bf16x2 d:ue8m0x2, a:bf16x2", rnd=("rz", "rp"), section=SECTION)
def cvt_bf16x2_to_ue8m0(e, a, rnd, satfinite):
    upper, lower = halves_of(e, a, BF16)
    return e.outline(powers, upper, lower, rnd=rnd, satfinite=satfinite)


@instruction("cvt.rn.bf16x2.ue8m0x2 d:bf16x2, a:ue8m0x2", section=SECTION)
def cvt_ue8m0_to_bf16x2(e, a):
    return e.outline(from_powers, a)


def powers(e, a, b, rnd, satfinite):
    upper, lower = (power(e, value, rnd, satfinite) for value in (a, b))
    return e.convert(formats.pack(e, upper, lower, 8), U16)


def power(e, a, rnd, satfinite):
    magnitude = e.and_(replace(e.payload(a), type=U32), e.constant(0x7FFFFFFF, U32))
    field = e.shr(magnitude, e.constant(23, U32))
    if rnd == "rp":  # up, unless it is a power already; 2^-127 is the fraction's highest bit alone
        fraction = e.and_(magnitude, e.constant(0x7FFFFF, U32))
        inexact = e.and_(
            e.compare("ne", fraction, e.constant(0, U32)), e.compare("hi", magnitude, e.constant(0x400000, U32))
        )
        field = e.add(field, e.one_if(inexact, U32))
    field = e.clamp_below(field, 0xFE if satfinite else 0xFF)
    return e.select(e.compare("nan", a, a), e.constant(0xFF, U32), field)


def from_powers(e, a):
    bits = e.convert(e.unsigned(a), U32)
    halves = []
    for shift in (8, 0):
        part = e.and_(e.shr(bits, e.constant(shift, U32)), e.constant(0xFF, U32))
        value = e.shl(part, e.constant(7, U32))
        value = e.select(e.compare("eq", part, e.constant(0, U32)), e.constant(0x40, U32), value)
        halves.append(e.select(e.compare("eq", part, e.constant(0xFF, U32)), e.constant(BF16.nan, U32), value))
    upper, lower = halves
    return formats.pack(e, upper, lower, 16)
