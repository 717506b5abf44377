"""What is wrong with the encoding of a source text, if the tools cannot read it. Knows bytes only."""

from __future__ import annotations

import codecs

MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is a prefix of it
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""The encoding of each byte-order mark. Neither ptxas nor NVRTC accepts any of them (but see `without_mark`)."""

REMEDY = "Save the file as UTF-8 without a byte-order mark."


def without_mark(cuda_c: bytes) -> bytes:
    """CUDA C without the byte-order mark of UTF-8, which editors on Windows write and nvcc ignores."""
    return cuda_c.removeprefix(codecs.BOM_UTF8)


def encoding_problem(content: bytes) -> str | None:
    """A sentence about the encoding of a text that the tools cannot read; None if it is UTF-8, or no text at all."""
    for mark, name in MARKS.items():
        if content.startswith(mark):
            return f"the text begins with a {name} byte-order mark."
    even, odd = content[:4096:2], content[1:4096:2]
    if odd and (even.count(0) == len(even) or odd.count(0) == len(odd)):
        return "every other byte is 0x00, as in UTF-16."
    return None
