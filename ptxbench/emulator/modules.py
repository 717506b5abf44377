"""Splits a kernel's LLVM IR into modules: its own code, and one for each function that other kernels may share.

A shared function is then compiled once, because its module has the same text in every kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ptxbench.emulator.runtime import conditions

NAME = re.compile(r'@("[^"]+"|[\w.$]+)')
PARAMETER = re.compile(r" %[\w.]+(?=[,)])")
INTERNAL = "define internal "
EMPTY = re.compile(r"\s*define internal void @([\w.]+)\([^{]*\{\s*(?:;[^\n]*\n\s*)*(?:entry:\s*)?ret void\s*\}\s*")
"""The definition of a function that does nothing."""


def without_empty(own: str, shared: Iterable[str]) -> tuple[str, list[str]]:
    """The same definitions without functions that do nothing, and without the calls to them.

    Events of a kernel that is not sanitized are such functions. Code without optimisation spends time on their calls.
    """
    texts = list(shared)
    kept: set[str] = set()  # a use other than a call, or one that is hard to read
    while empty := {match[1] for text in texts if (match := EMPTY.fullmatch(text))} - kept:
        calls = re.compile(rf"^ *call void @(?:{'|'.join(map(re.escape, empty))})\([^()]*\).*\n", re.MULTILINE)
        own, *texts = (calls.sub("", text) for text in (own, *texts))
        for name in empty:
            uses = sum(len(re.findall(rf"@{re.escape(name)}(?![\w.$])", text)) for text in (own, *texts))
            if uses > 1:
                kept.add(name)
        removed = empty - kept  # others may have become empty now
        texts = [text for text in texts if not (match := EMPTY.fullmatch(text)) or match[1] not in removed]
    return own, texts


def split(own: str, shared: Iterable[str], declarations: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The module of a kernel's own definitions `own`, and the module of each of the definitions `shared`.

    `declarations`: of the intrinsics, a line each. The own module also defines the variable of runtime/conditions.py.
    """
    texts = tuple(shared)
    available = {name_of(line): line for line in (*declarations, *map(declaration, texts))}
    elsewhere = {conditions.SYMBOL: conditions.DECLARATION, **available}
    return f"{conditions.DEFINITION}\n{module(own, available)}", tuple(
        module(text.replace(INTERNAL, "define hidden ", 1), elsewhere) for text in texts
    )


def module(text: str, available: Mapping[str, str]) -> str:
    """`text`, after the declarations of what it uses and does not define."""
    defined = {name_of(line) for line in text.splitlines() if line.startswith("define ")}
    used = sorted(set(NAME.findall(text)) & available.keys() - defined)
    return "\n".join([*(available[name] for name in used), text])


def name_of(line: str) -> str:
    """The name that a line defines or declares."""
    match = NAME.search(line)
    assert match is not None, line
    return match[1]


def declaration(definition: str) -> str:
    """The declaration of a function, from the text of its definition, without the names of its parameters."""
    assert definition.count("define ") == 1, definition
    signature = definition[definition.index(INTERNAL) + len(INTERNAL) :]
    start = signature.index("(", signature.index("@"))
    depth = 0
    for end in range(start, len(signature)):
        depth += {"(": 1, ")": -1}.get(signature[end], 0)
        if depth == 0:
            break
    text = PARAMETER.sub("", " ".join(signature[: end + 1].split()))
    return f"declare hidden {text}"
