"""PTX ISA, Comparison and Selection Instructions."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F32, S32, U32

instruction = Chapter("Comparison and Selection Instructions", counted="compare")

SETP = "comparison-and-selection-instructions-setp"
SET = "comparison-and-selection-instructions-set"
BOOLEANS = ("and", "or", "xor")
EQUALITY = ("eq", "ne")
ORDER = ("lt", "le", "gt", "ge")
UNSIGNED = ("lo", "ls", "hi", "hs")
FLOATING = (*EQUALITY, *ORDER, "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")
SIZES = ("16", "32", "64")
INTEGERS = (
    (EQUALITY, tuple(f"b{bits}" for bits in SIZES)),
    ((*EQUALITY, *ORDER), tuple(f"s{bits}" for bits in SIZES)),
    ((*EQUALITY, *ORDER, *UNSIGNED), tuple(f"u{bits}" for bits in SIZES)),
)
"""The comparisons of each kind of integer."""
ALL_KINDS = (*INTEGERS, (FLOATING, ("f32", "f64")))

SELECTED = (*(f"{kind}{bits}" for kind in "bus" for bits in SIZES), "f32", "f64")


def both(e, comparison, a, b):
    """The result and, for `d|q`, its opposite."""
    result = e.compare(comparison, a, b)
    return result, e.not_(result)


def combined(e, comparison, bool, a, b, c):
    """(a cmp b) bool c, and (not (a cmp b)) bool c."""
    join = {"and": e.and_, "or": e.or_, "xor": e.xor}[bool]
    result, opposite = both(e, comparison, a, b)
    return join(result, c), join(opposite, c)


for comparisons, types in INTEGERS:

    @instruction("setp.cmp.type d|q:pred, a, b", cmp=comparisons, type=types, section=SETP)
    def setp(e, cmp, a, b):
        return both(e, cmp, a, b)

    @instruction("setp.cmp.bool.type d|q:pred, a, b, c:pred", cmp=comparisons, bool=BOOLEANS, type=types, section=SETP)
    def setp_combined(e, cmp, bool, a, b, c):
        return combined(e, cmp, bool, a, b, c)


@instruction("setp.cmp{.ftz}.f32 d|q:pred, a, b", cmp=FLOATING, section=SETP)
@instruction("setp.cmp.f64 d|q:pred, a, b", cmp=FLOATING, section=SETP)
def setp_float(e, cmp, a, b, ftz=False):
    """eq .. ge are false on NaN; equ .. geu are true."""
    return both(e, cmp, e.flush_if(ftz, a), e.flush_if(ftz, b))


@instruction("setp.cmp.bool{.ftz}.f32 d|q:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, section=SETP)
@instruction("setp.cmp.bool.f64 d|q:pred, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, section=SETP)
def setp_float_combined(e, cmp, bool, a, b, c, ftz=False):
    return combined(e, cmp, bool, e.flush_if(ftz, a), e.flush_if(ftz, b), c)


def as_number(e, condition, type):
    """The result of set: 1.0 or all ones if the condition holds, else 0."""
    yes = e.constant(1.0 if type.floating else -1, type)
    return e.select(condition, yes, e.constant(0, type))


for result in (U32, S32, F32):
    for relations, kinds in ALL_KINDS:

        @instruction(f"set.cmp.{result}.type d:{result}, a, b", cmp=relations, type=kinds, section=SET)
        def set_(e, cmp, a, b, result=result):
            return as_number(e, e.compare(cmp, a, b), result)

        @instruction(f"set.cmp.bool.{result}.type d:{result}, a, b, c:pred", cmp=relations, bool=BOOLEANS,
                     type=kinds, section=SET)  # fmt: skip
        def set_combined(e, cmp, bool, a, b, c, result=result):
            return as_number(e, combined(e, cmp, bool, a, b, c)[0], result)

    @instruction(f"set.cmp.ftz.{result}.f32 d:{result}, a, b", cmp=FLOATING, section=SET)
    def set_flushed(e, cmp, a, b, result=result):
        return as_number(e, e.compare(cmp, e.flush_if(True, a), e.flush_if(True, b)), result)

    @instruction(f"set.cmp.bool.ftz.{result}.f32 d:{result}, a, b, c:pred", cmp=FLOATING, bool=BOOLEANS, section=SET)
    def set_flushed_combined(e, cmp, bool, a, b, c, result=result):
        return as_number(e, combined(e, cmp, bool, e.flush_if(True, a), e.flush_if(True, b), c)[0], result)


@instruction("slct.type.s32 d, a, b, c:s32", type=SELECTED, section="comparison-and-selection-instructions-slct")
def slct(e, a, b, c):
    return e.choose(e.compare("ge", c, e.constant(0, c.type)), a, b)


@instruction("slct{.ftz}.type.f32 d, a, b, c:f32", type=SELECTED,
             section="comparison-and-selection-instructions-slct")  # fmt: skip
def slct_float(e, ftz, a, b, c):
    """a if c >= 0, which includes -0 and, with .ftz, negative subnormals, but not NaN; else b."""
    return e.choose(e.compare("ge", e.flush_if(ftz, c), e.constant(0.0, c.type)), a, b)


@instruction("selp.type d, a, b, c:pred", type=SELECTED, section="comparison-and-selection-instructions-selp")
def selp(e, a, b, c):
    return e.choose(c, a, b)
