"""What a listing says of a pair, without executing its file and so without NumPy.

Only the expressions that are asked for are evaluated, with the constants of the file that they use. A pair file that
computes them in another way is loaded after all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxbench.discovery import Source, load, require_files, sources
from ptxbench.discovery.text import PairText

BUILTINS = {each.__name__: each for each in (dict, len, list, max, min, range, sorted, sum, tuple, zip)}
"""What an expression may use and still be evaluated on its own."""

TARGET = re.compile(rb"^\s*\.target\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Outline:
    """A pair as a listing shows it."""

    name: str
    summary: str
    teaches: str
    bench_sizes: Sequence[Mapping[str, int]]
    sources: tuple[Source, ...]


class UnclearError(Exception):
    """An expression that needs more of the file than its constants."""


def outline(kernels: Path, name: str) -> Outline:
    """The outline of pair `name`. Raises IncompletePair and PairError as `load` does, where it must look that far."""
    text = PairText.read(require_files(kernels, name))
    try:
        teaches, sizes = value(text, "teaches"), value(text, "bench_sizes")
        flags = value(text, "flags") if text.field("flags") else {}
    except UnclearError:
        pair = load(kernels, name).pair
        teaches, sizes, flags = pair.teaches, pair.bench_sizes, pair.flags
    return Outline(name, text.summary, teaches, sizes, sources(kernels, name, flags))


def value(text: PairText, field: str) -> Any:
    """The value of a field of PAIR. Raises UnclearError unless constants and BUILTINS are enough."""
    node = text.field(field)
    if node is None:
        raise UnclearError(field)
    assigned: dict[str, ast.expr] = {}
    for each in text.tree.body:
        if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
            assigned[each.targets[0].id] = each.value
    return evaluate(node, assigned)


def evaluate(node: ast.expr, assigned: Mapping[str, ast.expr]) -> Any:
    """The value of an expression over the names in `assigned`."""
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    own = {each.id for each in names if isinstance(each.ctx, ast.Store)}  # of a comprehension
    namespace: dict[str, Any] = {"__builtins__": BUILTINS}
    for name in {each.id for each in names} - own - BUILTINS.keys():
        if name not in assigned:
            raise UnclearError(name)
        # a name may not stand in its own value: that would go round for ever
        others = {key: each for key, each in assigned.items() if key != name}
        namespace[name] = evaluate(assigned[name], others)
    try:
        return eval(compile(ast.Expression(node), "<pair>", "eval"), namespace)
    except Exception as error:
        raise UnclearError(str(error)) from error


def target(path: Path) -> str | None:
    """The `.target` of a PTX file, which is the least architecture that it runs on; None if it names none."""
    match = TARGET.search(path.read_bytes())
    return match[1].decode("ascii") if match else None
