"""Equivalent bugs: a written reason shows that they change nothing that a pair promises. Read from `equivalent.toml`.

The file is in the folder of kernels. An entry has a pair, a language, edits, the code of the line, and the reason.
An entry that matches no bug of the kernel is an error: the kernel has changed, and the reason is outdated.
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
    """One entry. `code`: the line, `edits`: what was changed there, both with * for any text.

    `which`: the number of one of several bugs with equal edit and code; None for all of them.
    """

    pair: str
    language: str
    code: str
    edits: tuple[str, ...]
    why: str
    which: int | None = None

    def matches(self, bug: Bug) -> bool:
        edited = any(matches_pattern(edit, bug.edit) for edit in self.edits)
        return edited and self.which in (None, bug.which) and matches_pattern(self.code, bug.code)


def matches_pattern(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text))


def read(kernels: Path) -> list[Equivalent]:
    """The entries of a folder of kernels; none if it has no such file. Raises UsageError for an invalid entry."""
    path = kernels / FILE
    if not path.exists():
        return []
    tables = parse_toml(read_text(path, UsageError), str(path)).get("equivalent", [])
    if not isinstance(tables, list):
        raise UsageError(f"'{path}': 'equivalent' must be an array of tables. Write it as [[equivalent]].")
    return [entry(table, path, number) for number, table in enumerate(tables, 1)]


def entry(table: Any, path: Path, number: int) -> Equivalent:
    names = {field.name for field in fields(Equivalent)}
    has_edits = isinstance(table, dict) and isinstance(table.get("edits"), list)
    if not has_edits or table.keys() | {"which"} != names or not all(isinstance(edit, str) for edit in table["edits"]):
        wanted = "pair, language, code, edits (a list of strings), why, and optionally which"
        raise UsageError(f"'{path}': entry {number} of [[equivalent]] is invalid; expected {wanted}.")
    return Equivalent(**{**table, "code": " ".join(str(table["code"]).split()), "edits": tuple(table["edits"])})


def entries_of_kernel(entries: Sequence[Equivalent], pair: str, language: str, bugs: Sequence[Bug]) -> list[Equivalent]:
    """The entries for one kernel. Raises UsageError for an entry that matches none of its bugs."""
    kernel_entries = [
        equivalent for equivalent in entries if (equivalent.pair, equivalent.language) == (pair, language)
    ]
    for equivalent in kernel_entries:
        for edit in equivalent.edits:
            if not any(replace(equivalent, edits=(edit,)).matches(bug) for bug in bugs):
                message = f"the {language} kernel of '{pair}' has no bug '{edit}' in '{equivalent.code}'"
                raise UsageError(f"{FILE}: {message}. Correct the entry, or remove it.")
    return kernel_entries
