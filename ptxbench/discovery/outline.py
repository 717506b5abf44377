"""What a listing says of a pair, without executing its file and so without NumPy.

Only the expressions that are asked for are evaluated, with the constants and functions of the file that they use. A
pair file that computes them in another way is loaded after all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxbench.discovery import Source, load, require_files, shown, sources
from ptxbench.discovery.specialisation import target
from ptxbench.discovery.text import PairText

ALLOWED = (abs, dict, enumerate, int, len, list, max, min, range, round, sorted, sum, tuple, zip)
BUILTINS = {each.__name__: each for each in ALLOWED}
"""What an expression may use and still be evaluated on its own."""


@dataclass(frozen=True)
class Outline:
    """A pair as a listing shows it."""

    name: str
    summary: str
    teaches: str
    expects: str
    """Empty where the pair does not say."""
    bench_sizes: Sequence[Mapping[str, int]]
    sources: tuple[Source, ...]
    by_request: Sequence[str]
    """Variants that a run takes only if it is asked for them."""
    targets: Mapping[str, str | None]
    """The least architecture of each PTX variant; None where it names none. That of the pair is that of `ptx`."""


Definition = ast.expr | ast.FunctionDef


class UnclearError(Exception):
    """An expression that needs more than constants and functions of its file: something imported, say."""


def outline(kernels: Path, name: str) -> Outline:
    """The outline of pair `name`. Raises IncompletePair and PairError as `load` does, where it must look that far."""
    text = PairText.read(require_files(kernels, name))
    try:
        teaches, sizes = value(text, "teaches"), value(text, "bench_sizes")
        expects, flags, by_request = value(text, "expects", ""), value(text, "flags", {}), value(text, "by_request", ())
    except UnclearError:
        pair = load(kernels, name).pair
        teaches, expects, sizes, flags = pair.teaches, pair.expects, pair.bench_sizes, pair.flags
        by_request = pair.by_request
    found = sources(kernels, name, flags)
    targets = {each.variant: target(shown(each.path)) for each in found if each.language == "ptx"}
    return Outline(name, text.summary, teaches, expects, sizes, found, by_request, targets)


def value(text: PairText, field: str, default: Any = None) -> Any:
    """The value of a field of PAIR. Raises UnclearError if it needs more than the file's own names and BUILTINS.

    `default`: that of a field which may be left out.
    """
    node = text.field(field)
    if node is None:
        if default is None or text.field(None):
            raise UnclearError(field)
        return default
    if isinstance(node, ast.Constant):  # as most are: sentences
        return node.value
    return evaluate(node, dict(definitions(text.tree)))


def definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """The names that the file gives a value: `A = 1`, `A, B = 1, 2`, `def a(): ...`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            targets, values = node.targets, [node.value]
            if isinstance(targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                targets, values = targets[0].elts, node.value.elts
            if not any(isinstance(each, ast.Starred) for each in (*targets, *values)):
                for name, given in zip(targets, values, strict=False):
                    if isinstance(name, ast.Name):
                        yield name.id, given


def evaluate(node: Definition, defined: Mapping[str, Definition]) -> Any:
    """The value of an expression, or the function of a `def`, over the names in `defined`."""
    inside = list(ast.walk(node))
    names = [each for each in inside if isinstance(each, ast.Name)]
    own = {each.id for each in names if isinstance(each.ctx, ast.Store)}  # of a comprehension, say
    own |= {each.arg for each in inside if isinstance(each, ast.arg)}
    namespace: dict[str, Any] = {"__builtins__": BUILTINS}
    for name in {each.id for each in names} - own - BUILTINS.keys():
        if name not in defined:
            raise UnclearError(name)
        # a name may not stand in its own value: that would go round for ever
        others = {key: each for key, each in defined.items() if key != name}
        namespace[name] = evaluate(defined[name], others)
    try:
        if isinstance(node, ast.expr):
            return eval(compile(ast.Expression(node), "<pair>", "eval"), namespace)
        exec(compile(ast.Module([node], []), "<pair>", "exec"), namespace)
        return namespace[node.name]
    except Exception as error:
        raise UnclearError(str(error)) from error
