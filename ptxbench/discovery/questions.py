"""The open questions of a pair file: each `...` in PAIR, which `ptxbench new --from` writes where only its user knows.

A pair with an open question is never run. Commands that only build its kernels accept it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ptxbench.discovery.text import PairText, Step
from ptxbench.errors import PairError
from ptxbench.pair import Pair
from ptxbench.structs import steps_to_arguments

TODO = re.compile(r"\s*# TODO: (?P<text>.*)")
COMMENT = re.compile(r"\s*# (?P<text>.*)")


def open_parts(value: Any, steps: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The parts of a pair that are `...`, in the order of its fields."""
    if value is ...:
        yield steps
    elif isinstance(value, Pair):
        for field in dataclasses.fields(value):
            if field.name != "args":
                yield from open_parts(getattr(value, field.name), (*steps, field.name))
        for way, arg in zip(steps_to_arguments(value.args, value.structs), value.args, strict=True):
            yield from open_parts(arg, (*steps, *way))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):  # a class in place of a value has no parts
        for field in dataclasses.fields(value):
            yield from open_parts(getattr(value, field.name), (*steps, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from open_parts(item, (*steps, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from open_parts(item, (*steps, number))


def open_question(pair: Pair, text: PairText) -> str | None:
    """The first open question of the pair with its file and line, and where the others are; None without any."""
    lines = {text.line_of_part(part) for part in open_parts(pair)}
    if not lines:
        return None
    first, *others = sorted(lines)
    more = f" {len(others)} more: line{'s' * (len(others) > 1)} {', '.join(map(str, others))}." if others else ""
    name = text.path.stem
    return (
        f"{text.at(first)}: open question: {question(text, first)} Replace the `...` there.{more} Until then, only "
        f"`ptxbench show {name}` and `ptxbench arch {name}` work."
    )


def question(text: PairText, line: int) -> str:
    """The TODO above a line, as a sentence; the line itself if there is none."""
    words: list[str] = []
    for above in reversed(text.lines[: line - 1]):
        if match := TODO.match(above):
            return " ".join([match["text"], *reversed(words)]).rstrip(".") + "."
        if not (match := COMMENT.match(above)):
            break
        words.append(match["text"])
    return f"`{text.lines[line - 1].strip().rstrip(',')}`."


def require_answers(pair: Pair, text: PairText) -> None:
    """Raise PairError if a question is open."""
    if sentence := open_question(pair, text):
        raise PairError(sentence)
