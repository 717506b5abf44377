"""The texts that define a kernel: its file, or a header of the user that the file includes."""

from __future__ import annotations

import re

from ptxbench.draft import cuda
from ptxbench.draft.kernel_source import KernelSource

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[\"<]([^\">\n]+)[\">].*$", re.M)
ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once\b.*$", re.M)


def texts_with(kernel: KernelSource) -> list[str]:
    """The text of the kernel's file if it defines the kernel. Else the header that does, alone, and the file with the
    header in place of its `#include`; the file if there is no such header."""
    headers = {header.name: header.content.decode("utf-8", "replace") for header in kernel.headers()}
    whole = inlined(kernel.text, dict(headers), kernel.plain_name)
    if whole in (None, kernel.text):
        return [kernel.text]
    alone = next(text for text in headers.values() if cuda.kernel_named(text, kernel.plain_name))
    return [ONCE.sub("", alone), whole]


def inlined(text: str, headers: dict[str, str], kernel: str) -> str | None:
    """The text with the headers, by the names in its `#include`, that are needed for a definition of the kernel; None
    if there is none. Removes from `headers` those that were searched: each is searched once."""
    if cuda.kernel_named(text, kernel):
        return text
    for include in INCLUDE.finditer(text):
        header = inlined(headers.pop(include[1], ""), headers, kernel)
        if header is not None:
            return text[: include.start()] + ONCE.sub("", header) + text[include.end() :]
    return None
