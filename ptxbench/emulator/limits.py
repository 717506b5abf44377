"""How much memory a kernel's own variables may take. Checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterable

from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.variables import lay_out_local, lay_out_parameters, module_variables
from ptxbench.errors import KernelTooLarge

MAX_SHARED_BYTES = 227 * 1024
"""The most that a CTA can have on any GPU so far (sm_90, sm_100)."""

MAX_LOCAL_BYTES = 512 * 1024
"""Of a thread. (CUDA C++ Programming Guide, "Compute Capabilities".)"""

MAX_PARAM_BYTES = 32764
"""Of a kernel, from sm_70 and PTX 8.1 on; 4352 before. (PTX ISA, "Kernel Function Parameter Attributes".)"""

MAX_MODULE_BYTES = 4 << 30
"""Of all .global and .const variables: more than this is a slip of the pen, paid with this machine's memory."""


def check_variables(module: Module, function: Function) -> None:
    """Raise KernelTooLarge where the variables of the module, or of a function in it, take more than there can be."""
    functions = (*module.entries.values(), *module.functions.values())
    for each in functions:
        require(lay_out_local(each)[1], MAX_LOCAL_BYTES, "bytes of local memory for each thread", in_local(each))
    require(lay_out_parameters(function)[1], MAX_PARAM_BYTES, "bytes of parameters", function.params)
    shared = [v for v in (*module.variables.values(), *function.variables.values()) if v.space == "shared"]
    require(sum(v.size_bytes for v in shared), MAX_SHARED_BYTES, "bytes of shared memory", shared)
    variables = module_variables(module)
    total = sum(variable.size_bytes for variable in variables)
    require(total, MAX_MODULE_BYTES, "bytes of global and constant memory", variables)


def check_local(total: int) -> None:
    """Raise KernelTooLarge for more local memory of a thread, that of the functions called among it, than there is."""
    if total > MAX_LOCAL_BYTES:
        raise KernelTooLarge(
            f"The kernel and the functions that it calls take {total:,} bytes of local memory for each thread; the "
            f"most is {MAX_LOCAL_BYTES:,}."
        )


def in_local(function: Function) -> list[Variable]:
    return [variable for variable in function.variables.values() if variable.space in ("local", "param")]


def require(total: int, most: int, what: str, variables: Iterable[Variable]) -> None:
    """Raise KernelTooLarge, with the line of the largest variable, if they take more than `most` bytes together."""
    if total <= most:
        return
    largest = max(variables, key=lambda variable: variable.size_bytes)
    others = "" if largest.size_bytes == total else f", which makes {total:,} with the others"
    raise KernelTooLarge(
        f"line {largest.line}: '{largest.name}' takes {largest.size_bytes:,} {what}{others}; the maximum is {most:,}."
    )
