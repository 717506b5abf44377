"""A pair file as text: the positions of its fields, and its docstring. Executes nothing."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ptxbench.discovery import display_path
from ptxbench.documents import MOST_SHOWN
from ptxbench.errors import PairError

Step = str | int
"""A step on the way to a part of a pair: a field of it, an element of a list, a field of an argument, a key of a
dict."""


@dataclass(frozen=True)
class PairText:
    """The parsed text of `pairs/NAME.py`."""

    path: Path
    tree: ast.Module
    lines: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> PairText:
        """Parse the file. Raises PairError naming file and line if it is unreadable or not Python."""
        try:
            content = path.read_bytes()
            lines = content.decode("utf-8", "replace").splitlines()
            return cls(path, ast.parse(content, str(path)), tuple(lines))
        except OSError as error:
            raise PairError(f"Cannot read {display_path(path)}: {error.strerror}.") from None
        except SyntaxError as error:
            line = f": {error.text.strip()[:MOST_SHOWN]}" if error.text and error.text.strip() else ""
            raise PairError(f"{display_path(path)}:{error.lineno or 1}: {error.msg}{line}") from None
        except ValueError as error:  # a null byte, before Python 3.12
            raise PairError(f"{display_path(path)}:1: {error}.") from None
        except (RecursionError, MemoryError):
            raise PairError(
                f"{display_path(path)} is nested too deeply for Python. Write shorter expressions."
            ) from None

    @property
    def summary(self) -> str:
        """The docstring's first sentence or line, without the pair's name before it."""
        lines = (ast.get_docstring(self.tree) or "").strip().splitlines() or [""]
        return lines[0].removeprefix(f"{self.path.stem}: ").strip()

    @cached_property
    def call(self) -> ast.Call | None:
        """The call in `PAIR = Pair(...)`."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == "PAIR" for target in targets):
                    return node.value
        return None

    def field(self, name: str | None) -> ast.expr | None:
        """The expression given to field `name` of PAIR; None means fields given as `**fields`."""
        keywords = self.call.keywords if self.call else []
        return next((keyword.value for keyword in keywords if keyword.arg == name), None)

    def at(self, line: int | None) -> str:
        """`file:line`, for the front of a message."""
        return f"{display_path(self.path)}:{line or 1}"

    def at_field(self, name: str) -> str:
        """`file:line` of the field of PAIR; of PAIR itself if it has no such field."""
        node = self.field(name) or self.call
        return self.at(node.lineno if node else None)

    def at_pair_call(self) -> str:
        """`file:line` of PAIR; without one, of a Pair that has another name, or of the last statement."""
        calls = (node for node in self.tree.body if isinstance(node, ast.Assign) and is_pair(node.value))
        node = self.call or next(calls, None) or (self.tree.body[-1] if self.tree.body else None)
        return self.at(node.lineno if node else None)

    def at_part(self, steps: Sequence[Step]) -> str:
        """`file:line` of a part of PAIR."""
        return self.at(self.line_of_part(steps))

    def line_of_part(self, steps: Sequence[Step]) -> int:
        """The line of a part of PAIR, such as ("args", 2, "shape"): of the innermost expression that is found.

        A name on the way, such as that of a list above PAIR, is followed. If a list is computed, its elements have the
        line of the list.
        """
        node: ast.expr | None = self.call
        for step in steps:
            inner = part_of(self.followed(node), step)
            if inner is None:
                break
            node = inner
        return node.lineno if node else 1

    def at_function(self, function: Callable[..., Any] | None, steps: Sequence[Step]) -> str:
        """`file:line` of a function of PAIR if it is written in this file; otherwise of the part that it is given
        to."""
        while isinstance(function, functools.partial):
            function = function.func
        code = getattr(inspect.unwrap(function) if function else None, "__code__", None)
        if code is not None and code.co_filename == str(self.path):
            return self.at(code.co_firstlineno)
        return self.at_part(steps)

    def followed(self, node: ast.expr | None) -> ast.expr | None:
        """The expression that the file assigns to `node`, if that is a name; otherwise `node` itself."""
        if isinstance(node, ast.Name):
            for statement in self.tree.body:
                if isinstance(statement, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == node.id for target in statement.targets
                ):
                    return statement.value
        return node

    def keyword_line(self, name: str, near: int) -> int:
        """The line of the keyword argument `name` in the call that starts at or spans line `near`."""
        lines = [
            keyword.lineno
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and node.lineno <= near <= (node.end_lineno or node.lineno)
            for keyword in node.keywords
            if keyword.arg == name
        ]
        return lines[-1] if lines else near


def is_pair(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Pair"


def part_of(node: ast.expr | None, step: Step) -> ast.expr | None:
    """The expression of one part of a list, a dict or a call; None if the text does not show it."""
    match node:
        case ast.List(elts=elements) | ast.Tuple(elts=elements) if isinstance(step, int):
            before = elements[: step + 1]
            if len(before) > step and not any(isinstance(element, ast.Starred) for element in before):
                return before[step]
        case ast.Dict(keys=keys, values=values):
            return next(
                (
                    value
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == step
                ),
                None,
            )
        case ast.Call(func=function, args=positional, keywords=keywords):
            by_keyword = {keyword.arg: keyword.value for keyword in keywords}
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            by_position = dict(zip(fields_of(name), positional, strict=False))
            return by_keyword.get(str(step)) or by_position.get(str(step))
    return None


def fields_of(kind: str) -> list[str]:
    """The fields of a dataclass of ptxbench.pair, in order; empty for any other name."""
    import ptxbench.pair  # not at the top: it imports NumPy

    named_type = getattr(ptxbench.pair, kind, None)
    return [field.name for field in dataclasses.fields(named_type)] if dataclasses.is_dataclass(named_type) else []
