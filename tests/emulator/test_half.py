"""f16 and bf16, single and in pairs, against arithmetic on rational numbers rounded once."""

import dataclasses
import itertools
import operator

import numpy as np
import pytest

from tests.emulator import exact
from tests.emulator.samples import BF16, F16, FORMS, Check, both, disagreements, operands, packed, relu
from tests.emulator.test_floats import extremum, with_signs

NEWEST = "sm_90"


def spellings(stem, kind):
    """The opcode for one value and for a pair, with the register type that holds them."""
    return (f"{stem}.{kind}", "b16"), (f"{stem}.{kind}x2", "b32")


def checks(stem, kind, columns, expected):
    """Both spellings of an instruction."""
    one, two = spellings(stem, kind)
    count = len(columns)
    yield Check(one[0], one[1], [one[1]] * count, columns, expected)
    yield Check(two[0], two[1], [two[1]] * count, [packed(column) for column in columns], both(expected))


def reference(name, form, ftz=False, clamp=""):
    function, flushing = getattr(exact, name), dataclasses.replace(form, flushes=ftz)

    def expected(*patterns):
        inputs = [exact.flushed(pattern, form) for pattern in patterns] if ftz else patterns
        result = function(flushing, "rn", *inputs)
        if clamp == "relu":
            result = relu(result, form)
        if clamp == "sat":
            result = exact.saturated(result, form)
        return result

    return expected


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_arithmetic_rounds_once(name):
    cases = []
    columns = operands(F16, 2, 1000)
    for ftz, sat in itertools.product((False, True), (False, True)):
        stem = f"{name}.rn{'.ftz' * ftz}{'.sat' * sat}"
        cases += checks(stem, "f16", columns, reference(name, F16, ftz, "sat" if sat else ""))
    cases += checks(name, "bf16", operands(BF16, 2, 1000), reference(name, BF16))
    assert disagreements(cases, NEWEST) == []


def test_fma_rounds_once():
    cases = []
    columns = operands(F16, 3, 1000)
    for ftz, clamp in itertools.product((False, True), ("", "sat", "relu")):
        stem = f"fma.rn{'.ftz' * ftz}{'.' * bool(clamp)}{clamp}"
        cases += checks(stem, "f16", columns, reference("fma", F16, ftz, clamp))
    columns = operands(BF16, 3, 2000)
    for clamp in ("", "relu"):
        stem = f"fma.rn{'.' * bool(clamp)}{clamp}"
        cases += checks(stem, "bf16", columns, reference("fma", BF16, clamp=clamp))
    assert disagreements(cases, NEWEST) == []


def test_a_product_that_rounds_up_to_the_least_normal_number_is_not_flushed():
    """Tiny is what is below it after rounding to 11 bits. The products are near 2^-14, some of them at the tie."""
    pairs = [(8 << 10 | i, 7 << 10 | j) for i in range(410, 440) for j in range(410, 440)]
    assert (8 << 10 | 1440 - 1024, 7 << 10 | 1456 - 1024) in pairs  # 2^-14 (1 - 2^-12)
    columns = [np.array(column, np.uint64) for column in zip(*pairs, strict=True)]
    zeros = np.zeros(len(pairs), np.uint64)
    cases = [
        *checks("mul.rn.ftz", "f16", columns, reference("mul", F16, True)),
        *checks("fma.rn.ftz", "f16", [*columns, zeros], reference("fma", F16, True)),
    ]
    assert disagreements(cases, NEWEST) == []


def test_fma_of_a_tie_and_a_tiny_addend_is_not_a_tie():
    rng = np.random.default_rng(7)
    cases = []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        ties = []
        while len(ties) < 60:  # products one bit longer than the format, with a last bit of 1
            a, b = (int(form.one | integer) for integer in rng.integers(0, 1 << form.fraction, 2))
            product = exact.decode(a, form).value * exact.decode(b, form).value
            nearest = exact.rounded(product, form, "rz")
            step = exact.decode(nearest + 1, form).value - exact.decode(nearest, form).value
            if product - exact.decode(nearest, form).value == step / 2:
                ties.append((a, b))
        first, second = (np.array(column, np.uint64) for column in zip(*ties, strict=True))
        third = np.array([1, form.sign | 1], np.uint64)[np.arange(60) % 2]
        cases += checks("fma.rn", kind, [first, second, third], reference("fma", form))
    assert disagreements(cases, NEWEST) == []


def test_oob_gives_zero_for_the_nan_that_marks_elements_outside():
    cases = []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        first, second, third = operands(form, 3, 100)
        first[::5], second[::7] = 0x7FF7, 0xFFF7
        for clamp in ("", "relu"):
            inside = reference("fma", form, clamp=clamp)

            def expected(a, b, c, inside=inside):
                return 0 if 0x7FF7 in (a & 0x7FFF, b & 0x7FFF) else inside(a, b, c)

            cases += checks(f"fma.rn.oob{'.' * bool(clamp)}{clamp}", kind, [first, second, third], expected)
    assert disagreements(cases, NEWEST) == []


def test_signs_of_numbers_are_bits():
    cases = []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        columns = operands(form, 1, 200)
        for name, ftz in itertools.product(("neg", "abs"), (False, True) if kind == "f16" else (False,)):

            def expected(pattern, form=form, name=name, ftz=ftz):
                if pattern & form.sign - 1 > form.infinity:
                    return form.nan
                pattern = exact.flushed(pattern, form) if ftz else pattern
                return pattern ^ form.sign if name == "neg" else pattern & form.sign - 1

            cases += checks(f"{name}{'.ftz' * ftz}", kind, columns, expected)
    assert disagreements(cases, NEWEST) == []


def test_minimum_and_maximum_follow_the_manual():
    cases = []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        columns = operands(form, 2, 200)
        flushes = (False, True) if kind == "f16" else (False,)
        for name, nan, ftz, signs in itertools.product(("min", "max"), (False, True), flushes, (False, True)):

            def expected(a, b, form=form, name=name, nan=nan, ftz=ftz, signs=signs):
                if ftz:
                    a, b = exact.flushed(a, form), exact.flushed(b, form)
                return with_signs(form, name, nan, a, b) if signs else extremum(form, name, nan, [a, b])

            stem = f"{name}{'.ftz' * ftz}{'.NaN' * nan}{'.xorsign.abs' * signs}"
            cases += checks(stem, kind, columns, expected)
    assert disagreements(cases, NEWEST) == []


ORDERED = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
UNORDERED = {f"{name}u": function for name, function in ORDERED.items()}
BOOLEANS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def holds(cmp, a, b, form, ftz=False):
    x, y = (exact.decode(exact.flushed(pattern, form) if ftz else pattern, form) for pattern in (a, b))
    nan = x.nan or y.nan
    if cmp in ("num", "nan"):
        return nan == (cmp == "nan")
    if nan:
        return cmp in UNORDERED
    left, right = (
        float("-inf" if operand.negative else "inf") if operand.infinite else operand.value for operand in (x, y)
    )
    return (ORDERED | UNORDERED)[cmp](left, right)


COMPARISONS = (*ORDERED, *UNORDERED, "num", "nan")


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_comparisons_of_one_and_of_pairs(kind):
    form = FORMS[kind]
    columns = [column[::7] for column in operands(form, 2, 400)]
    truths = np.arange(len(columns[0]), dtype=np.uint64) % np.uint64(2)
    pairs = [packed(column) for column in columns]
    cases = []
    for cmp, ftz in itertools.product(COMPARISONS, (False, True) if kind == "f16" else (False,)):

        def single(a, b, cmp=cmp, ftz=ftz):
            return int(holds(cmp, a, b, form, ftz))

        cases.append(Check(f"setp.{cmp}{'.ftz' * ftz}.{kind}", "pred", ["b16"] * 2, columns, single))
        for bool_, join in BOOLEANS.items():

            def joined(a, b, c, single=single, join=join):
                return join(single(a, b), c)

            opcode = f"setp.{cmp}.{bool_}{'.ftz' * ftz}.{kind}"
            cases.append(Check(opcode, "pred", ["b16", "b16", "pred"], [*columns, truths], joined))

        def lower(a, b, single=single):
            return single(a & 0xFFFF, b & 0xFFFF)

        cases.append(Check(f"setp.{cmp}{'.ftz' * ftz}.{kind}x2", "pred", ["b32"] * 2, pairs, lower))

        def floats(a, b, single=single):
            return form.one * single(a, b)

        def masks(a, b, single=single):
            return 0xFFFF * single(a, b)

        cases.append(Check(f"set.{cmp}{'.ftz' * ftz}.{kind}x2.{kind}x2", "b32", ["b32"] * 2, pairs, both(floats)))
        cases.append(Check(f"set.{cmp}{'.ftz' * ftz}.u32.{kind}x2", "u32", ["b32"] * 2, pairs, both(masks)))
        cases.append(Check(f"set.{cmp}{'.ftz' * ftz}.s16.{kind}", "s16", ["b16"] * 2, columns, masks))

        def words(a, b, single=single):
            return 0xFFFFFFFF * single(a, b)

        cases.append(Check(f"set.{cmp}{'.ftz' * ftz}.u32.{kind}", "u32", ["b16"] * 2, columns, words))

        def set_joined(a, b, c, single=single):
            return form.one * (single(a, b) ^ c)

        cases.append(Check(f"set.{cmp}{'.ftz' * ftz}.{kind}.{kind}", "b16", ["b16"] * 2, columns, floats))
        opcode = f"set.{cmp}.xor{'.ftz' * ftz}.{kind}.{kind}"
        cases.append(Check(opcode, "b16", ["b16", "b16", "pred"], [*columns, truths], set_joined))
    assert disagreements(cases, NEWEST) == []


def test_set_to_half_precision_compares_any_type():
    rng = np.random.default_rng(3)
    cases = []
    for result, form in (("f16", F16), ("bf16", BF16)):
        for kind in ("u16", "s32", "u64", "b32", "f32", "f64"):
            cmp = "eq" if kind[0] == "b" else "lt" if kind[0] != "u" else "hs"
            if kind[0] == "f":
                columns = operands(FORMS[kind], 2, 100)

                def expected(a, b, kind=kind, cmp=cmp, form=form):
                    return form.one * holds(cmp, a, b, FORMS[kind])
            else:
                width = int(kind[1:])
                columns = [column >> np.uint64(64 - width) for column in rng.integers(0, 2**64, (2, 200), np.uint64)]
                columns[1][::4] = columns[0][::4]

                def expected(a, b, kind=kind, cmp=cmp, form=form, width=width):
                    if kind[0] == "s":
                        a, b = (pattern - (pattern >> width - 1 << width) for pattern in (a, b))
                    return form.one * {"eq": a == b, "lt": a < b, "hs": a >= b}[cmp]

            cases.append(Check(f"set.{cmp}.{result}.{kind}", "b16", [kind] * 2, columns, expected))
    assert disagreements(cases, NEWEST) == []
