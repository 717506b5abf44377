"""Limits on the memory of a kernel's own variables, which are checked before anything is allocated, and on CTAs."""

from __future__ import annotations

from collections.abc import Iterable

from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.variables import (
    assign_offsets,
    lay_out_parameters,
    local_variables,
    shared_variables,
)
from ptxbench.errors import KernelTooLarge

MAX_SHARED_BYTES = 227 * 1024
"""The largest shared memory of a CTA on any GPU so far (sm_90, sm_100), in bytes."""

MAX_LOCAL_BYTES = 512 * 1024
"""Per thread. (CUDA C++ Programming Guide, "Compute Capabilities".)"""

MAX_PARAM_BYTES = 32764
"""Per kernel, from sm_70 and PTX 8.1 on; 4352 before. (PTX ISA, "Kernel Function Parameter Attributes".)"""

MAX_MODULE_BYTES = 4 << 30
"""For all .global and .const variables: more is probably a typing error, and would use up this machine's memory."""

MOST_ALIVE = 4096
"""The most CTAs that can wait for each other."""


def check_variables(module: Module, function: Function) -> None:
    """Raise KernelTooLarge if the variables of the module, or of a function in it, exceed a limit."""
    functions = (*module.entries.values(), *module.functions.values())
    for member in functions:
        local = local_variables(member)
        require(assign_offsets(local)[1], MAX_LOCAL_BYTES, "bytes of local memory for each thread", local)
    require(lay_out_parameters(function)[1], MAX_PARAM_BYTES, "bytes of parameters", function.params)
    shared = shared_variables(module, function)
    require(sum(v.size_bytes for v in shared), MAX_SHARED_BYTES, "bytes of shared memory", shared)
    variables = [variable for variable in module.variables.values() if variable.space in ("global", "const")]
    total = sum(variable.size_bytes for variable in variables)
    require(total, MAX_MODULE_BYTES, "bytes of global and constant memory", variables)


def check_local(total: int) -> None:
    """Raise KernelTooLarge if a thread's local memory, with that of called functions, exceeds the limit."""
    if total > MAX_LOCAL_BYTES:
        raise KernelTooLarge(
            f"The kernel and the functions that it calls take {total:,} bytes of local memory for each thread; the "
            f"maximum is {MAX_LOCAL_BYTES:,}."
        )


def require(total: int, most: int, unit: str, variables: Iterable[Variable]) -> None:
    """Raise KernelTooLarge, with the line of the largest variable, if they take more than `most` bytes together."""
    if total <= most:
        return
    largest = max(variables, key=lambda variable: variable.size_bytes)
    others = "" if largest.size_bytes == total else f", which makes {total:,} with the others"
    raise KernelTooLarge(
        f"line {largest.line}: '{largest.name}' takes {largest.size_bytes:,} {unit}{others}; the maximum is {most:,}."
    )
