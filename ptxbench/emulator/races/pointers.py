"""Arrays at addresses, for functions that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


WITHOUT_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of numba: no wrappers for calls from Python or C. Nothing uses them, and they took a quarter of the time of
compilation."""


def compiled(function: AnyFunction) -> AnyFunction:
    """Decorator: numba compiles the function when it is called from a compiled one."""
    dispatcher = njit(function, **WITHOUT_WRAPPERS)
    template_for = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, keywords: template_for(tuple(map(widened, args)), keywords)
    return cast("AnyFunction", dispatcher)


def widened(kind: Any) -> Any:
    """The type for which a function is compiled, for the type of an argument: int64 for all integers, and boolean for
    truth values, also for literals. So most functions are compiled only once."""
    if isinstance(kind, types.Integer | types.IntegerLiteral):
        return types.int64
    return types.boolean if isinstance(kind, types.Boolean | types.BooleanLiteral) else kind


def pointer_to(element: Any, bits: int) -> Any:
    """An intrinsic that turns an i64 address into a pointer to `element`, which has `bits` bits."""

    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())

        signature = types.CPointer(element)(types.int64)  # type: ignore[no-untyped-call]
        return signature, generate

    return pointer


bytes_at = pointer_to(types.uint8, 8)
words_at = pointer_to(types.int32, 32)
longs_at = pointer_to(types.int64, 64)
