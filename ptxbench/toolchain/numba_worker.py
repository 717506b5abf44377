"""The process in which numba-cuda compiles Python kernels: one request and one answer a line, as JSON.

A process of its own, because numba-cuda needs changes of NumPy and of itself, which must not reach the user's process,
and because a kernel's file is executed. Needs no GPU.
"""

from __future__ import annotations

import ast
import functools
import re
import types
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench.toolchain.kernel_file import (
    ESCAPE,
    FAILURES,
    CompilerUnusable,
    KernelRefused,
    NotForTarget,
    executed,
    sentence,
    serve,
    without_function,
    wrong_parameters,
)

OPTIONS = ("fastmath", "opt", "launch_bounds")
"""The options of @cuda.jit that are passed on."""


def compiled(
    source: str,
    name: str,
    entry: str,
    number: int,
    signature: Sequence[tuple[str, str]],
    defines: Mapping[str, int],
) -> dict[str, str]:
    """The PTX of the function `entry` of the text of a file called `name`, for sm_`number`.

    `signature`: name and type of each argument, such as ("x", "float32*").
    """
    numba = imported()
    function, options = find_kernel(executed(source, name, defines, explained), name, entry, source)
    require_parameters(function, name, [argument for argument, _ in signature])
    typed = tuple(numba_type(numba, name, argument, text) for argument, text in signature)
    # A device function is compiled for the GPU of the machine, whatever the kernel is compiled for.
    compute_capability = divmod(number, 10)
    numba.cuda.dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=compute_capability)
    try:
        ptx: str = numba.cuda.compile_ptx(function, typed, cc=compute_capability, lineinfo=True, **options)[0]
    except FAILURES as error:
        raise explained(error, name) from None
    return {"ptx": ptx}


def imported() -> Any:
    """numba with numba.cuda. Raises CompilerUnusable."""
    warnings.simplefilter("ignore")  # numba-cuda's own, about NumPy
    try:
        import numpy as np

        # numba-cuda 0.30 asks NumPy for a name that 2.5 has removed.
        vars(np).setdefault("row_stack", np.vstack)
        import numba
        import numba.cuda.dispatcher

        array_type(numba)
    except FAILURES as error:
        raise CompilerUnusable(sentence(error)) from None
    return numba


def find_kernel(
    module: types.ModuleType, name: str, entry: str, source: str
) -> tuple[types.FunctionType, dict[str, Any]]:
    """The function `entry`, and its options if it has @cuda.jit."""
    kernel = getattr(module, entry, None)
    options = {}
    if isinstance(jit_options := getattr(kernel, "targetoptions", None), Mapping):
        options = {key: jit_options[key] for key in OPTIONS if jit_options.get(key) is not None}
        kernel = kernel.py_func  # type: ignore[union-attr]  # a dispatcher of numba
    if isinstance(kernel, types.FunctionType):
        require_no_length(ast.parse(source), kernel, name)
    else:
        functions = [key for key, value in vars(module).items() if callable(value) and is_defined_in(value, module)]
        raise without_function(name, entry, functions)
    return kernel, options


def require_parameters(function: types.FunctionType, name: str, arguments: Sequence[str]) -> None:
    """Raise KernelRefused unless the function has a parameter for each argument of its pair."""
    code = function.__code__
    if code.co_argcount != len(arguments) or code.co_kwonlyargcount:
        count = code.co_argcount + code.co_kwonlyargcount
        raise wrong_parameters(name, code.co_firstlineno, function.__name__, count, list(arguments))


def require_no_length(tree: ast.Module, kernel: types.FunctionType, name: str) -> None:
    """Raise KernelRefused for the length of an argument: numba would take it for a number."""
    arguments = kernel.__code__.co_varnames[: kernel.__code__.co_argcount]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "len" and ast.unparse(node.args[0]) in arguments:
            raise KernelRefused(f"{name}:{node.lineno}: the length of an array is not available: {INSTEAD}.")


def is_defined_in(value: Any, module: types.ModuleType) -> bool:
    """Whether the module itself defines this function."""
    return getattr(getattr(value, "py_func", value), "__globals__", None) is vars(module)


def numba_type(numba: Any, name: str, argument: str, text: str) -> Any:
    """The type of an argument: `float32`, or `float32*` for an array, which is a pointer."""
    element = text.removesuffix("*")
    type_of_element = getattr(numba.types, element, None) or getattr(numba.cuda.types, element, None)
    if not isinstance(type_of_element, numba.types.Type):
        raise KernelRefused(f"{name}: numba-cuda has no type for the argument '{argument}', which is {element}.")
    return array_type(numba)(type_of_element) if text.endswith("*") else type_of_element


# ---- arrays


LENGTH = (1 << 60) - 1
"""Stands for the unknown length of an array. Not a power of two: its product with the element's size would be 0 modulo
2^64, and the compiler would leave out the code for negative indices."""

INSTEAD = "use a number that the pair passes"
OF_LENGTH = ("size", "shape", "nbytes", "strides", "ndim")


@functools.cache
def array_type(numba: Any) -> Any:
    """The type of an array of unknown length, with one dimension: a pointer, where numba has seven parameters."""
    from llvmlite import ir
    from numba.core.errors import TypingError
    from numba.cuda.cudadecl import registry
    from numba.cuda.datamodel.models import ArrayModel
    from numba.cuda.models import register_model
    from numba.cuda.typing.templates import AttributeTemplate

    class PointerArray(numba.types.Array):  # type: ignore[misc]
        def __init__(self, dtype: Any) -> None:
            super().__init__(dtype, 1, "C", name=f"pointer({dtype})")

    class PointerArrayModel(ArrayModel):  # type: ignore[misc]
        """An array inside of the kernel, and a pointer as its argument."""

        def member(self, name: str) -> Any:
            return self._models[self.get_field_position(name)]

        def get_argument_type(self) -> Any:
            return self.member("data").get_argument_type()

        def as_argument(self, builder: Any, value: Any) -> Any:
            return self.get(builder, value, "data")

        def from_argument(self, builder: Any, value: Any) -> Any:
            length, item = (ir.Constant(ir.IntType(64), count) for count in (LENGTH, self._fe_type.dtype.bitwidth // 8))
            array = ir.Constant(self.get_value_type(), ir.Undefined)
            for name in ("meminfo", "parent"):
                array = self.set(builder, array, ir.Constant(self.member(name).get_value_type(), None), name)
            for name, field in {"nitems": length, "itemsize": item, "data": value}.items():
                array = self.set(builder, array, field, name)
            for name, field in {"shape": length, "strides": item}.items():
                empty = ir.Constant(self.member(name).get_value_type(), ir.Undefined)
                array = self.set(builder, array, builder.insert_value(empty, field, 0), name)
            return array

    class UnknownLength(AttributeTemplate):  # type: ignore[misc]
        key = PointerArray

        def generic_resolve(self, array: Any, attribute: str) -> None:
            if attribute in OF_LENGTH:
                raise TypingError(f"the '{attribute}' of an array is not available: {INSTEAD}")

    register_model(PointerArray)(PointerArrayModel)
    registry.register_attr(UnknownLength)
    return PointerArray


# ---- errors


STAGE = re.compile(r"Failed in .* mode pipeline \(step: .*\)")
OF_TARGET = "CCSupportError"
OF_TOOLS = ("NvvmSupportError", "NvvmError", "CudaSupportError", "DynamicLibraryNotFoundError")
"""Names of exceptions that are about NVVM's library, not about the kernel."""


def explained(error: BaseException, name: str) -> Exception:
    """The error for the author of the kernel, with the line of the file."""
    if type(error).__name__ == OF_TARGET:
        return NotForTarget(" ".join(str(error).replace("(", " (").split()))
    if type(error).__name__ in OF_TOOLS or (isinstance(error, ImportError) and "nvvm" in str(error).lower()):
        return CompilerUnusable(sentence(error))
    text = ESCAPE.sub("", str(error))
    line = line_of(error, text, name)
    if isinstance(error, SyntaxError):
        text = error.msg
    causes = [row.strip() for row in text.splitlines() if row.strip() and not STAGE.fullmatch(row.strip())]
    cause = causes[0].rstrip(".: ") if causes else "no reason given"
    if len(causes) > 1 and causes[1].startswith(">>> "):  # the call, below "found for signature:"
        cause += f" {causes[1].removeprefix('>>> ')}"
    kind = "" if hasattr(error, "loc") else f"{type(error).__name__}: "
    return KernelRefused(f"{name}:{line}: {kind}{cause}." if line else f"{name}: {kind}{cause}.")


def line_of(error: BaseException, text: str, name: str) -> int | None:
    """The line of the file: that of a syntax error, the last one that numba names, or the last one that ran."""
    if isinstance(error, SyntaxError):
        return error.lineno
    file = re.escape(name)
    if matches := re.findall(rf'File "(?:[^"]*[/\\])?{file}", line (\d+)|\bat (?:\S*[/\\])?{file} \((\d+)\)', text):
        return int(matches[-1][0] or matches[-1][1])
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        else:
            line = compiled_line(trace.tb_frame.f_locals, name) or line
        trace = trace.tb_next
    return line


def compiled_line(variables: Mapping[str, Any], name: str) -> int | None:
    """The line of the file that a function of numba works on, if one of its variables knows it."""
    for location in (variables.get("loc"), *(getattr(variables.get(owner), "loc", None) for owner in ("self", "inst"))):
        if getattr(location, "filename", None) == name and isinstance(line := getattr(location, "line", None), int):
            return line
    return None


if __name__ == "__main__":
    serve(compiled)
