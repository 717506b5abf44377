"""PTX ISA, Video Instructions: operations on selected bytes and halves, one at a time or as SIMD.

ptxas compiles them to ordinary instructions; the reference is the manual's text, not hardware. Elements are computed in
64 bits (scalar) or 32 (SIMD), more than the manual's .s34, and truncated where the manual truncates.
"""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import S32, TYPES, U32, U64

instruction = Chapter("Video Instructions", counted="int")

S64 = TYPES["s64"]
WORDS = ("u32", "s32")
SECONDARY = ("add", "min", "max")
COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
SHAPES = {"b0": (0, 8), "b1": (8, 8), "b2": (16, 8), "b3": (24, 8), "h0": (0, 16), "h1": (16, 16), "": (0, 32)}
"""The first bit and the width of the part that a scalar instruction selects."""
SCALAR = "video-instructions-"


# ---- scalar: one selected byte, half or word


def field(e, a, selector, type):
    """The selected part of a 32-bit register, extended to 64 bits by the sign of `type`."""
    first_bit, bits = SHAPES[selector]
    word = e.shl(e.convert(a, type), e.constant(32 - bits - first_bit, type))
    return e.convert(e.shr(word, e.constant(32 - bits, type)), S64)


def clamped(e, a, bits, signed):
    """Clamped to the range of a `bits`-bit integer."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return e.min(e.max(a, e.constant(low, a.type)), e.constant(high, a.type))


def delivered(e, value, dtype, sat, second, selector, c):
    """The 34-bit result of an operation, saturated, then combined with c or merged into the selected part of c."""
    if sat:
        value = clamped(e, value, SHAPES[selector][1], dtype.signed)
    value = e.convert(value, dtype)
    if second is not None:
        c = e.convert(c, dtype)
        return {"add": e.add, "min": e.min, "max": e.max}[second](value, c)
    return merged(e, value, selector, c) if selector else value


def merged(e, value, selector, c):
    first_bit, bits = SHAPES[selector]
    mask = e.constant(((1 << bits) - 1) << first_bit, U32)
    shifted = e.shl(e.convert(value, U32), e.constant(first_bit, U32))
    return e.or_(e.and_(shifted, mask), e.and_(e.convert(c, U32), e.not_(mask)))


def absolute_difference(e, a, b):
    return e.absolute(e.sub(a, b))


def operations(e):
    return {
        "add": e.add,
        "sub": e.sub,
        "absdiff": lambda a, b: absolute_difference(e, a, b),
        "min": e.min,
        "max": e.max,
    }


for operation in ("add", "sub", "absdiff", "min", "max"):

    @instruction(f"v{operation}.dtype.atype.btype{{.sat}} d:u32, a.sel:u32, b.sel:u32", dtype=WORDS, atype=WORDS,
                 btype=WORDS, section=SCALAR + "vadd-vsub-vabsdiff-vmin-vmax")  # fmt: skip
    def vop(e, dtype, atype, btype, sat, a, b, a_sel, b_sel, operation=operation):
        value = operations(e)[operation](field(e, a, a_sel, atype), field(e, b, b_sel, btype))
        return delivered(e, value, dtype, sat, None, "", None)

    @instruction(f"v{operation}.dtype.atype.btype{{.sat}}{{.second}} d.sel:u32, a.sel:u32, b.sel:u32, c:u32",
                 dtype=WORDS, atype=WORDS, btype=WORDS, second=SECONDARY,
                 section=SCALAR + "vadd-vsub-vabsdiff-vmin-vmax")  # fmt: skip
    def vop_second(e, dtype, atype, btype, sat, second, a, b, c, d_sel, a_sel, b_sel, operation=operation):
        value = operations(e)[operation](field(e, a, a_sel, atype), field(e, b, b_sel, btype))
        return delivered(e, value, dtype, sat, second, d_sel, c)


def shifted(e, left, mode, a, b):
    """a shifted by b, clamped to 32 or modulo 32.

    A left shift keeps the low 34 bits, sign-extended: the width of the manual's intermediate result. ptxas's code keeps
    the same bits before it saturates.
    """
    count = e.and_(b, e.constant(31, b.type)) if mode == "wrap" else e.min(b, e.constant(32, b.type))
    if not left:
        return e.shr(a, count)
    unused = e.constant(64 - 34, a.type)
    return e.shr(e.shl(e.shl(a, count), unused), unused)


for left in (True, False):
    name = "vshl" if left else "vshr"

    @instruction(f"{name}.dtype.atype.u32{{.sat}}.mode d:u32, a.sel:u32, b.sel:u32", dtype=WORDS, atype=WORDS,
                 mode=("clamp", "wrap"), section=SCALAR + "vshl-vshr")  # fmt: skip
    def vshift(e, dtype, atype, sat, mode, a, b, a_sel, b_sel, left=left):
        value = shifted(e, left, mode, field(e, a, a_sel, atype), field(e, b, b_sel, U32))
        return delivered(e, value, dtype, sat, None, "", None)

    @instruction(f"{name}.dtype.atype.u32{{.sat}}.mode{{.second}} d.sel:u32, a.sel:u32, b.sel:u32, c:u32",
                 dtype=WORDS, atype=WORDS, mode=("clamp", "wrap"), second=SECONDARY,
                 section=SCALAR + "vshl-vshr")  # fmt: skip
    def vshift_second(e, dtype, atype, sat, mode, second, a, b, c, d_sel, a_sel, b_sel, left=left):
        value = shifted(e, left, mode, field(e, a, a_sel, atype), field(e, b, b_sel, U32))
        return delivered(e, value, dtype, sat, second, d_sel, c)


@instruction("vmad.dtype.atype.btype{.sat}{.scale} d:u32, -a.sel:u32, -b.sel:u32, -c:u32", dtype=WORDS, atype=WORDS,
             btype=WORDS, scale=("shr7", "shr15"), section=SCALAR + "vmad",
             ignored={"dtype": "the operands' types and signs make the result's"})  # fmt: skip
def vmad(e, atype, btype, sat, scale, a, b, c, a_sel, b_sel, a_negated, b_negated, c_negated):
    return multiplied(e, field(e, a, a_sel, atype), field(e, b, b_sel, btype), c, sat, scale,
                      signed=atype.signed or btype.signed, minus=a_negated != b_negated, less=c_negated)  # fmt: skip


@instruction("vmad.dtype.atype.btype.po{.sat}{.scale} d:u32, a.sel:u32, b.sel:u32, c:u32", dtype=WORDS, atype=WORDS,
             btype=WORDS, scale=("shr7", "shr15"), section=SCALAR + "vmad",
             ignored={"dtype": "the operands' types and signs make the result's"})  # fmt: skip
def vmad_plus_one(e, atype, btype, sat, scale, a, b, c, a_sel, b_sel):
    return multiplied(e, field(e, a, a_sel, atype), field(e, b, b_sel, btype), c, sat, scale,
                      signed=atype.signed or btype.signed, increment=1)  # fmt: skip


def multiplied(e, a, b, c, sat, scale, *, signed, minus=False, less=False, increment=0):
    """a b + c, or -(a b) + c (`minus`), or a b - c (`less`), plus `increment`; scaled, saturated.

    64 bits hold every result except products of two u32 in a signed result; those are truncated at 2^62 before they
    saturate, which they do in any case.
    """
    product = e.mul(a, b)
    final = signed or minus or less
    if final and not signed and sat:
        unsigned = e.convert(product, U64)
        product = e.convert(e.min(unsigned, e.constant(1 << 62, U64)), S64)
    addend = e.convert(e.convert(c, S32 if final else U32), S64)
    total = e.sub(addend, product) if minus else e.sub(product, addend) if less else e.add(product, addend)
    total = e.convert(e.add(total, e.constant(increment, S64)), S64 if final else U64)
    if scale is not None:
        total = e.shr(total, e.constant(int(scale[3:]), total.type))
    if sat:
        total = clamped(e, total, 32, final) if final else e.min(total, e.constant(0xFFFFFFFF, U64))
    return e.convert(total, S32 if final else U32)


@instruction("vset.atype.btype.cmp d:u32, a.sel:u32, b.sel:u32", atype=WORDS, btype=WORDS, cmp=COMPARED,
             section=SCALAR + "vset")  # fmt: skip
def vset(e, atype, btype, cmp, a, b, a_sel, b_sel):
    return e.one_if(e.compare(cmp, field(e, a, a_sel, atype), field(e, b, b_sel, btype)), U32)


@instruction("vset.atype.btype.cmp{.second} d.sel:u32, a.sel:u32, b.sel:u32, c:u32", atype=WORDS, btype=WORDS,
             cmp=COMPARED, second=SECONDARY, section=SCALAR + "vset")  # fmt: skip
def vset_second(e, atype, btype, cmp, second, a, b, c, d_sel, a_sel, b_sel):
    value = e.one_if(e.compare(cmp, field(e, a, a_sel, atype), field(e, b, b_sel, btype)), S64)
    return delivered(e, value, U32, False, second, d_sel, c)


# ---- SIMD: two halves or four bytes


def elements(e, a, b, selector, count, first, type):
    """The elements that `selector` names (b3210 is 0, 1, 2, 3 from the lowest place), by default from `first` on."""
    places = [int(digit) for digit in reversed(selector[1:])] or range(first, first + count)
    bits = 32 // count
    for place in places:
        word = a if place < count else b
        up = e.shl(e.convert(word, type), e.constant(32 - bits - place % count * bits, type))
        yield e.convert(e.shr(up, e.constant(32 - bits, type)), S32)


def mask_of(selector, count):
    """Whether each element is written, from the lowest one up."""
    return [not selector or str(k) in selector[1:] for k in range(count)]


def simd(e, results, count, add, selector, c):
    """The selected results, added to c or replacing the elements of c."""
    total = c = e.convert(c, S32)
    bits = 32 // count
    for k, (value, written) in enumerate(zip(results, mask_of(selector, count), strict=True)):
        if not written:
            continue
        if add:
            total = e.add(total, value)
        else:
            mask = e.constant(((1 << bits) - 1) << k * bits, S32)
            shifted = e.and_(e.shl(value, e.constant(k * bits, S32)), mask)
            total = e.or_(e.and_(total, e.not_(mask)), shifted)
    return total


def average(e, a, b):
    """Half the sum, rounded to nearest, halves away from 0."""
    total = e.add(a, b)
    one = e.constant(1, S32)
    up = e.select(e.compare("ge", total, e.constant(0, S32)), e.add(total, one), total)
    return e.shr(up, one)


for ways in (2, 4):
    section = f"simd-video-instructions-vadd{ways}-vsub{ways}-vavrg{ways}-vabsdiff{ways}-vmin{ways}-vmax{ways}"

    for operation in ("add", "sub", "avrg", "absdiff", "min", "max"):

        @instruction(f"v{operation}{ways}.dtype.atype.btype{{.final}} d.sel:u32, a.sel:u32, b.sel:u32, c:u32",
                     dtype=WORDS, atype=WORDS, btype=WORDS, final=("sat", "add"), section=section)  # fmt: skip
        def vop_simd(e, dtype, atype, btype, final, a, b, c, d_sel, a_sel, b_sel, operation=operation, ways=ways):
            combine = {**operations(e), "avrg": lambda x, y: average(e, x, y)}[operation]
            first = elements(e, a, b, a_sel, ways, 0, atype)
            second = elements(e, a, b, b_sel, ways, ways, btype)
            results = [combine(x, y) for x, y in zip(first, second, strict=True)]
            if final == "sat":
                results = [clamped(e, result, 32 // ways, dtype.signed) for result in results]
            return simd(e, results, ways, final == "add", d_sel, c)

    @instruction(f"vset{ways}.atype.btype.cmp{{.add}} d.sel:u32, a.sel:u32, b.sel:u32, c:u32", atype=WORDS,
                 btype=WORDS, cmp=COMPARED, section=f"simd-video-instructions-vset{ways}")  # fmt: skip
    def vset_simd(e, atype, btype, cmp, add, a, b, c, d_sel, a_sel, b_sel, ways=ways):
        first = elements(e, a, b, a_sel, ways, 0, atype)
        second = elements(e, a, b, b_sel, ways, ways, btype)
        results = [e.one_if(e.compare(cmp, x, y), S32) for x, y in zip(first, second, strict=True)]
        return simd(e, results, ways, add, d_sel, c)
