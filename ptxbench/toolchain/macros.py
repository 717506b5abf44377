"""The macros that texts of C++ define, and those that stand for given words, directly or through other macros."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Sequence

from ptxbench.toolchain.cpp_tokens import tokens

DEFINE = re.compile(r"[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)(?P<body>.*)", re.S)
LINES_OF_DEFINE = re.compile(r"#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)")
WORD = re.compile(r"[A-Za-z_]\w*")
WORDS = re.compile(r"[\w\s]*")
COMMENT = re.compile(r"//[^\n]*|/\*(?:.*?\*/|.*)", re.S)

CONSTEXPR = frozenset({"constexpr"})
KERNEL = frozenset({"__global__"})
OF_DEVICE = frozenset({"__global__", "__device__", "__constant__", "__shared__", "__managed__"})


def device_macros(texts: Sequence[str]) -> frozenset[str]:
    """The macros of these texts that stand for the mark of a device function, directly or through another macro."""
    return standing_for(OF_DEVICE, relevant_definitions(OF_DEVICE, texts))


def kernel_marks(texts: Sequence[str]) -> frozenset[str]:
    """`__global__`, and the macros of these texts that stand for it, perhaps with other words."""
    return KERNEL | standing_for(KERNEL, relevant_definitions(KERNEL, texts))


def constant_macros(texts: Sequence[str]) -> frozenset[str]:
    """`constexpr`, and the macros of these texts that stand for it, perhaps with other words."""
    of_texts = relevant_definitions(CONSTEXPR, texts)
    return CONSTEXPR | standing_for(CONSTEXPR, (macro for macro in of_texts if WORDS.fullmatch(macro[1])))


def standing_for(words: Collection[str], macros: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The names of the macros whose text has one of the words, directly or through another macro."""
    bodies: dict[str, set[str]] = {}
    for name, body in macros:
        bodies.setdefault(name, set()).update(WORD.findall(body))
    found = set(words)
    while more := {name for name, body in bodies.items() if name not in found and body & found}:
        found |= more
    return frozenset(found.difference(words))


def relevant_definitions(words: Collection[str], texts: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The definitions of the texts that may define a macro that stands for one of the words.

    Only these texts are read token by token, which takes seconds for the headers of a large library.
    """
    of_texts = [(text, possible_definitions(text)) for text in texts]
    names = standing_for(words, itertools.chain.from_iterable(possible for _, possible in of_texts))
    with_names = (text for text, possible in of_texts if any(name in names for name, _ in possible))
    return itertools.chain.from_iterable(map(definitions, with_names))


@functools.lru_cache(maxsize=1024)
def possible_definitions(text: str) -> tuple[tuple[str, str], ...]:
    """At least the `definitions` of a text, and perhaps some in comments and strings."""
    matches = LINES_OF_DEFINE.findall(text)
    # A comment may go on after the line.
    return definitions(text) if any("/*" in COMMENT_OF_LINE.sub("", body) for _, body in matches) else tuple(matches)


COMMENT_OF_LINE = re.compile(r"/\*.*?\*/", re.S)


@functools.lru_cache(maxsize=1024)
def definitions(text: str) -> tuple[tuple[str, str], ...]:
    """The name and the text of each macro that a text defines; the parameters are part of the macro's text."""
    directives = (DEFINE.match(token.text) for token in tokens(text) if token.kind == "directive")
    return tuple((define["name"], COMMENT.sub(" ", define["body"])) for define in directives if define)
