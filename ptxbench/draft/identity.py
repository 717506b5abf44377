"""Whether two texts of PTX have the same kernel: the same machine code, whatever the names are."""

from __future__ import annotations

import re

from ptxbench import toolchain
from ptxbench.draft.ptx import trimmed
from ptxbench.emulator.parse import parse
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import locate, ptxas

ASSERT = "__assertfail"
"""The function that an assert calls, with the name of the kernel and the number of the line."""


def same_kernel(a: str, a_entry: str, b: str, b_entry: str, arch: str) -> bool:
    """Whether two modules have the same kernel: the same machine code.

    Without ptxas, or with an assert, whose code contains the kernel's name and line, the PTX instructions are compared.
    """
    a, b = (without_lines(trimmed(text, entry)) for text, entry in ((a, a_entry), (b, b_entry)))
    if locate.program("ptxas") and ASSERT not in a:
        code = identity(b, b_entry, arch)
        return code is not None and (renamed(a, a_entry, b_entry) == b or identity(a, a_entry, arch) == code)
    functions = parse(a).entries[a_entry], parse(b).entries[b_entry]
    first, second = ([instruction.opcode for instruction in function.instructions] for function in functions)
    return first == second


def renamed(ptx: str, entry: str, name: str) -> str:
    """The text with the kernel and its parameters under the name of another one, as NVRTC names parameters."""
    return re.sub(rf"(?<![\w$]){re.escape(entry)}(?=_param_\d|(?![\w$]))", name, ptx)


def without_lines(ptx: str) -> str:
    """PTX without line information."""
    return re.sub(r"^\s*\.loc\b[^\n]*\n", "", ptx, flags=re.M)


def identity(ptx: str, entry: str, arch: str) -> str | None:
    """The identity of the machine code of a kernel; None if ptxas refuses the text."""
    tool = locate.program("ptxas")
    assert tool is not None
    try:
        cubin, messages = toolchain.assembled(tool, ptx, arch)
    except ptxas.RefusedError:
        return None
    resources = ptxas.resources(messages, entry)
    if resources is None:
        return None
    return elf.identity(elf.read(cubin), entry, resources.registers, resources.shared_bytes)
