"""Constant expressions: their values, which ptxas folds to the same bits, and invalid ones."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import parse
from ptxbench.errors import PtxSyntaxError
from tests.emulator.harness import HEADER, program
from tests.emulator.test_ptxas import assemble

WHOLE = [
    ("010",                           8),           # octal
    ("0x1FU",                         31),
    ("0b101",                         5),
    ("WARP_SZ * 2",                   64),
    ("18446744073709551615",          2**64 - 1),
    ("1 + 2 * 3 - 4",                 3),
    ("(1 + 2) * -3",                  2**64 - 9),
    ("- -5 + +1 + !7 + !0",           7),
    ("~~5 + ~0",                      4),
    ("-5 / 3",                        2**64 - 1),   # toward zero
    ("-5U / 3",                       (2**64 - 5) // 3),
    ("-5 % 3",                        2),           # unsigned
    ("(5 % 3) - 5 < 0",               0),           # and so is the remainder
    ("(.s64)5",                       5),
    ("(.u64)-1 >> 32",                2**32 - 1),
    ("(.s64)-1 >> 32",                2**64 - 1),
    ("-(.s64)5",                      2**64 - 5),
    ("(.u64)-5 / 2",                  (2**64 - 5) // 2),
    ("0x8000000000000000 / -1",       0),           # too large for .s64, so unsigned
    ("1 << 64",                       1),           # modulo 64
    ("1 << 65",                       2),
    ("-1 >> -1",                      2**64 - 1),
    ("(1U << 1) - 9 < 0",             0),           # the type of the left operand
    ("(1 << 1U) - 9 < 0",             1),
    ("-1 < 1",                        1),
    ("-1 < 1U",                       0),
    ("-1 == 0xffffffffffffffff",      1),
    ("1 < 2 < 3",                     1),
    ("3 > 2 > 1",                     0),
    ("1 | 2 ^ 3 & 6",                 1),
    ("-1 & -1 > 0",                   0),
    ("(5 & 7) - 9 < 0",               1),           # signed, as its operands
    ("(~5) - 9 < 0",                  0),           # unsigned
    ("1 && 1 || 0",                   1),
    ("2 && 0",                        0),
    ("1 ? 2 : 3",                     2),
    ("0 ? 1 : 0 ? 4 : 5",             5),
    ("1 ? 0 ? 6 : 7 : 8",             7),
    ("1 - 1 ? 5 : 6",                 6),
    ("(0 ? 1U : 1) - 9 < 0",          1),           # the type of the chosen operand
    ("(1.5 < 2.5) ? 7 : 8",           7),
    ("0d3ff0000000000000 > 0.5",      1),
    ("0x7fffffffffffffff + 1",        2**63),
]  # fmt: skip
FLOATS = [
    ("1.5 + 2.5",                     0x4010000000000000),
    ("1.5 * 2.0 / 4.0 - 1.0",         0xBFD0000000000000),
    ("-(.5)",                         0xBFE0000000000000),
    ("1.e3",                          0x408F400000000000),
    ("-0d3ff0000000000000",           0xBFF0000000000000),
    ("0d7ff0000000000001",            0x7FF0000000000001),  # a NaN keeps its payload
    ("(0f3f800000)",                  0x000000003F800000),  # the bits as they are, not 1.0
]  # fmt: skip
TABLES = HEADER + (
    f".visible .global .u64 whole[] = {{{', '.join(text for text, _ in WHOLE)}}};\n"
    f".visible .global .f64 floats[] = {{{', '.join(text for text, _ in FLOATS)}}};\n"
    ".visible .global .b32 bits[] = {1.5, 0f3f800000, -1};\n"
)


def test_the_value_of_a_constant_expression():
    variables = parse(TABLES).variables
    assert variables["whole"].initial == tuple(value for _, value in WHOLE)
    assert variables["floats"].initial == tuple(value for _, value in FLOATS)
    assert variables["bits"].initial == (0x3FC00000, 0x3F800000, 0xFFFFFFFF)


def test_ptxas_folds_constant_expressions_to_the_same_values():
    binary, _ = assemble(TABLES, "sm_80")
    for rows in (WHOLE, FLOATS):
        assert np.array([value for _, value in rows], np.uint64).tobytes() in binary


NO_CONSTANTS = [
    ("1 / 0",                 "the constant expression divides by zero."),
    ("1 ? 5 : 1 % 0",         "the constant expression divides by zero."),
    ("1 + 0.5 > 1",           "the constant expression mixes whole numbers and floats."),
    ("!1.5",                  "the constant expression needs whole numbers."),
    ("1.5 && 1",              "the constant expression needs whole numbers."),
    ("0f3f800000 + 1",        "the constant expression has a 0f number, which can only be used alone."),
    ("08",                    "'08' starts with 0, so it is octal, but has a digit above 7."),
    ("0x1ffffffffffffffff",   "the constant '0x1ffffffffffffffff' does not fit 64 bits."),
    ("9" * 5000,              f"the constant '{'9' * 40}...' does not fit 64 bits."),
    ("1e400",                 "the constant '1e400' does not fit an .f64."),
    ("(1 + 2",                "expected ')', found ';'."),
    ("1 ? 2",                 "expected ':', found ';'."),
    ("1 +",                   "expected a number, found ';'."),
    ("(.s32)5",               "expected a number, found '.s32'."),
    ("5u",                    "expected ';', found 'u'."),
    ("1.5",                   "expected a whole number for an element of .u64."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), NO_CONSTANTS)
def test_an_expression_that_is_not_constant_is_refused_in_a_sentence(text, message):
    with pytest.raises(PtxSyntaxError, match=re.escape(message)):
        parse(f"{HEADER}.global .u64 x = {text};")


@pytest.mark.parametrize("text", ["(" * 9000 + "1" + ")" * 9000, "- " * 4000 + "1", "1 ? 2 : " * 2000 + "1"])
def test_expressions_may_be_nested_to_any_depth(text):
    parse(f"{HEADER}.global .u64 x = {text};")


OPERANDS = program("""
.visible .entry constant_operands(.param .u64 out)
{
    .reg .u64 %out, %sum;
    .reg .u32 %low;
    ld.param.u64 %out, [out];
    st.global.u64 [%out], (.u64)-1 >> 32;
    st.global.u64 [%out + 4 * 4 - 8], 1 ? 7 : 8;
    mov.u64 %sum, 40;
    st.global.u64 [%out + (1 ? 16 : 0)], %sum + 4 / 2;
    add.u64 %sum, %sum + 1, %sum;
    st.global.u64 [%out + 24], %sum;
    mov.u32 %low, 0xffffffff;
    cvt.u64.u32 %sum, %low + 2;
    st.global.u64 [%out + 32], %sum;
    mov.u64 %sum, 50;
    st.global.u64 [%out + 0x30 + -8], %sum + -51;
    ret;
}
""")


BITS = program("""
.visible .entry single_bits_in_a_double(.param .u64 out)
{
    .reg .u64 %out;
    .reg .f64 %d;
    ld.param.u64 %out, [out];
    mov.f64 %d, 0.0;
    add.f64 %d, %d, 0f3f800000;
    st.global.f64 [%out], %d;
    ret;
}
""")


def test_a_0f_number_as_a_double_is_its_bits_as_with_ptxas():
    out = np.zeros(1, np.uint64)
    emulator.run(BITS, grid=1, block=1, args=[out])
    assert out.tolist() == [0x3F800000]


def test_constant_expressions_and_sums_as_operands():
    out = np.zeros(6, np.uint64)
    emulator.run(OPERANDS, grid=1, block=1, args=[out])
    # cvt: the sum has the register's 32 bits
    assert out.tolist() == [2**32 - 1, 7, 42, 81, 1, 2**64 - 1]
