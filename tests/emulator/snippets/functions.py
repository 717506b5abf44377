"""Reference results of the kernels in functions.cu, in float64; the bounds are the CUDA C guide's plus a margin."""

import math

import numpy as np

from tests.emulator.snippets import case, outputs

ULP = 2.0**-23


def mapped(function, *arrays):
    return [function(*map(float, row)) for row in zip(*arrays, strict=True)]


def rows_of(count):
    return outputs(count, 32)


def wide(*arrays):
    """The kernel's input as float64."""
    return [array.astype(np.float64) for array in arrays]


@case(relative=4 * ULP, absolute=1e-7, fast=1e-4)
def trigonometry(rng):
    """Away from tan's poles: near them its relative error under fast math has no bound."""
    x = rng.uniform(-1.4, 1.4, 32).astype(np.float32)
    (a,) = wide(x)
    rows = [np.sin(a), np.cos(a), np.tan(a), np.sin(a), np.cos(a), np.sin(np.pi * a), np.cos(np.pi * a)]
    return [x, rows_of(7)], {1: rows}


@case(relative=2 * ULP, absolute=1e-7, fast=1.0)
def large_angles(rng):
    """Under fast math the hardware's sine has no bound here."""
    x = (rng.uniform(-1, 1, 32) * 10.0 ** rng.integers(5, 30, 32)).astype(np.float32)
    return [x, rows_of(2)], {1: [mapped(math.sin, x), mapped(math.cos, x)]}


@case(relative=4 * ULP, absolute=1e-7, fast=3e-5)
def inverse_trigonometry(rng):
    x, y = rng.uniform(-0.99, 0.99, 32).astype(np.float32), rng.uniform(-9, 9, 32).astype(np.float32)
    a, b = wide(x, y)
    rows = [
        np.arcsin(a), np.arccos(a), np.arctan(b), np.arctan2(a, b), np.sinh(a), np.cosh(a), np.tanh(b), np.arcsinh(b),
        np.arctanh(a),
    ]  # fmt: skip
    return [x, y, rows_of(9)], {2: rows}


@case(relative=2 * ULP, fast=1e-5)
def exponentials(rng):
    x = rng.uniform(-20, 20, 32).astype(np.float32)
    (a,) = wide(x)
    return [x, rows_of(4)], {1: [np.exp(a), np.exp2(a), 10.0**a, np.expm1(a)]}


@case(relative=3 * ULP, absolute=3e-7, fast=1e-5)
def logarithms(rng):
    x = (10.0 ** rng.uniform(-9, 9, 32)).astype(np.float32)
    (a,) = wide(x)
    return [x, rows_of(4)], {1: [np.log(a), np.log2(a), np.log10(a), np.log1p(a)]}


@case(relative=4 * ULP, fast=1e-5)
def powers(rng):
    x, y = rng.uniform(0.1, 20, 32).astype(np.float32), rng.uniform(-6, 6, 32).astype(np.float32)
    a, b = wide(x, y)
    rows = [a**b, np.sqrt(a), 1 / np.sqrt(a), np.cbrt(b), np.hypot(a, b), a / b, a**3, 1 / np.cbrt(a)]
    return [x, y, rows_of(8)], {2: rows}


@case(relative=8 * ULP, absolute=1e-6, fast=2e-5)
def special_functions(rng):
    x = rng.uniform(-3, 3, 32).astype(np.float32)
    rows = [mapped(math.erf, x), mapped(math.erfc, x), mapped(math.gamma, x + np.float32(4.5)),
            mapped(math.lgamma, x + np.float32(4.5)),
            mapped(lambda v: math.erfc(-v / math.sqrt(2)) / 2, x)]  # fmt: skip
    return [x, rows_of(5)], {1: rows}


@case(fast=1e-5)
def remainders(rng):
    """All exact, except for fast math's division."""
    x, y = (rng.normal(size=(2, 32)) * 10.0 ** rng.integers(-1, 3, 32)).astype(np.float32)
    a, b = wide(x, y)
    mantissa, exponent = np.frexp(x)
    half_away = np.trunc(a) + (abs(a - np.trunc(a)) >= 0.5) * np.sign(a)
    rows = [
        np.fmod(a, b), mapped(math.remainder, a, b), np.floor(a), np.ceil(a), np.trunc(a), np.rint(a), half_away,
        abs(a),
        np.copysign(a, b), np.minimum(a, b), np.maximum(a, b), np.maximum(x - y, 0), 8 * a, np.trunc(a),
        a - np.trunc(a), mantissa, np.rint(b),
    ]  # fmt: skip
    return [x, y, rows_of(17), outputs(32, dtype=np.int32)], {2: rows, 3: exponent * 1000 + exponent - 1}


@case()
def special_values(rng):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3e38] * 4, np.float32)
    nan, sign = np.isnan(x), np.signbit(x)
    classes = nan + 2 * np.isinf(x) + 4 * np.isfinite(x) + 8 * (sign & ~nan)
    with np.errstate(invalid="ignore"):
        rows = [np.fmax(x, 0), np.fmin(x, 0), np.sqrt(x), abs(x), -x, x * 0, np.where(x > 0, 1, 2)]
    return [x, rows_of(7), outputs(32, dtype=np.int32)], {1: rows, 2: classes}


@case(relative=1e-5, absolute=1e-6)
def fast_intrinsics(rng):
    x, y = rng.uniform(-3, 3, 32).astype(np.float32), rng.uniform(1.5, 9, 32).astype(np.float32)
    a, b = wide(x, y)
    rows = [
        np.sin(a), np.cos(a), np.exp(a), np.log(b), np.log2(b), np.log10(b), b**a, a / b, 1 / np.sqrt(b), 1 / b,
        np.tan(a), 10.0**a, np.sqrt(b), a / b,
    ]  # fmt: skip
    return [x, y, rows_of(14)], {2: rows}
