"""A kernel of a .ptx file: its parameters as far as its instructions show them, its text under another name, its
signature."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptxbench.draft.access import Access, accesses, provenance
from ptxbench.draft.arguments import names_of
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES
from ptxbench.toolchain.parameters import CudaParameter, CudaType

C_TYPES = {
    "f32": "float", "f64": "double", "f16": "__half", "bf16": "__nv_bfloat16",
    "u8": "unsigned char", "s8": "signed char", "u16": "unsigned short", "s16": "short",
    "u32": "unsigned", "s32": "int", "u64": "unsigned long long", "s64": "long long",
}  # fmt: skip
TENSOR_MAP = "const __grid_constant__ CUtensorMap"
HEADERS = {
    "__half": "#include <cuda_fp16.h>", "__nv_bfloat16": "#include <cuda_bf16.h>", "CUtensorMap": "#include <cuda.h>",
}  # fmt: skip

ADDRESSES = re.compile(r"(?:mov|add|sub|cvta|selp|mad|ld\.param)\b")
"""Instructions that make an address from an address; products and comparisons make numbers."""


def read_parameters(function: Function) -> tuple[tuple[CudaParameter, ...], list[Access | None]]:
    """The parameters of the kernel, and what it does with the array of each; None for a number.

    A parameter of 64 bits is a pointer if the kernel accesses memory there.
    """
    wide = [param.name for param in function.params if param.size_bytes == 8 and not param.array]
    access_of = accesses(function, wide, provenance(function, wide, through=ADDRESSES))
    arrays = {name: access for name, access in access_of.items() if access != Access()}
    declared = tuple(CudaParameter(param.name, type_of(param, arrays.get(param.name))) for param in function.params)
    return declared, [arrays.get(param.name) for param in function.params]


def type_of(param: Variable, access: Access | None) -> CudaType:
    """The type that the parameter may have in CUDA C. Bits are taken as an unsigned number, and a float as it is."""
    if param.array and (param.size_bytes, param.align) == (MAP_BYTES, MAP_ALIGN):
        return CudaType(TENSOR_MAP, param.size_bytes)
    if param.array:
        return CudaType(f"{param.name}, .align {param.align} .b8 [{param.count}]", param.size_bytes)
    if access is None:
        number = str(param.type).replace("b", "u") if str(param.type)[0] == "b" else str(param.type)
        return CudaType(C_TYPES.get(number, number), param.size_bytes, number)
    const = not (access.stores or access.updates or access.escapes)
    numbers = access.types & C_TYPES.keys()
    number_type = next(iter(numbers)) if len(numbers) == 1 == len(access.types) else None
    element = CudaType(
        f"{'const ' if const else ''}{C_TYPES[number_type] if number_type else 'void'}", 0, number_type, const=const
    )
    return CudaType(f"{element.text}*", param.size_bytes, pointee=element)


def renamed(ptx: str, entry: str, name: str) -> str:
    """The text with the kernel `entry` under another name."""
    return re.sub(rf"(\.entry\s+){re.escape(entry)}(?![\w$])", rf"\g<1>{name}", ptx, count=1)


def skeleton(name: str, entry: str, declared: Sequence[CudaParameter], threads: int | None) -> str:
    """CUDA C with the signature of the kernel, which does not compile until its body is written."""
    text = ", ".join(
        CudaParameter(argument, parameter.type).declaration
        for argument, parameter in zip(names_of(declared), declared, strict=True)
    )
    headers = [header for word, header in HEADERS.items() if word in text]
    bounds = f" __launch_bounds__({threads})" if threads else ""
    rows = [
        f"// {name}: replace this by one sentence on what the kernel computes.",
        f"// Paired with ../ptx/{name}.ptx; arguments, shapes and launch are in ../pairs/{name}.py.",
        "",
        *[*headers, ""][: 2 * len(headers)],
        f'extern "C" __global__ void{bounds}',
        f"{entry}({text})",
        "{",
        f"#error TODO: write this kernel, with the meaning of ../ptx/{name}.ptx; the types are what the PTX suggests",
        "}",
        "",
    ]
    return "\n".join(rows)
