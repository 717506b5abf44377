"""Arguments to start from: one `--arg` for each parameter of a kernel, made from its type and name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from ptxbench.arguments.notation import Structure, parse
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES
from ptxbench.toolchain.parameters import CudaParameter, CudaType

ELEMENTS = 1024
MOST_MEMBERS = 16
"""The most elements of an array in a struct that are written as members; a larger struct is given by its bytes."""

MOST_BYTES = 1024
"""The largest struct for which it is checked whether all of its numbers have one type."""

POINTER_BYTES = 8


def templates(function: Function, declared: Sequence[CudaParameter] | None) -> list[str]:
    """An argument for each parameter, with its name if it has one: `x:f32[1024]=random`.

    Arrays that the kernel only reads are random, or 0, 1, 2, ... for integers; the others are zeros.
    """
    maps = tensor_map(function)
    if declared is not None:
        copies = any(".tensor." in instruction.opcode for instruction in function.instructions)
        return [
            with_name(
                parameter.name,
                # A class of the source may have the bytes of a map and another name.
                maps if TENSOR_MAP.search(parameter.type.text) or (copies and may_be_map(param))
                else of_type(parameter.type),
            )
            for parameter, param in zip(declared, function.params, strict=True)
        ]  # fmt: skip
    compiled = re.compile(r".*_param_\d+")
    return [
        with_name(None if compiled.fullmatch(param.name) else param.name, maps if may_be_map(param) else of_ptx(param))
        for param in function.params
    ]


TENSOR_MAP = re.compile(r"\bCUtensorMap(_st)?$")
SHAPES = {"1": ("1024", "256"), "2": ("64,64", "64x8"), "3": ("8,64,64", "64x8x2"), "4": ("2,8,64,64", "64x8x2x1"),
          "5": ("2,2,8,64,64", "64x8x2x1x1")}  # fmt: skip
"""By the dimensions of a tensor: its shape, and a box."""


MAP = f"map(f32[{SHAPES['2'][0]}]=random, box={SHAPES['2'][1]})"
"""A tensor map in a struct or in global memory."""


def is_map(type: CudaType) -> bool:
    """Whether a type of CUDA C is a tensor map, perhaps by another name: CUDA's has a member `opaque`."""
    return type.bytes == MAP_BYTES and [member.name for member in type.members] == ["opaque"]


def may_be_map(param: Variable) -> bool:
    """Whether a parameter of PTX has the form of a tensor map."""
    return param.array and param.size_bytes == MAP_BYTES and param.align >= MAP_ALIGN


def tensor_map(function: Function) -> str:
    """A tensor map with the dimensions that the kernel's tensor copies have."""
    copies = (re.search(r"\.tensor\..*?\b([1-5])d\b", instruction.opcode) for instruction in function.instructions)
    dimensions = {copy[1] for copy in copies if copy}
    shape, box = SHAPES[dimensions.pop() if len(dimensions) == 1 else "2"]
    return f"map(f32[{shape}]=random, box={box})"


def option(template: str) -> str:
    """`--arg 'x:f32[1024]=random'`, quoted for a shell."""
    return f"--arg {shlex.quote(template)}"


def with_name(name: str | None, template: str) -> str:
    return f"{name}:{template}" if name else template


def example(param: Variable) -> str:
    """A number for a parameter of PTX."""
    return number(param.type.name)


def number(type: str) -> str:
    """A number of that type."""
    if type[0] == "f" or type == "bf16":
        return f"{type}=2.5"
    return f"{type}=1" if type.endswith("8") else f"{type}={ELEMENTS}"


def of_ptx(param: Variable) -> str:
    """An argument for a parameter of PTX, which does not say what an address points to."""
    if param.array or param.vector > 1:
        return f"b8[{param.size_bytes}]=zeros"
    return (
        f"f32[{ELEMENTS}]=random" if param.type.bytes == POINTER_BYTES and not param.type.floating else example(param)
    )


def of_type(type: CudaType) -> str:
    """An argument for a parameter of CUDA C, or for a member."""
    if type.pointee is not None:
        return array(type.pointee)
    if is_map(type):
        return MAP
    if type.number and not type.members:
        return number(type.number)
    if type.number:  # __half and __nv_bfloat16 are structs
        return f"{{{number(type.number)}}}"
    return structure(type)


def array(pointee: CudaType) -> str:
    """An array for a pointer."""
    if is_map(pointee):
        return f"&{{{MAP}}}"
    if pointee.pointee is not None:
        rows = array(pointee.pointee)
        return f"&{{{rows}, {rows}}}"
    if any(member.type.pointee for member in pointee.members) and (text := structure(pointee)).startswith("{"):
        return f"&{text}"
    number_types = list(numbers(pointee)) if pointee.bytes <= MOST_BYTES else []
    extents = str(ELEMENTS * max(len(number_types), 1))
    if len(set(number_types)) != 1 or not number_types[0]:
        return f"b8[{ELEMENTS * max(pointee.bytes, 1)}]=zeros"
    if not pointee.const:
        return f"{number_types[0]}[{extents}]=zeros"
    return f"{number_types[0]}[{extents}]={'random' if 'f' in number_types[0] else 'iota'}"


def numbers(type: CudaType) -> Iterator[str]:
    """The types of the numbers that a type consists of; "" for what is not a number."""
    if type.number:
        yield type.number
    elif type.element is not None:
        yield from list(numbers(type.element)) * (type.count or 0)
    elif type.members:
        for member in type.members:
            yield from numbers(member.type)
    else:
        yield ""


def structure(type: CudaType) -> str:
    """A struct by its members, or by its bytes if the notation would lay the members out in another way."""
    members = list(texts(type))
    bytes_alone = f"b8[{type.bytes}]=zeros"
    if not members or None in members:
        return bytes_alone
    text = f"{{{', '.join(part for part in members if part)}}}"
    return text if fits(text, type) else bytes_alone


def texts(type: CudaType) -> Iterator[str | None]:
    """The members of a struct as arguments; None for one that cannot be written."""
    if type.element is not None:
        if type.count and type.count <= MOST_MEMBERS:
            yield from [member(type.element)] * type.count
        else:
            yield None
    for part in type.members:
        text = member(part.type)
        yield text and with_name(part.name or None, text)


def member(type: CudaType) -> str | None:
    """A member of a struct as an argument, without its name; None if it cannot be written."""
    if is_map(type):
        return MAP
    if type.pointee is not None or type.number:
        return number(type.number) if type.number else of_type(type)
    inner = list(texts(type))
    return f"{{{', '.join(part for part in inner if part)}}}" if inner and None not in inner else None


def fits(text: str, type: CudaType) -> bool:
    """Whether the structure has the size of the type and the same offsets."""
    parsed = parse(text)
    assert isinstance(parsed, Structure)
    offsets = [field[1] for field in (parsed.dtype.fields or {}).values()]
    return parsed.dtype.itemsize == type.bytes and offsets == [member.offset for member in type.members]
