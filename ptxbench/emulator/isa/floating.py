"""PTX ISA, Floating Point Instructions: f32 and f64."""

from dataclasses import replace

from ptxbench.emulator.emit import CANONICAL_NAN
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F32, F64

instruction = Chapter("Floating Point Instructions", counted="TYPE")

DIRECTED = ("rz", "rm", "rp")


@instruction("add{.rn}{.ftz}{.sat}.f32 d, a, b", section="floating-point-instructions-add",
             ignored={"rn": "nearest even is the default; the emulator fuses nothing"})  # fmt: skip
def add_f32(e, a, b, ftz, sat):
    return e.finish(e.add(e.flush_if(ftz, a), e.flush_if(ftz, b)), ftz, sat)


@instruction("add.rnd{.ftz}{.sat}.f32 d, a, b", rnd=DIRECTED, section="floating-point-instructions-add")
def add_f32_directed(e, a, b, rnd, ftz, sat):
    a, b = e.flush_if(ftz, a), e.flush_if(ftz, b)
    return e.finish(e.add_rounded(e.convert(a, F64), e.convert(b, F64), rnd), ftz, sat)


@instruction("sub{.rn}{.ftz}{.sat}.f32 d, a, b", section="floating-point-instructions-sub",
             ignored={"rn": "nearest even is the default; the emulator fuses nothing"})  # fmt: skip
def sub_f32(e, a, b, ftz, sat):
    return e.finish(e.sub(e.flush_if(ftz, a), e.flush_if(ftz, b)), ftz, sat)


@instruction("mul{.rn}{.ftz}{.sat}.f32 d, a, b", section="floating-point-instructions-mul",
             ignored={"rn": "nearest even is the default; the emulator fuses nothing"})  # fmt: skip
def mul_f32(e, a, b, ftz, sat):
    return e.finish(e.mul(e.flush_if(ftz, a), e.flush_if(ftz, b)), ftz, sat)


@instruction("mul.rnd{.ftz}{.sat}.f32 d, a, b", rnd=DIRECTED, section="floating-point-instructions-mul")
def mul_f32_directed(e, a, b, rnd, ftz, sat):
    """The product of two f32 is exact in f64."""
    product = e.mul(e.convert(e.flush_if(ftz, a), F64), e.convert(e.flush_if(ftz, b), F64))
    return e.finish(e.narrow(product, rnd), ftz, sat)


@instruction("fma.rnd{.ftz}{.sat}.f32 d, a, b, c", rnd=("rn", *DIRECTED), section="floating-point-instructions-fma")
def fma_f32(e, a, b, c, rnd, ftz, sat):
    """One rounding."""
    a, b, c = e.flush_if(ftz, a), e.flush_if(ftz, b), e.flush_if(ftz, c)
    return e.finish(e.fma(a, b, c, rnd), ftz, sat)


@instruction("op{.rn}.f64 d, a, b", op=("add", "sub", "mul"), section="floating-point-instructions-add",
             ignored={"rn": "nearest even is the default; the emulator fuses nothing"})  # fmt: skip
def arithmetic_f64(e, a, b, op):
    return {"add": e.add, "sub": e.sub, "mul": e.mul}[op](a, b)


@instruction("fma.rn.f64 d, a, b, c", section="floating-point-instructions-fma")
def fma_f64(e, a, b, c):
    return e.fma(a, b, c)


@instruction("div.rn{.ftz}.f32 d, a, b", section="floating-point-instructions-div")
def div_f32(e, a, b, ftz):
    return e.finish(e.divide(e.flush_if(ftz, a), e.flush_if(ftz, b)), ftz)


@instruction("div.rn.f64 d, a, b", section="floating-point-instructions-div")
def div_f64(e, a, b):
    return e.divide(a, b)


@instruction("div.full{.ftz}.f32 d, a, b", section="floating-point-instructions-div", counted="special")
def div_full(e, a, b, ftz):
    """The ideal value; hardware is within 2 ulp."""
    return e.finish(e.divide(e.flush_if(ftz, a), e.flush_if(ftz, b)), ftz)


@instruction("div.approx{.ftz}.f32 d, a, b", section="floating-point-instructions-div", counted="special")
def div_approx(e, a, b, ftz):
    """The ideal value for |b| up to 2^126; beyond, 1/b is flushed: 0, or NaN where a is infinite."""
    a, b = e.flush_if(ftz, a), e.flush_if(ftz, b)
    magnitude = e.absolute(b)
    beyond = e.and_(
        e.compare("gt", magnitude, e.constant(2.0**126, F32)),
        e.compare("lt", magnitude, e.constant(float("inf"), F32)),
    )
    flushed = e.mul(a, e.mul(b, e.constant(0.0, F32)))
    return e.finish(e.select(beyond, flushed, e.divide(a, b)), ftz)


@instruction("rcp.rn{.ftz}.f32 d, a", section="floating-point-instructions-rcp")
def rcp_f32(e, a, ftz):
    return e.finish(e.divide(e.constant(1.0, F32), e.flush_if(ftz, a)), ftz)


@instruction("rcp.approx{.ftz}.f32 d, a", section="floating-point-instructions-rcp", counted="special")
def rcp_approx(e, a, ftz):
    """The ideal value; hardware is within 1 ulp."""
    return e.finish(e.divide(e.constant(1.0, F32), e.flush_if(ftz, a)), ftz)


@instruction("sqrt.rn{.ftz}.f32 d, a", section="floating-point-instructions-sqrt")
def sqrt_f32(e, a, ftz):
    return e.finish(e.square_root(e.flush_if(ftz, a)), ftz)


@instruction("sqrt.approx{.ftz}.f32 d, a", section="floating-point-instructions-sqrt", counted="special")
def sqrt_approx(e, a, ftz):
    """The ideal value; hardware is within a relative 2^-23."""
    return e.finish(e.square_root(e.flush_if(ftz, a)), ftz)


@instruction("rsqrt.approx{.ftz}.f32 d, a", section="floating-point-instructions-rsqrt", counted="special")
def rsqrt_approx(e, a, ftz):
    """The ideal value, by way of f64 (both operations there err by at most 2^-53); hardware: 2^-22.9."""
    root = e.square_root(e.convert(e.flush_if(ftz, a), F64))
    return e.finish(e.convert(e.divide(e.constant(1.0, F64), root), F32), ftz)


@instruction("ex2.approx{.ftz}.f32 d, a", section="floating-point-instructions-ex2", counted="special")
def ex2_approx(e, a, ftz):
    """The ideal value; hardware is within 2 ulp. Without .ftz, subnormals are handled exactly."""
    return e.finish(e.exp2(e.flush_if(ftz, a)), ftz)


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
    return e.absolute(a)


@instruction("op{.ftz}{.NaN}.f32 d, a, b", op=("min", "max"), section="floating-point-instructions-max")
def extremum_f32(e, a, b, op, ftz, NaN):  # noqa: N803  the manual's spelling
    return extremum(e, e.flush_if(ftz, a), e.flush_if(ftz, b), op, NaN)


@instruction("op.f64 d, a, b", op=("min", "max"), section="floating-point-instructions-max")
def extremum_f64(e, a, b, op):
    return extremum(e, a, b, op, False)


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
    without_b = e.select(e.compare("nan", b, b), a, result)
    # Of two NaNs neither's payload is the result: raw, so that it becomes canonical.
    return replace(e.select(e.compare("nan", a, a), b, without_b), raw=True)
