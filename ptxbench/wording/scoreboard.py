"""The scoreboard in words: a table for a terminal and for Markdown, and the meaning of its words."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.result import MUST_FAIL, Cell
from ptxbench.rival import EXECUTED as SASS
from ptxbench.rival import OTHER_GEOMETRY, Rival, bounds, code_of, has_number, other_geometry
from ptxbench.units import ABSENT, enumeration, size_words
from ptxbench.verdict.scoreboard import COUNTED, EXPECTED, GROUNDS, HAND_WRITTEN, MEASURED, TRAFFIC, VERDICTS, Standing
from ptxbench.wording.table import Column, StyledText, Table

STYLES = {"wins": "green", "only way": "green", "loses": "yellow", "wrong": "red"}

NOUNS = {
    SASS: "instr.",
    "ptx_global_sectors": "sectors",
    "ptx_shared_wavefronts": "wavefronts",
    "ptx_atomics": "atomics",
}
"""What is compared, in short."""

HEADINGS = ("pair", "on", "verdict", "rests on", "a recorded run shows")


def scoreboard_table(standings: Sequence[Standing]) -> Table:
    """One row for each pair and architecture, and for each variant that must be wrong."""
    columns = [Column(heading, width="fold" if heading in HEADINGS[3:] else "whole") for heading in HEADINGS]
    return Table(columns, [row(standing) for standing in standings], notes(standings), keys=2)


def row(standing: Standing) -> list[str]:
    name = StyledText(standing.pair, code=True)
    if standing.variant != HAND_WRITTEN:
        name = StyledText(f"{standing.pair} {standing.variant}", code=True)
    verdict = standing.verdict or ABSENT
    return [
        name,
        standing.arch,
        StyledText(verdict, STYLES.get(verdict, "")),
        ", ".join(standing.rests_on) or ABSENT,
        evidence_words(standing) or ABSENT,
    ]


def evidence_words(standing: Standing) -> str:
    """What the recorded run shows, and why PTX is not the only way; empty if there is nothing to say."""
    facts = []
    if standing.stale:
        facts.append("the kernels have changed since the recorded run")
    if standing.cell and standing.device:
        facts.append(f"{standing.device}, {size_words(standing.cell.size)}")
    if standing.cell and standing.variant != HAND_WRITTEN:
        facts.append(f"{MUST_FAIL} at {size_words(standing.cell.size)}")
    if standing.cell and standing.against:
        facts.append(ratios(standing.cell, standing.variant, standing.against))
    if standing.other_rows:
        has = "is a row" if len(standing.other_rows) == 1 else "are rows"
        facts.append(f"PTX is not the only way: {enumeration(standing.other_rows)} {has} too, not compared here")
    return "; ".join(facts)


def ratios(cell: Cell, variant: str, against: Rival) -> str:
    """`0.63 × instr., 1 × sectors of cuda`: counts over those of the best CUDA C."""
    called = against.name + (f" ({OTHER_GEOMETRY})" if other_geometry(cell, variant, against.name) else "")
    if code_of(cell, variant) == code_of(cell, against.name) is not None:
        return f"same machine code as {called}"
    shares = [ratio(cell, variant, against.name, metric) for metric in (SASS, *TRAFFIC)]
    return f"{', '.join(filter(None, shares))} of {called}"


def ratio(cell: Cell, variant: str, against: str, metric: str) -> str:
    """`0.63 × instr.`, `0.9 to 1.1 × instr.`; empty if it is unknown, or 0 on both sides."""
    if not has_number(cell, variant, metric) or not has_number(cell, against, metric):
        return ""
    (least, most), (fewest, greatest) = bounds(cell, variant, metric), bounds(cell, against, metric)
    if not fewest:
        return f"{most:,.0f} {NOUNS[metric]} against 0" if most else ""
    low, high = f"{least / greatest:.3g}", f"{most / fewest:.3g}"
    return f"{low if low == high else f'{low} to {high}'} × {NOUNS[metric]}"


def notes(standings: Sequence[Standing]) -> list[str]:
    """What the words in the table mean, and that nothing was measured if that is so."""
    verdicts = [word for word in VERDICTS if any(standing.verdict == word for standing in standings)]
    grounds = [ground for ground in GROUNDS if any(ground in standing.rests_on for standing in standings)]
    sentences = [f"{word}: {meaning}." for words, meanings in ((verdicts, VERDICTS), (grounds, GROUNDS))
             for word in words for meaning in [meanings[word]]]  # fmt: skip
    if any(standing.against for standing in standings):
        sentences.append(
            "0.9 × instr. of cuda: 0.9 times the machine instructions that cuda, the best CUDA C, executes. Sectors "
            "are of global memory, wavefronts are passes over shared memory, atomics are requests."
        )
    if any(standing.verdict is None for standing in standings):
        sentences.append(f"{ABSENT} as a verdict: nothing is predicted, and no GPU has measured it.")
    if standings and not any(MEASURED in standing.rests_on for standing in standings):
        sentences.append(
            f"No GPU has measured any of them. '{EXPECTED}' is a prediction, and counts are not times: '{COUNTED}' "
            "numbers suggest a verdict but do not prove it."
        )
    return sentences
