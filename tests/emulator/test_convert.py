"""cvt between all types, against rational numbers rounded once; narrow formats against a table of all their values."""

import dataclasses
import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest

from tests.emulator import batch, exact
from tests.emulator.exact import F32
from tests.emulator.samples import (
    BF16,
    F16,
    FORMS,
    SEED,
    TF32,
    Check,
    both,
    disagreements,
    edges,
    operands,
    random,
    relu,
)

NEWEST = ("sm_100a", "8.8")
HELD = {"f16": "b16", "bf16": "b16", "f32": "f32", "f64": "f64"}
INTS = [f"{kind}{bits}" for kind in "us" for bits in (16, 32, 64)]


def rounded(number, form, rounding, *, satfinite=False):
    """A decoded number in another format; `rna` sends ties away from zero."""
    if number.nan:
        return form.nan
    sign = form.sign * number.negative
    if number.infinite:
        return (form.infinity - 1 if satfinite else form.infinity) | sign
    if not number.value:
        return sign
    if rounding == "rna":
        down = exact.rounded(number.value, form, "rz")
        step = abs(exact.decode(down + 1, form).value or 0) - abs(exact.decode(down, form).value)
        tie = abs(number.value) - abs(exact.decode(down, form).value) == step / 2
        result = down + 1 if tie else exact.rounded(number.value, form, "rn")
    else:
        result = exact.rounded(number.value, form, rounding)
    return form.infinity - 1 | sign if satfinite and result & form.sign - 1 == form.infinity else result


def between(source, target):
    """Patterns of `source`, with many of the values that `target` has, their neighbours, and ties between them."""
    rng = np.random.default_rng(SEED)
    values = [exact.decode(pattern, target).value for pattern in edges(target)]
    values += [exact.decode(int(pattern), target).value for pattern in random(target, 1, 100, rng)[0]]
    patterns = edges(source) + [int(pattern) for pattern in random(source, 1, 300, rng)[0]]
    for value in filter(None, values):
        near = exact.rounded(value, source, "rz")
        patterns += [near - 1, near, near + 1]
        if source.fraction > target.fraction:
            half = 1 << source.fraction - target.fraction - 1
            patterns += [near + half - 1, near + half, near + half + 1]
    return np.array([pattern & (1 << source.width) - 1 for pattern in patterns], np.uint64)


def float_check(source, target, rounding="", modifiers=""):
    """cvt from one float type to another."""
    source_form, form = FORMS[source], FORMS[target]
    flags = set(filter(None, modifiers.split(".")))
    if "ftz" in flags and target == "f32":
        form = dataclasses.replace(form, flushes=True)

    def expected(pattern):
        if "ftz" in flags and source == "f32":
            pattern = exact.flushed(pattern, source_form)
        result = rounded(exact.decode(pattern, source_form), form, rounding or "rn", satfinite="satfinite" in flags)
        if "relu" in flags:
            result = relu(result, form)
        if "ftz" in flags and target == "f32":
            result = exact.flushed(result, form)
        return exact.saturated(result, form) if "sat" in flags else result

    opcode = f"cvt{'.' * bool(rounding)}{rounding}{modifiers}.{target}.{source}"
    return Check(opcode, HELD[target], [HELD[source]], [between(source_form, form)], expected)


def test_floats_become_narrower_ones_with_one_rounding():
    checks = []
    for rounding in exact.ROUNDINGS:
        for modifiers in ("", ".ftz", ".sat", ".ftz.sat"):
            checks.append(float_check("f32", "f16", rounding, modifiers))
            checks.append(float_check("f64", "f32", rounding, modifiers))
        checks += [float_check("f32", "bf16", rounding, modifiers) for modifiers in ("", ".ftz")]
        checks += [float_check("f64", "f16", rounding, modifiers) for modifiers in ("", ".sat")]
        checks += [float_check(*pair, rounding) for pair in (("f64", "bf16"), ("f16", "bf16"), ("bf16", "f16"))]
    for rounding, modifiers in itertools.product(
        ("rn", "rz"), (".relu", ".satfinite", ".relu.satfinite", ".satfinite.relu")
    ):
        checks += [float_check("f32", target, rounding, modifiers) for target in ("f16", "bf16")]
    assert disagreements(checks, *NEWEST) == []


def test_floats_become_wider_ones_exactly():
    checks = [float_check("f16", "f32", modifiers=modifiers) for modifiers in ("", ".ftz", ".sat", ".ftz.sat")]
    checks += [float_check("f16", "f64", modifiers=modifiers) for modifiers in ("", ".sat")]
    checks += [float_check("bf16", "f32", modifiers=modifiers) for modifiers in ("", ".ftz")]
    checks += [float_check("f32", "f64", modifiers=modifiers) for modifiers in ("", ".ftz", ".sat", ".ftz.sat")]
    checks += [float_check("bf16", "f64"), float_check("bf16", "f64", "rz")]
    assert disagreements(checks, *NEWEST) == []


def test_floats_are_rounded_to_integral_values():
    checks = []
    for kind, form in FORMS.items():
        names = {"f16": ("", ".sat"), "bf16": ("",), "f32": ("", ".ftz", ".sat", ".ftz.sat"), "f64": ("", ".sat")}
        for rounding, modifiers in itertools.product(("rni", "rzi", "rmi", "rpi"), names[kind]):

            def expected(pattern, form=form, rounding=rounding, modifiers=modifiers):
                if "ftz" in modifiers:
                    pattern = exact.flushed(pattern, form)
                number = exact.decode(pattern, form)
                if number.nan:
                    result = form.nan
                elif number.infinite:
                    result = pattern
                else:
                    value = exact.whole(pattern, form, rounding)
                    result = exact.rounded(Fraction(value), form) if value else form.sign * number.negative
                return exact.saturated(result, form) if "sat" in modifiers else result

            opcode = f"cvt.{rounding}{modifiers}.{kind}.{kind}"
            near_one = [form.one + k - 40 for k in range(80)] + [form.one + (k << form.fraction - 2) for k in range(20)]
            column = np.concatenate([operands(form, 1, 100)[0], np.array(near_one, np.uint64)])
            column = np.concatenate([column, column ^ np.uint64(form.sign)])
            checks.append(Check(opcode, HELD[kind], [HELD[kind]], [column], expected))
    assert disagreements(checks, *NEWEST) == []


def integers(kind):
    rng = np.random.default_rng(SEED)
    width = int(kind[1:])
    values = rng.integers(0, 2**64 - 1, 200, np.uint64, endpoint=True) >> rng.integers(0, 64, 200).astype(np.uint64)
    ends = np.array(
        [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**24 + 1, 2**25 + 3, 2**53 + 1, 65519, 65520], np.uint64
    )
    ties = np.uint64(1) << rng.integers(0, 64, 100).astype(np.uint64) | np.uint64(1) << rng.integers(0, 64, 100).astype(
        np.uint64
    )
    values = np.concatenate([values, ends, ties, ties + np.uint64(1)])
    return np.concatenate([values, ~values]) & np.uint64((1 << width) - 1)


@pytest.mark.parametrize("target", FORMS)
def test_integers_become_floats_with_one_rounding(target):
    form = FORMS[target]
    checks = []
    for kind, rounding, sat in itertools.product(INTS, exact.ROUNDINGS, (False, True)):
        if sat and target == "bf16":
            continue

        def expected(pattern, kind=kind, rounding=rounding, sat=sat):
            width = int(kind[1:])
            value = pattern - (1 << width if kind[0] == "s" and pattern >> width - 1 else 0)
            result = exact.rounded(Fraction(value), form, rounding) if value else 0
            return exact.saturated(result, form) if sat else result

        opcode = f"cvt.{rounding}{'.sat' * sat}.{target}.{kind}"
        checks.append(Check(opcode, HELD[target], [kind], [integers(kind)], expected))
    assert disagreements(checks, *NEWEST) == []


@pytest.mark.parametrize("source", ["f16", "bf16"])
def test_half_precision_becomes_integers_within_their_range(source):
    form = FORMS[source]
    checks = []
    for kind, rounding in itertools.product(INTS, ("rni", "rzi", "rmi", "rpi")):
        width = int(kind[1:])
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if kind[0] == "s" else (0, (1 << width) - 1)

        def expected(pattern, rounding=rounding, width=width, low=low, high=high):
            number = exact.decode(pattern, form)
            if number.nan:
                return 1 << 63 if width == 64 else 0
            if number.infinite:
                result = low if number.negative else high
            else:
                result = min(max(exact.whole(pattern, form, rounding), low), high)
            return result & (1 << width) - 1

        opcode = f"cvt.{rounding}.{kind}.{source}"
        checks.append(Check(opcode, kind, ["b16"], operands(form, 1, 300), expected))
    assert disagreements(checks, *NEWEST) == []


def test_tf32_is_f32_with_ten_bits_of_fraction():
    checks = []
    modifiers = ("", ".satfinite", ".relu", ".relu.satfinite", ".satfinite.relu")
    for rounding, flags in [("rna", ""), ("rna", ".satfinite"), *itertools.product(("rn", "rz"), modifiers)]:

        def expected(pattern, rounding=rounding, flags=flags):
            number = exact.decode(pattern, F32)
            if number.nan:
                return F32.nan
            result = rounded(number, TF32, rounding, satfinite="satfinite" in flags)
            return (relu(result, TF32) if "relu" in flags else result) << 13

        column = between(F32, TF32)
        checks.append(Check(f"cvt.{rounding}{flags}.tf32.f32", "b32", ["f32"], [column], expected))
    assert disagreements(checks, *NEWEST) == []


def test_pairs_put_the_first_operand_into_the_upper_half():
    checks = []
    for target, rounding, flags in itertools.product(
        ("f16", "bf16"), ("rn", "rz"), ("", ".relu", ".satfinite", ".relu.satfinite")
    ):
        single = float_check("f32", target, rounding, flags)

        def expected(a, b, single=single):
            return single.expected(a) << 16 | single.expected(b)

        column = single.columns[0]
        opcode = f"cvt.{rounding}{flags}.{target}x2.f32"
        checks.append(Check(opcode, "b32", ["f32", "f32"], [column, np.roll(column, 5)], expected))
    assert disagreements(checks, *NEWEST) == []


def test_random_bits_round_up_to_bf16_in_proportion_to_the_remainder():
    rng = np.random.default_rng(SEED)
    numbers = np.concatenate([between(F32, BF16), np.full(64, 0x7F7F8000, np.uint64)])
    bits = rng.integers(0, 2**32, numbers.size, np.uint64)
    checks = []
    for flags in ("", ".relu", ".satfinite", ".relu.satfinite"):

        def single(pattern, random, flags=flags):
            number = exact.decode(pattern, F32)
            if number.nan:
                return BF16.nan
            down = rounded(number, BF16, "rz")
            away = not number.infinite and (pattern & 0xFFFF) + random >= 1 << 16
            result = down + away
            if "satfinite" in flags and result & BF16.sign - 1 == BF16.infinity:
                result -= 1
            return relu(result, BF16) if "relu" in flags else result

        def expected(a, b, random, single=single):
            return single(a, random >> 16) << 16 | single(b, random & 0xFFFF)

        columns = [numbers, np.roll(numbers, 3), bits]
        checks.append(Check(f"cvt.rs{flags}.bf16x2.f32", "b32", ["f32", "f32", "b32"], columns, expected))
    assert disagreements(checks, *NEWEST) == []


@pytest.mark.parametrize("rest", [0, 1, 0x4000, 0xFFFF])
def test_every_random_number_rounds_up_as_often_as_the_exact_one_lies_above(rest):
    every = np.arange(1 << 16, dtype=np.uint64)
    words = [np.full_like(every, 0xC0490000), np.full_like(every, 0x3F800000 | rest), every]
    (got,) = batch.execute([batch.Case("cvt.rs.bf16x2.f32", "b32", ["f32", "f32", "b32"], words)], *NEWEST)
    assert {int(pattern) >> 16 for pattern in got} == {0xC049}
    assert np.bincount((got & np.uint64(0xFFFF)).astype(int) - 0x3F80, minlength=2).tolist() == [(1 << 16) - rest, rest]


# ---- 8, 6 and 4 bits: every value that there is


def values(exponent_bits, fraction_bits, bias, nans, infinity=None):
    """Pattern -> value of the positive finite patterns of a narrow format."""
    table = {}
    for pattern in range(1 << exponent_bits + fraction_bits):
        field, fraction = divmod(pattern, 1 << fraction_bits)
        if pattern not in nans and pattern != infinity:
            significand = fraction + (1 << fraction_bits if field else 0)
            table[pattern] = Fraction(significand) * Fraction(2) ** (max(field, 1) - bias - fraction_bits)
    return table


NARROW = {
    "e4m3x2": (values(4, 3, 7, {0x7F}), 0x80, 0x7F),
    "e5m2x2": (values(5, 2, 15, {0x7D, 0x7E, 0x7F}, 0x7C), 0x80, 0x7F),
    "e2m3x2": (values(2, 3, 1, ()), 0x20, 0x1F),
    "e3m2x2": (values(3, 2, 3, ()), 0x20, 0x1F),
    "e2m1x2": (values(2, 1, 1, ()), 0x08, 0x07),
}
"""Values, the sign bit, and the result for NaN."""


@functools.cache
def nearest_magnitude(magnitude, kind):
    table = NARROW[kind][0]
    return min(table, key=lambda code: (abs(table[code] - magnitude), code & 1))


def nearest(number, kind, flags):
    """The nearest pattern, ties to the even one; beyond the greatest, the greatest (.satfinite is not optional)."""
    table, sign, nan = NARROW[kind]
    if number.nan:
        return nan
    pattern = max(table) if number.infinite else nearest_magnitude(abs(number.value), kind)
    if "relu" in flags and number.negative:
        return 0
    return pattern | sign * number.negative


def near_narrow(source, kind):
    """Patterns of `source`: the values of a narrow format, the ties between them, and their neighbours."""
    table = NARROW[kind][0]
    ordered = sorted(table.values())
    middles = [(low + high) / 2 for low, high in itertools.pairwise(ordered)]
    beyond = [ordered[-1] + (ordered[-1] - ordered[-2]) * Fraction(k, 4) for k in range(1, 6)]
    near = [exact.rounded(value, source, "rz") for value in (*ordered, *middles, *beyond) if value]
    patterns = np.array(edges(source) + [pattern + k for pattern in near for k in (-1, 0, 1)], np.uint64)
    return np.concatenate([patterns, patterns ^ np.uint64(source.sign)])


def test_narrow_pairs_hold_the_nearest_values():
    checks = []
    for kind, flags in itertools.product(NARROW, (".satfinite", ".satfinite.relu", ".relu.satfinite")):
        place = 4 if kind == "e2m1x2" else 8

        @functools.cache
        def single(pattern, form, kind=kind, flags=flags):
            return nearest(exact.decode(pattern, form), kind, flags)

        def expected(a, b, single=single, place=place):
            return single(a, F32) << place | single(b, F32)

        column = near_narrow(F32, kind)
        result = "b8" if kind == "e2m1x2" else "b16"
        opcode = f"cvt.rn{flags}.{kind}.f32"
        checks.append(Check(opcode, result, ["f32", "f32"], [column, np.roll(column, 3)], expected))
        if flags == ".relu.satfinite":
            continue  # only another order
        for source, form in (("f16x2", F16), ("bf16x2", BF16)):

            def of_pair(pair, single=single, form=form, place=place):
                return single(pair >> 16, form) << place | single(pair & 0xFFFF, form)

            column = near_narrow(form, kind)
            column = column | np.roll(column, 3) << np.uint64(16)
            checks.append(Check(f"cvt.rn{flags}.{kind}.{source}", result, ["b32"], [column], of_pair))
    assert disagreements(checks, "sm_100a", "9.2") == []


def test_narrow_pairs_become_f16_exactly():
    checks = []
    for kind, flags in itertools.product(NARROW, ("", ".relu")):
        table, sign, _ = NARROW[kind]
        place = 4 if kind == "e2m1x2" else 8

        def single(pattern, kind=kind, table=table, sign=sign, flags=flags):
            pattern &= 2 * sign - 1
            magnitude, negative = pattern & sign - 1, bool(pattern & sign)
            if magnitude not in table:
                result = F16.infinity if kind == "e5m2x2" and magnitude == 0x7C else F16.nan
                result |= F16.sign * (negative and result != F16.nan)
            else:
                value = table[magnitude]
                result = (exact.rounded(value, F16) if value else 0) | F16.sign * negative
            return relu(result, F16) if flags else result

        def expected(pair, single=single, place=place):
            return single(pair >> place) << 16 | single(pair)

        low = np.arange(256, dtype=np.uint64)
        column = low if place == 4 else low | np.roll(low, 9) << np.uint64(8)
        register = "b8" if place == 4 else "b16"
        checks.append(Check(f"cvt.rn{flags}.f16x2.{kind}", "b32", [register], [column], expected))
    assert disagreements(checks, *NEWEST) == []


def narrow_value(pattern, kind):
    """A narrow pattern as a decoded number."""
    table, sign, _ = NARROW[kind]
    pattern &= 2 * sign - 1
    magnitude, negative = pattern & sign - 1, bool(pattern & sign)
    infinite = kind == "e5m2x2" and magnitude == 0x7C
    value = table.get(magnitude)
    signed = -value if negative and value is not None else value
    return exact.Number(negative, signed, nan=value is None and not infinite)


def fixed_value(pattern):
    """An s2f6 as a decoded number: sixty-fourths in two's complement."""
    steps = (pattern & 0xFF) - (pattern << 1 & 0x100)
    return exact.Number(steps < 0, Fraction(steps, 64))


def scaled(number, scale):
    """A decoded number times a ue8m0."""
    if number.nan or scale == 0xFF:
        return exact.Number(False, None, nan=True)
    value = number.value
    return number if value is None else exact.Number(number.negative, value * Fraction(2) ** (scale - 127))


SCALES = np.array([127, 126, 128, 133, 0, 1, 2, 113, 120, 200, 240, 248, 253, 254, 255], np.uint64)


def scale_column(size):
    column = np.resize(SCALES, size)
    return column | np.roll(column, 4) << np.uint64(8)


RANGES = ("", ".relu", ".satfinite", ".satfinite.relu")


def test_narrow_pairs_become_bf16_times_a_power_of_two():
    checks = []
    for kind, flags in itertools.product((*NARROW, "s2f6x2"), RANGES):
        place = 4 if kind == "e2m1x2" else 8
        value = fixed_value if kind == "s2f6x2" else functools.partial(narrow_value, kind=kind)

        @functools.cache
        def single(pattern, scale, value=value, flags=flags):
            result = rounded(scaled(value(pattern), scale), BF16, "rn", satfinite="satfinite" in flags)
            return relu(result, BF16) if "relu" in flags else result

        def expected(pair, scales=0x7F7F, single=single, place=place):
            mask = (1 << place) - 1
            return single(pair >> place & mask, scales >> 8) << 16 | single(pair & mask, scales & 0xFF)

        low = np.arange(256, dtype=np.uint64)
        column = low if place == 4 else low | np.roll(low, 9) << np.uint64(8)
        register = "b8" if place == 4 else "b16"
        checks.append(Check(f"cvt.rn{flags}.bf16x2.{kind}", "b32", [register], [column], expected))
        column = np.tile(column, 3)
        columns = [column, scale_column(column.size)]
        opcode = f"cvt.rn{flags}.scaled::n2::ue8m0.bf16x2.{kind}"
        checks.append(Check(opcode, "b32", [register, "b16"], columns, expected))
    assert disagreements(checks, "sm_100a", "9.2") == []


def test_numbers_become_sixty_fourths_divided_by_a_power_of_two():
    def fixed(number, scale, flags):
        number = scaled(number, 0xFF if scale == 0xFF else 254 - scale)
        if number.nan:
            return 127
        end = -128 if number.negative else 127
        steps = end if number.infinite else round(number.value * 64)  # ties to even
        return min(max(steps, 0 if "relu" in flags else -128), 127) & 0xFF

    checks = []
    for source, form in (("f32", F32), ("bf16x2", BF16)):
        near = [exact.rounded(Fraction(k, 128), form, "rz") + d for k in range(1, 280, 3) for d in (-1, 0, 1)]
        column = np.array(edges(form) + near, np.uint64)
        column = np.concatenate([column, column ^ np.uint64(form.sign)])
        other = np.roll(column, 5)
        for flags in (".satfinite", ".satfinite.relu"):

            def expected(a, b, scales=0x7F7F, form=form, flags=flags):
                high = fixed(exact.decode(a, form), scales >> 8, flags)
                return high << 8 | fixed(exact.decode(b, form), scales & 0xFF, flags)

            def of_pair(pair, scales=0x7F7F, expected=expected):
                return expected(pair >> 16, pair & 0xFFFF, scales)

            alone = source == "f32"
            columns = [column, other] if alone else [column << np.uint64(16) | other]
            kinds, function = (["f32", "f32"], expected) if alone else (["b32"], of_pair)
            checks.append(Check(f"cvt.rn{flags}.s2f6x2.{source}", "b16", kinds, columns, function))
            opcode = f"cvt.rn{flags}.scaled::n2::ue8m0.s2f6x2.{source}"
            scales = scale_column(column.size)
            checks.append(Check(opcode, "b16", [*kinds, "b16"], [*columns, scales], function))
    assert disagreements(checks, "sm_100a", "9.2") == []


def test_ue8m0_holds_powers_of_two_without_a_sign():
    def power(pattern, form, rounding, satfinite):
        number = exact.decode(pattern & form.sign - 1, form)
        if number.nan:
            return 0xFF
        exponent = 128 if number.infinite else -127
        if not number.infinite:
            while Fraction(2) ** (exponent + 1) <= number.value:
                exponent += 1
            if rounding == "rp" and number.value > Fraction(2) ** exponent:
                exponent += 1
        return min(exponent + 127, 0xFE if satfinite else 0xFF)

    checks = []
    extremes = [0x00400000, 0x00400001, 0x003FFFFF, 0x7F000000, 0x7F000001, 0x7F7FFFFF, 0x80400001]
    single = np.concatenate([operands(F32, 1, 200)[0], np.array(extremes, np.uint64)])
    for rounding, satfinite in itertools.product(("rz", "rp"), (False, True)):
        modifiers = f".{rounding}{'.satfinite' * satfinite}"

        def expected(a, b, rounding=rounding, satfinite=satfinite):
            return power(a, F32, rounding, satfinite) << 8 | power(b, F32, rounding, satfinite)

        def of_pair(pair, rounding=rounding, satfinite=satfinite):
            return power(pair >> 16, BF16, rounding, satfinite) << 8 | power(pair & 0xFFFF, BF16, rounding, satfinite)

        checks.append(Check(f"cvt{modifiers}.ue8m0x2.f32", "b16", ["f32"] * 2, [single, np.roll(single, 3)], expected))
        pair = operands(BF16, 1, 200)[0]
        column = pair | np.roll(pair, 3) << np.uint64(16)
        checks.append(Check(f"cvt{modifiers}.ue8m0x2.bf16x2", "b16", ["b32"], [column], of_pair))

    def back(pattern):
        return BF16.nan if pattern == 0xFF else exact.rounded(Fraction(2) ** (pattern - 127), BF16)

    column = np.arange(256, dtype=np.uint64)
    column |= np.roll(column, 11) << np.uint64(8)
    checks.append(Check("cvt.rn.bf16x2.ue8m0x2", "b32", ["b16"], [column], both(back, 8, 16)))
    assert disagreements(checks, *NEWEST) == []


def test_pack_clamps_and_moves_what_was_packed_before():
    checks = []
    rng = np.random.default_rng(SEED)
    wild = rng.integers(0, 2**32, (3, 400), np.uint64)
    wild[:2, ::2] = rng.integers(-300, 300, (2, 200)).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    for kind in ("u16", "s16", "u8", "s8", "u4", "s4", "u2", "s2"):
        bits = int(kind[1:])
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)

        def clamped(pattern, low=low, high=high, bits=bits):
            value = pattern - (pattern >> 31 << 32)
            return min(max(value, low), high) & (1 << bits) - 1

        def expected(a, b, c=0, clamped=clamped, bits=bits):
            return (clamped(b) | clamped(a) << bits | c << 2 * bits) & 0xFFFFFFFF

        onto = bits < 16
        opcode = f"cvt.pack.sat.{kind}.s32{'.b32' * onto}"
        checks.append(Check(opcode, "b32", ["b32"] * (2 + onto), list(wild[: 2 + onto]), expected))
    assert disagreements(checks, *NEWEST) == []
