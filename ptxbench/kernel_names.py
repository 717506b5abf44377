"""Names of kernels: as PTX has them (mangled, if C++), as C++ writes them, and which kernels a name can mean.

Demangles with the C++ runtime that numba's LLVM needs anyway. Where there is none, as on Windows, names stay mangled.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable

LIBRARIES = {"linux": "libstdc++.so.6", "darwin": "libc++abi.dylib"}

MOST_SHOWN = 12

INTEGER = re.compile(r"(?<=[<,])(?:\([\w: ]+\))?(-?\d+)(?:u?l{0,2}|l{1,2}u)(?=[,>])", re.I)
"""A template argument that is an integer, with its type, which may be an enumeration."""


@functools.cache
def demangler() -> Callable[[bytes], bytes | None] | None:
    """A function that demangles one name, or None; None without a C++ runtime."""
    try:
        runtime = ctypes.CDLL(LIBRARIES[sys.platform])
        demangle, free = runtime.__cxa_demangle, ctypes.CDLL(None).free
    except (KeyError, OSError, AttributeError):
        return None
    demangle.restype, free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)

    def demangle_one(name: bytes) -> bytes | None:
        status = ctypes.c_int()
        if not (address := demangle(name, None, None, ctypes.byref(status))):
            return None
        try:
            return ctypes.string_at(address)
        finally:
            free(address)

    return demangle_one


@functools.cache
def demangled(name: str) -> str:
    """`name` as C++ writes it, such as `void ns::k<float, 4>(float*)`; a name without C++ mangling as it is."""
    if not name.startswith("_Z") or (demangle := demangler()) is None:
        return name
    text = demangle(name.encode("ascii", "replace"))
    return text.decode("utf-8", "replace").replace("> >", ">>") if text else name


@functools.cache
def short(name: str) -> str:
    """`name` demangled, without its parameters and return type: `ns::k<float, 4>`."""
    text = demangled(name)
    if not text.endswith(")"):
        return text
    depth, index = 0, len(text)
    while index:
        index -= 1
        depth += {")": 1, "(": -1}.get(text[index], 0)
        if depth == 0:
            break
    return text[:index].removeprefix("void ")


def displayed(names: Iterable[str]) -> dict[str, str]:
    """What to print for each kernel of a file: its short name, with the parameters where kernels share that."""
    all_names = list(names)
    times = Counter(map(short, all_names))
    return {
        name: short(name) if times[short(name)] == 1 else demangled(name).removeprefix("void ") for name in all_names
    }


def some(names: Iterable[str]) -> str:
    """The names in a sentence; of very many, one of each template, and how many more there are."""
    all_names = list(names)
    if len(all_names) <= MOST_SHOWN:
        return ", ".join(all_names)
    of_each: dict[str, str] = {}
    for name in all_names:
        of_each.setdefault(without_arguments(name), name)
    shown = list(of_each.values())[:MOST_SHOWN]
    return f"{', '.join(shown)} and {len(all_names) - len(shown):,} more"


def matching(wanted: str, names: Iterable[str]) -> list[str]:
    """The kernels that `wanted` can mean: PTX's name, C++'s with or without parameters, namespace, template arguments
    or the last of these, which may be defaults.

    The closest kind of match decides, so `k` is not `ns::k` if there is a plain `k` too.
    """
    all_names = list(names)
    text = squeezed(wanted)
    kinds: tuple[Callable[[str], str], ...] = (
        lambda name: name,
        lambda name: squeezed(demangled(name)),
        lambda name: squeezed(short(name)),
        lambda name: without_arguments(squeezed(short(name))),
        lambda name: unqualified(squeezed(short(name))),
        lambda name: unqualified(without_arguments(squeezed(short(name)))),
    )
    for kind in kinds:
        if matches := [name for name in all_names if kind(name) in (wanted, text)]:
            return matches
    if not text.endswith(">"):
        return []
    first = f"{text[:-1]},"
    return [
        name
        for name in all_names
        if squeezed(short(name)).startswith(first) or unqualified(squeezed(short(name))).startswith(first)
    ]


def squeezed(text: str) -> str:
    """Without spaces, except between two words, the return type of a kernel, and the types of integers: the demangled
    `k<4u, (char)2>` is `k<4, 2>` in a source."""
    without_spaces = re.sub(r"\s*([^\w\s])\s*", r"\1", text.strip().removeprefix("void "))
    return INTEGER.sub(r"\1", without_spaces).replace("unsigned int", "unsigned")


def without_arguments(text: str) -> str:
    """`ns::k` of `ns::k<float,4>`."""
    return text[: argument_start(text)]


def unqualified(text: str) -> str:
    """`k<float,4>` of `ns::k<float,4>`."""
    name = text[: argument_start(text)]
    return text[name.rfind("::") + 2 :] if "::" in name else text


def argument_start(text: str) -> int:
    """Where the template arguments at the end begin, or the end."""
    if not text.endswith(">"):
        return len(text)
    depth = 0
    for index in range(len(text) - 1, -1, -1):
        depth += {">": 1, "<": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def expression(wanted: str) -> str | None:
    """`wanted` as a compiler takes it to instantiate a template, `ns::k<float, 4>`; None if it has no arguments."""
    text = wanted.strip().removeprefix("void ")
    if "<" not in text:
        return None
    depth = 0
    for index, character in enumerate(text):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if depth == 0 and character == ">":
            return text[: index + 1]
    return None
