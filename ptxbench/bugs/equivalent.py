"""Bugs that are none: shown in words to change nothing that a pair promises. Read from `equivalent.toml`.

The file lies in the folder of kernels. An entry names a pair, a language, edits and the code of the line, and says
why. One that matches no bug of the kernel is an error: the kernel has changed, and the words are no longer about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ptxbench.bugs.bug import Bug
from ptxbench.documents import parse_toml, read_text
from ptxbench.errors import UsageError

FILE = "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """One reason. `code`: of the line, and `edits`: what was changed there, both with * for any text; `which`: of
    several bugs that look alike, None for all of them.
    """

    pair: str
    language: str
    code: str
    edits: tuple[str, ...]
    why: str
    which: int | None = None

    def matches(self, bug: Bug) -> bool:
        edited = any(alike(each, bug.edit) for each in self.edits)
        return edited and self.which in (None, bug.which) and alike(self.code, bug.code)


def alike(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text))


def read(kernels: Path) -> list[Equivalent]:
    """The entries of a folder of kernels; none where it has no such file. Raises UsageError for what is not one."""
    path = kernels / FILE
    if not path.exists():
        return []
    tables = parse_toml(read_text(path, UsageError), str(path)).get("equivalent", [])
    if not isinstance(tables, list):
        raise UsageError(f"'{path}': 'equivalent' is an array of tables. Write it as [[equivalent]].")
    return [entry(each, path, number) for number, each in enumerate(tables, 1)]


def entry(given: Any, path: Path, number: int) -> Equivalent:
    known = {each.name for each in fields(Equivalent)}
    lists = isinstance(given, dict) and isinstance(given.get("edits"), list)
    if not lists or given.keys() | {"which"} != known or not all(isinstance(each, str) for each in given["edits"]):
        wanted = "pair, language, code, edits (a list of texts) and why; which may be there"
        raise UsageError(f"'{path}': entry {number} of [[equivalent]] is not right. It has {wanted}.")
    return Equivalent(**{**given, "code": " ".join(str(given["code"]).split()), "edits": tuple(given["edits"])})


def of_kernel(entries: Sequence[Equivalent], pair: str, language: str, bugs: Sequence[Bug]) -> list[Equivalent]:
    """The entries for one kernel. Raises UsageError for one that matches none of its bugs."""
    own = [each for each in entries if (each.pair, each.language) == (pair, language)]
    for each in own:
        for edit in each.edits:
            if not any(replace(each, edits=(edit,)).matches(bug) for bug in bugs):
                told = f"no bug of the {language} kernel of '{pair}' is '{edit}' in '{each.code}'"
                raise UsageError(f"{FILE}: {told}. Correct the entry, or take it out.")
    return own
