"""Characters outside of ASCII in CUDA C: typographic ones, of code from a chat or a document, and letters in names."""

from __future__ import annotations

from collections.abc import Collection

from ptxbench.toolchain.cpp_tokens import TOKEN
from ptxbench.toolchain.encoding import character_at


def problem(cuda_c: str, error_lines: Collection[int]) -> tuple[int, str] | None:
    """The first such character in CUDA C that does not compile: its line, and a sentence without its full stop.

    A character counts only on one of the lines that have an error.
    """
    for match in TOKEN.finditer(cuda_c):
        if match["literal"] or match[0].isascii() or match[0].startswith(("//", "/*")):
            continue
        for at, character in enumerate(match[0], match.start()):
            if character.isascii() or (line := cuda_c.count("\n", 0, at) + 1) not in error_lines:
                continue
            is_letter = ("_" + character).isidentifier()
            why = "not a letter that NVRTC accepts in a name" if is_letter else "not part of C++"
            return line, f"{character_at(character.encode('utf-8', 'replace'), 0)} is {why}; replace it"
    return None
