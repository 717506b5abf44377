"""The knobs of a pair in its files: whether every kernel uses the same ones, and the pair with other values."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ptxbench.discovery import SUFFIXES, LoadedPair, Source, display_path
from ptxbench.errors import NOT_PYTHON, PairError
from ptxbench.languages import NUMBA
from ptxbench.pair import Pair
from ptxbench.substitution import require_fresh

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.*?)[ \t]*(?://.*)?$", re.M)
GUARD = re.compile(r"^[ \t]*#[ \t]*ifndef[ \t]+(\w+)", re.M)


def with_knobs(loaded: LoadedPair, values: Mapping[str, int]) -> LoadedPair:
    """The pair with these values of its knobs: in its functions, and in the build of every variant."""
    if not values:
        return loaded
    defines = tuple(sorted(values.items()))
    sources = tuple(dataclasses.replace(source, defines=defines) for source in loaded.sources)
    return dataclasses.replace(loaded, pair=loaded.pair.with_knobs(values), sources=sources)


def check_knobs(pair: Pair, sources: tuple[Source, ...]) -> None:
    """Raise PairError if a kernel does not use a knob that others use, or has another default for it."""
    defaults = {knob.name: knob.default for knob in pair.knobs}
    used_by_file = {path: used_by(path, defaults) for source in sources for path in source.files}
    used_anywhere = set().union(*used_by_file.values())
    for path, knobs_of_file in used_by_file.items():
        for name in sorted(used_anywhere - knobs_of_file):
            raise PairError(
                f"{display_path(path)} does not use the knob {name}, but other kernels of the pair do. "
                f"{REMEDY[path.suffix].format(name=name, default=defaults[name])}"
            )


REMEDY = {
    ".cu": "Write #ifndef {name}, #define {name} {default}, #endif, and use it.",
    ".ptx": "Write the expression behind each literal that depends on it, such as {default} /*= {name} */.",
    ".py": "Write {name} = {default} at the top level, and use it.",
}


def used_by(path: Path, defaults: Mapping[str, int]) -> set[str]:
    """The knobs that a kernel's file uses. Raises PairError if a default differs there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PairError(f"Cannot read {display_path(path)}: {error.strerror}.") from None
    name = str(display_path(path))
    if path.suffix == SUFFIXES["ptx"]:
        return require_fresh(text, defaults, name)
    used = set()
    for line, knob, default in constants(text) if path.suffix == NUMBA.suffix else macros(text):
        if knob in defaults:
            if default != str(defaults[knob]):
                raise PairError(
                    f"{name}:{line}: {knob} is {default} here and {defaults[knob]} in the pair file. Make them equal."
                )
            used.add(knob)
    return used


def constants(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and value of every constant at the top level of Python; none if it has an error of syntax."""
    try:
        tree = ast.parse(text)
    except NOT_PYTHON:  # its compilation reports that
        return
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            yield statement.lineno, ast.unparse(statement.targets[0]), ast.unparse(statement.value)


def macros(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and value of every macro of CUDA C that is defined inside #ifndef."""
    guarded = set(GUARD.findall(text))
    for match in DEFINE.finditer(text):
        if match[1] in guarded:
            yield text.count("\n", 0, match.start()) + 1, match[1], match[2]
