"""Names that a compiler of CUDA C does not know: those that CUDA no longer has, with what replaces them, and those of
headers that were not included. Data, and the search for a name in a compiler's log.

Sources: CUDA C++ Programming Guide, "Warp Shuffle Functions"; CCCL 2.x to 3.0 migration guide; CUDA 12 release notes.
"""

from __future__ import annotations

import re

ALL_LANES = "with a mask of lanes first, such as 0xffffffff"

REPLACEMENTS = {
    **{name: f"{name}_sync, {ALL_LANES}" for name in ("__shfl", "__shfl_up", "__shfl_down", "__shfl_xor")},
    "cub::Max": "cuda::maximum<>{}, from <cuda/functional>",
    "cub::Min": "cuda::minimum<>{}, from <cuda/functional>",
    "cub::Sum": "cuda::std::plus<>{}, from <cuda/std/functional>",
    "cub::Difference": "cuda::std::minus<>{}, from <cuda/std/functional>",
    "cub::Division": "cuda::std::divides<>{}, from <cuda/std/functional>",
    "cub::Equality": "cuda::std::equal_to<>{}, from <cuda/std/functional>",
    "cub::Inequality": "cuda::std::not_equal_to<>{}, from <cuda/std/functional>",
    "cub::CTA_SYNC": "__syncthreads()",
    "cub::WARP_SYNC": "__syncwarp(mask)",
    "cub::LaneId": "threadIdx.x % 32",
    "cub::Swap": "cuda::std::swap, from <cuda/std/utility>",
    "cub::Int2Type": "cuda::std::integral_constant<int, N>, from <cuda/std/type_traits>",
    "cub::CountingInputIterator": "thrust::counting_iterator, from <thrust/iterator/counting_iterator.h>",
    "cub::ConstantInputIterator": "thrust::constant_iterator, from <thrust/iterator/constant_iterator.h>",
    "cub::TransformInputIterator": "thrust::transform_iterator, from <thrust/iterator/transform_iterator.h>",
    "CUB_MAX": "max",
    "CUB_MIN": "min",
    "thrust::identity": "cuda::std::identity, from <cuda/std/functional>",
    "thrust::unary_function": "no base class",
    "thrust::binary_function": "no base class",
    "texture references": "a pointer to the array",
    "surface references": "a pointer to the array",
}
"""By name; of a member with its namespace."""

GNU = {
    "__builtin_ctz": "__ffs(x) - 1",
    "__builtin_ctzll": "__ffsll(x) - 1",
    "__builtin_popcountl": "__popcll(x)",
    "__builtin_clzl": "__clzll(x)",
    "__builtin_parity": "__popc(x) & 1",
    "__builtin_parityll": "__popcll(x) & 1",
    "__builtin_bswap32": "__byte_perm(x, 0, 0x0123)",
    "__builtin_trap": "__trap()",
}
"""Functions of GNU C++ that nvcc does not call in kernels either."""

HEADERS = {
    r"(?:FLT|DBL)_[A-Z0-9_]+": "<cfloat>",  # CUDA's own headers include it only before CUDA 12.5
    r"half2?|__half2?|__half2?_raw|make_half2|__\w+half2?\w*": "<cuda_fp16.h>",
    r"__h(?:add|sub|mul|div|fma|neg|abs|max|min|eq|ne|gt|ge|lt|le)\w*": "<cuda_fp16.h>",
    r"h2?(?:exp|exp2|log|log2|sqrt|rsqrt|rcp|sin|cos|tanh|floor|ceil|rint)": "<cuda_fp16.h>",
    r"(?:__)?nv_bfloat162?|__\w+bfloat162?\w*": "<cuda_bf16.h>",
    r"__nv_fp8\w+|__nv_cvt_\w*fp8\w*": "<cuda_fp8.h>",
    r"CUDART_\w+": "<math_constants.h>",
    r"curand\w*": "<curand_kernel.h>",
    r"__pipeline_\w+": "<cuda_pipeline.h>",
    r"cuda::std::(?:min|max|clamp|swap)": "<cuda/std/algorithm>",
    r"cuda::std::numeric_limits": "<cuda/std/limits>",
}
"""The header that has the names of a form."""

OF_RUNTIME = re.compile(
    r"cuda(?:Array|Choose|Create|Ctx|Destroy|Dev|Device|Driver|Event|Execution|External|Free|Func|Get|Graph|Graphics|"
    r"Host|Import|Init|Ipc|Kernel|Launch|Library|Logs|Malloc|Mem|Memcpy|Memset|Mipmapped|Occupancy|Peek|Pointer|Runtime|"
    r"Set|Signal|Stream|Thread|User|Wait)(?![a-z])\w*"
)
"""The functions of CUDA's runtime; not those of users, such as cudaCheck."""

UNKNOWN = re.compile(
    r"identifier \"(?P<name>\w+)\" is undefined"
    r"|incomplete type \"(?:const )?(?P<incomplete>\w+)\""
    r"|namespace \"(?P<space>[\w:]+)\" has no member (?:class )?\"(?P<member>\w+)\""
    r"|(?P<template>texture|surface) is not a template"
)
"""What compilers say about a name that they do not know."""


LATER_STANDARD = re.compile(
    r"(?:is|are) a C\+\+20 feature|identifier \"(?:concept|requires|consteval|constinit|co_await)\" is undefined"
)
"""What compilers say about C++20, unless it is chosen."""


def advice(log: str) -> str:
    """What to write for the first name in the log of a compiler that is known here, or for C++20; else nothing."""
    for match in UNKNOWN.finditer(log):
        kind = f"{match['template']} references" if match["template"] else ""
        name = match["name"] or match["incomplete"] or kind or f"{match['space']}::{match['member']}"
        if name in REPLACEMENTS:
            return f"instead of {name}, which CUDA no longer has, use {REPLACEMENTS[name]}"
        if name in GNU:
            return f"instead of {name}, which kernels cannot call, use {GNU[name]}"
        if OF_RUNTIME.fullmatch(name):
            return (
                f"{name} is a function of CUDA's runtime, which a kernel can only call with the device runtime, and "
                "ptxbench does not have that"
            )
        if header := next((header for form, header in HEADERS.items() if re.fullmatch(form, name)), None):
            return f"add #include {header}, which has {name}"
    return "compile it as C++20, with the option --std=c++20" if LATER_STANDARD.search(log) else ""
