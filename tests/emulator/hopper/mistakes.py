"""A mistake in a kernel, and how it is detected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptxbench.errors import Deadlock, MemoryFault
from tests.folders import changed


def registers(prefix: str, count: int) -> str:
    return ", ".join(f"{prefix}{i}" for i in range(count))


@dataclass(frozen=True)
class Mistake:
    """`right` in the text of the kernel becomes `wrong`.

    `at`: the instruction that a fault, a deadlock or a finding must name by its line; without it the result is wrong.
    `finding`: the kind that a sanitized launch reports there, where no other shows it.
    """

    name: str
    right: str
    wrong: str
    at: str = ""
    finding: str = ""

    def unseen(self, text: str, run: Callable[..., tuple[Any, Any, Any]]) -> str:
        """Why the mistake counts as missed; empty if it shows as it must. `run` gives result, expected, execution."""
        broken = changed(text, self.right, self.wrong)
        try:
            actual, expected, execution = run(broken, **({"sanitize": True} if self.finding else {}))
        except (Deadlock, MemoryFault) as error:
            return self.misplaced(broken, [str(error)])
        if self.finding:
            return self.misplaced(
                broken, [str(finding) for finding in execution.findings if finding.kind == self.finding]
            )
        if self.at:
            return "the launch ended"
        return "the result is right" if np.array_equal(actual, expected, equal_nan=True) else ""

    def misplaced(self, text: str, messages: list[str]) -> str:
        """Empty if one of the messages has a line with `at`."""
        lines = text.splitlines()
        named = {int(match) for message in messages for match in re.findall(r"\bline (\d+)", message)}
        if self.at and any(self.at in lines[line - 1] for line in named):
            return ""
        return "\n".join([f"expected a message about {self.at or 'nothing'}; found:", *messages])
