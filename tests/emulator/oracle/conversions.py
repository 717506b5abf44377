"""cvt. (PTX ISA, "Data Movement and Conversion": cvt, cvt.pack.)"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from tests.emulator import exact
from tests.emulator.oracle import numbers
from tests.emulator.oracle.step import INTEGERS, KINDS, UNSIGNED, Action, Step, elementwise, rule, width

WHOLE: dict[str, Any] = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
ROUNDINGS = ("rn", "rz", "rm", "rp", "rna")


def limits(kind: str) -> tuple[int, int]:
    info = np.iinfo(INTEGERS[kind])
    return int(info.min), int(info.max)


@rule("cvt", counted="convert")
def cvt(step: Step) -> Action | None:
    if step.words[:1] == ["pack"]:
        return pack(step)
    if step.last in ("e4m3x2", "e5m2x2"):
        return from_eights(step, step.words.pop().removesuffix("x2"))
    source, to = step.type(), step.type()
    if to in ("f16x2", "bf16x2") and source == "f32":
        return packed(step, to)
    if source in INTEGERS and to in INTEGERS:
        return between_integers(step, source, to)
    if source in INTEGERS:
        return from_integer(step, source, to)
    if to in INTEGERS:
        return to_integer(step, source, to)
    return between_floats(step, source, to)


def from_eights(step: Step, source: str) -> Action:
    """Two floats of 8 bits as halves, which is exact; the lower byte becomes the lower half."""
    step.need("f16x2")
    step.need("rn")

    def function(a: Any) -> Any:
        low, high = (
            numbers.pack(numbers.value((a >> shift & 0xFF).astype(np.uint8), source), "f16") for shift in (0, 8)
        )
        return low.astype(np.uint32) | high.astype(np.uint32) << 16

    return elementwise(step, "u16", function)


def between_integers(step: Step, source: str, to: str) -> Action:
    """Cut or extended by the source's sign, or clamped."""
    if not step.take("sat"):
        return elementwise(step, source, lambda a: a.astype(KINDS[to]))
    (low, high), (least, greatest) = limits(source), limits(to)
    bounds = KINDS[source](max(low, least)), KINDS[source](min(high, greatest))
    return elementwise(step, source, lambda a: np.clip(a, *bounds).astype(KINDS[to]))


def clamped(values: Any) -> Any:
    return np.where(values > 0, np.minimum(values, 1.0), 0.0)


def from_integer(step: Step, source: str, to: str) -> Action:
    rounding = step.need(*ROUNDINGS[:4])
    step.take("ftz")  # no integer is subnormal
    saturates = bool(step.take("sat"))
    form = numbers.EXACT[to]

    def one(number: int) -> float:
        bits = exact.rounded(Fraction(number), form, rounding) if number else 0
        pattern = exact.decode(bits, form)
        return math.copysign(math.inf, number) if pattern.value is None else float(pattern.value)

    def function(a: Any) -> Any:
        if width(source) == 64:  # more bits than f64 holds
            values = np.array([one(int(pattern)) for pattern in np.atleast_1d(a)])
        else:
            values = numbers.rounded(np.asarray(a, np.float64), to, rounding)
        return numbers.pack(clamped(values) if saturates else values, to)

    return elementwise(step, source, function)


def to_integer(step: Step, source: str, to: str) -> Action:
    """Clamped to the range of the result. NaN is 0 where nothing has 64 bits, else the result's highest bit alone."""
    rounding = step.need(*WHOLE)
    flush = bool(step.take("ftz"))
    step.take("sat")
    least, greatest = limits(to)
    of_nan = UNSIGNED[width(to)](1 << width(to) - 1).view(KINDS[to])

    def function(a: Any) -> Any:
        values = WHOLE[rounding](np.atleast_1d(numbers.value(a, source, flush=flush)))
        result = np.zeros(values.shape, KINDS[to])
        inside = (values >= float(least)) & (values < float(greatest + 1))
        result[inside] = values[inside].astype(KINDS[to])
        result[values < float(least)] = least
        result[values >= float(greatest + 1)] = greatest
        if source == "f64" or width(to) == 64:
            result[np.isnan(values)] = of_nan
        return result if np.ndim(a) else result[0]

    return elementwise(step, source, function)


def between_floats(step: Step, source: str, to: str) -> Action:
    rounding = step.take(*WHOLE, *ROUNDINGS)
    flush, saturates, relu = (bool(step.take(word)) for word in ("ftz", "sat", "relu"))
    finite = bool(step.take("satfinite"))
    if source == to and not (rounding or flush or saturates or relu):
        bits = f"b{width(source)}"
        return elementwise(step, bits, lambda a: a)

    def function(a: Any) -> Any:
        values = numbers.value(a, source, flush=flush and source == "f32")
        if rounding in WHOLE:
            values = np.where(np.isfinite(values), np.copysign(WHOLE[rounding](values), values), values)
        else:
            exact, values = values, narrowed(values, to, rounding or "rn", finite=finite)
            if flush and to == "f32":
                small = numbers.tiny(exact, to, rounding or "rn")
                values = np.where(small, np.copysign(np.zeros_like(values), values), values)
        if saturates:
            values = clamped(values)
        if relu:
            values = np.where(np.isnan(values) | (values > 0), values, 0.0)
        return numbers.pack(values, to)

    return elementwise(step, source, function)


def narrowed(values: Any, to: str, rounding: str, *, finite: bool = False) -> Any:
    if rounding == "rna":  # ties away from zero: half of the last place more, cut
        values = np.asarray(values, np.float32)
        held = values.view(np.uint32) + np.uint32(0x1000) & np.uint32(0xFFFFE000)
        values = np.where(np.isfinite(values), held.view(np.float32), values).astype(np.float64)
    else:
        values = numbers.rounded(values, to, rounding)
    if finite:
        precision, least, _ = numbers.FORMATS[to]
        most = (2.0 - 2.0 ** (1 - precision)) * 2.0 ** (1 - least)
        values = np.where(np.isnan(values), values, np.clip(values, -most, most))
    return values


def packed(step: Step, to: str) -> Action:
    """Two f32 in one register; the first is the upper half."""
    kind = to.removesuffix("x2")
    rounding = step.need("rn", "rz")
    relu, finite = bool(step.take("relu")), bool(step.take("satfinite"))

    def half(a: Any) -> Any:
        values = narrowed(numbers.value(a, "f32"), kind, rounding, finite=finite)
        if relu:
            values = np.where(np.isnan(values) | (values > 0), values, 0.0)
        return numbers.pack(values, kind).astype(np.uint32)

    return elementwise(step, "f32", lambda a, b: half(a) << np.uint32(16) | half(b))


def pack(step: Step) -> Action:
    """Two s32, clamped and packed side by side; a third register's low bits move up."""
    step.need("pack")
    step.need("sat")
    third = step.take("b32")
    step.need("s32")
    to = step.type(among=("s16", "u16", "s8", "u8", "s4", "u4", "s2", "u2") if third else ("s16", "u16"))
    bits = int(to[1:])
    least, greatest = (-(1 << bits - 1), (1 << bits - 1) - 1) if to[0] == "s" else (0, (1 << bits) - 1)
    mask = np.uint32((1 << bits) - 1)

    def function(a: Any, b: Any, c: Any = None) -> Any:
        a, b = (np.clip(values, least, greatest).astype(np.int32).view(np.uint32) & mask for values in (a, b))
        both = a << np.uint32(bits) | b
        return both if c is None else c << np.uint32(2 * bits) | both

    return elementwise(step, ["s32", "s32", "u32"] if third else "s32", function)
