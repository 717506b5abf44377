"""A kernel's file in Python, and the PTX that a compiler made of it: what is the same for every such compiler."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys

from ptxbench.errors import NOT_PYTHON, CompileError
from ptxbench.toolchain.nvrtc import FILE, bare_name
from ptxbench.toolchain.origins import LOC


def installed(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def decoded(content: bytes, name: str) -> str:
    """The text of the file `name`. Raises CompileError with the line that is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CompileError(f"{name}:{line}: the file is not UTF-8. Save it as UTF-8.") from None


def imports_only(source: str, allowed: set[str]) -> bool:
    """Whether a text imports only these packages and the standard library."""
    try:
        tree = ast.parse(source)
    except NOT_PYTHON:
        return True
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0] if not node.level else ".")
    return names <= allowed | sys.stdlib_module_names


SECTION = re.compile(r"^[ \t]*\.section\s+\.debug_\w+\s*\{[^}]*\}[ \t]*\n?", re.M)
FILE_LINE = re.compile(r"\s*\.file\s+(?P<number>\d+)\s+\"(?:[^\"]*[/\\])?(?P<name>[^\"/\\]*)\"")


def own_lines(ptx: str, name: str) -> str:
    """The PTX with each .loc in the file `name`: a line of the compiler's own files becomes the line that called it.

    Without sections for debuggers.
    """
    files = [match for row in ptx.split("\n") if (match := FILE_LINE.match(row))]
    file_number = next((file["number"] for file in files if file["name"] == name), None)
    callers: dict[str, str] = {}
    rows = []
    for row in ptx.split("\n"):
        if (loc := LOC.match(row)) and file_number:
            location = " ".join(loc["at"].split())
            if loc["caller"]:
                callers[location] = " ".join(loc["caller"].split())
            seen: set[str] = set()
            while location.split()[0] != file_number and location in callers and location not in seen:
                seen.add(location)
                location = callers[location]
            row = f"\t.loc\t{location}" if location.split()[0] == file_number else f"\t.loc\t{file_number} 0 0"
        if (file := FILE_LINE.match(row)) and file["number"] != file_number:
            continue
        rows.append(FILE.sub(bare_name, row))
    return SECTION.sub("", "\n".join(rows)).rstrip() + "\n"
