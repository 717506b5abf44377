"""Splits a kernel's LLVM IR into modules: its own code, and one for each function that other kernels may share.

A shared function is then compiled once, because its module has the same text in every kernel.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set

from ptxbench.emulator.runtime import conditions

NAME = re.compile(r'@("[^"]+"|[\w.$]+)')
PARAMETER = re.compile(r" %[\w.]+(?=[,)])")
OWN_HASH = "$"
"""In a function's name, it precedes a hash of the function's text. The final name has another hash in its place."""
INTERNAL = "define internal "
EMPTY = re.compile(r"\s*define internal void @([\w.]+)\([^{]*\{\s*(?:;[^\n]*\n\s*)*(?:entry:\s*)?ret void\s*\}\s*")
"""The definition of a function that does nothing."""


def without_empty(own_code: str, shared: Iterable[str]) -> tuple[str, list[str]]:
    """The same definitions without functions that do nothing, and without the calls to them.

    Events of a kernel that is not sanitized are such functions. Code without optimisation spends time on their calls.
    """
    texts = list(shared)
    names: Counter[str] = Counter()
    not_removable: set[str] = set()  # a use other than a call, or one that is hard to read
    while empty := {match[1] for text in texts if (match := EMPTY.fullmatch(text))} - not_removable:
        names = names or Counter(NAME.findall(own_code))
        if called := frozenset(empty & names.keys()):
            own_code = without_calls.__wrapped__(own_code, called)
            names = Counter(NAME.findall(own_code))
        texts = [without_calls(text, frozenset(empty & names_in(text).keys())) for text in texts]
        uses = Counter({name: names[name] for name in empty})
        for text in texts:
            uses.update({name: count for name, count in names_in(text).items() if name in empty})
        not_removable.update(name for name in empty if uses[name] > 1)
        removed = empty - not_removable  # others may have become empty now
        texts = [text for text in texts if not (match := EMPTY.fullmatch(text)) or match[1] not in removed]
    return own_code, texts


KEPT_TEXTS = 2048
"""The number of shared functions whose results are cached; all kernels of a test suite have about half as many."""


@functools.lru_cache(KEPT_TEXTS)
def without_calls(text: str, names: frozenset[str]) -> str:
    """`text` without the calls to these functions."""
    if not names:
        return text
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
    own_code, texts, used = with_hashes(own_code, {defined_by(text): text for text in shared})
    available = {
        conditions.SYMBOL: conditions.DECLARATION,
        **{name_of(line): line for line in (*declarations, *map(declaration, texts))},
    }
    defined = set(map(name_of, re.findall("^define .*", own_code, re.MULTILINE)))
    return module(own_code, used - defined, available), tuple(
        module(text.replace(INTERNAL, "define ", 1), names_in(text).keys() - {defined_by(text)}, available)
        for text in texts
    )


def with_hashes(own: str, shared: Mapping[str, str]) -> tuple[str, list[str], set[str]]:
    """The same texts, with hashes in the names of the shared functions, and the names in `own`."""
    called = {name: names_in(text).keys() & shared.keys() for name, text in shared.items()}
    unique = {}
    for name in shared:
        reached, pending = {name}, [name]
        while pending:
            new_names = called[pending.pop()] - reached
            reached |= new_names
            pending += new_names
        hashes = sorted(text_hash(shared[callee]) for callee in reached)
        digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
        unique[name] = f'"{unquoted(name).partition(OWN_HASH)[0]}.{digest[:16]}"'
    own, used = with_names(own, unique)
    texts = [
        renamed(text, tuple((callee, unique[callee]) for callee in sorted(called[name] | {name})))
        for name, text in shared.items()
    ]
    return own, texts, used


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


def module(text: str, used: Set[str], available: Mapping[str, str]) -> str:
    """`text`, after the declarations of what it uses and does not define."""
    return "\n".join([*(available[name] for name in sorted(used & available.keys())), text])


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
