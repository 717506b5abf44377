"""The process in which Triton compiles kernels: one request and one answer a line, as JSON.

A process of its own, because a kernel's file is executed, and because Triton ends its process if it cannot continue.
Needs no GPU.
"""

from __future__ import annotations

import inspect
import linecache
import os
import tempfile
import types
from collections.abc import Sequence
from typing import Any

from ptxbench.toolchain.kernel_file import (
    FAILURES,
    CompilerUnusable,
    KernelRefused,
    executed,
    last_line,
    sentence,
    serve,
    without_function,
    wrong_parameters,
)

ALIGNED = [["tt.divisibility", 16]]
"""What Triton's own launch says of an array whose address is a multiple of 16."""


def compiled(
    source: str, name: str, entry: str, number: int, signature: Sequence[tuple[str, str]], ptx_version: int
) -> dict[str, Any]:
    """The PTX of the function `entry` of the text of a file called `name`, for sm_`number`, and what it needs.

    `signature`: name and type of each argument, as Triton writes it: ("x", "*fp32"). `ptx_version`: 90 for 9.0.
    """
    triton = imported()
    kernel, constants, options = find_kernel(executed(source, name, {}, explained), name, entry)
    names = kernel.arg_names
    passed = [argument for argument in names if argument not in constants]
    if len(passed) != len(signature):
        line = line_of(kernel)
        raise wrong_parameters(name, line, entry, len(passed), [argument for argument, _ in signature])
    kinds = dict(zip(passed, (kind for _, kind in signature), strict=True))
    text = triton.compiler.ASTSource(
        kernel,
        {argument: kinds.get(argument, "constexpr") for argument in names},
        constexprs={(names.index(constant),): value for constant, value in constants.items()},
        attrs={(names.index(argument),): ALIGNED for argument, kind in kinds.items() if kind.startswith("*")},
    )
    target = triton.backends.compiler.GPUTarget("cuda", number, 32)
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        try:
            compilation = triton.compile(text, target=target, options={**options, "ptx_version": ptx_version})
        except FAILURES as error:
            raise explained(error, name) from None
    metadata = compilation.metadata
    return {
        "ptx": compilation.asm["ptx"],
        "shared_bytes": metadata.shared,
        # Memory that Triton's own launch allocates: for tensor maps that a kernel makes, and for its profiler.
        "workspace_bytes": metadata.global_scratch_size + metadata.profile_scratch_size,
    }


def imported() -> Any:
    """Triton, which leaves the machine code to others. Raises CompilerUnusable."""
    try:
        import triton
        import triton.backends.compiler
        import triton.compiler
        from triton import knobs

        knobs.runtime.add_stages_inspection_hook = without_machine_code
    except FAILURES as error:
        raise CompilerUnusable(sentence(error)) from None
    return triton


def without_machine_code(backend: Any = None, stages: Any = None, *_: Any) -> tuple[str, str] | None:
    """Triton's hook for its stages: ptxas makes the machine code, the same for every row. Without arguments, a key."""
    if stages is None:
        return "ptx", "ptx"
    stages["cubin"] = lambda ptx, metadata: b"none"
    return None


def find_kernel(module: types.ModuleType, name: str, entry: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The function `entry`, the values of its constants, and its options, of @triton.autotune if it has it."""
    import triton

    kernel = getattr(module, entry, None)
    constants: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if isinstance(kernel, triton.runtime.Autotuner):
        constants, options = configuration(kernel, name, entry)
        kernel = kernel.fn
    if not isinstance(kernel, triton.JITFunction):
        functions = [key for key, value in vars(module).items() if is_defined_in(value, module)]
        if kernel is None or entry not in functions:
            raise without_function(name, entry, functions)
        raise KernelRefused(
            f"{name}: '{entry}' is {type(kernel).__name__}; expected @triton.jit, alone or under @triton.autotune."
        )
    line = line_of(kernel)
    parameters = inspect.signature(kernel.fn).parameters
    for constant in (parameter for parameter in kernel.params if parameter.is_constexpr):
        default = parameters[constant.name].default
        if constant.name not in constants and default is inspect.Parameter.empty:
            raise KernelRefused(
                f"{name}:{line}: the constant {constant.name} of '{entry}' has no value. Give it one in "
                f"@triton.autotune(configs=[triton.Config({{'{constant.name}': ...}})], key=[])."
            )
        constants.setdefault(constant.name, default)
    if unknown := [keyword for keyword in constants if keyword not in kernel.arg_names]:
        raise KernelRefused(
            f"{name}:{line}: '{entry}' has no parameter {unknown[0]}, to which its triton.Config gives a value."
        )
    return kernel, constants, options


def configuration(tuner: Any, name: str, entry: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The constants and the options of the one configuration of @triton.autotune. Raises KernelRefused for others."""
    if len(tuner.configs) != 1:
        raise KernelRefused(
            f"{name}: @triton.autotune of '{entry}' has {len(tuner.configs)} configurations; expected 1, because none "
            "is timed here."
        )
    (config,) = tuner.configs
    if (config.num_ctas or 1) != 1:
        raise KernelRefused(
            f"{name}: num_ctas of '{entry}' is {config.num_ctas}; expected 1: clusters are not supported."
        )
    if config.pre_hook is not None:
        raise KernelRefused(
            f"{name}: the configuration of '{entry}' has a pre_hook, which no launch here calls. Leave it out."
        )
    settings = {"num_warps": config.num_warps, "num_stages": config.num_stages, "maxnreg": config.maxnreg}
    return dict(config.kwargs), {option: value for option, value in settings.items() if value is not None}


def line_of(kernel: Any) -> int:
    """The line of the file with `def`, below the decorators."""
    rows, first = inspect.getsourcelines(kernel.fn)
    return first + next((i for i, row in enumerate(rows) if row.lstrip().startswith("def ")), 0)


def is_defined_in(value: Any, module: types.ModuleType) -> bool:
    """Whether a function is of this file, whatever decorates it."""
    while hasattr(value, "fn"):
        value = value.fn
    return isinstance(value, types.FunctionType) and value.__globals__ is vars(module)


def explained(error: BaseException, name: str) -> Exception:
    """The error for the author of the kernel, with the line of the file."""
    line, cause = last_line(error, name), error
    while hasattr(cause, "node") and hasattr(cause, "src"):  # a CompilationError; of a function that it calls, if any
        line = line_in(cause, name) or line
        if cause.__cause__ is None:
            break
        cause = cause.__cause__
    text = str(getattr(cause, "error_message", None) or getattr(cause, "msg", None) or cause)
    reason = " ".join(text.split()).rstrip(". ") or "no reason given"
    kind = "" if hasattr(cause, "node") else f"{type(cause).__name__}: "
    return KernelRefused(f"{name}:{line}: {kind}{reason}." if line else f"{name}: {kind}{reason}.")


def line_in(error: Any, name: str) -> int | None:
    """The line of the file at which Triton refuses a function of it; Triton counts from the function's first line."""
    text = "".join(linecache.getlines(name))
    start = text.find(error.src) if error.src else -1
    offset: int | None = getattr(error.node, "lineno", None)
    return None if start < 0 or offset is None else text.count("\n", 0, start) + offset


if __name__ == "__main__":
    serve(compiled)
