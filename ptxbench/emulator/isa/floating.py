"""PTX ISA, Floating Point Instructions: f32, f64, and pairs of f32."""

from dataclasses import replace

from ptxbench.emulator.emit import CANONICAL_NAN
from ptxbench.emulator.floats import approximate, inexact, rounding
from ptxbench.emulator.isa.outline import outlined, outlined_if_flushing
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F32, F64, U32, U64

instruction = Chapter("Floating Point Instructions", counted="TYPE")

DIRECTED = ("rz", "rm", "rp")
ROUNDINGS = ("rn", *DIRECTED)
NEVER_FUSED = {"rn": "nearest even is the default; the emulator fuses nothing"}


@instruction("op{.rn}{.ftz}{.sat}.f32 d, a, b", op=("add", "sub", "mul"), section="floating-point-instructions-add",
             ignored=NEVER_FUSED)  # fmt: skip
@outlined_if_flushing
def arithmetic_f32(e, a, b, op, ftz, sat):
    return e.finish(arithmetic(e, op, e.flush_if(ftz, a), e.flush_if(ftz, b), "rn", ftz), sat=sat)


@instruction("op.rnd{.ftz}{.sat}.f32 d, a, b", op=("add", "sub", "mul"), rnd=DIRECTED,
             section="floating-point-instructions-add")  # fmt: skip
@outlined_if_flushing
def arithmetic_f32_directed(e, a, b, op, rnd, ftz, sat):
    return e.finish(arithmetic(e, op, e.flush_if(ftz, a), e.flush_if(ftz, b), rnd, ftz), sat=sat)


@instruction("op{.rn}.f64 d, a, b", op=("add", "sub", "mul"), section="floating-point-instructions-add",
             ignored=NEVER_FUSED)  # fmt: skip
def arithmetic_f64(e, a, b, op):
    return arithmetic(e, op, a, b, "rn", False)


@instruction("op.rnd.f64 d, a, b", op=("add", "sub", "mul"), rnd=DIRECTED, section="floating-point-instructions-add")
def arithmetic_f64_directed(e, a, b, op, rnd):
    return arithmetic(e, op, a, b, rnd, False)


def arithmetic(e, op, a, b, rnd, ftz):
    """a op b, flushed if `ftz`. A tiny sum is exact, so that rounding cannot raise it."""
    if op == "mul":
        product = rounding.mul(e, a, b, rnd)
        return rounding.flush(e, product, lambda x: rounding.mul(e, x, b, rnd), a) if ftz else product
    if op == "sub" and rnd == "rn":
        return e.flush_if(ftz, e.sub(a, b))
    # a - b is a + (-b); the payload of a NaN does not matter, so its sign may change.
    return e.flush_if(ftz, rounding.add(e, a, e.negate(b) if op == "sub" else b, rnd))


def fused(e, a, b, c, rnd, ftz):
    result = rounding.fma(e, a, b, c, rnd)
    return rounding.flush(e, result, lambda x, z: rounding.fma(e, x, b, z, rnd), a, c) if ftz else result


def quotient(e, a, b, rnd, ftz):
    result = rounding.divide(e, a, b, rnd)
    return rounding.flush(e, result, lambda x: rounding.divide(e, x, b, rnd), a) if ftz else result


@instruction("op.rnd{.ftz}{.sat}.f32 d, a, b, c", op=("fma", "mad"), rnd=ROUNDINGS,
             section="floating-point-instructions-fma", ignored={"op": "mad is fma from sm_20 on"})  # fmt: skip
@outlined_if_flushing
def fma_f32(e, a, b, c, rnd, ftz, sat):
    """One rounding."""
    return e.finish(fused(e, e.flush_if(ftz, a), e.flush_if(ftz, b), e.flush_if(ftz, c), rnd, ftz), sat=sat)


@instruction("op.rnd.f64 d, a, b, c", op=("fma", "mad"), rnd=ROUNDINGS, section="floating-point-instructions-fma",
             ignored={"op": "mad is fma from sm_20 on"})  # fmt: skip
def fma_f64(e, a, b, c, rnd):
    return rounding.fma(e, a, b, c, rnd)


# ---- pairs of f32 in 64 bits: element 0 is the lower half


def by_elements(e, operation, ftz, *pairs):
    """Apply the operation to both elements, flushed if `ftz`."""
    results = []
    for part in (0, 1):
        values = []
        for pair in pairs:
            bits = replace(pair, type=U64)
            word = e.high_half(bits, U32) if part else e.convert(bits, U32)
            values.append(e.flush_if(ftz, e.as_type(word, F32)))
        results.append(e.bits(operation(*values)))
    return e.pair(*results)


@instruction("op{.rn}{.ftz}.f32x2 d, a, b", op=("add", "sub", "mul"), counted="f32",
             section="floating-point-instructions-add", ignored=NEVER_FUSED)  # fmt: skip
@outlined
def arithmetic_f32x2(e, a, b, op, ftz):
    return by_elements(e, lambda x, y: arithmetic(e, op, x, y, "rn", ftz), ftz, a, b)


@instruction("op.rnd{.ftz}.f32x2 d, a, b", op=("add", "sub", "mul"), rnd=DIRECTED, counted="f32",
             section="floating-point-instructions-add")  # fmt: skip
@outlined
def arithmetic_f32x2_directed(e, a, b, op, rnd, ftz):
    return by_elements(e, lambda x, y: arithmetic(e, op, x, y, rnd, ftz), ftz, a, b)


@instruction("fma.rnd{.ftz}.f32x2 d, a, b, c", rnd=ROUNDINGS, counted="f32",
             section="floating-point-instructions-fma")  # fmt: skip
@outlined
def fma_f32x2(e, a, b, c, rnd, ftz):
    return by_elements(e, lambda x, y, z: fused(e, x, y, z, rnd, ftz), ftz, a, b, c)


# ---- division and roots


@instruction("div.rnd{.ftz}.f32 d, a, b", rnd=ROUNDINGS, section="floating-point-instructions-div")
@outlined_if_flushing
def div_f32(e, a, b, rnd, ftz):
    return quotient(e, e.flush_if(ftz, a), e.flush_if(ftz, b), rnd, ftz)


@instruction("div.rnd.f64 d, a, b", rnd=ROUNDINGS, section="floating-point-instructions-div")
def div_f64(e, a, b, rnd):
    return rounding.divide(e, a, b, rnd)


@instruction("div.full{.ftz}.f32 d, a, b", section="floating-point-instructions-div", counted="special")
@outlined_if_flushing
def div_full(e, a, b, ftz):
    """The ideal value."""
    return e.outline(near_quotient, e.flush_if(ftz, a), e.flush_if(ftz, b), op="div.full", ftz=ftz)


@instruction("div.approx{.ftz}.f32 d, a, b", section="floating-point-instructions-div", counted="special")
@outlined_if_flushing
def div_approx(e, a, b, ftz):
    """The ideal value for |b| up to 2^126; beyond, 1/b is flushed: 0, or NaN if a is infinite."""
    a, b = e.flush_if(ftz, a), e.flush_if(ftz, b)
    magnitude = e.absolute(b)
    beyond = e.and_(
        e.compare("gt", magnitude, e.constant(2.0**126, F32)),
        e.compare("lt", magnitude, e.constant(float("inf"), F32)),
    )
    flushed = e.mul(a, e.mul(b, e.constant(0.0, F32)))  # 0 or NaN
    return e.select(beyond, flushed, e.outline(near_quotient, a, b, op="div.approx", ftz=ftz))


def near_quotient(e, a, b, op, ftz):
    """The result of an approximate a / b. The manual's bound holds for |b| from 2^-126 to 2^126."""
    ideal = quotient(e, a, b, "rn", ftz)
    inexact.ideal_unless_varied(e, ideal)
    magnitude = e.absolute(b)
    within = e.and_(
        e.compare("ge", magnitude, e.constant(2.0**-126, F32)), e.compare("le", magnitude, e.constant(2.0**126, F32))
    )
    exact = e.divide(e.convert(a, F64), e.convert(b, F64))
    result = inexact.varied_f32(e, ideal, exact, inexact.limit(e, exact, f"{op}.f32"), op)
    return e.flush_if(ftz, e.select(within, result, ideal))


@instruction("rcp.rnd{.ftz}.f32 d, a", rnd=ROUNDINGS, section="floating-point-instructions-rcp")
@outlined_if_flushing
def rcp_f32(e, a, rnd, ftz):
    return quotient(e, e.constant(1.0, F32), e.flush_if(ftz, a), rnd, ftz)


@instruction("rcp.rnd.f64 d, a", rnd=ROUNDINGS, section="floating-point-instructions-rcp")
def rcp_f64(e, a, rnd):
    return rounding.divide(e, e.constant(1.0, F64), a, rnd)


@instruction("rcp.approx{.ftz}.f32 d, a", section="floating-point-instructions-rcp", counted="special")
@outlined_if_flushing
def rcp_approx(e, a, ftz):
    """The ideal value."""
    return e.outline(near_reciprocal, e.flush_if(ftz, a), ftz=ftz)


def near_reciprocal(e, a, ftz):
    ideal = quotient(e, e.constant(1.0, F32), a, "rn", ftz)
    inexact.ideal_unless_varied(e, ideal)
    exact = e.divide(e.constant(1.0, F64), e.convert(a, F64))
    most = inexact.limit(e, exact, "rcp.approx.f32")
    return e.flush_if(ftz, inexact.varied_f32(e, ideal, exact, most, "rcp"))


@instruction("op.approx.ftz.f64 d, a", op=("rcp", "rsqrt"), counted="special",
             section="floating-point-instructions-rcp-approx-ftz-f64")  # fmt: skip
def gross_f64(e, a, op):
    """The ideal upper word (20 fraction bits) for the upper word of a; the lower word is 0."""
    return e.outline(upper_word, a, op=op)


def upper_word(e, a, op):
    upper = e.and_(e.payload(a), e.constant(0xFFFFFFFF << 32, U64))
    magnitude = e.and_(upper, e.constant((1 << 63) - 1, U64))
    sign = e.and_(upper, e.constant(1 << 63, U64))
    subnormal = e.compare("lo", magnitude, e.constant(1 << 52, U64))
    operand = e.as_type(e.select(subnormal, sign, upper), F64)
    one = e.constant(1.0, F64)
    result = e.divide(one, e.square_root(operand) if op == "rsqrt" else operand)
    bits = e.payload(result)
    odd = e.and_(e.shr(bits, e.constant(32, U64)), e.constant(1, U64))
    rounded = e.add(e.add(bits, e.constant(0x7FFFFFFF, U64)), odd)
    rounded = e.and_(rounded, e.constant(0xFFFFFFFF << 32, U64))
    small = e.compare("lt", e.absolute(result), e.constant(2.0**-1022, F64))
    rounded = e.select(small, e.and_(rounded, e.constant(1 << 63, U64)), rounded)
    # The upper word of an infinity may belong to a NaN: only the upper word counts.
    nan = e.constant(0x7FFFFFFF00000000, U64)
    rounded = e.select(e.compare("nan", result, result), nan, rounded)
    inexact.ideal_unless_varied(e, e.as_type(rounded, F64))
    return e.as_type(one_step(e, rounded, e.convert(e.shr(rounded, e.constant(32, U64)), U32), 1 << 32, op), F64)


def one_step(e, bits, key, step, op):
    """An f64 pattern, one step up or down. Zeros, infinities, NaN and powers of two are not changed."""
    down = e.compare("lt", inexact.drawn(e, key, op), e.constant(0.0, F64))
    stepped = e.select(down, e.sub(bits, e.constant(step, U64)), e.add(bits, e.constant(step, U64)))
    field = e.and_(e.shr(bits, e.constant(52, U64)), e.constant(0x7FF, U64))
    ordinary = e.and_(e.compare("ne", field, e.constant(0x7FF, U64)), e.compare("hi", field, e.constant(0, U64)))
    power_of_two = e.compare("eq", e.and_(bits, e.constant((1 << 52) - 1, U64)), e.constant(0, U64))
    return e.select(e.and_(ordinary, e.not_(power_of_two)), stepped, bits)


@instruction("sqrt.rnd{.ftz}.f32 d, a", rnd=ROUNDINGS, section="floating-point-instructions-sqrt")
@outlined_if_flushing
def sqrt_f32(e, a, rnd, ftz):
    return e.finish(rounding.square_root(e, e.flush_if(ftz, a), rnd), ftz)


@instruction("sqrt.rnd.f64 d, a", rnd=ROUNDINGS, section="floating-point-instructions-sqrt")
def sqrt_f64(e, a, rnd):
    return rounding.square_root(e, a, rnd)


@instruction("sqrt.approx{.ftz}.f32 d, a", section="floating-point-instructions-sqrt", counted="special")
@outlined_if_flushing
def sqrt_approx(e, a, ftz):
    """The ideal value."""
    return e.finish(e.outline(near_root, e.flush_if(ftz, a)), ftz)


def near_root(e, a):
    ideal = e.square_root(a)
    inexact.ideal_unless_varied(e, ideal)
    exact = e.square_root(e.convert(a, F64))
    return inexact.varied_f32(e, ideal, exact, inexact.limit(e, exact, "sqrt.approx.f32"), "sqrt")


@instruction("rsqrt.approx{.ftz}.f32 d, a", section="floating-point-instructions-rsqrt", counted="special")
@outlined_if_flushing
def rsqrt_approx(e, a, ftz):
    """The ideal value, computed in f64: both operations there have an error of at most 2^-53."""
    return e.finish(e.outline(near_reciprocal_root, e.flush_if(ftz, a)), ftz)


def near_reciprocal_root(e, a):
    exact = e.divide(e.constant(1.0, F64), e.square_root(e.convert(a, F64)))
    ideal = e.convert(exact, F32)
    inexact.ideal_unless_varied(e, ideal)
    return inexact.varied_f32(e, ideal, exact, inexact.limit(e, exact, "rsqrt.approx.f32"), "rsqrt")


@instruction("rsqrt.approx.f64 d, a", section="floating-point-instructions-rsqrt", counted="special")
def rsqrt_approx_f64(e, a):
    """The ideal value."""
    return e.outline(near_reciprocal_root_f64, a)


def near_reciprocal_root_f64(e, a):
    ideal = approximate.reciprocal_root(e, a)
    inexact.ideal_unless_varied(e, ideal)
    bits = e.payload(ideal)
    return replace(e.as_type(one_step(e, bits, e.convert(bits, U32), 1, "rsqrt.f64"), F64), raw=True)


# ---- approximate functions; accuracy.py has the bounds on a GPU's error

BY_F64 = {"ex2": approximate.exp2, "lg2": approximate.log2, "tanh": approximate.tanh}
OF_F32 = {"sin": approximate.sine, "cos": approximate.cosine}


def near(e, a, op):
    """The function in f64, rounded once; if results are varied, another value that the manual allows."""
    exact = OF_F32[op](e, a) if op in OF_F32 else BY_F64[op](e, e.convert(a, F64))
    ideal = e.convert(exact, F32)
    inexact.ideal_unless_varied(e, ideal)
    most = inexact.limit(e, exact, f"{op}.approx.f32")
    if op in OF_F32:
        most = inexact.limit_of_angle(e, e.absolute(a), most)
    result = inexact.varied_f32(e, ideal, exact, most, op)
    if op in ("sin", "cos", "tanh"):  # results on a GPU are in [-1, 1]
        result = e.select(e.compare("gt", e.absolute(result), e.constant(1.0, F32)), ideal, result)
    return replace(result, raw=True)


@instruction("op.approx{.ftz}.f32 d, a", op=("sin", "cos", "lg2", "ex2"), counted="special",
             section="floating-point-instructions-sin")  # fmt: skip
@outlined_if_flushing
def function_f32(e, a, op, ftz):
    """The ideal value; for sin and cos at every finite argument."""
    return e.finish(e.outline(near, e.flush_if(ftz, a), op=op), ftz)


@instruction("tanh.approx.f32 d, a", section="floating-point-instructions-tanh", counted="special")
def tanh_f32(e, a):
    """The ideal value."""
    return e.outline(near, a, op="tanh")


# ---- signs, tests, the lesser and the greater


@instruction("neg{.ftz}.f32 d, a", section="floating-point-instructions-neg")
def neg_f32(e, a, ftz):
    return e.negate(e.flush_if(ftz, a))


@instruction("neg.f64 d, a", section="floating-point-instructions-neg")
def neg_f64(e, a):
    return e.negate(a)


@instruction("abs{.ftz}.f32 d, a", section="floating-point-instructions-abs")
def abs_f32(e, a, ftz):
    return e.absolute(e.flush_if(ftz, a))


@instruction("abs.f64 d, a", section="floating-point-instructions-abs")
def abs_f64(e, a):
    """NaN is passed through."""
    a = e.canonical(a)
    return e.select(e.compare("nan", a, a), a, replace(e.absolute(a), raw=False))


@instruction("copysign.type d, a, b", type=("f32", "f64"), section="floating-point-instructions-copysign")
def copysign(e, a, b):
    """b with the sign of a."""
    return rounding.copy_sign(e, b, e.canonical(a))


@instruction("testp.op.type d:pred, a", op=("finite", "infinite", "number", "notanumber", "normal", "subnormal"),
             type=("f32", "f64"), counted="compare", section="floating-point-instructions-testp")  # fmt: skip
def testp(e, a, op, type):
    """A test of the number's bits; normal and subnormal are false for 0."""
    magnitude = e.absolute(a)
    infinity = e.constant(float("inf"), type)
    least = e.constant(2.0**-126 if type is F32 else 2.0**-1022, type)
    if op == "normal":
        return e.and_(e.compare("ge", magnitude, least), e.compare("lt", magnitude, infinity))
    if op == "subnormal":
        return e.and_(e.compare("lt", magnitude, least), e.compare("gt", magnitude, e.constant(0.0, type)))
    relation = {"finite": "lt", "infinite": "eq", "number": "num", "notanumber": "nan"}[op]
    return e.compare(relation, magnitude, infinity)


@instruction("op{.ftz}{.NaN}{.signs}.f32 d, a, b", op=("min", "max"), signs=("xorsign.abs",),
             section="floating-point-instructions-max")  # fmt: skip
def extremum_f32(e, a, b, op, ftz, NaN, signs):  # noqa: N803  the manual's spelling
    if not signs:
        return e.outline(flushed_extremum, a, b, op=op, ftz=ftz, nan_wins=NaN)
    a, b = e.flush_if(ftz, a), e.flush_if(ftz, b)
    return with_sign(e, extremum(e, e.absolute(a), e.absolute(b), op, NaN), a, b)


@instruction("op{.ftz}{.NaN}{.abs}.f32 d, a, b, c", op=("min", "max"), section="floating-point-instructions-max")
@outlined
def extremum_of_three(e, a, b, c, op, ftz, NaN, abs):  # noqa: N803
    values = [e.flush_if(ftz, value) for value in (a, b, c)]
    first, second, third = (e.absolute(value) if abs else value for value in values)
    return extremum(e, extremum(e, first, second, op, NaN), third, op, NaN)


@instruction("op.f64 d, a, b", op=("min", "max"), section="floating-point-instructions-max")
def extremum_f64(e, a, b, op):
    return extremum(e, a, b, op, False)


def flushed_extremum(e, a, b, op, ftz, nan_wins):
    return extremum(e, e.flush_if(ftz, a), e.flush_if(ftz, b), op, nan_wins)


def extremum(e, a, b, op, nan_wins):
    """The number wins over NaN, unless `nan_wins`; -0 is below +0.

    Not llvm.minnum, which leaves the order of zeros open: zeros are equal to fcmp, so their signs are merged.
    """
    chosen = e.select(e.compare("lt" if op == "min" else "gt", a, b), a, b)
    x, y = e.bits(a), e.bits(b)
    zeros = e.as_type(e.or_(x, y) if op == "min" else e.and_(x, y), a.type)
    result = e.select(e.compare("eq", a, b), zeros, chosen)
    nan = e.from_bits(CANONICAL_NAN[a.type.bits], a.type)
    if nan_wins:
        return e.select(e.compare("nan", a, b), nan, result)
    # With two NaNs, the result is the canonical NaN, without a payload.
    without_b = e.select(e.compare("nan", b, b), a, result)
    without_a = e.select(e.compare("nan", a, a), b, without_b)
    return replace(e.select(e.compare("nan", without_a, without_a), nan, without_a), raw=False)


def with_sign(e, magnitude, a, b):
    """Set the xor of two signs on a magnitude; a NaN stays canonical."""
    sign = e.as_type(e.xor(e.bits(a), e.bits(b)), a.type)
    nan = e.from_bits(CANONICAL_NAN[a.type.bits], a.type)
    return e.select(
        e.compare("nan", magnitude, magnitude), nan, replace(rounding.copy_sign(e, magnitude, sign), raw=False)
    )
