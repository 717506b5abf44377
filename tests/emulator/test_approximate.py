"""Approximate functions give the ideal value: the one nearest to the exact result, from 60 digits or more.

How many results are another one is part of the test's message; at an error of 2^-51 in f64 one of some 2^25 may be.
"""

import functools
import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import accuracy
from ptxbench.emulator.isa import TABLE
from tests.emulator import batch, exact
from tests.emulator.exact import F32, F64
from tests.emulator.samples import BF16, F16, FORMS, SEED, both, edges, operands, packed, random

DIGITS = 60
DIGITS_OF_TURN = 120
"""Arguments up to 2^128: the reduction to one turn loses 39 digits before the point."""


def pi():
    """By Machin's formula."""

    def arctan_of_one_over(n):
        term, total, k = Decimal(1) / n, Decimal(0), 0
        while abs(term) > Decimal(10) ** -(DIGITS_OF_TURN + 5):
            total += term / (2 * k + 1)
            term, k = -term / (n * n), k + 1
        return total

    return 4 * (4 * arctan_of_one_over(5) - arctan_of_one_over(239))


def series(first, ratio):
    """The sum of terms, each `ratio(k)` times the one before."""
    total, term, k = Decimal(0), first, 0
    while term and abs(term) > abs(total) * Decimal(10) ** -DIGITS:
        total, k = total + term, k + 1
        term *= ratio(k)
    return total


@functools.cache
def turn():
    with localcontext() as context:
        context.prec = DIGITS_OF_TURN + 10
        return pi() / 2


def sine_of_quarter(x, quarters):
    """sin(x + quarters pi / 2) of a Decimal."""
    with localcontext() as context:
        context.prec = DIGITS_OF_TURN
        count = int((x / turn()).to_integral_value())
        rest = x - count * turn()
        square = rest * rest
        if (count + quarters) % 2:
            value = series(Decimal(1), lambda k: -square / ((2 * k - 1) * (2 * k)))
        else:
            value = series(rest, lambda k: -square / ((2 * k) * (2 * k + 1)))
        return -value if (count + quarters) % 4 >= 2 else value


def tangent(x):
    """tanh of a Decimal, by e^2x; where that cancels, more digits are there."""
    power = (2 * x).exp()
    return (power - 1) / (power + 1)


def decimal(value):
    return Decimal(value.numerator) / Decimal(value.denominator)


def ideal(name, form, pattern):
    """The nearest value of `form`; the corner cases are in the manual's tables."""
    x = exact.decode(pattern, form)
    zero = exact.zero(form, negative=x.negative)
    if x.nan:
        return form.nan
    if name in ("sin", "cos"):
        if x.infinite:
            return form.nan
        if x.zero:
            return zero if name == "sin" else form.one
    elif name == "tanh":
        if x.infinite:
            return form.one | form.sign * x.negative
        if x.zero:
            return zero
    elif name == "lg2":
        if x.zero:
            return form.infinity | form.sign
        if x.negative:
            return form.nan
        if x.infinite:
            return form.infinity
        if x.value == 1:
            return 0
    with localcontext() as context:
        context.prec = DIGITS_OF_TURN if name in ("sin", "cos", "tanh") else DIGITS
        if name == "ex2":
            return exact.ex2(form, "rn", pattern)
        if name == "rsqrt":
            return exact.rsqrt(form, "rn", pattern)
        value = decimal(x.value)
        if name == "lg2":
            result = value.ln() / Decimal(2).ln()
        elif name == "tanh":
            result = tangent(min(max(value, Decimal(-200)), Decimal(200)))
        else:
            result = sine_of_quarter(value, name == "cos")
        if not result:  # tanh of an argument too small for its digits: slightly less than the argument
            return pattern
        return exact.rounded(Fraction(result), form)


def samples(name, form, size):
    """Edges, random patterns, and numbers with an ordinary result."""
    rng = np.random.default_rng(SEED)
    spans = {"ex2": 140.0, "tanh": 10.0, "sin": 400.0, "cos": 400.0, "lg2": 4.0}
    ordinary = (rng.uniform(-1, 1, size) * spans.get(name, 4.0) * 2.0 ** -rng.integers(0, 12, size)).tolist()
    if name in ("lg2", "rsqrt"):
        ordinary = [abs(value) for value in ordinary] + [1 + value / 2**10 for value in ordinary[: size // 4]]
    hardest = {"tanh": (0.2, 0.26), "lg2": (1.36, 1.42), "sin": (0.7, 0.79), "cos": (0.7, 0.79), "ex2": (0.45, 0.55)}
    ordinary += rng.uniform(*hardest.get(name, (1, 2)), size // 2).tolist()  # where a series needs its last terms
    if name in ("sin", "cos"):  # near multiples of a quarter turn, where the reduced argument loses most digits
        ordinary += [k * np.pi / 2 for k in range(-40, 41)]
    patterns = [exact.rounded(Fraction(value), form) for value in ordinary if value]
    column = [*edges(form), *patterns, *(int(pattern) for pattern in random(form, 1, size, rng)[0])]
    return np.array(column, np.uint64)


NAMES = ("sin", "cos", "lg2", "ex2", "tanh", "rsqrt")


@functools.cache
def expected(name, kind, size):
    column = samples(name, FORMS[kind], size)
    return column, [ideal(name, FORMS[kind], int(pattern)) for pattern in column]


def report(opcode, column, actual, expected):
    """A line with the fraction of results that are not ideal, and some of them."""
    wrong = [(int(x), int(y), z) for x, y, z in zip(column, actual, expected, strict=True) if int(y) != z]
    shown = ", ".join(f"{x:#x}: {y:#x}, not {z:#x}" for x, y, z in wrong[:5])
    return [f"{opcode}: {len(wrong)} of {len(column)} are not ideal: {shown}"] if wrong else []


def test_f32_functions_give_the_ideal_value():
    cases, wanted = [], []
    for name in NAMES:
        column, ideals = expected(name, "f32", 1500)
        for ftz in (False, True) if name != "tanh" else (False,):
            source = [exact.flushed(int(pattern), F32) if ftz else int(pattern) for pattern in column]
            changed = {int(pattern) for pattern in column} - set(source)
            values = [
                ideal(name, F32, after) if int(before) in changed else value
                for before, after, value in zip(column, source, ideals, strict=True)
            ]
            wanted.append([exact.flushed(value, F32) for value in values] if ftz else values)
            cases.append(batch.Case(f"{name}.approx{'.ftz' * ftz}.f32", "f32", ["f32"], [column]))
    results = batch.execute(cases, "sm_80")
    lines = [report(c.opcode, c.columns[0], got, ideals) for c, got, ideals in zip(cases, results, wanted, strict=True)]
    assert list(itertools.chain(*lines)) == []


def test_sine_and_cosine_reduce_every_finite_argument():
    rng = np.random.default_rng(SEED)
    exponents = rng.integers(126, 255, 1500).astype(np.uint64)
    column = exponents << np.uint64(23) | rng.integers(0, 1 << 23, 1500).astype(np.uint64)
    # The f32 closest to a multiple of pi / 2: 16367173 * 2^72 is within 2^-29 of one, relative to the turn.
    hard = [exact.rounded(Fraction(16367173) * Fraction(2) ** 72, F32), 0x7F7FFFFF, 0x3F490FDB, 0x3F490FDA, 0x3FC90FDB]
    column = np.concatenate([column, np.array(hard, np.uint64)])
    cases = [batch.Case(f"{name}.approx.f32", "f32", ["f32"], [column]) for name in ("sin", "cos")]
    for case, got in zip(cases, batch.execute(cases), strict=True):
        name = case.opcode.split(".")[0]
        assert report(case.opcode, column, got, [ideal(name, F32, int(pattern)) for pattern in column]) == []


def test_half_precision_functions_give_the_ideal_value():
    cases, wanted = [], []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        for name in ("ex2", "tanh"):
            column, ideals = expected(name, kind, 1200)
            ftz = kind == "bf16" and name == "ex2"
            if ftz:  # the result for a subnormal operand is 1 in any case
                ideals = [exact.flushed(pattern, form) for pattern in ideals]
            table = dict(zip(map(int, column), ideals, strict=True))
            stem = f"{name}.approx{'.ftz' * ftz}.{kind}"
            cases += [
                batch.Case(stem, "b16", ["b16"], [column]),
                batch.Case(f"{stem}x2", "b32", ["b32"], [packed(column)]),
            ]
            wanted += [ideals, [both(table.__getitem__)(int(pattern)) for pattern in packed(column)]]
    results = batch.execute(cases, "sm_90")
    lines = [report(c.opcode, c.columns[0], got, ideals) for c, got, ideals in zip(cases, results, wanted, strict=True)]
    assert list(itertools.chain(*lines)) == []


def test_rsqrt_of_f64_gives_the_ideal_value():
    (column,) = operands(F64, 1, 2000)
    column &= np.uint64(~np.uint64(0)) >> np.uint64(1)  # mostly positive
    column = np.concatenate([column, np.array(edges(F64), np.uint64)])
    case = batch.Case("rsqrt.approx.f64", "f64", ["f64"], [column])
    (got,) = batch.execute([case])
    assert report(case.opcode, column, got, [exact.rsqrt(F64, "rn", int(pattern)) for pattern in column]) == []


def test_f64_functions_of_upper_words_ignore_the_lower_word():
    """The nearest value of 20 bits for the upper word; a NaN whose upper word is an infinity's is one."""
    form = exact.Format(32, 20, -1022, 0x7FFFFFFF)
    (column,) = operands(F64, 1, 1000)
    cases = [batch.Case(f"{name}.approx.ftz.f64", "f64", ["f64"], [column]) for name in ("rcp", "rsqrt")]
    for case, got in zip(cases, batch.execute(cases), strict=True):
        function = getattr(exact, case.opcode.split(".")[0])
        wanted = []
        for pattern in column:
            upper = exact.flushed(int(pattern) >> 32, form)
            wanted.append(exact.flushed(function(form, "rn", upper), form) << 32)
        assert report(case.opcode, column, got, wanted) == []


def test_every_approximate_instruction_has_its_error():
    for opcode in TABLE:
        approximate = ".approx" in opcode or ".full" in opcode
        assert (accuracy.bound(opcode) is not None) == approximate, opcode


@pytest.mark.parametrize(
    ("opcode", "result", "error"),
    [
        ("ex2.approx.f32",       1.5,         2 * 2.0**-23),
        ("ex2.approx.ftz.f32",   2.0**-130,   2 * 2.0**-149),
        ("rcp.approx.f32",       4.0,         4 * 2.0**-23),
        ("sqrt.approx.f32",      3.0,         3 * 2.0**-23),
        ("lg2.approx.f32",       0.0,         2.0**-22),
        ("lg2.approx.f32",       100.0,       100 * 2.0**-22),
        ("sin.approx.ftz.f32",   0.5,         2.0**-14.7),
        ("tanh.approx.f32",      -0.5,        2.0**-12),
        ("tanh.approx.bf16x2",   1.0,         2.0**-8),
        ("ex2.approx.f32",       np.inf,      2 * 2.0**-149),
    ],
)  # fmt: skip
def test_a_result_shows_its_bound(opcode, result, error):
    assert accuracy.bound(opcode).at(np.array([result])).tolist() == [error]


APPROXIMATE = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry approximate(.param .u64 results)
{
    .reg .b32 %thread;
    .reg .f32 %x, %y;
    .reg .u64 %to;
    .reg .pred %few, %none;
    mov.u32 %thread, %tid.x;
    cvt.rn.f32.u32 %x, %thread;
    setp.lt.u32 %few, %thread, 5;
    setp.gt.u32 %none, %thread, 99;
    ex2.approx.ftz.f32 %y, %x;
    @%few rsqrt.approx.f32 %y, %x;
    @%none sin.approx.f32 %y, %x;
    div.rn.f32 %y, %y, %x;
    ld.param.u64 %to, [results];
    st.global.f32 [%to], %y;
    ret;
}
"""


def test_an_execution_lists_the_approximate_instructions_that_ran():
    execution = emulator.run(APPROXIMATE, grid=2, block=40, args=[np.zeros(1, np.float32)])
    assert execution.approximate == {"ex2.approx.ftz.f32": 80, "rsqrt.approx.f32": 10}


def test_approximate_opcodes_are_found_in_a_text_of_ptx_and_not_in_its_comments():
    text = """
    @%p ex2.approx.ftz.f32 %y, %x;   // not sin.approx.f32
    /* nor lg2.approx.f32
       nor tanh.approx.f32 */
    div.rn.f32 %y, %x, %z;  rcp.approx.ftz.f32 %y, %x; mov.u32 %rsqrt.approx.f32, %tid.x;
    """
    assert accuracy.opcodes(text) == ("ex2.approx.ftz.f32", "rcp.approx.ftz.f32")


@pytest.mark.parametrize("opcode", ["ex2.ftz.approx.f32", "ex2.f32.approx.ftz", "div.full.f32.ftz", "tanh.f16.approx"])
def test_the_bound_does_not_depend_on_the_order_of_the_modifiers(opcode):
    name, *modifiers = opcode.split(".")
    sources = [accuracy.bound(".".join([name, *permutation])) for permutation in itertools.permutations(modifiers)]
    assert sources[0] is not None
    assert all(source is sources[0] for source in sources)
