"""Integer operations on constants, which the emitter computes at translation."""

import pytest

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.types import S32, U32, Type

MINUS_ONE = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("operation", "type", "a", "b", "result"),
    [
        ("add", U32, MINUS_ONE, 2, 1),
        ("sub", U32, 1, 2, MINUS_ONE),
        ("mul", U32, 0x10001, 0x10001, 0x20001),
        ("and_", U32, 12, 10, 8),
        ("or_", U32, 12, 10, 14),
        ("xor", U32, 12, 10, 6),
        ("shl", U32, 3, 31, 0x80000000),
        ("shr", U32, MINUS_ONE, 31, 1),
        ("shr", S32, MINUS_ONE, 31, MINUS_ONE),
    ],
)
def test_an_operation_on_constants_is_a_constant(operation: str, type: Type, a: int, b: int, result: int):
    e = Emitter()
    assert getattr(e, operation)(e.constant(a, type), e.constant(b, type)) == e.constant(result, type)
    assert e.lines == []


@pytest.mark.parametrize(
    ("type", "true"),
    [
        (U32, {"ne", "gt", "ge", "hi", "hs"}),
        (S32, {"ne", "lt", "le", "hi", "hs"}),
    ],
)
def test_a_comparison_of_constants_is_a_constant(type: Type, true: set[str]):
    e = Emitter()
    minus_one, one = e.constant(MINUS_ONE, type), e.constant(1, type)
    comparisons = ("eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs")
    assert {name for name in comparisons if e.compare(name, minus_one, one).constant} == true
    assert {name for name in comparisons if e.compare(name, one, one).constant} == {"eq", "le", "ge", "ls", "hs"}
    assert e.select(e.compare("eq", one, one), minus_one, one) == minus_one
    assert e.select(e.compare("ne", one, one), minus_one, one) == one
    assert e.lines == []


def test_an_operation_on_one_constant_is_an_instruction():
    e = Emitter()
    x, one = Value("%x", U32), e.constant(1, U32)
    assert [e.add(x, one).constant, e.compare("lt", one, x).constant] == [None, None]
    assert len(e.lines) == 2
