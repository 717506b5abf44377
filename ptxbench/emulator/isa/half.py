"""PTX ISA, Half Precision and Mixed Precision instructions, with comparisons: f16 and bf16.

A register holds bits: 16 for f16 and bf16, 32 for f16x2 and bf16x2. Arithmetic is done in f32; the second rounding then
gives the right result: 24 bits are enough for a sum of two numbers of at most 11 bits, and for a product of two f16; a
product of two bf16 that f32 must round is far below bf16's range. The terms of an fma may differ much in size: its sum
is rounded to odd.
"""

from dataclasses import replace

from ptxbench.emulator.floats import approximate, formats, inexact, rounding
from ptxbench.emulator.floats.formats import BF16, F16, FORMATS
from ptxbench.emulator.isa.floating import DIRECTED, extremum
from ptxbench.emulator.isa.outline import outlined
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F64, TYPES, U32

instruction = Chapter("Half Precision Floating Point Instructions", counted="f16")
mixed = Chapter("Mixed Precision Floating Point Instructions", counted="f32")
comparison = Chapter("Half Precision Comparison Instructions", counted="compare")

HALVES = ("f16", "f16x2")
BRAINS = ("bf16", "bf16x2")
ROUNDED = {"rn": "nearest even is the default and the only rounding"}


def format_of(type):
    return FORMATS[type.name.removesuffix("x2")]


def section(name):
    return f"half-precision-floating-point-instructions-{name}"


def lift(e, bits, form, ftz=False):
    return formats.decode(e, formats.flush(e, bits, form) if ftz else bits, form)


def lower(e, value, form, ftz=False, sat=False, relu=False):
    value = e.finish(value, sat=True) if sat else formats.relu(e, value) if relu else value
    return formats.encode(e, formats.flush_value(e, value, form) if ftz else value, form)


# ---- add, sub, mul, fma


@instruction("op{.rn}{.ftz}{.sat}.type d, a, b", op=("add", "sub", "mul"), type=HALVES, section=section("add"),
             ignored=ROUNDED)  # fmt: skip
def arithmetic_f16(e, a, b, op, type, ftz, sat):
    return e.outline(arithmetic, a, b, op=op, type=type, ftz=ftz, sat=sat)


@instruction("op{.rn}.type d, a, b", op=("add", "sub", "mul"), type=BRAINS, section=section("add"), ignored=ROUNDED)
def arithmetic_bf16(e, a, b, op, type):
    return e.outline(arithmetic, a, b, op=op, type=type, ftz=False, sat=False)


def arithmetic(e, a, b, op, type, ftz, sat):
    form = format_of(type)

    def of_element(x, y):
        result = {"add": e.add, "sub": e.sub, "mul": e.mul}[op](lift(e, x, form, ftz), lift(e, y, form, ftz))
        return lower(e, result, form, ftz, sat)

    return formats.apply(e, of_element, type, a, b)


@instruction("fma.rn{.ftz}{.clamp}.type d, a, b, c", clamp=("sat", "relu"), type=HALVES, section=section("fma"))
def fma_f16(e, a, b, c, type, ftz, clamp):
    return e.outline(fma, a, b, c, type=type, ftz=ftz, clamp=clamp, oob=False)


@instruction("fma.rn{.relu}.type d, a, b, c", type=BRAINS, section=section("fma"))
def fma_bf16(e, a, b, c, type, relu):
    return e.outline(fma, a, b, c, type=type, ftz=False, clamp="relu" if relu else None, oob=False)


@instruction("fma.rn.oob{.relu}.type d, a, b, c", type=(*HALVES, *BRAINS), section=section("fma"))
def fma_oob(e, a, b, c, type, relu):
    """+0 if a factor is the NaN that a tensor copy puts outside its tensor. PTX does not state which operands count."""
    return e.outline(fma, a, b, c, type=type, ftz=False, clamp="relu" if relu else None, oob=True)


def fma(e, a, b, c, type, ftz, clamp, oob):
    form = format_of(type)

    def of_element(x, y, z):
        first, second, third = (lift(e, value, form, ftz) for value in (x, y, z))
        if form is F16:  # the product has 22 bits, exact in f32
            total = rounding.add_to_odd(e, e.mul(first, second), third)
        else:  # f32 may be too narrow for the product
            product = e.mul(e.convert(first, F64), e.convert(second, F64))
            total = rounding.narrow(e, rounding.add_to_odd(e, product, e.convert(third, F64)), "odd")
        bits = lower(e, total, form, ftz, clamp == "sat", clamp == "relu")
        if not oob:
            return bits
        outside = e.or_(is_outside(e, x), is_outside(e, y))
        return e.select(outside, e.constant(0, U32), bits)

    return formats.apply(e, of_element, type, a, b, c)


def is_outside(e, bits):
    magnitude = e.and_(bits, e.constant(0x7FFF, U32))
    return e.compare("eq", magnitude, e.constant(formats.OOB_NAN, U32))


# ---- signs, the lesser and the greater


@instruction("op{.ftz}.type d, a", op=("neg", "abs"), type=HALVES, section=section("neg"))
def sign_f16(e, a, op, type, ftz):
    return e.outline(change_sign, a, op=op, type=type, ftz=ftz)


@instruction("op.type d, a", op=("neg", "abs"), type=BRAINS, section=section("neg"))
def sign_bf16(e, a, op, type):
    return e.outline(change_sign, a, op=op, type=type, ftz=False)


def change_sign(e, a, op, type, ftz):
    """PTX leaves the result for NaN open; canonical here."""
    form = format_of(type)

    def of_element(x):
        bits = formats.flush(e, x, form) if ftz else x
        sign = e.constant(form.sign, U32)
        changed = e.xor(bits, sign) if op == "neg" else e.and_(bits, e.constant(form.sign - 1, U32))
        return e.select(formats.is_nan(e, x, form), e.constant(form.nan, U32), changed)

    return formats.apply(e, of_element, type, a)


@instruction("op{.ftz}{.NaN}{.signs}.type d, a, b", op=("min", "max"), signs=("xorsign.abs",), type=HALVES,
             section=section("max"))  # fmt: skip
def extremum_f16(e, a, b, op, type, ftz, NaN, signs):  # noqa: N803  the manual's spelling
    return e.outline(extreme, a, b, op=op, type=type, ftz=ftz, nan=NaN, signs=signs)


@instruction("op{.NaN}{.signs}.type d, a, b", op=("min", "max"), signs=("xorsign.abs",), type=BRAINS,
             section=section("max"))  # fmt: skip
def extremum_bf16(e, a, b, op, type, NaN, signs):  # noqa: N803
    return e.outline(extreme, a, b, op=op, type=type, ftz=False, nan=NaN, signs=signs)


def extreme(e, a, b, op, type, ftz, nan, signs):
    form = format_of(type)

    def of_element(x, y):
        first, second = lift(e, x, form, ftz), lift(e, y, form, ftz)
        if not signs:
            return lower(e, extremum(e, first, second, op, nan), form)
        bits = lower(e, extremum(e, e.absolute(first), e.absolute(second), op, nan), form)
        sign = e.and_(e.xor(x, y), e.constant(form.sign, U32))
        return e.select(formats.is_nan(e, bits, form), bits, e.or_(bits, sign))

    return formats.apply(e, of_element, type, a, b)


# ---- approximate functions


@instruction("ex2.approx.type d, a", type=HALVES, section=section("ex2"), counted="special")
def ex2_f16(e, a, type):
    """The ideal value."""
    return e.outline(function, a, op="ex2", type=type, ftz=False)


@instruction("ex2.approx.ftz.type d, a", type=BRAINS, section=section("ex2"), counted="special")
def ex2_bf16(e, a, type):
    """The ideal value, flushed."""
    return e.outline(function, a, op="ex2", type=type, ftz=True)


@instruction("tanh.approx.type d, a", type=(*HALVES, *BRAINS), section=section("tanh"), counted="special")
def tanh_half(e, a, type):
    """The ideal value."""
    return e.outline(function, a, op="tanh", type=type, ftz=False)


def function(e, a, op, type, ftz):
    form = format_of(type)

    def of_element(x):
        return lower(e, rounding.narrow(e, exactly(e, x, op, type, ftz), "odd"), form, ftz)

    inexact.ideal_unless_varied(e, formats.apply(e, of_element, type, a))
    return formats.apply(e, lambda x: e.outline(varied, x, op=op, type=type, ftz=ftz), type, a)


def exactly(e, x, op, type, ftz):
    """The function of a pattern, in f64."""
    wide = e.convert(lift(e, x, format_of(type), ftz), F64)
    return {"ex2": approximate.exp2, "tanh": approximate.tanh}[op](e, wide)


def varied(e, x, op, type, ftz):
    """The function of a pattern, varied as on a GPU."""
    form = format_of(type)
    exact = exactly(e, x, op, type, ftz)

    def rounded(target):
        pattern = lower(e, rounding.narrow(e, target, "odd"), form, ftz)
        return pattern, e.convert(lift(e, pattern, form), F64)

    ideal, _ = rounded(exact)
    documented = f"{op}.approx{'.ftz' if ftz else ''}.{type.name}"
    result = inexact.moved(e, ideal, exact, inexact.limit(e, exact, documented), op, rounded)
    if op != "tanh":
        return result
    magnitude = e.and_(result, e.constant(form.sign - 1, U32))  # results on a GPU are in [-1, 1]
    return e.select(e.compare("hi", magnitude, e.constant(form.one, U32)), ideal, result)


# ---- f32 with operands of f16 or bf16


@mixed("op{.rnd}{.sat}.f32.type d:f32, a, c:f32", op=("add", "sub"), rnd=("rn", *DIRECTED), type=("f16", "bf16"),
       section="mixed-precision-floating-point-instructions-add")  # fmt: skip
@outlined
def add_mixed(e, a, c, op, rnd, type, sat):
    a = widened(e, a, type)
    return e.finish(rounding.add(e, a, e.negate(c) if op == "sub" else c, rnd or "rn"), sat=sat)


@mixed("fma.rnd{.sat}.f32.type d:f32, a, b, c:f32", rnd=("rn", *DIRECTED), type=("f16", "bf16"),
       section="mixed-precision-floating-point-instructions-fma")  # fmt: skip
@outlined
def fma_mixed(e, a, b, c, rnd, type, sat):
    return e.finish(rounding.fma(e, widened(e, a, type), widened(e, b, type), c, rnd), sat=sat)


def widened(e, a, type):
    """An f16 or bf16 as f32."""
    return formats.decode(e, e.convert(e.unsigned(a), U32), format_of(type))


# ---- comparison

FLOATING = ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")
BOOLEANS = ("and", "or", "xor")


def comparisons(e, cmp, a, b, type, ftz):
    """The predicate of each element, the lower element first."""
    form = format_of(type)
    parts = (0,) if type.bits == 16 else (0, 16)
    result = []
    for shift in parts:
        values = []
        for operand in (a, b):
            bits = e.convert(e.unsigned(operand), U32)
            bits = e.and_(e.shr(bits, e.constant(shift, U32)), e.constant(0xFFFF, U32))
            values.append(lift(e, bits, form, ftz))
        result.append(e.compare(cmp, *values))
    return result


def joined(e, predicates, bool, c):
    return (
        [{"and": e.and_, "or": e.or_, "xor": e.xor}[bool](predicate, c) for predicate in predicates]
        if bool
        else predicates
    )


SETP = "half-precision-comparison-instructions-setp"
SET = "half-precision-comparison-instructions-set"


@comparison("setp.cmp{.ftz}.type d:pred, a, b", cmp=FLOATING, type=("f16",), section=SETP)
@comparison("setp.cmp.bool{.ftz}.type d:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, type=("f16",), section=SETP)
@comparison("setp.cmp.type d:pred, a, b", cmp=FLOATING, type=("bf16",), section=SETP)
@comparison("setp.cmp.bool.type d:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, type=("bf16",), section=SETP)
def setp(e, cmp, a, b, type, bool=None, c=None, ftz=False):
    return joined(e, comparisons(e, cmp, a, b, type, ftz), bool, c)[0]


@comparison("setp.cmp{.ftz}.type d|q:pred, a, b", cmp=FLOATING, type=("f16x2",), section=SETP)
@comparison("setp.cmp.bool{.ftz}.type d|q:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, type=("f16x2",),
            section=SETP)  # fmt: skip
@comparison("setp.cmp.type d|q:pred, a, b", cmp=FLOATING, type=("bf16x2",), section=SETP)
@comparison("setp.cmp.bool.type d|q:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, type=("bf16x2",), section=SETP)
def setp_pair(e, cmp, a, b, type, bool=None, c=None, ftz=False):
    """The lower element's result first."""
    return tuple(joined(e, comparisons(e, cmp, a, b, type, ftz), bool, c))


def truth_values(e, predicate, to):
    """1.0 or all bits set if true, else 0."""
    true = FORMATS[to.name].one if to.name in FORMATS else -1
    kind = TYPES[f"b{to.bits}"]
    return replace(e.select(predicate, e.constant(true, kind), e.constant(0, kind)), type=to)


def truth_values_of_pair(e, predicates, to):
    """Both elements in 32 bits: 1.0 each, or 0xffff each for an integer type."""
    true = {"f16x2": F16.one, "bf16x2": BF16.one}.get(to.name, 0xFFFF)
    low, high = (e.select(predicate, e.constant(true, U32), e.constant(0, U32)) for predicate in predicates)
    return replace(formats.pack(e, high, low, 16), type=to)


def set_lines(flush, result, source, relations):
    """Both lines of `set`: with and without a predicate to combine with."""

    def register(body):
        plain = f"set.cmp{flush}.{result}.type d:{result}, a, b"
        comparison(plain, cmp=relations, type=source, section=SET)(body)
        bool_ = f"set.cmp.bool{flush}.{result}.type d:{result}, a, b, c:pred"
        comparison(bool_, cmp=relations, bool=BOOLEANS, type=source, section=SET)(body)
        return body

    return register


for result in ("u16", "s16", "u32", "s32"):

    @set_lines("{.ftz}", result, ("f16",), FLOATING)
    @set_lines("", result, ("bf16",), FLOATING)
    def set_integer(e, cmp, a, b, type, bool=None, c=None, ftz=False, to=TYPES[result]):
        return truth_values(e, joined(e, comparisons(e, cmp, a, b, type, ftz), bool, c)[0], to)


for result, source, flush in (
    ("f16x2", "f16x2", "{.ftz}"), ("u32", "f16x2", "{.ftz}"), ("s32", "f16x2", "{.ftz}"),
    ("bf16x2", "bf16x2", ""), ("u32", "bf16x2", ""), ("s32", "bf16x2", ""),
):  # fmt: skip

    @set_lines(flush, result, (source,), FLOATING)
    def set_pair(e, cmp, a, b, type, bool=None, c=None, ftz=False, to=TYPES[result]):
        return truth_values_of_pair(e, joined(e, comparisons(e, cmp, a, b, type, ftz), bool, c), to)


for result, flush in (("f16", "{.ftz}"), ("bf16", "")):

    @set_lines("", result, ("b16", "b32", "b64"), FLOATING[:2])
    @set_lines("", result, ("s16", "s32", "s64"), FLOATING[:6])
    @set_lines("", result, ("u16", "u32", "u64"), (*FLOATING[:6], "lo", "ls", "hi", "hs"))
    @set_lines(flush, result, ("f32",), FLOATING)
    @set_lines("", result, ("f64",), FLOATING)
    @set_lines(flush, result, ("f16",), FLOATING)
    def set_float(e, cmp, a, b, type, bool=None, c=None, ftz=False, to=TYPES[result]):
        if type.name == "f16":
            predicates = comparisons(e, cmp, a, b, type, ftz)
        else:
            predicates = [e.compare(cmp, e.flush_if(ftz, a), e.flush_if(ftz, b))]
        return truth_values(e, joined(e, predicates, bool, c)[0], to)


@set_lines("", "bf16", ("bf16",), FLOATING)
def set_bf16(e, cmp, a, b, type, bool=None, c=None):
    """Not in the manual's list of types, but ptxas takes it."""
    return truth_values(e, joined(e, comparisons(e, cmp, a, b, type, False), bool, c)[0], type)
