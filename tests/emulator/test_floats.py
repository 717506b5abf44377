"""f32 and f64 in every rounding, against arithmetic on rational numbers rounded once."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from tests.emulator import exact
from tests.emulator.exact import F32, F64
from tests.emulator.samples import BF16, F16, FORMS, Check, both, disagreements, edges, operands, packed

DIRECTED = ("rz", "rm", "rp")


def reference(name, form, rounding, ftz=False, sat=False):
    """The result of the instruction: operands flushed, one rounding, the result flushed and clamped."""

    function, flushing = getattr(exact, name), dataclasses.replace(form, flushes=ftz)

    def expected(*patterns):
        inputs = [exact.flushed(pattern, form) for pattern in patterns] if ftz else patterns
        result = function(flushing, rounding, *inputs)
        return exact.saturated(result, form) if sat else result

    return expected


COUNTS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "fma": 3, "rcp": 1, "sqrt": 1}


@pytest.mark.parametrize(("kind", "name"), list(itertools.product(("f32", "f64"), COUNTS)))
def test_every_rounding_is_of_the_exact_result(kind, name):
    form = FORMS[kind]
    columns = operands(form, COUNTS[name])
    checks = [
        Check(f"{name}.{rounding}.{kind}", kind, [kind] * COUNTS[name], columns, reference(name, form, rounding))
        for rounding in exact.ROUNDINGS
    ]
    assert disagreements(checks) == []


def test_f64_products_round_once_among_subnormals_and_near_overflow():
    rng = np.random.default_rng(1)
    fractions = rng.integers(0, 1 << 52, (3, 600)).astype(np.uint64)
    fractions[:, ::3] &= np.uint64(0xFFFFF00000000)  # short ones: exact products, and ties
    first = rng.integers(1, 2046, 600)
    total = np.where(rng.integers(0, 2, 600), rng.integers(-60, 10, 600), 2046 + rng.integers(-3, 3, 600)) + 1023
    second = np.clip(total - first, 0, 2046)
    third = np.clip(total - 1023 + rng.integers(-60, 60, 600), 0, 2046)
    signs = rng.integers(0, 2, (3, 600)).astype(np.uint64) << np.uint64(63)
    columns = list(signs | np.array([first, second, third]).astype(np.uint64) << np.uint64(52) | fractions)
    checks = []
    for rounding in exact.ROUNDINGS:
        checks.append(Check(f"fma.{rounding}.f64", "f64", ["f64"] * 3, columns, reference("fma", F64, rounding)))
        for name in ("mul", "div"):
            operation = reference(name, F64, rounding)
            checks.append(Check(f"{name}.{rounding}.f64", "f64", ["f64"] * 2, columns[:2], operation))
    assert disagreements(checks) == []


def test_ftz_and_sat_hold_in_every_rounding():
    checks = []
    for name, rounding in itertools.product(("add", "sub", "mul", "fma"), exact.ROUNDINGS):
        columns = operands(F32, COUNTS[name], 200)
        for ftz, sat in ((True, False), (False, True), (True, True)):
            opcode = f"{name}.{rounding}{'.ftz' * ftz}{'.sat' * sat}.f32"
            checks.append(
                Check(opcode, "f32", ["f32"] * len(columns), columns, reference(name, F32, rounding, ftz, sat))
            )
    for name, rounding in itertools.product(("div", "rcp", "sqrt"), exact.ROUNDINGS):
        columns = operands(F32, COUNTS[name], 200)
        opcode = f"{name}.{rounding}.ftz.f32"
        checks.append(Check(opcode, "f32", ["f32"] * len(columns), columns, reference(name, F32, rounding, ftz=True)))
    assert disagreements(checks) == []


def test_mad_is_fma():
    for kind in ("f32", "f64"):
        columns = operands(FORMS[kind], 3, 100)
        checks = [
            Check(f"mad.{rounding}.{kind}", kind, [kind] * 3, columns, reference("fma", FORMS[kind], rounding))
            for rounding in exact.ROUNDINGS
        ]
        assert disagreements(checks) == []


def test_pairs_of_f32_are_two_operations():
    checks = []
    for name, count in (("add", 2), ("sub", 2), ("mul", 2), ("fma", 3)):
        columns = [packed(column, 32) for column in operands(F32, count, 100)]
        for rounding, ftz in itertools.product(exact.ROUNDINGS, (False, True)):
            opcode = f"{name}.{rounding}{'.ftz' * ftz}.f32x2"
            operation = both(reference(name, F32, rounding, ftz), 32)
            checks.append(Check(opcode, "b64", ["b64"] * count, columns, operation))
    assert disagreements(checks, "sm_100") == []


def test_f32_takes_half_precision_operands():
    def widened(pattern, form):
        number = exact.decode(pattern, form)
        if number.nan:
            return F32.nan
        if number.infinite:
            return exact.infinity(F32, negative=number.negative)
        return exact.rounded(number.value, F32) if number.value else exact.zero(F32, negative=number.negative)

    checks = []
    for kind, form in (("f16", F16), ("bf16", BF16)):
        halves, floats = operands(form, 2, 300), operands(F32, 2, 300)
        size = min(len(halves[0]), len(floats[0]))
        first, second, third = halves[0][:size], halves[1][:size], floats[1][:size]
        for rounding, sat in itertools.product(exact.ROUNDINGS, (False, True)):
            for name in ("add", "sub"):
                operation = reference(name, F32, rounding, sat=sat)

                def add(a, c, operation=operation, form=form):
                    return operation(widened(a, form), c)

                opcode = f"{name}.{rounding}{'.sat' * sat}.f32.{kind}"
                checks.append(Check(opcode, "f32", ["b16", "f32"], [first, third], add))
            operation = reference("fma", F32, rounding, sat=sat)

            def fma(a, b, c, operation=operation, form=form):
                return operation(widened(a, form), widened(b, form), c)

            opcode = f"fma.{rounding}{'.sat' * sat}.f32.{kind}"
            checks.append(Check(opcode, "f32", ["b16", "b16", "f32"], [first, second, third], fma))
    assert disagreements(checks, "sm_100") == []


def extremum(form, name, nan_wins, patterns):
    """The manual's pseudocode of min and max, with -0 below +0."""
    numbers = [pattern for pattern in patterns if pattern & form.sign - 1 <= form.infinity]
    if not numbers or (nan_wins and len(numbers) < len(patterns)):
        return form.nan

    def order(pattern):
        magnitude = pattern & form.sign - 1
        return -magnitude - 1 if pattern & form.sign else magnitude

    return {"min": min, "max": max}[name](numbers, key=order)


def with_signs(form, name, nan_wins, a, b):
    result = extremum(form, name, nan_wins, [a & form.sign - 1, b & form.sign - 1])
    return result if result == form.nan else result | (a ^ b) & form.sign


def test_minimum_and_maximum_follow_the_manual():
    checks = []
    two, three = operands(F32, 2, 200), operands(F32, 3, 200)
    for name, nan, ftz in itertools.product(("min", "max"), (False, True), (False, True)):
        flush = functools.partial(exact.flushed, form=F32) if ftz else lambda pattern: pattern
        for suffix in ("", ".xorsign.abs"):

            def of_two(a, b, name=name, nan=nan, flush=flush, suffix=suffix):
                if suffix:
                    return with_signs(F32, name, nan, flush(a), flush(b))
                return extremum(F32, name, nan, [flush(a), flush(b)])

            opcode = f"{name}{'.ftz' * ftz}{'.NaN' * nan}{suffix}.f32"
            checks.append(Check(opcode, "f32", ["f32"] * 2, two, of_two))
        for suffix in ("", ".abs"):

            def of_three(a, b, c, name=name, nan=nan, flush=flush, suffix=suffix):
                mask = F32.sign - 1 if suffix else -1
                return extremum(F32, name, nan, [flush(pattern) & mask for pattern in (a, b, c)])

            opcode = f"{name}{'.ftz' * ftz}{'.NaN' * nan}{suffix}.f32"
            checks.append(Check(opcode, "f32", ["f32"] * 3, three, of_three))
    assert disagreements(checks, "sm_100") == []


def test_signs_are_bits():
    checks = []
    for kind in ("f32", "f64"):
        form = FORMS[kind]
        columns = operands(form, 2, 100)

        def copysign(a, b, form=form):
            return b & form.sign - 1 | a & form.sign

        checks.append(Check(f"copysign.{kind}", kind, [kind] * 2, columns, copysign))
    assert disagreements(checks) == []


def test_testp_classifies_numbers():
    checks = []
    for kind in ("f32", "f64"):
        form = FORMS[kind]
        normal = 1 << form.fraction
        questions = {
            "finite": lambda magnitude, form, normal: magnitude < form.infinity,
            "infinite": lambda magnitude, form, normal: magnitude == form.infinity,
            "number": lambda magnitude, form, normal: magnitude <= form.infinity,
            "notanumber": lambda magnitude, form, normal: magnitude > form.infinity,
            "normal": lambda magnitude, form, normal: normal <= magnitude < form.infinity,
            "subnormal": lambda magnitude, form, normal: 0 < magnitude < normal,
        }
        for name, question in questions.items():

            def expected(pattern, question=question, form=form, normal=normal):
                return int(question(pattern & form.sign - 1, form, normal))

            column = np.array(edges(form), np.uint64)
            checks.append(Check(f"testp.{name}.{kind}", "pred", [kind], [column], expected))
    assert disagreements(checks) == []
