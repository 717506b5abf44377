"""Comparisons and selection. (PTX ISA, "Comparison and Selection", "Half Precision Comparison".)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Dual
from tests.emulator.oracle import numbers
from tests.emulator.oracle.step import BITS, INTEGERS, KINDS, Action, Step, elementwise, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

COMPARE: dict[str, Any] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
UNSIGNED_NAMES = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
JOIN: dict[str, Any] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def compare_numbers(name: str) -> Any:
    """For floats, eq .. ge are false on NaN, equ .. geu true; num, nan test for one."""

    def function(a: Any, b: Any) -> Any:
        unordered = np.isnan(a) | np.isnan(b)
        if name in ("num", "nan"):
            return unordered if name == "nan" else ~unordered
        ordered = name[:2]
        return COMPARE[ordered](a, b) & ~unordered | (unordered if name.endswith("u") else np.False_)

    return function


COMPARISONS = (*COMPARE, *UNSIGNED_NAMES, "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan")


@rule("setp", "set", counted="compare")
def setp(step: Step) -> Action | None:
    kind = step.type()
    to = step.type() if step.root == "set" else "pred"
    name = step.need(*COMPARISONS)
    join = step.take(*JOIN)
    flush = bool(step.take("ftz"))
    if kind.endswith("x2"):
        raise step.missing("packed comparison")
    a, b, *rest = step.sources
    if kind in INTEGERS or kind in BITS:
        # lo, ls, hi and hs ask for the unsigned order, whatever the type.
        read_as = "u" + kind[1:] if name in UNSIGNED_NAMES else kind
        compare = COMPARE[UNSIGNED_NAMES.get(name, name)]
    else:
        read_as, compare = kind, compare_numbers(name)

    def act(threads: Threads) -> None:
        x, y = (threads.read(operand, read_as) for operand in (a, b))
        if read_as in numbers.FORMATS:
            x, y = numbers.value(x, kind, flush=flush), numbers.value(y, kind, flush=flush)
        result = compare(x, y)
        targets = step.target
        both = (result, ~result) if isinstance(targets, Dual) else (result,)
        if rest:
            other = threads.read(rest[0], "pred")
            both = tuple(JOIN[join](result, other) for result in both)
        if isinstance(targets, Dual):
            threads.write(targets.first, both[0])
            threads.write(targets.second, both[1])
        elif to == "pred":
            threads.write(targets, both[0])
        else:
            threads.write(targets, true_as(both[0], to))

    return act


def true_as(flags: Any, kind: str) -> Any:
    """True as 1.0 or as all ones."""
    if kind in numbers.FORMATS:
        return numbers.pack(np.asarray(flags).astype(np.float64), kind)
    return np.where(flags, ~KINDS[kind](0), KINDS[kind](0))


@rule("selp", counted="compare")
def selp(step: Step) -> Action | None:
    kind = step.type()
    # As bits, since NumPy may change a NaN's payload no more than PTX does, but need not promise it.
    raw = kind if kind in INTEGERS or kind in BITS else {"f32": "b32", "f64": "b64"}.get(kind, kind)
    return elementwise(step, [raw, raw, "pred"], lambda a, b, p: np.where(p, a, b))


@rule("slct", counted="compare")
def slct(step: Step) -> Action | None:
    by = step.type(among=("s32", "f32"))
    kind = step.type()
    flush = bool(step.take("ftz"))
    raw = {"f32": "b32", "f64": "b64"}.get(kind, kind)

    def function(a: Any, b: Any, c: Any) -> Any:
        if by == "f32":
            c = numbers.value(c, "f32", flush=flush)
        return np.where(c >= 0, a, b)

    return elementwise(step, [raw, raw, by], function)


@rule("testp", counted="compare")
def testp(step: Step) -> Action | None:
    kind = step.type(among=("f32", "f64"))
    name = step.need("finite", "infinite", "number", "notanumber", "normal", "subnormal")
    least = 2.0 ** (-126 if kind == "f32" else -1022)
    functions: dict[str, Any] = {
        "finite": np.isfinite, "infinite": np.isinf, "number": lambda a: ~np.isnan(a), "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= least),
        "subnormal": lambda a: (a != 0) & (np.abs(a) < least),
    }  # fmt: skip
    return elementwise(step, kind, lambda a: functions[name](np.asarray(a, np.float64)))
