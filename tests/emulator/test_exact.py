"""Floating-point instructions on random bit patterns, against arithmetic on rational numbers rounded once.

All roundings of the correctly rounded instructions, with .ftz and .sat; the approximate ones give the correctly
rounded value too. A result whose bits differ is shown with its operands.
"""

import dataclasses

import numpy as np
import pytest

from tests.emulator import exact
from tests.emulator.bits import show
from tests.emulator.harness import execute, types

SEED = 20260801
EDGES = {
    "f32": [
        0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000,
        0x33800000, 0x3EAAAAAB, 0x3F000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3F800800, 0x3FC00000, 0x40000000,
        0x4B000000, 0x4B800000, 0x4B800001, 0x5F000000, 0x7E800000, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFF, 0x7F800000,
        0x7FA00000, 0x7FC12345,
    ],
    "f64": [
        0x0, 0x1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x3FEFFFFFFFFFFFFF, 0x3FF0000000000000, 0x3FF0000000000001,
        0x4340000000000000, 0x7FE0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF4000000000000,
    ],
}  # fmt: skip
"""Magnitudes; both signs are used."""


def operands(kind, count, size):
    """`count` arrays of about `size` bit patterns: any at all, ones with close exponents, and pairs of edges."""
    rng = np.random.default_rng(SEED)
    width, fraction = (32, 23) if kind == "f32" else (64, 52)
    wild = rng.integers(0, 1 << width, (size // 2, count), np.uint64, endpoint=False) if width == 32 else None
    if wild is None:
        wild = rng.integers(0, 2**64 - 1, (size // 2, count), np.uint64, endpoint=True)
    bias = (1 << width - fraction - 2) - 1
    exponents = rng.integers(bias - 30, bias + 30, (size // 2, count)).astype(np.uint64)
    fractions = rng.integers(0, 1 << fraction, (size // 2, count)).astype(np.uint64)
    signs = rng.integers(0, 2, (size // 2, count)).astype(np.uint64)
    tame = signs << np.uint64(width - 1) | exponents << np.uint64(fraction) | fractions
    both = np.array([pattern | sign << width - 1 for pattern in EDGES[kind] for sign in (0, 1)], np.uint64)
    if count == 1:
        edges = both[:, None]
    else:  # every pair of edges, and a third operand drawn from them; half the products nearly cancel
        first, second = (grid.ravel() for grid in np.meshgrid(both, both))
        more = [rng.choice(both, first.size) for _ in range(count - 2)]
        edges = np.stack([first, second, *more], axis=1)
    return list(np.concatenate([wild, tame, edges]).T)


def disagreements(opcode, function, *, rounding="rn", ftz=False, sat=False, size=1000, sources=None):
    """Lines for the operands on which `opcode` and `function` differ."""
    kind = opcode.rsplit(".", 1)[-1]
    form = exact.F32 if kind == "f32" else exact.F64
    count = function.__code__.co_argcount - 2
    sources = operands(kind, count, size) if sources is None else sources
    results, kinds = types(opcode, count)
    (actual,) = execute(opcode, sources, results, kinds)
    lines = []
    for row, got in zip(zip(*sources, strict=True), actual, strict=True):
        values = [int(pattern) for pattern in row]
        if ftz:
            values = [exact.flushed(value, form) for value in values]
        expected = function(dataclasses.replace(form, flushes=ftz), rounding, *values)
        if sat:
            expected = exact.saturated(expected, form)
        if int(got) != expected:
            shown = ", ".join(show(int(pattern), kind) for pattern in row)
            lines.append(f"{opcode} {shown}: {show(int(got), kind)}, not {show(expected, kind)}")
    return lines


@pytest.mark.parametrize(
    ("name", "rounding"),
    [(name, rounding) for name in ("add", "mul", "fma") for rounding in exact.ROUNDINGS] + [("sub", "rn")],
)
def test_f32_arithmetic_rounds_once_in_the_direction_that_is_asked_for(name, rounding):
    assert disagreements(f"{name}.{rounding}.f32", getattr(exact, name), rounding=rounding) == []


@pytest.mark.parametrize(
    "opcode", ["add.ftz.f32", "sub.rn.ftz.f32", "mul.rz.ftz.f32", "fma.rm.ftz.f32", "fma.rn.ftz.f32"]
)
def test_ftz_flushes_operands_and_results(opcode):
    name, rounding = opcode.split(".")[:2]
    rounding = rounding if rounding in exact.ROUNDINGS else "rn"
    assert disagreements(opcode, getattr(exact, name), rounding=rounding, ftz=True) == []


@pytest.mark.parametrize(
    "opcode", ["add.sat.f32", "sub.sat.f32", "mul.rp.sat.f32", "fma.rz.sat.f32", "fma.rn.ftz.sat.f32"]
)
def test_sat_clamps_to_zero_and_one_and_turns_nan_into_zero(opcode):
    name, rounding = opcode.split(".")[:2]
    rounding = rounding if rounding in exact.ROUNDINGS else "rn"
    assert disagreements(opcode, getattr(exact, name), rounding=rounding, ftz="ftz" in opcode, sat=True) == []


@pytest.mark.parametrize("name", ["add", "sub", "mul", "fma"])
def test_f64_arithmetic_rounds_to_nearest_even(name):
    assert disagreements(f"{name}.rn.f64", getattr(exact, name)) == []


@pytest.mark.parametrize(
    ("opcode", "function"),
    [
        ("div.rn.f32",           exact.div),
        ("div.rn.ftz.f32",       exact.div),
        ("div.full.f32",         exact.div),
        ("div.full.ftz.f32",     exact.div),
        ("div.rn.f64",           exact.div),
        ("rcp.rn.f32",           exact.rcp),
        ("rcp.rn.ftz.f32",       exact.rcp),
        ("rcp.approx.f32",       exact.rcp),
        ("rcp.approx.ftz.f32",   exact.rcp),
        ("sqrt.rn.f32",          exact.sqrt),
        ("sqrt.rn.ftz.f32",      exact.sqrt),
        ("sqrt.approx.f32",      exact.sqrt),
        ("sqrt.approx.ftz.f32",  exact.sqrt),
        ("rsqrt.approx.f32",     exact.rsqrt),
        ("rsqrt.approx.ftz.f32", exact.rsqrt),
        ("ex2.approx.f32",       exact.ex2),
        ("ex2.approx.ftz.f32",   exact.ex2),
    ],
)  # fmt: skip
def test_divisions_roots_and_powers_give_the_correctly_rounded_value(opcode, function):
    assert disagreements(opcode, function, ftz=".ftz" in opcode) == []


def test_ex2_gives_the_correctly_rounded_value_wherever_it_is_finite():
    rng = np.random.default_rng(SEED)
    uniform = rng.uniform(-151, 129, 2000).astype(np.float32)
    small = (rng.uniform(-1, 1, 1000) * 2.0 ** rng.integers(-30, 1, 1000)).astype(np.float32)
    sources = [np.concatenate([uniform, small]).view(np.uint32).astype(np.uint64)]
    assert disagreements("ex2.approx.f32", exact.ex2, sources=sources) == []


def test_div_approx_gives_the_correctly_rounded_value_where_the_manual_bounds_it():
    numerators, denominators = operands("f32", 2, 2000)
    magnitude = denominators & np.uint64(0x7FFFFFFF)
    bounded = (magnitude >= 0x00800000) & (magnitude <= 0x7E800000)  # 2^-126 to 2^126
    sources = [numerators[bounded], denominators[bounded]]
    assert disagreements("div.approx.f32", exact.div, sources=sources) == []


def conversions(kind, to):
    """Floats around the ends of an integer type's range, and random ones."""
    (patterns,) = operands(kind, 1, 1000)
    width = int(to[1:])
    dtype, raw = (np.float32, np.uint32) if kind == "f32" else (np.float64, np.uint64)
    ends = np.array([0.0, 0.5, 1.5, 2.5, 2.0 ** (width - 1), 2.0**width], dtype)
    near = np.concatenate([np.nextafter(ends, dtype(-np.inf)), ends, np.nextafter(ends, dtype(np.inf))])
    near = np.concatenate([near, -near, near + dtype(0.5), -near - dtype(0.5)]).view(raw)
    return np.concatenate([patterns, near.astype(np.uint64)])


@pytest.mark.parametrize("to", ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"])
@pytest.mark.parametrize(
    ("kind", "rounding"), [("f32", "rni"), ("f32", "rzi"), ("f32", "rmi"), ("f64", "rpi"), ("f64", "rni")]
)
def test_conversion_to_integers_rounds_and_clamps(kind, rounding, to):
    form = exact.F32 if kind == "f32" else exact.F64
    width = int(to[1:])
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if to[0] == "s" else (0, (1 << width) - 1)
    register = max(width, 32) if width == 8 else width
    (source,) = (conversions(kind, to),)
    (actual,) = execute(f"cvt.{rounding}.{to}.{kind}", [source], [to], [kind])
    for pattern, got in zip(source, actual, strict=True):
        number = exact.decode(int(pattern), form)
        if number.nan:  # PTX ISA, cvt, "Integer Notes"
            expected = low if low else 1 << width - 1
            expected *= kind == "f64" or width == 64
        elif number.infinite:
            expected = low if number.negative else high
        else:
            expected = min(max(exact.whole(int(pattern), form, rounding), low), high)
        assert int(got) == expected & (1 << register) - 1, show(int(pattern), kind)


@pytest.mark.parametrize("rounding", exact.ROUNDINGS)
def test_f64_to_f32_rounds_once_in_every_direction(rounding):
    rng = np.random.default_rng(SEED)
    (patterns,) = operands("f64", 1, 1000)
    exponents = rng.integers(1023 - 152, 1023 + 130, 2000).astype(np.uint64)  # where f32 is finite, subnormals too
    fractions = rng.integers(0, 1 << 52, 2000).astype(np.uint64)
    fractions[:1000] &= np.uint64((1 << 52) - (1 << 28))  # ties, and halves of ties
    signs = rng.integers(0, 2, 2000).astype(np.uint64)
    source = np.concatenate([patterns, signs << np.uint64(63) | exponents << np.uint64(52) | fractions])
    (actual,) = execute(f"cvt.{rounding}.f32.f64", [source], ["f32"], ["f64"])
    for pattern, got in zip(source, actual, strict=True):
        number = exact.decode(int(pattern), exact.F64)
        if number.nan:
            expected = exact.F32.nan
        elif number.infinite:
            expected = exact.infinity(exact.F32, negative=number.negative)
        elif number.zero:
            expected = exact.zero(exact.F32, negative=number.negative)
        else:
            expected = exact.rounded(number.value, exact.F32, rounding)
        assert int(got) == expected, show(int(pattern), "f64")


@pytest.mark.parametrize("kind", ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("to", ["f32", "f64"])
def test_integers_become_the_nearest_float(to, kind):
    rng = np.random.default_rng(SEED)
    width = int(kind[1:])
    values = rng.integers(0, 2**64 - 1, 1000, np.uint64, endpoint=True) >> rng.integers(0, 64, 1000).astype(np.uint64)
    patterns = np.concatenate([values, ~values]) & np.uint64((1 << width) - 1)
    (actual,) = execute(f"cvt.rn.{to}.{kind}", [patterns], [to], [kind])
    form = exact.F32 if to == "f32" else exact.F64
    for pattern, got in zip(patterns, actual, strict=True):
        value = int(pattern)
        if kind[0] == "s" and value >> width - 1:
            value -= 1 << width
        expected = exact.rounded(exact.Fraction(value), form) if value else 0
        assert int(got) == expected, value
