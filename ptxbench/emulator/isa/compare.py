"""PTX ISA, Comparison and Selection Instructions."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Comparison and Selection Instructions", counted="compare")

SETP = "comparison-and-selection-instructions-setp"
BOOLEANS = ("and", "or", "xor")
EQUALITY = ("eq", "ne")
ORDER = ("lt", "le", "gt", "ge")
UNSIGNED = ("lo", "ls", "hi", "hs")
FLOATING = (*EQUALITY, *ORDER, "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")
SIZES = ("16", "32", "64")
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


for comparisons, types in (
    (EQUALITY, tuple(f"b{bits}" for bits in SIZES)),
    ((*EQUALITY, *ORDER), tuple(f"s{bits}" for bits in SIZES)),
    ((*EQUALITY, *ORDER, *UNSIGNED), tuple(f"u{bits}" for bits in SIZES)),
):

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


@instruction("selp.type d, a, b, c:pred", type=SELECTED, section="comparison-and-selection-instructions-selp")
def selp(e, a, b, c):
    return e.select(c, a, b)
