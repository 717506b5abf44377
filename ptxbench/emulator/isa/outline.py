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
    NaN: arithmetic in the same block may have made the operand, whose bits are then not PTX's yet."""

    @functools.wraps(body)
    def call(e: Emitter, **arguments: Any) -> Value:
        if e.is_shared:
            here: Value = body(e, **arguments)
            return here
        values = {name: value for name, value in arguments.items() if isinstance(value, Value)}
        settings = {name: value for name, value in arguments.items() if name not in values}

        @functools.wraps(body)
        def build(inside: Emitter, *inputs: Value, **same: Any) -> Value:
            result: Value = body(inside, **dict(zip(values, inputs, strict=True)), **same)
            return result

        return e.outline(build, *values.values(), **settings)

    return call


def outlined_if_flushing(body: Body) -> Body:
    """The same where the setting `ftz` is true."""
    call = outlined(body)

    @functools.wraps(body)
    def choose(e: Emitter, **arguments: Any) -> Any:
        return (call if arguments["ftz"] else body)(e, **arguments)

    return choose
