"""Video instructions on random bits, against Python's whole numbers. Written from the manual's Semantics boxes."""

import itertools
import operator

import pytest

from tests.emulator.lines import Line, assemble, clamp, disagreements, joined, kernels, number, pieces

WORDS = ("u32", "s32")
COMPARE = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
PARTS = {"": (0, 32), ".b0": (0, 8), ".b1": (8, 8), ".b2": (16, 8), ".b3": (24, 8), ".h0": (0, 16), ".h1": (16, 16)}
SCALAR = {
    "vadd": operator.add, "vsub": operator.sub, "vabsdiff": lambda a, b: abs(a - b), "vmin": min, "vmax": max,
}  # fmt: skip
SECOND = {"add": operator.add, "min": min, "max": max}


def part(pattern, selector, kind):
    place, bits = PARTS[selector]
    return number(pattern >> place, f"{kind[0]}{bits}")


def merged(value, selector, c):
    place, bits = PARTS[selector]
    taken = (1 << bits) - 1 << place
    return value << place & taken | c & ~taken


def scalar(operation, kinds, selectors, *, sat="", second="", into=""):
    """The manual's optSaturate, optSecondaryOp and optMerge around `operation`."""
    dtype, atype, btype = kinds

    def function(a, b, c=0):
        value = operation(part(a, selectors[0], atype), part(b, selectors[1], btype))
        if sat:
            value = clamp(value, f"{dtype[0]}{PARTS[into][1]}")
        value = number(value, dtype)
        if second:
            return SECOND[second](value, number(c, dtype))
        return merged(value, into, c) if into else value

    return function


def forms(first, last, kinds, operation, name, selectors):
    """An instruction in a dozen forms: selectors, saturation, a second operation, a destination's part."""
    for sat, second, into in (
        *itertools.product(("", ".sat"), ("", "add", "min", "max"), ("",)),
        *itertools.product(("", ".sat"), ("",), list(PARTS)[1:]),
    ):
        part_of_a, part_of_b = next(selectors)
        opcode = f"{name}{first}{sat}{last}{f'.{second}' if second else ''}"
        c = ", %r2" if second or into else ""
        yield Line(f"{opcode} %d{into}, %r0{part_of_a}, %r1{part_of_b}{c}", (32,),
                   scalar(operation, kinds, (part_of_a, part_of_b), sat=sat, second=second, into=into))  # fmt: skip


def every_pair_of_parts():
    return itertools.cycle(itertools.product(PARTS, repeat=2))


def video_scalar():
    selectors = every_pair_of_parts()
    for name, operation in SCALAR.items():
        for kinds in itertools.product(WORDS, repeat=3):
            yield from forms("." + ".".join(kinds), "", kinds, operation, name, selectors)


def shifted(left, mode):
    def function(a, b):
        count = min(b, 32) if mode == "clamp" else b & 31
        return number(a << count, "s34") if left else a >> count

    return function


def video_shifts():
    selectors = every_pair_of_parts()
    for left, mode in itertools.product((True, False), ("clamp", "wrap")):
        for dtype, atype in itertools.product(WORDS, repeat=2):
            yield from forms(f".{dtype}.{atype}.u32", f".{mode}", (dtype, atype, "u32"), shifted(left, mode),
                             "vshl" if left else "vshr", selectors)  # fmt: skip


def multiplied(parts, kinds, *, minus, less, plus_one, sat, scale):
    """The sources' types and signs determine the type of the result; `parts` are the selected parts of a and b."""
    final = "s32" if "s32" in kinds or minus or less else "u32"

    def function(a, b, c):
        product = part(a, parts[0], kinds[0]) * part(b, parts[1], kinds[1])
        c = number(c, final)
        total = (-product if minus else product) + (-c if less else c) + plus_one >> int(scale[4:] or 0)
        return clamp(total, final) if sat else total

    return function


def video_multiplications():
    selectors = every_pair_of_parts()
    signs = (("", "", ""), ("-", "", ""), ("", "-", ""), ("-", "-", ""), ("", "", "-"))
    for kinds, sat, scale in itertools.product(
        itertools.product(WORDS, repeat=2), ("", ".sat"), ("", ".shr7", ".shr15")
    ):
        for plus_one, (first, second, third) in (*((0, sign) for sign in signs), (1, ("", "", ""))):
            for parts in (("", ""), next(selectors)):  # products of whole words are the longest
                function = multiplied(
                    parts, kinds, minus=first != second, less=bool(third), plus_one=plus_one, sat=sat, scale=scale
                )
                opcode = f"vmad.s32.{'.'.join(kinds)}{'.po' if plus_one else ''}{sat}{scale}"
                yield Line(f"{opcode} %d, {first}%r0{parts[0]}, {second}%r1{parts[1]}, {third}%r2", (32,), function)


def video_sets():
    selectors = every_pair_of_parts()
    for (atype, btype), cmp in itertools.product(itertools.product(WORDS, repeat=2), COMPARE):
        for second, into in (
            *((part, "") for part in ("", *SECOND)),
            *(("", part) for part in list(PARTS)[1:]),
        ):
            from_a, from_b = next(selectors)
            c = ", %r2" if second or into else ""
            opcode = f"vset.{atype}.{btype}.{cmp}{f'.{second}' if second else ''}"
            yield Line(f"{opcode} %d{into}, %r0{from_a}, %r1{from_b}{c}",
                       (32,), scalar(lambda a, b, cmp=cmp: int(COMPARE[cmp](a, b)), ("u32", atype, btype),
                                     (from_a, from_b), second=second, into=into))  # fmt: skip


def average(a, b):
    return a + b + 1 >> 1 if a + b >= 0 else a + b >> 1


SIMD = {**{name[1:]: function for name, function in SCALAR.items()}, "avrg": average}
SELECTORS = {
    2: ("", ".h10", ".h00", ".h32", ".h13", ".h21"),
    4: ("", ".b3210", ".b7777", ".b0246", ".b1357", ".b5021"),
}
MASKS = {
    2: ("", ".h0", ".h1", ".h10"),
    4: ("", *(f".b{''.join(str(k) for k in (3, 2, 1, 0) if chosen >> k & 1)}" for chosen in range(1, 16))),
}


def simd(operation, count, kinds, selectors, mask, *, sat="", add=""):
    dtype, atype, btype = kinds
    bits = 32 // count

    def chosen(a, b, selector, default, kind):
        digits = [int(digit) for digit in reversed(selector[2:])] or default
        return [number((a | b << 32) >> bits * k, f"{kind[0]}{bits}") for k in digits]

    def function(a, b, c):
        first = chosen(a, b, selectors[0], range(count), atype)
        second = chosen(a, b, selectors[1], range(count, 2 * count), btype)
        results = [operation(x, y) for x, y in zip(first, second, strict=True)]
        if sat:
            results = [clamp(result, f"{dtype[0]}{bits}") for result in results]
        written = [not mask or str(k) in mask[2:] for k in range(count)]
        if add:
            return c + sum(value for value, taken in zip(results, written, strict=True) if taken)
        kept = pieces(c, f"u{bits}", count)
        return joined([x if taken else y for x, y, taken in zip(results, kept, written, strict=True)], bits)

    return function


def video_simd(count):
    for name, operation in SIMD.items():
        masks, selectors = itertools.cycle(MASKS[count]), itertools.cycle(itertools.product(SELECTORS[count], repeat=2))
        for kinds, final in itertools.product(itertools.product(WORDS, repeat=3), ("", ".sat", ".add")):
            for _ in range(2):
                mask, (one, other) = next(masks), next(selectors)
                yield Line(f"v{name}{count}.{'.'.join(kinds)}{final} %d{mask}, %r0{one}, %r1{other}, %r2", (32,),
                           simd(operation, count, kinds, (one, other), mask, sat=final == ".sat",
                                add=final == ".add"))  # fmt: skip
    for (atype, btype), cmp, add in itertools.product(itertools.product(WORDS, repeat=2), COMPARE, ("", ".add")):
        mask, (one, other) = next(masks), next(selectors)
        yield Line(f"vset{count}.{atype}.{btype}.{cmp}{add} %d{mask}, %r0{one}, %r1{other}, %r2", (32,),
                   simd(lambda a, b, cmp=cmp: int(COMPARE[cmp](a, b)), count, ("u32", atype, btype), (one, other),
                        mask, add=add))  # fmt: skip


FAMILIES = {
    "one part": video_scalar, "shifts": video_shifts, "vmad": video_multiplications, "vset": video_sets,
    "two halves": lambda: video_simd(2), "four bytes": lambda: video_simd(4),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_video_instructions_agree_with_integers_of_unlimited_size(family):
    assert [fault for lines in kernels(FAMILIES[family]()) for fault in disagreements(lines)] == []


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_ptxas_accepts_the_video_instructions_that_are_compared(family):
    for lines in kernels(FAMILIES[family]()):
        assemble(lines)
