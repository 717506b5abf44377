"""Arrays at addresses, for functions that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

Some = TypeVar("Some", bound=Callable[..., Any])


WITHOUT_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of numba's: no wrappers for calls from Python or C, which nothing uses. They took a quarter of the time."""


def compiled(function: Some) -> Some:
    """Decorator: numba compiles the function when it is called from a compiled one."""
    return cast("Some", njit(function, **WITHOUT_WRAPPERS))


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
