"""A request that is refused: the HTTP status, one sentence for its sender, and when to try again. Data only."""

from __future__ import annotations

from typing import Any

SCHEMA = "ptxbench.refusal/1"


class Refused(Exception):
    """`retry_after`: seconds after which the same request may be accepted; None if it never will be."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after


def document(sentence: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "error": sentence}
