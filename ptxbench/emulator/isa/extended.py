"""PTX ISA, Extended-Precision Integer Arithmetic Instructions: the carry bit CC.CF links words of a long number.

The manual says that sub.cc and subc leave a borrow in CC.CF. ptxas subtracts by adding the complement, so the bit is
the carry of a + ~b + 1: set if there was no borrow. A chain of only additions or only subtractions gives the same
result either way. A chain that mixes them does not: NVRTC's 128-bit division has one.
"""

from ptxbench.emulator.isa.integer import upper_product
from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Extended-Precision Integer Arithmetic Instructions", counted="int")

TYPES = ("u32", "s32", "u64", "s64")
HALVES = ("lo", "hi")
SECTION = "extended-precision-arithmetic-instructions-"


def add_carrying(e, a, b, carry=None):
    """The sum and its carry."""
    total = e.add(a, b)
    out = e.compare("lo", e.unsigned(total), e.unsigned(a))
    if carry is None:
        return total, out
    with_carry = e.add(total, e.one_if(carry, a.type))
    return with_carry, e.or_(out, e.compare("lo", e.unsigned(with_carry), e.unsigned(total)))


def subtract_carrying(e, a, b, carry=None):
    """a - b, minus 1 if `carry` is clear; and whether there was no borrow."""
    if carry is None:
        return e.sub(a, b), e.compare("hs", e.unsigned(a), e.unsigned(b))
    return add_carrying(e, a, e.not_(b), carry)


def half_product(e, half, a, b):
    return upper_product(e, a, b) if half == "hi" else e.mul(a, b)


def carrying(name, result):
    """The three forms of an instruction that computes `result(e, a, b, carry)`, a value and its carry."""

    @instruction(f"{name}.cc.type d, a, b", type=TYPES, carry="out", section=f"{SECTION}{name}-cc")
    def gives(e, a, b):
        return result(e, a, b)

    @instruction(f"{name}c.type d, a, b", type=TYPES, carry="in", section=f"{SECTION}{name}c")
    def takes(e, a, b, carry):
        return result(e, a, b, carry)[0]

    @instruction(f"{name}c.cc.type d, a, b", type=TYPES, carry="both", section=f"{SECTION}{name}c")
    def takes_and_gives(e, a, b, carry):
        return result(e, a, b, carry)


carrying("add", add_carrying)
carrying("sub", subtract_carrying)


@instruction("mad.half.cc.type d, a, b, c", half=HALVES, type=TYPES, carry="out", section=SECTION + "mad-cc")
def mad_cc(e, half, a, b, c):
    """The carry is that of the addition; the product's other half is dropped."""
    return add_carrying(e, half_product(e, half, a, b), c)


@instruction("madc.half.type d, a, b, c", half=HALVES, type=TYPES, carry="in", section=SECTION + "madc")
def madc(e, half, a, b, c, carry):
    return add_carrying(e, half_product(e, half, a, b), c, carry)[0]


@instruction("madc.half.cc.type d, a, b, c", half=HALVES, type=TYPES, carry="both", section=SECTION + "madc")
def madc_cc(e, half, a, b, c, carry):
    return add_carrying(e, half_product(e, half, a, b), c, carry)
