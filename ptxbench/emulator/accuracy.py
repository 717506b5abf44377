"""The error bounds of a GPU's approximate instructions, as the manual states them.

The emulator gives the ideal value (the nearest to the exact one). A GPU may give any value within these bounds, so a
comparison of results of approximate instructions allows for them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRACTION_BITS = {"f64": 52, "f32": 23, "f16": 10, "bf16": 7}
LEAST_NORMAL = {"f64": -1022, "f32": -126, "f16": -14, "bf16": -126}


@dataclass(frozen=True)
class ErrorBound:
    """The greatest of an absolute error, an error relative to the result, and some units in its last place.

    `text`: the manual's wording. `within`: the inputs for which it holds, "" for all. `type`: of the result.
    """

    text: str
    type: str
    absolute: float = 0.0
    relative: float = 0.0
    ulps: float = 0.0
    within: str = ""
    section: str = ""

    def at(self, result: NDArray[np.float64]) -> NDArray[np.float64]:
        """The greatest error at each exact (or ideal) result, in the shape of `result`.

        At 0 and at infinities, relative errors are 0, and a unit in the last place is the smallest one.
        """
        magnitude = np.where(np.isfinite(result), np.abs(result), 0.0)
        least_exponent = LEAST_NORMAL[self.type]
        exponent = np.where(magnitude > 0, np.frexp(magnitude)[1] - 1, least_exponent)
        step_exponent = np.maximum(exponent, least_exponent) - FRACTION_BITS[self.type]
        step = np.ldexp(1.0, step_exponent)
        greatest: NDArray[np.float64] = np.maximum(self.relative * magnitude, self.ulps * step)
        return np.maximum(greatest, self.absolute)


def section(name: str) -> str:
    return f"floating-point-instructions-{name}"


BOUNDS: tuple[tuple[str, ErrorBound], ...] = (
    (r"rcp\.approx.*\.f32", ErrorBound("1 ulp", "f32", ulps=1, section=section("rcp"))),
    (r"rcp\.approx\.ftz\.f64", ErrorBound("20 bits; the manual states no bound", "f64", relative=2.0**-19,
                                     section=section("rcp-approx-ftz-f64"))),
    (r"div\.approx.*\.f32", ErrorBound("2 ulp", "f32", ulps=2, within="2^-126 <= |b| <= 2^126",
                                      section=section("div"))),
    (r"div\.full.*\.f32", ErrorBound("2 ulp", "f32", ulps=2, section=section("div"))),
    (r"sqrt\.approx.*\.f32", ErrorBound("relative 2^-23", "f32", relative=2.0**-23, section=section("sqrt"))),
    (r"rsqrt\.approx.*\.f32", ErrorBound("relative 2^-22.9", "f32", relative=2.0**-22.9, section=section("rsqrt"))),
    (r"rsqrt\.approx\.f64", ErrorBound("2 ulp; the manual states no bound", "f64", ulps=2, section=section("rsqrt"))),
    (r"rsqrt\.approx\.ftz\.f64", ErrorBound("20 bits; the manual states no bound", "f64", relative=2.0**-19,
                                       section=section("rsqrt-approx-ftz-f64"))),
    (r"(sin|cos)\.approx.*\.f32", ErrorBound("absolute 2^-20.5 in [-2 pi, 2 pi], 2^-14.7 in [-100 pi, 100 pi]", "f32",
                                        absolute=2.0**-14.7, within="|a| <= 100 pi", section=section("sin"))),
    (r"lg2\.approx.*\.f32", ErrorBound("absolute 2^-22 for a in (0.5, 2), else relative 2^-22", "f32",
                                      absolute=2.0**-22,
                                  relative=2.0**-22, section=section("lg2"))),
    (r"ex2\.approx.*\.f32", ErrorBound("2 ulp", "f32", ulps=2, section=section("ex2"))),
    (r"tanh\.approx\.f32", ErrorBound("relative 2^-11", "f32", relative=2.0**-11, section=section("tanh"))),
    (r"ex2\.approx\.f16(x2)?", ErrorBound("relative 2^-9.9", "f16", relative=2.0**-9.9,
                                     section="half-precision-" + section("ex2"))),
    (r"ex2\.approx\.ftz\.bf16(x2)?", ErrorBound("relative 2^-7", "bf16", relative=2.0**-7,
                                           section="half-precision-" + section("ex2"))),
    (r"tanh\.approx\.f16(x2)?", ErrorBound("absolute 2^-10.987", "f16", absolute=2.0**-10.987,
                                      section="half-precision-" + section("tanh"))),
    (r"tanh\.approx\.bf16(x2)?", ErrorBound("absolute 2^-8", "bf16", absolute=2.0**-8,
                                       section="half-precision-" + section("tanh"))),
)  # fmt: skip
"""A pattern for the whole opcode, and the opcode's bound."""


@functools.cache
def bound(opcode: str) -> ErrorBound | None:
    """The documented error of an instruction; None if its result is exact or correctly rounded.

    The modifiers may be in any order; the patterns use the manual's.
    """
    name, *modifiers = opcode.split(".")
    ordered = ".".join([name, *sorted(modifiers, key=lambda word: (word not in ("approx", "full"), word != "ftz"))])
    return next((bound for pattern, bound in BOUNDS if re.fullmatch(pattern, ordered)), None)


@functools.lru_cache(maxsize=64)
def opcodes(ptx: str) -> tuple[str, ...]:
    """The opcodes in a PTX text that have a bound, each once, executed or not."""
    words = re.findall(r"(?<![\w.%$])[a-z]\w*\.[\w.]+", re.sub(r"//[^\n]*|/\*(?:.*?\*/|.*)", "", ptx, flags=re.DOTALL))
    return tuple(sorted({word for word in words if bound(word)}))
