"""Whether the Sweep of a pair is valid: the rules that can be checked without calling its functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from ptxbench.discovery.text import Step
from ptxbench.documents import GREATEST
from ptxbench.knobs import ITSELF, Better, Figure, FigureSource, Sweep

Problem = tuple[tuple[Step, ...], str]
"""The part of Pair at fault, and a sentence."""


def sweep_problems(sweep: Any) -> Iterator[Problem]:
    """Fields of the Sweep of a pair, and of its figures, that have a wrong type or name what the sweep lacks."""
    if sweep is None:
        return
    if not isinstance(sweep, Sweep):
        yield ("sweep",), f"sweep is {sweep!r}. It must be a Sweep(...) of ptxbench.knobs, or be left out."
        return
    for field in ("values", "size"):
        if not callable(value := getattr(sweep, field)):
            yield ("sweep", field), f"{field} of the sweep is {value!r}. It must be a function of the number of SMs."
    if not is_size(sweep.emulated):
        sentence = "It must name whole numbers, such as dict(n=1024)."
        yield ("sweep", "emulated"), f"emulated of the sweep is {sweep.emulated!r}. {sentence}"
    if not isinstance(sweep.parts, Mapping) or not all(callable(part) for part in sweep.parts.values()):
        sentence = "It must be a dict of functions of the size."
        yield ("sweep", "parts"), f"parts of the sweep is {sweep.parts!r}. {sentence}"
        return
    if not isinstance(sweep.aliases, Mapping) or not all(isinstance(name, str) for name in sweep.aliases.values()):
        sentence = "It must be a dict of dimensions by their other names."
        yield ("sweep", "aliases"), f"aliases of the sweep is {sweep.aliases!r}. {sentence}"
    if not isinstance(sweep.cannot_know, str):
        yield ("sweep", "cannot_know"), f"cannot_know of the sweep is {sweep.cannot_know!r}. It must be a sentence."
    if not isinstance(sweep.figures, Sequence) or not all(isinstance(figure, Figure) for figure in sweep.figures):
        yield ("sweep", "figures"), f"figures of the sweep is {sweep.figures!r}. It must list Figure(...)."
        return
    for number, figure in enumerate(sweep.figures):
        for field, sentence in figure_problems(figure, list(sweep.parts) or [ITSELF]):
            yield ("sweep", "figures", number, field), sentence
    for name, times in Counter(figure.name for figure in sweep.figures).items():
        if times > 1:
            yield ("sweep", "figures"), f"{times} figures are named '{name}'. Give each its own name."


def figure_problems(figure: Figure, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Fields of a figure that are wrong, each with a sentence. `parts`: the names of the sweep's parts."""
    for field in ("name", "unit", "description"):
        if not isinstance(text := getattr(figure, field), str):
            yield field, f"a Figure has the {field} {text!r}. It must be a text."
            return
    for field, choices in (("better", get_args(Better)), ("of", get_args(FigureSource))):
        if (value := getattr(figure, field)) not in choices:
            names = " or ".join(f"'{choice}'" for choice in choices)
            yield field, f"the figure '{figure.name}' has {field} {value!r}. Use {names}."
    needs: Any = figure.needs
    if not isinstance(needs, list | tuple) or not needs or any(name not in parts for name in needs):
        known = ", ".join(f"'{part}'" for part in parts)
        yield "needs", f"the figure '{figure.name}' needs {needs!r}. It must list parts of the sweep: {known}."
    if not callable(figure.formula):
        yield "formula", f"the figure '{figure.name}' has formula {figure.formula!r}. It must be a function."
    if figure.enough is not None:
        if not isinstance(figure.enough, int | float) or not 0 < figure.enough <= 1:
            yield (
                "enough",
                f"the figure '{figure.name}' has enough {figure.enough!r}. It must be a share over 0, up to 1.",
            )
        elif figure.better != "higher":
            yield (
                "enough",
                f"the figure '{figure.name}' has enough, which is only for figures that are better if higher.",
            )


def is_size(value: Any) -> bool:
    """Whether it names whole numbers, as a size does."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and is_whole(number) for name, number in value.items()
    )


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of Python, and one that a result file can have."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < GREATEST
