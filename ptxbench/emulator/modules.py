"""Splits a kernel's LLVM IR into modules: its own code, and one for each function that other kernels may share.

A shared function is then compiled once, because its module has the same text in every kernel.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

from ptxbench.emulator.runtime import conditions

NAME = re.compile(r'@("[^"]+"|[\w.$]+)')
PARAMETER = re.compile(r" %[\w.]+(?=[,)])")
OWN_HASH = "$"
"""In a function's name, it precedes a hash of the function's text. The final name has another hash in its place."""
INTERNAL = "define internal "
EMPTY = re.compile(r"\s*define internal void @([\w.]+)\([^{]*\{\s*(?:;[^\n]*\n\s*)*(?:entry:\s*)?ret void\s*\}\s*")
"""The definition of a function that does nothing."""


KEPT_TEXTS = 2048
"""The number of shared functions whose results are cached; all kernels of a test suite have about half as many."""


def without_empty(own_code: str, shared: Iterable[str]) -> tuple[str, list[str]]:
    """The same definitions without functions that do nothing, and without the calls to them.

    Events of a kernel that is not sanitized are such functions. Code without optimisation spends time on their calls.
    """
    texts = list(shared)
    names: Counter[str] = Counter()
    not_removable: set[str] = set()  # a use other than a call, or one that is hard to read
    while empty := {name for text in texts if (name := empty_function(text))} - not_removable:
        names = names or Counter(NAME.findall(own_code))
        if called := frozenset(empty & names.keys()):
            own_code = without_calls.__wrapped__(own_code, called)
            names = Counter(NAME.findall(own_code))
        uses = Counter({name: names[name] for name in empty})
        for index, text in enumerate(texts):
            if used := frozenset(empty & names_in(text).keys()):
                texts[index] = without_calls(text, used)
                left = names_in(texts[index])
                uses.update({name: left[name] for name in used})
        not_removable.update(name for name in empty if uses[name] > 1)
        removed = empty - not_removable  # others may have become empty now
        texts = [text for text in texts if empty_function(text) not in removed]
    return own_code, texts


@functools.lru_cache(KEPT_TEXTS)
def empty_function(text: str) -> str | None:
    """The name of the function that `text` defines if it does nothing."""
    match = EMPTY.fullmatch(text)
    return match[1] if match else None


@functools.lru_cache(KEPT_TEXTS)
def without_calls(text: str, names: frozenset[str]) -> str:
    """`text` without the calls to these functions."""
    alternatives = "|".join(map(re.escape, sorted(names)))
    return re.sub(rf"^ *call void @(?:{alternatives})\([^()]*\).*\n", "", text, flags=re.MULTILINE)


@functools.lru_cache(KEPT_TEXTS)
def names_in(text: str) -> Counter[str]:
    """How often a shared function uses or defines each name."""
    return Counter(NAME.findall(text))


def split(own_code: str, shared: Iterable[str], declarations: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The module of a kernel's own definitions, and the module of each of the definitions `shared`.

    `declarations`: of the intrinsics, a line each. The name of a shared function is unique: a hash of its text and of
    the texts of the functions that it calls is part of it.
    """
    texts = {defined_by(text): text for text in shared}
    called = {name: names_in(text).keys() & texts.keys() for name, text in texts.items()}
    unique = unique_names(texts, called)
    renamed_texts = [
        renamed(text, tuple((callee, unique[callee]) for callee in sorted(called[name])))
        for name, text in texts.items()
    ]
    available = {
        conditions.SYMBOL: conditions.DECLARATION,
        **{name_of(line): line for line in declarations},
        **dict(zip(unique.values(), map(declaration, renamed_texts), strict=True)),
    }
    own_code, used = with_names(own_code, unique)
    return module(own_code, tuple(available[name] for name in sorted(used & available.keys()))), tuple(
        module_of_shared(text, tuple(available[name] for name in needed(text) if name in available))
        for text in renamed_texts
    )


def unique_names(shared: Mapping[str, str], called: Mapping[str, Set[str]]) -> dict[str, str]:
    """The unique name of each shared function. `called`: the shared names in its text."""
    unique = {}
    for name in shared:
        reached, pending = {name}, [name]
        while pending:
            new_names = called[pending.pop()] - reached
            reached |= new_names
            pending += new_names
        unique[name] = unique_name(name, tuple(shared[callee] for callee in sorted(reached)))
    return unique


@functools.lru_cache(KEPT_TEXTS)
def unique_name(name: str, texts: tuple[str, ...]) -> str:
    """The unique name of a function, from its text and the texts of all functions that it calls."""
    digest = hashlib.sha256("".join(sorted(map(text_hash, texts))).encode()).hexdigest()
    return f'"{unquoted(name).partition(OWN_HASH)[0]}.{digest[:16]}"'


def with_names(text: str, new_names: Mapping[str, str]) -> tuple[str, set[str]]:
    """`text` with `new` names in place of the old ones, and the names in it."""
    before, *parts = text.split("@")
    pieces, used = [before], set()
    for part in parts:
        name = part[: part.find("(")]
        if name not in new_names:
            match = NAME.match(f"@{part}")
            name = match[1] if match else ""
        new_name = new_names.get(name, name)
        used.add(new_name)
        pieces.append(new_name + part[len(name) :])
    return "@".join(pieces), used - {""}


@functools.lru_cache(KEPT_TEXTS)
def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(KEPT_TEXTS)
def renamed(text: str, names: tuple[tuple[str, str], ...]) -> str:
    """`text` with other names. `names`: pairs of an old and a new name."""
    new_names = dict(names)
    return NAME.sub(lambda match: f"@{new_names.get(match[1], match[1])}", text)


def unquoted(name: str) -> str:
    """A name as the loader knows it."""
    return name.strip('"')


def module(text: str, declarations: tuple[str, ...]) -> str:
    """`text`, after the declarations of what it uses and does not define."""
    return "\n".join([*declarations, text])


@functools.lru_cache(KEPT_TEXTS)
def module_of_shared(text: str, declarations: tuple[str, ...]) -> str:
    """The module of a shared function."""
    return module(text.replace(INTERNAL, "define ", 1), declarations)


@functools.lru_cache(KEPT_TEXTS)
def needed(text: str) -> Sequence[str]:
    """The names that a shared function uses and does not define."""
    return sorted(names_in(text).keys() - {defined_by(text)})


def name_of(line: str) -> str:
    """The name that a line defines or declares."""
    match = NAME.search(line)
    assert match is not None, line
    return match[1]


@functools.lru_cache(KEPT_TEXTS)
def defined_by(text: str) -> str:
    """The name of the function that `text` defines."""
    return name_of(text[text.index("define ") :])


@functools.lru_cache(KEPT_TEXTS)
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
    return f"declare {text}"
