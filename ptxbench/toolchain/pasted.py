"""Code that was pasted from a chat or a document, with typographic characters."""

from __future__ import annotations

from collections.abc import Collection

from ptxbench.toolchain.cpp_tokens import TOKEN
from ptxbench.toolchain.encoding import character_at


def problem(cuda_c: str, error_lines: Collection[int]) -> tuple[int, str] | None:
    """What the pasting left in CUDA C that does not compile: its line, and a sentence without its full stop.

    A character counts only on one of the lines that have an error.
    """
    for match in TOKEN.finditer(cuda_c):
        if match["literal"] or match[0].isascii() or match[0].startswith(("//", "/*")):
            continue
        for at, character in enumerate(match[0], match.start()):
            if character.isascii() or ("_" + character).isidentifier():
                continue
            line = cuda_c.count("\n", 0, at) + 1
            if line in error_lines:
                return line, f"{character_at(character.encode('utf-8', 'replace'), 0)} is not part of C++; replace it"
    return None
