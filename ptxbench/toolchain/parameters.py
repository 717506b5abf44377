"""The parameters of kernels as CUDA C declares them: names and types, from a compilation with debugging information.

NVRTC calls a parameter `kernel_param_0` in PTX. With -G it writes the names and types next to other code, which is not
used. So templates, macros, typedefs and included files are read as the compiler reads them.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench import toolchain
from ptxbench.errors import CompileError, PairError, UsageError
from ptxbench.toolchain import dwarf
from ptxbench.toolchain.dwarf import DebugEntry, UnreadableError

DEBUG = ("-G",)
NEWER = "sm_100"
"""The first target of NVRTC's newer back end. The older one does not know every instruction with -G, such as dp4a."""

LARGE = 400_000
"""Characters of PTX from which on kernels are compiled without their bodies for their parameters: with -G, NVRTC takes
minutes for those of a large library of templates."""

OPTIMISED = re.compile(r"--?dopt\b")
"""An option that makes -G write no debugging information."""

UNNAMED = re.compile(r"(?P<length>\d+)(?=_GLOBAL__N_)")
"""The length of an unnamed namespace's name, before it in a name of PTX. The name has hashes of the compiler's options,
and may have the number of the process."""

FLOATING = 4
SIGNED = (5, 6)
"""Encodings of a base type."""

FLOATS = {
    "__half": "f16", "half": "f16", "Half": "f16", "__nv_bfloat16": "bf16", "nv_bfloat16": "bf16", "BFloat16": "bf16",
}  # fmt: skip
"""Structs that are numbers, of CUDA and of PyTorch."""
FLOAT_BYTES = (0, 2)
"""Their size: 0 if a kernel only has their address."""

UNKNOWN = "?"
MOST_NESTED = 16


@dataclass(frozen=True)
class CudaMember:
    """A member of a struct, `offset` bytes from its start. `name` is empty for a base class."""

    name: str
    type: CudaType
    offset: int
    bits: int | None = None
    """Of a bit field."""


@dataclass(frozen=True)
class CudaType:
    """A type of CUDA C. `text`: as it is written, `const float*`; `bytes`: its size, 0 if it is not known."""

    text: str
    bytes: int
    number: str | None = None
    """The PTX name of a number: f32, u8, bf16. None for other types."""
    const: bool = False
    pointee: CudaType | None = None
    """What a pointer or a reference points to."""
    element: CudaType | None = None
    """The element of an array."""
    count: int | None = None
    """The number of elements of an array."""
    members: tuple[CudaMember, ...] = ()
    """The members of a struct; empty for a union, and where a struct contains a pointer to itself."""


@dataclass(frozen=True)
class CudaParameter:
    """A parameter of a kernel; `name` is None if the source gives it none of its own, as in a parameter pack."""

    name: str | None
    type: CudaType

    @property
    def declaration(self) -> str:
        """`const float* x`, `float (*rows)[4]`."""
        if not self.name:
            return self.type.text
        before, inside, after = self.type.text.rpartition(")[")
        return f"{before}{self.name}{inside}{after}" if inside else f"{self.type.text} {self.name}"


def key(name: str) -> str:
    """The name of a kernel in PTX as `of_source` and `of_ptx` have it: the same for all options of the compiler."""
    if (unnamed := UNNAMED.search(name)) is None:
        return name
    return name[: unnamed.start()] + "_GLOBAL__N_" + key(name[unnamed.end() + int(unnamed["length"]) :])


def of_source(
    source: bytes, path: Path, arch: str, flags: Sequence[str] = (), *, signatures: bool = False
) -> dict[str, tuple[CudaParameter, ...]]:
    """The parameters of each kernel of CUDA C, by the `key` of its name in PTX. Not for untrusted text.

    `signatures`: whether kernels are compiled without their bodies. Then structs behind pointers may have no members.
    Empty if the compiler gives no debugging information that can be read.
    """
    usable_flags = [flag for flag in flags if not OPTIMISED.match(flag)]
    for target in dict.fromkeys((arch, NEWER)):
        # -G may not suit the code or another flag, and an old NVRTC does not know every target
        with contextlib.suppress(CompileError, PairError, UsageError):
            return of_ptx(toolchain.compiled(source, path, target, (*usable_flags, *DEBUG), signatures=signatures).ptx)
    return {}


def of_ptx(ptx: str) -> dict[str, tuple[CudaParameter, ...]]:
    """The parameters of each kernel or function that the debugging information of the PTX describes, by `key`."""
    try:
        entries = dwarf.entries(ptx)
    except UnreadableError:
        return {}
    types = Types(entries)
    return {
        key(name): types.parameters(entry)
        for entry in entries.values()
        if entry.tag == dwarf.SUBPROGRAM
        if (name := entry.text(dwarf.MIPS_LINKAGE_NAME) or entry.text(dwarf.LINKAGE_NAME) or entry.text(dwarf.NAME))
    }


class Types:
    """Resolves the types of debugging entries."""

    def __init__(self, entries: dict[int, DebugEntry]) -> None:
        self.entries = entries

    def parameters(self, function: DebugEntry) -> tuple[CudaParameter, ...]:
        entries = function.of(dwarf.FORMAL_PARAMETER)
        uses = Counter(entry.text(dwarf.NAME) for entry in entries)
        names = (name if uses[name := entry.text(dwarf.NAME)] == 1 else None for entry in entries)
        return tuple(CudaParameter(name, self.type_of(entry)) for name, entry in zip(names, entries, strict=True))

    def type_of(self, entry: DebugEntry, inside: tuple[DebugEntry, ...] = ()) -> CudaType:
        """The type that `entry` has. `inside`: the structs around it."""
        described = self.entries.get(entry.number(dwarf.TYPE) or 0)
        return self.resolve(described, inside) if described else CudaType("void", 0)

    def resolve(self, entry: DebugEntry, inside: tuple[DebugEntry, ...]) -> CudaType:
        """The type that an entry of the debugging information describes. `inside`: the structs around it."""
        size = entry.number(dwarf.BYTE_SIZE) or 0
        name = entry.text(dwarf.NAME) or UNKNOWN
        match entry.tag:
            case dwarf.BASE:
                return CudaType(name, size, base(entry.number(dwarf.ENCODING), size))
            case dwarf.ENUMERATION:
                return CudaType(name, size, f"s{8 * size}")
            case dwarf.POINTER | dwarf.REFERENCE | dwarf.RVALUE_REFERENCE:
                sign = {dwarf.POINTER: "*", dwarf.REFERENCE: "&"}.get(entry.tag, "&&")
                pointee = self.type_of(entry, inside)
                return CudaType(pointer_text(pointee, sign), 8, pointee=pointee)
            case dwarf.CONST | dwarf.VOLATILE | dwarf.RESTRICT:
                return qualified(self.type_of(entry, inside), entry.tag)
            case dwarf.TYPEDEF:
                aliased = self.type_of(entry, inside)
                return replace(aliased, text=name, number=FLOATS.get(name) or aliased.number)
            case dwarf.ARRAY:
                return self.array(entry, inside)
            case dwarf.STRUCTURE | dwarf.CLASS | dwarf.UNION:
                number = FLOATS.get(name) if size in FLOAT_BYTES else None
                return CudaType(name, size, number, members=tuple(self.members(entry, inside)))
        return CudaType("void" if name == "void" else UNKNOWN, size)

    def array(self, entry: DebugEntry, inside: tuple[DebugEntry, ...]) -> CudaType:
        """An array; of several dimensions, an array of arrays."""
        result = self.type_of(entry, inside)
        element, extents = result.text, ""
        for dimension in reversed(entry.of(dwarf.SUBRANGE)):
            last, count = dimension.number(dwarf.UPPER_BOUND), dimension.number(dwarf.COUNT)
            count = count if count is not None else last + 1 if last is not None else 0
            extents = f"[{count}]{extents}"
            result = CudaType(element + extents, result.bytes * count, None, result.const, None, result, count)
        return result

    def members(self, entry: DebugEntry, inside: tuple[DebugEntry, ...]) -> Iterator[CudaMember]:
        """The members of a struct, those of its base classes included."""
        if entry.tag == dwarf.UNION or entry in inside or len(inside) > MOST_NESTED:
            return
        for child in entry.of(dwarf.INHERITANCE, dwarf.MEMBER):
            offset = location(child.attributes.get(dwarf.MEMBER_LOCATION))
            if offset is not None:  # a static member has none
                member_type = self.type_of(child, (*inside, entry))
                yield CudaMember(child.text(dwarf.NAME) or "", member_type, offset, child.number(dwarf.BIT_SIZE))


def base(encoding: int | None, size: int) -> str | None:
    """The PTX name of a base type."""
    if size not in (1, 2, 4, 8):
        return None
    return f"{'f' if encoding == FLOATING else 's' if encoding in SIGNED else 'u'}{8 * size}"


def qualified(type: CudaType, tag: int) -> CudaType:
    """`type` with const, volatile or __restrict__; after a pointer, before other types."""
    word = {dwarf.CONST: "const", dwarf.VOLATILE: "volatile", dwarf.RESTRICT: "__restrict__"}[tag]
    text = f"{type.text} {word}" if type.pointee else f"{word} {type.text}"
    return replace(type, text=text, const=type.const or tag == dwarf.CONST)


def pointer_text(pointee: CudaType, sign: str) -> str:
    """`float*`, `const int (&)[3]`."""
    if pointee.element is None or "[" not in pointee.text:
        return f"{pointee.text}{sign}"
    element, bracket, extents = pointee.text.partition("[")
    return f"{element} ({sign}){bracket}{extents}"


def location(value: int | str | bytes | None) -> int | None:
    """The offset of a member, which is a number or the expression DW_OP_plus_uconst."""
    if isinstance(value, int):
        return value
    if isinstance(value, bytes) and value[:1] == b"\x23":
        return dwarf.Bytes(value, 1).leb128()
    return None
