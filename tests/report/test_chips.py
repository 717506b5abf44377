"""The tiles of a run: hand-written PTX alone, against the best CUDA C of its cell."""

import pytest

from ptxbench.report.chips import tally
from tests.report.test_page import page_of
from tests.runs import run_of
from tests.wording.test_findings import cell, counted, race, ran, unknown

CUDA, FAST = {"cuda": ran(100, language="cuda")}, {"cuda@fast": ran(80, language="cuda")}
SLOW, OLD = {"cuda.b": ran(120, language="cuda")}, {"cuda": counted("A", language="cuda")}
CODE = {"cuda": ran(9, language="cuda", code="A")}

TILES = [
    ("fewer than the only CUDA C",       {**CUDA, "ptx": ran(90)},                           ["1 fewer"]),
    ("but more than the best one",       {**CUDA, **FAST, "ptx": ran(90)},                   ["1 more"]),
    ("each row of PTX, and no CUDA C",   {**CUDA, **SLOW, "ptx": ran(90), "p.b": ran(110)},  ["1 fewer", "1 more"]),
    ("exactly as many",                  {**CUDA, "ptx": ran(100)},                          ["1 as many"]),
    ("the same machine code",            {**CODE, "ptx": ran(9, code="A")},                  ["1 same code"]),
    ("ranges that overlap",              {**CUDA, "ptx": ran(99, 101)},                      ["1 SASS executed not"]),
    ("no number of its own",             {**CUDA, "ptx": unknown()},                         ["1 SASS executed not"]),
    ("no number of any CUDA C",          {"cuda": unknown("cuda"), "ptx": ran(90)},          []),
    ("PTX counts of an older run",       {**OLD, "ptx": counted("B", warp_instructions=9)},  ["1 fewer PTX instr."]),
    ("no CUDA C at all",                 {"ptx": ran(90)},                                   []),
]  # fmt: skip


@pytest.mark.parametrize(("variants", "tiles"), [row[1:] for row in TILES], ids=[row[0] for row in TILES])
def test_counts_of_hand_written_ptx_are_tallied_against_the_best_cuda_c(variants, tiles):
    texts = [f"{count} {chip.word}" for chip, count in tally([cell(variants)], None)]
    assert len(texts) == len(tiles)
    assert all(one.startswith(tile) for one, tile in zip(texts, tiles, strict=True))


def test_times_are_tallied_in_the_same_way():
    cells = [race({"cuda": 50, "cuda@fast": 45, "ptx": 43, "ptx.b": 48}), race({"cuda": 50, "ptx": 45})]
    assert [(chip.word, count) for chip, count in tally(cells, None)] == [("FASTER", 2), ("SLOWER", 1)]
    page = page_of(run_of(cells[:1]))
    assert "Each verdict is of hand-written PTX, against the best CUDA C of its pair and size" in page
    tiles = page.split("<ul class=tiles>")[1].split("</ul>")[0]
    assert tiles.count("<li") == 3  # verified, FASTER, SLOWER
