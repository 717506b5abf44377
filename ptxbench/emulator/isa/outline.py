"""Bodies of instructions as functions of their own, built once for a kernel and called where the instruction is.

A call takes LLVM a fraction of the time that tens of operations take, and costs a few nanoseconds when it runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ptxbench.emulator.emit import Emitter, Value

Body = Callable[..., Any]


def outlined(body: Body) -> Body:
    """The body in a function of its own. It returns one Value, which must not depend on the payload or the sign of a
    NaN in an operand: if arithmetic of the same block made the operand, its NaNs are not canonical yet."""

    @functools.wraps(body)
    def call(e: Emitter, **arguments: Any) -> Value:
        if e.is_shared:
            result_in_place: Value = body(e, **arguments)
            return result_in_place
        values = {name: value for name, value in arguments.items() if isinstance(value, Value)}
        settings = {name: value for name, value in arguments.items() if name not in values}

        @functools.wraps(body)
        def build(inside: Emitter, *inputs: Value, **fixed: Any) -> Value:
            result: Value = body(inside, **dict(zip(values, inputs, strict=True)), **fixed)
            return result

        return e.outline(build, *values.values(), **settings)

    return call


def outlined_if_flushing(body: Body) -> Body:
    """`outlined` if the setting `ftz` is true, else the body itself."""
    call = outlined(body)

    @functools.wraps(body)
    def choose(e: Emitter, **arguments: Any) -> Any:
        return (call if arguments["ftz"] else body)(e, **arguments)

    return choose
