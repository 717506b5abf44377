"""A parameter that is a struct as a `Struct` of a pair: its members by their path, and the alignment of each struct."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ptxbench.structs import MOST_ALIGN, Struct, aligned, layout
from ptxbench.toolchain.parameters import CudaParameter, CudaType

VECTOR = re.compile(r"((const|volatile) )*(u?(char|short|int|long|longlong)|float|double)(2|4(_16a|_32a)?)")
"""Types of CUDA that are aligned to their size, up to 16 bytes unless the name says 32 (CUDA C++ Programming Guide,
"Built-in Vector Types").
"""

MOST_MEMBERS = 64
"""The most members of a struct, inner ones included, that a pair file is written with."""


@dataclass(frozen=True)
class Member:
    """A number or a pointer in a struct, `offset` bytes from its start. `name`: the path to it, `p_scale_x`."""

    name: str
    declared: CudaParameter
    offset: int


def struct_of(parameter: CudaParameter, name: str) -> Struct | None:
    """The struct, with a Member for each number and pointer; None for one that a pair cannot pass as it is: with a
    union, a bit field, a tensor map, a pointer to pointers, or too many members."""
    cuda_type = parameter.type
    if "CUtensorMap" in cuda_type.text or cuda_type.text.startswith("_Z"):
        return None
    struct = drawn(cuda_type, name, 0)
    if struct is None or len(members := list(struct.arguments)) > MOST_MEMBERS:
        return None
    placed = layout(struct, lambda member: member.declared.type.bytes)
    fits = placed.size_bytes == cuda_type.bytes and list(placed.offsets.values()) == [m.offset for m in members]
    return struct if fits and len(placed.offsets) == len(members) else None


def drawn(cuda_type: CudaType, name: str, offset: int, before: int = 0) -> Struct | None:
    """The struct at an offset of the parameter, where what comes before it ends at `before`.

    Its alignment is the least one that its size and its offset allow. None if there is none, or if a member is neither
    a number, a pointer nor a struct, or is a bit field.
    """
    if any(member.bits for member in cuda_type.members):
        return None
    members: list[Member | Struct] = []
    end = offset
    for path, inner, start in parts(cuda_type, name, offset):
        if inner.number or is_array(inner):
            members.append(Member(path, CudaParameter(path, inner), start))
        elif inner.members and (struct := drawn(inner, path, start, end)):
            members.append(struct)
        else:
            return None
        end = start + inner.bytes
    if not members:
        return None
    placed = layout(Struct(name, members), lambda member: member.declared.type.bytes)
    aligns = [1 << power for power in range(MOST_ALIGN.bit_length())]
    if VECTOR.fullmatch(cuda_type.text):
        aligns = [min(cuda_type.bytes, 32 if cuda_type.text.endswith("_32a") else 16)]
    return next(
        (
            Struct(name, members, align)
            for align in aligns
            if aligned(placed.size_bytes, align) == cuda_type.bytes
            if aligned(before, max(align, placed.align)) == offset
        ),
        None,
    )


def parts(cuda_type: CudaType, name: str, offset: int) -> Iterator[tuple[str, CudaType, int]]:
    """The members with their paths and offsets; an array has one for each element."""
    for member in cuda_type.members:
        path = f"{name}_{member.name}" if member.name else name
        yield from elements(member.type, path, offset + member.offset)


def elements(cuda_type: CudaType, path: str, offset: int) -> Iterator[tuple[str, CudaType, int]]:
    if cuda_type.element is None or cuda_type.number:
        yield path, cuda_type, offset
        return
    for number in range(min(cuda_type.count or 0, MOST_MEMBERS + 1)):
        yield from elements(cuda_type.element, f"{path}_{number}", offset + number * cuda_type.element.bytes)


def is_array(cuda_type: CudaType) -> bool:
    """Whether it is a pointer to numbers or structs."""
    pointee = cuda_type.pointee
    return pointee is not None and pointee.pointee is None and not cuda_type.text.endswith("&")
