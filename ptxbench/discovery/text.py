"""A pair file as text: the positions of its fields, and its docstring. Executes nothing."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ptxbench.discovery import display_path
from ptxbench.errors import PairError


@dataclass(frozen=True)
class PairText:
    """The parsed text of `pairs/NAME.py`."""

    path: Path
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> PairText:
        """Parse the file. Raises PairError naming file and line if it is unreadable or not Python."""
        try:
            return cls(path, ast.parse(path.read_bytes(), str(path)))
        except OSError as error:
            raise PairError(f"Cannot read {display_path(path)}: {error.strerror}.") from None
        except SyntaxError as error:
            line = f": {error.text.strip()}" if error.text and error.text.strip() else ""
            raise PairError(f"{display_path(path)}:{error.lineno or 1}: {error.msg}{line}") from None
        except ValueError as error:  # a null byte, before Python 3.12
            raise PairError(f"{display_path(path)}:1: {error}.") from None

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
        """`file:line` of the field of PAIR, else of PAIR itself."""
        node = self.field(name) or self.call
        return self.at(node.lineno if node else None)

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
