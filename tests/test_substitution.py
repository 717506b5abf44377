"""PTX with expressions behind its literals: read, kept fresh, replaced; and nothing of an expression is executed."""

import pytest

from ptxbench.errors import PairError
from ptxbench.substitution import FormulaError, literals, require_fresh, substituted, value

TEXT = """\
// a comment with 1 /*= BLOCK */ in it
.maxntid 256 /*= BLOCK */, 1, 1
mad.lo.u32  %i, %block, 1024/*= 4 * BLOCK */, %thread;  /* 7 */
ld.global.u32  %v0, [%x + 0x1000 /*= 16 * BLOCK */];
.file 1 "a /*= BLOCK */ b"
add.s32  %j, %i, -256 /*= -BLOCK */;
"""


def test_literals_are_replaced_in_place_and_nothing_else_changes():
    assert substituted(TEXT, {"BLOCK": 128}, "a.ptx") == (
        TEXT.replace(".maxntid 256", ".maxntid 128")
        .replace("1024/*", "512/*")
        .replace("0x1000", "2048")
        .replace("-256", "-128")
    )
    assert substituted("mov.u32 %a, 256;\n", {"BLOCK": 128}, "a.ptx") == "mov.u32 %a, 256;\n"


def test_with_the_defaults_the_text_says_the_same_and_its_knobs_are_known():
    assert require_fresh(TEXT, {"BLOCK": 256, "OTHER": 3}, "a.ptx") == {"BLOCK"}
    assert [literal.line for literal in literals(TEXT, "a.ptx")] == [2, 3, 4, 6]


# expression, its value with A = 6 and B = 4
FORMULAS = [
    ("A", 6),
    ("A * B + 1", 25),
    ("A // B", 1),
    ("A % B", 2),
    ("1 << A", 64),
    ("(A + B) >> 1", 5),
    ("-A", -6),
    ("~A & 0xff", 249),
    ("A ^ B | 1", 3),
    ("1_024 * A", 6144),
]


@pytest.mark.parametrize(("formula", "result"), FORMULAS)
def test_an_expression_is_arithmetic_on_whole_numbers(formula, result):
    assert value(formula, {"A": 6, "B": 4}) == result


# expression, the message
REFUSED = [
    ("A +", "is not an expression"),
    ("", "is not an expression"),
    ("C", "names C, which is not a knob of the pair. The pair's are A, B."),
    ("A / B", "Write // for a division"),
    ("A ** B", "has a part that is not allowed"),
    ("__import__('os').system('true')", "has a part that is not allowed"),
    ("A.real", "has a part that is not allowed"),
    ("[A][0]", "has a part that is not allowed"),
    ("1.5 * A", "has a part that is not allowed"),
    ("True", "has a part that is not allowed"),
    ("'A'", "has a part that is not allowed"),
    ("A if B else 0", "has a part that is not allowed"),
    ("A // (B - 4)", "divides by 0"),
    ("A % 0", "divides by 0"),
    ("1 << 9999999999", "shifts by 9999999999"),
    ("1 << -1", "shifts by -1"),
    ("(1 << 40) * (1 << 40)", "does not fit in 64 bits"),
    ("(" * 5000 + "A" + ")" * 5000, "is not an expression"),
    ("A" + " + A" * 2000, "has too many parts"),
    ("~" * 400 + "A", "has too many parts"),
]


@pytest.mark.parametrize(("formula", "message"), REFUSED, ids=lambda text: text[:20])
def test_any_other_expression_is_refused_with_a_message(formula, message):
    with pytest.raises(FormulaError) as error:
        value(formula, {"A": 6, "B": 4})
    assert message in str(error.value)


# text, the message
STALE = [
    ("\nadd %a, 512 /*= 4 * BLOCK */;",   "a.ptx:2: the literal is 512, and '4 * BLOCK' is 1024 with"),
    ("add %a /*= BLOCK */;",              "a.ptx:1: /*= BLOCK */ is not after a whole number."),
    ("add %a, %v8 /*= BLOCK */;",         "a.ptx:1: /*= BLOCK */ is not after a whole number."),
    ("add %a, 1.5 /*= BLOCK */;",         "a.ptx:1: /*= BLOCK */ is not after a whole number."),
    ("add %a, 0400 /*= BLOCK */;",        "a.ptx:1: '0400' before /*= is not a decimal or hexadecimal number."),
    (f"add %a, {'9' * 5000} /*= BLOCK */;", f"a.ptx:1: '{'9' * 40}' before /*= is not a decimal"),
    (" " * 200_000 + "4 /*= 4 * BLOCK */;", "a.ptx:1: the literal is 4, and '4 * BLOCK' is 1024 with"),  # in no time
    ("add %a, 4 /*= TILE */;",            "a.ptx:1: 'TILE' names TILE, which is not a knob of the pair."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), STALE, ids=lambda text: text.strip()[:30])
def test_a_stale_literal_is_reported_with_file_and_line(text, message):
    with pytest.raises(PairError) as error:
        require_fresh(text, {"BLOCK": 256}, "a.ptx")
    assert str(error.value).startswith(message)


def test_a_failed_replacement_is_reported_with_file_and_line():
    with pytest.raises(PairError, match=r"a\.ptx:1: 'TILE' names TILE"):
        substituted("add %a, 4 /*= TILE */;", {"BLOCK": 256}, "a.ptx")
