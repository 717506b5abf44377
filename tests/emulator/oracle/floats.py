"""Float arithmetic. (PTX ISA, "Floating Point", "Half Precision Floating Point", "Mixed Precision".)"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.emulator.oracle import numbers
from tests.emulator.oracle.step import Action, Step, elementwise, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

PACKED = {"f16x2": ("f16", np.uint16), "bf16x2": ("bf16", np.uint16), "f32x2": ("f32", np.float32)}
CLASS = {"f16": "f16", "bf16": "f16", "f32": "f32", "f64": "f64"}
ROUNDINGS = ("rn", "rz", "rm", "rp")


def is_float(step: Step) -> bool:
    return step.last in numbers.FORMATS or step.last in PACKED


class Form:
    """The type and the modifiers that float instructions share."""

    def __init__(self, step: Step, *, rounding: str = "rn") -> None:
        kind = step.type()
        self.kind, self.element = PACKED.get(kind, (kind, None))
        step.counted = CLASS[self.kind]
        self.rounding = step.take(*ROUNDINGS) or rounding
        self.flush = bool(step.take("ftz"))
        self.saturates = bool(step.take("sat"))
        self.relu = bool(step.take("relu"))
        step.take("noftz")
        self.types = kind

    def source_value(self, raw: Any) -> Any:
        """A source as f64, flushed where the instruction says so."""
        return numbers.value(raw, self.kind, flush=self.flush)

    def finished(self, values: Any) -> Any:
        """Rounded values as the type's bits: flushed, clamped."""
        if self.flush:
            values = numbers.flushed(values, 2.0 ** numbers.FORMATS[self.kind][1])
        if self.saturates:
            values = np.where(values > 0, np.minimum(values, values.dtype.type(1)), values.dtype.type(0))
        if self.relu:
            values = np.where(np.isnan(values) | (values > 0), values, values.dtype.type(0))
        return numbers.pack(values, self.kind)

    def apply(self, step: Step, function: Callable[..., Any]) -> Action:
        """`function` of the sources' bits, or of the bits of each element."""
        if self.element is None:
            return elementwise(step, self.kind, function)
        element = self.element

        def packed(*sources: Any) -> Any:
            wide = [
                np.ascontiguousarray(broadcast_array)
                for broadcast_array in np.broadcast_arrays(*map(np.atleast_1d, sources))
            ]
            result = function(*(operand.view(element) for operand in wide))
            return np.ascontiguousarray(result).view(wide[0].dtype)

        return elementwise(step, self.types, packed)


def exactly(form: Form, function: Callable[..., Any]) -> Callable[..., Any]:
    """Sources as f64, the function's result (to odd, if f64 cannot hold it) rounded once."""

    def run(*sources: Any) -> Any:
        values = function(*map(form.source_value, sources))
        result = numbers.rounded(values, form.kind, form.rounding)
        if form.flush:
            zero = np.copysign(result.dtype.type(0), result)
            result = np.where(numbers.tiny(values, form.kind, form.rounding), zero, result)
        return form.finished(result)

    return run


@rule("add", "sub", "mul", counted="f32")
def arithmetic(step: Step) -> Action | None:
    if not is_float(step) or step.words[-2:-1] == ["f32"]:
        return None
    form = Form(step)
    operation = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[step.root]
    if form.kind == "f64" and form.rounding != "rn":
        return form.apply(step, lambda a, b: numbers.by_rationals(step.root, "f64", form.rounding, a, b))
    if form.kind in ("f32", "f64") and form.rounding == "rn" and not form.flush:
        return form.apply(step, lambda a, b: form.finished(operation(a, b)))
    if step.root == "mul":
        return form.apply(step, exactly(form, np.multiply))
    return form.apply(
        step,
        exactly(
            form,
            lambda a, b: zero_sum(
                form, numbers.added(a, b if step.root == "add" else -b), a, b if step.root == "add" else -b
            ),
        ),
    )


def zero_sum(form: Form, total: Any, a: Any, b: Any) -> Any:
    """An exact zero sum of numbers that differ in sign is -0 when rounded down. (IEEE 754, 6.3.)"""
    if form.rounding != "rm":
        return total
    return np.where((total == 0) & (np.signbit(a) != np.signbit(b)), -0.0, total)


@rule("fma", "mad", counted="f32")
def fma(step: Step) -> Action | None:
    if not is_float(step) or step.words[-2:-1] == ["f32"]:
        return None
    form = Form(step)
    if form.kind == "f64":
        return form.apply(step, lambda a, b, c: numbers.by_rationals("fma", "f64", form.rounding, a, b, c))

    def total(a: Any, b: Any, c: Any) -> Any:
        product = a * b  # exact: at most 48 of 53 bits
        return zero_sum(form, numbers.added(product, c), product, c)

    once = exactly(form, total)
    if form.kind != "f32" or form.rounding != "rn":
        return form.apply(step, once)
    target, sources = step.target, step.sources
    if form.element is not None:
        return form.apply(step, once)

    def act(threads: Threads) -> None:
        a, b, c = (threads.read(source, "f32") for source in sources)
        if threads.fused:
            threads.write(target, once(a, b, c))
            return
        if form.flush:
            a, b, c = (numbers.flushed(operand) for operand in (a, b, c))
        value = (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)
        threads.write(target, form.finished(value) if form.flush or form.saturates else value)

    return act


@rule("add", "sub", "fma", counted="f32")
def mixed(step: Step) -> Action | None:
    """f16 or bf16 factors and an f32 addend."""
    if step.last not in ("f16", "bf16") or step.words[-2:-1] != ["f32"]:
        return None
    narrow = step.type()
    form = Form(step)
    kinds = [narrow] * (len(step.sources) - 1) + ["f32"]

    def function(*sources: Any) -> Any:
        *factors, addend = (numbers.value(source, kind) for source, kind in zip(sources, kinds, strict=True))
        first = factors[0] * factors[1] if len(factors) == 2 else factors[0]
        addend = -addend if step.root == "sub" else addend
        total = zero_sum(form, numbers.added(first, addend), first, addend)
        return form.finished(numbers.rounded(total, "f32", form.rounding))

    return elementwise(step, kinds, function)


@rule("div", "rcp", "sqrt", counted="f32")
def division(step: Step) -> Action | None:
    """Rounded as asked. An f64 holds enough of the result that its rounding cannot show in an f32."""
    if not is_float(step) or step.words[0] in ("approx", "full"):
        return None
    form = Form(step)
    if form.kind == "f64" and form.rounding != "rn":
        return form.apply(step, lambda *sources: numbers.by_rationals(step.root, "f64", form.rounding, *sources))
    return form.apply(step, exactly(form, OPERATIONS[step.root]))


def over(a: Any, b: Any) -> Any:
    return np.divide(a, b)


OPERATIONS: dict[str, Any] = {
    "div": over, "rcp": lambda a: 1.0 / a, "sqrt": np.sqrt, "rsqrt": lambda a: 1.0 / np.sqrt(a), "ex2": np.exp2,
    "lg2": np.log2, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
}  # fmt: skip


@rule(*OPERATIONS, counted="special")
def approximate(step: Step) -> Action | None:
    """The ideal value: f64's, rounded. (docs/emulator.md, "What is exact".)"""
    if not is_float(step):
        return None
    how = step.need("approx", "full")
    form = Form(step)
    step.counted = "special"
    if form.kind == "f64":
        raise step.missing("approximate f64")
    function = OPERATIONS[step.root]
    if step.root == "div" and how == "approx":

        def function(a: Any, b: Any) -> Any:
            # Beyond 2^126 the reciprocal is flushed.
            return np.where((np.abs(b) > 2.0**126) & np.isfinite(b), a * np.copysign(0.0, b), over(a, b))

    return form.apply(step, exactly(form, function))


@rule("min", "max", counted="f32")
def smallest(step: Step) -> Action | None:
    """A number wins over NaN unless .NaN; -0 is less than +0."""
    if not is_float(step):
        return None
    form = Form(step)
    nan = bool(step.take("NaN"))
    signs = step.take("xorsign") and step.need("abs")
    magnitudes = bool(step.take("abs"))
    low = step.root == "min"

    def operand_value(raw: Any) -> Any:
        if form.kind in ("f32", "f64"):
            return numbers.flushed(raw) if form.flush else raw
        return form.source_value(raw)

    def two(a: Any, b: Any) -> Any:
        if signs:
            sign = np.signbit(a) ^ np.signbit(b)
            a, b = np.abs(a), np.abs(b)
        first = np.where(a == b, np.signbit(a) if low else ~np.signbit(a), a < b if low else a > b)
        best = np.where(first | np.isnan(b), a, b)
        if nan:
            best = np.where(np.isnan(a) | np.isnan(b), np.nan, best)
        return np.where(np.isnan(best), best, np.where(sign, -best, best)) if signs else best

    def function(a: Any, b: Any, *rest: Any) -> Any:
        values = [operand_value(operand) for operand in (a, b, *rest)]
        if magnitudes:
            values = [np.abs(value) for value in values]
        best = values[0]
        for value in values[1:]:
            best = two(best, value)
        return form.finished(best)

    return form.apply(step, function)


@rule("neg", "abs", counted="f32")
def sign(step: Step) -> Action | None:
    if not is_float(step):
        return None
    form = Form(step)
    operation: Any = np.negative if step.root == "neg" else np.abs
    if form.kind == "f64" and step.root == "abs":  # passes a NaN through
        return elementwise(step, "f64", lambda a: np.where(np.isnan(a), a, np.abs(a)))
    return form.apply(step, lambda a: form.finished(operation(form.source_value(a))))


@rule("copysign", counted="f32")
def copysign(step: Step) -> Action | None:
    """b with the sign of a, as bits."""
    kind = step.type(among=("f32", "f64"))
    step.counted = CLASS[kind]
    bits = np.uint32 if kind == "f32" else np.uint64
    top = bits(1 << (31 if kind == "f32" else 63))
    return elementwise(step, f"b{kind[1:]}", lambda a, b: a & top | b & ~top)
