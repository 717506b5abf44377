"""Bugs that are none: shown in words to change nothing that a pair promises. Read from `equivalent.toml`.

The file lies in the folder of kernels. An entry names a pair, a language, an edit and the code of the line, and says
why. One that matches no bug of the kernel is an error: the kernel has changed, and the words are no longer about it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxbench.bugs.bug import Bug
from ptxbench.errors import UsageError

FILE = "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """One reason. `code`: of the line, with * for any text. `edit`: None for every edit of the line; `which`: of
    several bugs that look alike, None for all of them.
    """

    pair: str
    language: str
    code: str
    why: str
    edit: str | None = None
    which: int | None = None

    def matches(self, bug: Bug) -> bool:
        pattern = re.escape(self.code).replace(r"\*", ".*")
        return bool(
            self.edit in (None, bug.edit) and self.which in (None, bug.which) and re.fullmatch(pattern, bug.code)
        )


def read(kernels: Path) -> list[Equivalent]:
    """The entries of a folder of kernels; none where it has no such file. Raises UsageError for what is not one."""
    path = kernels / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not TOML: {error}.") from None
    return [entry(each, path, number) for number, each in enumerate(document.get("equivalent", ()), 1)]


def entry(fields: Any, path: Path, number: int) -> Equivalent:
    try:
        return Equivalent(**{**fields, "code": " ".join(str(fields["code"]).split())})
    except (TypeError, KeyError):
        wanted = "pair, language, code and why; edit and which may be there"
        raise UsageError(f"'{path}': entry {number} of [[equivalent]] is not complete. It needs {wanted}.") from None


def of_kernel(entries: Sequence[Equivalent], pair: str, language: str, bugs: Sequence[Bug]) -> list[Equivalent]:
    """The entries for one kernel. Raises UsageError for one that matches none of its bugs."""
    own = [each for each in entries if (each.pair, each.language) == (pair, language)]
    for each in own:
        if not any(each.matches(bug) for bug in bugs):
            words = f"'{each.edit}' in " if each.edit else ""
            told = f"no bug of the {language} kernel of '{pair}' is {words}'{each.code}'"
            raise UsageError(f"{FILE}: {told}. Correct the entry, or take it out.")
    return own
