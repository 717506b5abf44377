"""PTX ISA, Data Movement and Conversion Instructions: cvt."""

from ptxbench.emulator.emit import whole_range
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import F64, TYPES

instruction = Chapter("Data Movement and Conversion Instructions: cvt", counted="convert")

SECTION = "data-movement-and-conversion-instructions-cvt"
INTS = tuple(f"{kind}{bits}" for kind in "us" for bits in (8, 16, 32, 64))


def clamping(source):
    """The integer types that lack a value of `source`: PTX has .sat for no others."""

    def lacks(type):
        low, high = whole_range(TYPES[type])
        least, greatest = whole_range(TYPES[source])
        return least < low or high < greatest

    return tuple(filter(lacks, INTS))


for source in INTS:

    @instruction(f"cvt.type.{source} d, a:{source}", type=INTS, section=SECTION)
    def cvt_int(e, a, type):
        """Cut or extended by the source's sign."""
        return e.convert(a, type)

    @instruction(f"cvt.sat.type.{source} d, a:{source}", type=clamping(source), section=SECTION)
    def cvt_int_sat(e, a, type):
        """Clamped to the destination's range."""
        return e.convert_saturating(a, type)

    @instruction(f"cvt.rn.type.{source} d, a:{source}", type=("f32", "f64"), section=SECTION)
    def cvt_int_to_float(e, a, type):
        return e.int_to_float(a, type)


@instruction("cvt.rnd{.ftz}{.sat}.type.f32 d, a:f32", rnd=("rni", "rzi", "rmi", "rpi"), type=INTS, section=SECTION)
def cvt_f32_to_int(e, a, type, rnd, ftz, sat):
    """Float to integer always clamps, so that .sat adds nothing; NaN gives 0."""
    del sat
    return e.float_to_int(e.round_whole(e.flush_if(ftz, a), rnd), type)


@instruction("cvt.rnd.type.f64 d, a:f64", rnd=("rni", "rzi", "rmi", "rpi"), type=INTS, section=SECTION)
def cvt_f64_to_int(e, a, type, rnd):
    return e.float_to_int(e.round_whole(a, rnd), type)


@instruction("cvt{.rnd}{.ftz}{.sat}.f32.f32 d:f32, a:f32", rnd=("rni", "rzi", "rmi", "rpi"), section=SECTION)
def cvt_f32(e, a, rnd, ftz, sat):
    """To a whole number where a rounding is given; .sat clamps to [0, 1]."""
    a = e.flush_if(ftz, a)
    return e.finish(e.round_whole(a, rnd) if rnd else a, ftz, sat)


@instruction("cvt{.ftz}.f64.f32 d:f64, a:f32", section=SECTION)
def cvt_f32_to_f64(e, a, ftz):
    return e.convert(e.flush_if(ftz, a), F64)


@instruction("cvt.rnd{.ftz}{.sat}.f32.f64 d:f32, a:f64", rnd=("rn", "rz", "rm", "rp"), section=SECTION)
def cvt_f64_to_f32(e, a, rnd, ftz, sat):
    return e.finish(e.narrow(a, rnd), ftz, sat)
