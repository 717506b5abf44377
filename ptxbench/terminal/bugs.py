"""How many planted bugs `check` catches, for a terminal. Makes renderables and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.bugs.audit import VARIANTS, TrialOrder
from ptxbench.bugs.bug import KINDS
from ptxbench.bugs.outcome import EXPLAINED, MISSED, UNJUDGED, BugOutcome, BugTally, exit_status, tally
from ptxbench.languages import title
from ptxbench.terminal.tables import DrawnTable, Section, draw, paragraphs
from ptxbench.units import ABSENT
from ptxbench.wording.table import StyledText, Table, numbers, texts

LEGEND = (
    "bugs: planted bugs whose machine code differs from the kernel's. caught: rejected by the stages up to repeats. "
    "allclose: found by numpy.allclose after one launch at the largest check size; only kernels that it accepts "
    "without a bug count. same: bugs that do not change the machine code. in words: bugs that equivalent.toml "
    "explains. Bugs of the last two columns are not counted."
)


@dataclass(frozen=True)
class BugTable(Section):
    """A row per pair, a row per kind of bug, the bugs that were not caught, and the total."""

    order: TrialOrder
    outcomes: Sequence[BugOutcome]

    def parts(self, width: int, plain: bool) -> RenderResult:
        order = self.order
        text = f"Up to {order.bugs} bugs in each kernel, {order.arch}, seed {order.seed}"
        yield Constrain(Text(text, "bold"), width)
        yield Text()
        yield table("pair", self.by_pair())
        yield Text()
        yield table("kind", self.by_kind())
        yield Text()
        yield Constrain(Text(LEGEND, "dim"), width)
        yield Text()
        if lines := list(self.lines()):
            yield Constrain(paragraphs(lines), width)
            yield Text()
        yield Constrain(closing(self.outcomes), width)

    def by_pair(self) -> Iterator[tuple[str, BugTally]]:
        for pair in dict.fromkeys(outcome.pair for outcome in self.outcomes):
            for language in VARIANTS:
                chosen = [outcome for outcome in self.outcomes if (outcome.pair, outcome.language) == (pair, language)]
                if chosen:
                    yield f"{pair}, {title(language)}", tally(chosen)
        yield "total", tally(self.outcomes)

    def by_kind(self) -> Iterator[tuple[str, BugTally]]:
        for kind in KINDS:
            if chosen := [outcome for outcome in self.outcomes if outcome.bug.kind == kind]:
                yield kind, tally(chosen)

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Mark, style and words of each bug that was not caught: survivors first."""
        for status, mark, style in (
            (MISSED, "MISSED", "bold red"),
            (UNJUDGED, "unjudged", "yellow"),
            (EXPLAINED, "in words", "dim"),
        ):
            for outcome in self.outcomes:
                if outcome.status == status:
                    bug = outcome.bug
                    why = (
                        f" {outcome.why}"
                        if outcome.why
                        else f" {outcome.code} at {outcome.stage}."
                        if outcome.code
                        else ""
                    )
                    yield mark, style, f"{outcome.file}:{bug.line}: {bug.kind}, {bug.edit}: `{bug.code}`.{why}"


def table(heading: str, tallies: Iterator[tuple[str, BugTally]]) -> DrawnTable:
    columns = [*texts(heading, width="fold"), *numbers("bugs", "caught", "%", "allclose", "%", "same", "in words")]
    rows = [
        [
            StyledText(name, "bold" if name == "total" else ""),
            str(counts.planted),
            StyledText(str(counts.caught), "green" if counts.caught == counts.planted else "bold red"),
            share(counts.caught, counts.planted),
            str(counts.allclose) if counts.compared else ABSENT,
            share(counts.allclose, counts.compared),
            str(counts.same),
            str(counts.explained),
        ]
        for name, counts in tallies
    ]
    return draw(Table(columns, rows))


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ABSENT


def closing(outcomes: Sequence[BugOutcome]) -> Text:
    """`Audit: 40 of 40 bugs caught (exit status 0).`"""
    all_of_them, status = tally(outcomes), exit_status(outcomes)
    text = f"Audit: {all_of_them.caught:,} of {all_of_them.planted:,} bugs caught (exit status {status})."
    return Text(text, "bold" if status == 0 else "bold red")
