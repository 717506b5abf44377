"""Checks that the parameter list of a PTX entry agrees with the arguments of its pair.

A launch copies raw bytes, so a parameter of another size or kind would give a wrong result or a fault without a clear
cause. Reads only the headers of the entries: a body that the emulator cannot read may still run on a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench import kernel_names
from ptxbench.arrays import is_float
from ptxbench.emulator.parse import read_parameters
from ptxbench.emulator.syntax import Variable
from ptxbench.emulator.tokens import Cursor
from ptxbench.errors import SignatureMismatch
from ptxbench.pair import POINTER_BYTES, Parameter, Scalar, bf16
from ptxbench.structs import StructLayout
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES, TensorMap
from ptxbench.toolchain.kernel_templates import only_templates
from ptxbench.units import plural

KINDS = {"f": "bf", "i": "bus", "u": "bus"}
"""For each kind of NumPy dtype, the kinds of PTX type (b bits, u, s, f) that accept it."""


@dataclass(frozen=True)
class Header:
    """`.entry NAME(params)`, and its line."""

    name: str
    line: int
    params: tuple[Variable, ...]


def check_signature(
    ptx: str, entry: str, args: Sequence[Parameter], source: Path, pair_place: Callable[[int], str] | None = None
) -> None:
    """Raise SignatureMismatch unless `ptx`, made from `source`, has `entry` with parameters that accept `args`.

    `args`: `Pair.parameters`. `pair_place`: gives the file and line of one of them by its number, for the message.

    Raises PtxSyntaxError if the text cannot be read.
    """
    headers = read_headers(ptx)
    hand_written = source.suffix == ".ptx"

    def location(line: int) -> str:
        return f"{source.name}:{line if hand_written else line_of(source, entry)}"

    header = next((header for header in headers if header.name == entry), None)
    if header is None:
        raise SignatureMismatch(no_entry(headers, entry, source, hand_written))
    if len(header.params) != len(args):
        names = ", ".join(arg.name for arg in args)
        raise SignatureMismatch(
            f"{location(header.line)}: '{entry}' has {counted(len(header.params))}, its pair has {len(args)}: {names}. "
            "They must agree, in order."
        )
    for position, (param, arg) in enumerate(zip(header.params, args, strict=True), 1):
        if not takes(param, arg):
            quoted_name = f" '{param.name}'" if hand_written else ""
            raise SignatureMismatch(
                f"{location(param.line)}: parameter {position}{quoted_name} of '{entry}' is {written(param)}, "
                f"where its pair has {named_argument(arg)}{f' ({pair_place(position - 1)})' if pair_place else ''}. "
                f"It must be {wanted(arg)}."
            )


def read_headers(ptx: str) -> list[Header]:
    """Every entry of the text, in order."""
    cursor = Cursor(ptx)
    headers = []
    for index, word in enumerate(cursor.words):
        if word == ".entry":
            cursor.at = index + 1
            line = cursor.line_at(index)
            name = cursor.name("the entry's name")
            headers.append(Header(name, line, read_parameters(cursor) if cursor.next == "(" else ()))
    return headers


def takes(param: Variable, arg: Parameter) -> bool:
    """Whether the parameter has the size of the argument, and a type that does not contradict its kind."""
    if isinstance(arg, StructLayout):
        return param.size_bytes == arg.size_bytes and param.array and param.align >= arg.align
    if isinstance(arg, TensorMap):
        return param.size_bytes == MAP_BYTES and param.array and param.align >= MAP_ALIGN
    if isinstance(arg, Scalar):
        kinds = KINDS["f" if is_float(arg.dtype) else arg.dtype.kind]
        return param.size_bytes == arg.dtype.itemsize and param.type.kind in kinds
    return param.size_bytes == POINTER_BYTES and param.type.kind in KINDS["u"] and not param.array


def named_argument(arg: Parameter) -> str:
    """`In('x', float32)`, `Struct('p', 12 bytes: x at 0, n at 8)`."""
    if isinstance(arg, StructLayout):
        members = ", ".join(f"{name} at {offset}" for name, offset in arg.offsets.items())
        return f"Struct('{arg.name}', {plural(arg.size_bytes, 'byte')}: {members})"
    detail = f"of '{arg.of}'" if isinstance(arg, TensorMap) else str(arg.dtype)
    return f"{type(arg).__name__}('{arg.name}', {detail})"


def written(param: Variable) -> str:
    """`.u32`, or `.align 8 .b8 [24]` for a struct."""
    return f".align {param.align} .{param.type} [{param.count}]" if param.array else f".{param.type}"


def wanted(arg: Parameter) -> str:
    """The allowed types of the parameter for `arg`."""
    if isinstance(arg, StructLayout):
        return f".align {arg.align} .b8 [{arg.size_bytes}]"
    if isinstance(arg, TensorMap):
        return f".align {MAP_ALIGN} .b8 [{MAP_BYTES}]"
    if not isinstance(arg, Scalar):
        return ".u64 or .b64, a pointer"
    bits = 8 * arg.dtype.itemsize
    if arg.dtype == bf16 or (bits == 8 and is_float(arg.dtype)):  # PTX has no parameters of these types
        return f".b{bits}"
    return f".f{bits} or .b{bits}" if is_float(arg.dtype) else f".u{bits}, .s{bits} or .b{bits}"


def no_entry(headers: Sequence[Header], entry: str, source: Path, hand_written: bool) -> str:
    """The message for a missing entry: which entries exist, and how to get the right one."""
    if not headers:
        return (
            only_templates(source, entry) or f"{source.name}: found no kernel in this file. Its pair needs '{entry}'."
        )
    names = [kernel_names.short(header.name) for header in headers]
    where = f"{source.name}:{headers[0].line}" if hand_written else source.name
    if hand_written:
        hint = " Rename it."
    elif any(kernel_names.unqualified(name) == entry for name in names):
        hint = ' Write extern "C" before it.'
    elif all(header.name.startswith("_Z") for header in headers):
        hint = ' Rename it, and write extern "C" before it.'
    else:
        hint = " Rename it."
    found = [
        f"the C++ function '{name}'" if header.name.startswith("_Z") else f"'{name}'"
        for name, header in zip(names, headers, strict=True)
    ]
    return f"{where}: expected an entry '{entry}', the pair's name; found {', '.join(found)}.{hint}"


def line_of(source: Path, entry: str) -> int:
    """The line of CUDA C that declares the kernel; 1 if it is not found, for example because a macro makes it."""
    text = source.read_text(encoding="utf-8", errors="replace")
    match = re.search(rf"\b{entry}\s*\(", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def counted(parameters: int) -> str:
    return f"{parameters or 'no'} parameter{'' if parameters == 1 else 's'}"
