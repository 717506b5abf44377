"""How matrix units add up dot products, exactly and in plain Python: the reference for the emulator.

Numbers are (format, bit pattern); sums are rational. The rules are those of docs/matrix.md (several published
studies of the hardware agree on them). Inputs that are infinite or NaN follow IEEE 754, and a sum of 2^128 or more is
infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from tests.emulator import exact

F16 = exact.Format(16, 10, -14, 0x7FFF)
BF16 = exact.Format(16, 7, -126, 0x7FFF)
TF32 = exact.Format(19, 10, -126, 0)
E5M2 = exact.Format(8, 2, -14, 0x7F)
E4M3 = exact.Format(8, 3, -6, 0x7F)
FORMATS = {"f16": F16, "bf16": BF16, "tf32": TF32, "f32": exact.F32, "e5m2": E5M2, "e4m3": E4M3}

INFINITE, UNKNOWN = math.inf, math.nan
Number = Fraction | float
"""A rational, an infinity or NaN."""


def read(pattern: int, kind: str) -> Number:
    """The value of a bit pattern."""
    form = FORMATS[kind]
    if kind == "tf32":
        pattern >>= 13
    if kind == "e4m3":  # no infinity: the greatest exponent is one of numbers, but all ones is NaN
        magnitude = pattern & 0x7F
        if magnitude == 0x7F:
            return UNKNOWN
        exponent, fraction = divmod(magnitude, 8)
        value = Fraction(fraction + 8 * bool(exponent)) * Fraction(2) ** (max(exponent, 1) - 10)
        return -value if pattern & 0x80 else value
    number = exact.decode(pattern, form)
    if number.nan:
        return UNKNOWN
    if number.infinite:
        return -INFINITE if number.negative else INFINITE
    return number.value


def exponent(value: Fraction, kind: str) -> int:
    """floor(log2|value|), not below the format's smallest."""
    size = abs(value)
    log = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** log > size:
        log -= 1
    return max(log, FORMATS[kind].least)


LOWEST = {24: -132, 25: -133}
"""By fraction bits, the least exponent that terms are aligned to; only bf16 and tf32 have products so small."""


def fused_block(a: Sequence[Number], b: Sequence[Number], c: Number, kinds: tuple[str, str, str], frac: int) -> Number:
    """The sum of one block, not yet rounded."""
    terms = [*zip(a, b, strict=True), (c, Fraction(1))]
    if any(isinstance(value, float) for term in terms for value in term):
        with_floats = [like(x) * like(y) for x, y in terms]
        total = sum(with_floats)
        if not math.isfinite(total):
            return total
    exponents = [exponent(x, kinds[0]) + exponent(y, kinds[1]) for x, y in zip(a, b, strict=True) if x * y]
    if c:
        exponents.append(exponent(c, kinds[2]))
    lowest = [LOWEST[frac]] if kinds[0] in ("bf16", "tf32") else []
    quantum = Fraction(2) ** (max(exponents + lowest, default=0) - frac)
    return sum(math.trunc(x * y / quantum) for x, y in terms) * quantum


def like(value: Number) -> float:
    """A float that behaves as the number does where infinities and NaN are concerned."""
    return value if isinstance(value, float) else float((value > 0) - (value < 0))


def rounded(value: Number, kind: str, kept: int = 23) -> int:
    """The bit pattern of a block's result: f16 to nearest even, f32 cut to `kept` fraction bits."""
    form = FORMATS[kind]
    if isinstance(value, float):
        return form.nan if math.isnan(value) else exact.infinity(form, negative=value < 0)
    if value == 0:
        return 0
    if kind == "f16":
        return exact.rounded(value, form, "rn")
    if abs(value) >= 2**128:
        return exact.infinity(form, negative=value < 0)
    return exact.rounded(value, form, "rz") >> 23 - kept << 23 - kept


def chain(
    a: Sequence[int], b: Sequence[int], c: int, kinds: tuple[str, str, str, str], block: int, frac: int, kept: int = 23
) -> int:
    """Blocks of `block` products, each result the next one's c: the bit pattern of d. `kinds` of d, a, b, c."""
    kind_d, kind_a, kind_b, kind_c = kinds
    for first in range(0, len(a), block):
        xs = [read(bits, kind_a) for bits in a[first : first + block]]
        ys = [read(bits, kind_b) for bits in b[first : first + block]]
        c = rounded(fused_block(xs, ys, read(c, kind_c), (kind_a, kind_b, kind_c), frac), kind_d, kept)
        kind_c = kind_d
    return c


def halves(a: Sequence[int], b: Sequence[int], c: int, kinds: tuple[str, str, str, str], frac: int) -> int:
    """FP8 by way of f16: k mod 4 in {0, 1}, then {2, 3}, from 0; then c is added to nearest even."""
    kind_d, kind_a, kind_b, _ = kinds
    total = 0
    for chosen in ((0, 1), (2, 3)):
        ks = [k for k in range(len(a)) if k % 4 in chosen]
        total = chain([a[k] for k in ks], [b[k] for k in ks], total, (kind_d, kind_a, kind_b, kind_d), 16, frac)
    form = FORMATS[kind_d]
    return exact.fma(form, "rn", total, form.one, c)


RULES = {
    ("sm_70", "f16"): (4, 23), ("sm_75", "f16"): (8, 24), ("sm_80", "f16"): (8, 24), ("sm_86", "bf16"): (8, 24),
    ("sm_80", "bf16"): (8, 24), ("sm_89", "f16"): (8, 24), ("sm_90", "f16"): (16, 25), ("sm_90", "bf16"): (16, 25),
    ("sm_100", "f16"): (16, 25), ("sm_120", "bf16"): (16, 25), ("sm_80", "tf32"): (4, 24), ("sm_90", "tf32"): (8, 25),
    ("sm_89", "fp8"): (16, 13), ("sm_90", "fp8"): "halves", ("sm_100", "fp8"): "halves",
    ("sm_103", "fp8"): "halves", ("sm_110", "fp8"): "halves", ("sm_120", "fp8"): (32, 25), ("sm_121", "fp8"): (32, 25),
}  # fmt: skip
"""Block and fraction bits by architecture and type of A."""


def expected(a: Sequence[int], b: Sequence[int], c: int, kinds: tuple[str, str, str, str], arch: str) -> int:
    """The bit pattern of d on `arch`."""
    rule = RULES[arch, "fp8" if kinds[1] in ("e4m3", "e5m2") else kinds[1]]
    if rule == "halves":
        return halves(a, b, c, kinds, 25)
    block, frac = rule
    return chain(a, b, c, kinds, block, frac, 13 if frac == 13 and kinds[0] == "f32" else 23)


# ---- narrow floats and scales

SHORT = {"e3m2": (2, -2), "e2m3": (3, 0), "e2m1": (1, 0)}
"""Fraction bits, and the exponent of the least normal number, of floats whose codes are all numbers."""


def read_short(code: int, kind: str) -> Fraction:
    fraction, least = SHORT[kind]
    width = {"e3m2": 6, "e2m3": 6, "e2m1": 4}[kind]
    field, low = divmod(code & (1 << width - 1) - 1, 1 << fraction)
    value = Fraction(low + (bool(field) << fraction)) * Fraction(2) ** (max(field, 1) - 1 + least - fraction)
    return -value if code >> width - 1 & 1 else value


def number(code: int, kind: str) -> Number:
    return read_short(code, kind) if kind in SHORT else read(code, kind)


def power(value: Fraction, kind: str) -> int:
    """floor(log2|value|), not below the format's smallest."""
    least = SHORT[kind][1] if kind in SHORT else FORMATS[kind].least
    size = abs(value)
    log = size.numerator.bit_length() - size.denominator.bit_length()
    return max(log - (Fraction(2) ** log > size), least)


def scaled(
    a: Sequence[int], b: Sequence[int], c: int, kinds: Sequence[str], scales: tuple[int, int] = (127, 127)
) -> int:
    """One block on sm_120: 25 fraction bits, with a ue8m0 of A and of B. `kinds` of d, a, b, c."""
    kind_d, kind_a, kind_b, kind_c = kinds[:4]
    if 255 in scales:
        return FORMATS[kind_d].nan
    up = sum(scales) - 254
    xs, ys, z = [number(value, kind_a) for value in a], [number(value, kind_b) for value in b], read(c, kind_c)
    if any(isinstance(value, float) for value in (*xs, *ys, z)):
        total = sum(like(x) * like(y) for x, y in zip(xs, ys, strict=True)) + like(z)
        if not math.isfinite(total):
            return rounded(total, kind_d)
    powers = [power(x, kind_a) + power(y, kind_b) + up for x, y in zip(xs, ys, strict=True) if x * y]
    powers += [power(z, kind_c)] if z else []
    quantum = Fraction(2) ** (max(powers, default=0) - 25)
    terms = [x * y * Fraction(2) ** up for x, y in zip(xs, ys, strict=True)]
    return rounded(sum(math.trunc(term / quantum) for term in (*terms, z)) * quantum, kind_d)


def grouped(
    a: Sequence[int], b: Sequence[int], c: int, kind: str, scale_a: Sequence[int], scale_b: Sequence[int]
) -> int:
    """e2m1 with scales of a kind: 16 products are exact, and a group is aligned by its scales, to 35 fraction bits."""

    def scale(code: int) -> tuple[Number, int]:
        if kind == "ue8m0":
            return (UNKNOWN, 0) if code == 255 else (Fraction(2) ** (code - 127), code - 127)
        value = read(code & 0x7F, "e4m3")
        return (value, 0) if isinstance(value, float) or not value else (value, power(value, "e4m3"))

    of_a, of_b = [scale(code) for code in scale_a], [scale(code) for code in scale_b]
    z = read(c, "f32")
    if any(isinstance(value, float) for value, _ in (*of_a, *of_b)) or isinstance(z, float):
        unknown = any(value != value for value in (*(value for value, _ in (*of_a, *of_b)), z))
        return F32_NAN if unknown else c
    group = len(a) // len(of_a)
    terms, powers = [z], [power(z, "f32")] if z else []
    for first in range(0, len(a), 16):
        (x, p), (y, q) = of_a[first // group], of_b[first // group]
        products = zip(a[first : first + 16], b[first : first + 16], strict=True)
        terms.append(sum(read_short(i, "e2m1") * read_short(j, "e2m1") for i, j in products) * x * y)
        powers += [p + q] if x * y else []
    quantum = Fraction(2) ** (max(powers, default=0) - 35)
    return rounded(sum(math.trunc(term / quantum) for term in terms) * quantum, "f32")


F32_NAN = 0x7FFFFFFF
