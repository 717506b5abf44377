"""Numbers of a cell in words: ratios with their intervals, and the floors of a model."""

from dataclasses import replace

import pytest

from ptxbench.floors import ISSUE, WORDS
from ptxbench.metrics import choose
from ptxbench.result import ORACLE_WEAK, Model
from ptxbench.wording.cells import launch_words, metric_columns, own_launches, ratio_intervals
from ptxbench.wording.model import floor_texts, share
from tests.runs import Kernel, Noise, Sampling, timed_run

KERNELS = {"cuda": Kernel(50), "ptx": Kernel(45), "ptx.wrong": Kernel(40, status="wrong", reason="out[2] is 1.")}
[CELL] = timed_run(1, {("triad", 64): KERNELS}, Sampling(blocks=8, noise=Noise(process=0.02))).cells


def test_every_right_variant_has_a_ratio_unless_the_oracle_is_weak():
    assert [variant for _, variant, _ in ratio_intervals([CELL])] == ["ptx"]
    assert [*ratio_intervals([replace(CELL, labels=[ORACLE_WEAK])])] == []


def test_a_ratio_is_shown_with_half_the_width_of_its_interval():
    [(_, _, interval)] = ratio_intervals([CELL])
    _, texts = metric_columns(CELL, choose(["ratio"]))
    value, half = texts[1][0].split(" ±")
    assert float(value) == pytest.approx(interval.value, abs=5e-4)
    assert float(half) == pytest.approx((interval.high - interval.low) / 2, abs=5e-4)
    assert float(half) > 0.002


# changes of a launch of grid 64, block 256; its words
LAUNCHES = [
    ({},                                          "grid 64, block 256"),
    ({"grid": (4, 2, 1), "cluster": (2, 1, 1)},   "grid 4 x 2, block 256, cluster 2"),
    ({"cooperative": True},                       "grid 64, block 256, cooperative"),
    ({"launches": 2},                             "grid 64, block 256, a chain of 2 launches"),
    ({"launches": 3, "dependent": True},          "grid 64, block 256, a chain of 3 dependent launches"),
    ({"grid": (1, 1, 1), "block": (1, 1, 4)},     "grid 1, block 1 x 1 x 4"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), LAUNCHES)
def test_a_launch_has_its_grid_its_block_and_what_is_unusual(change, words):
    assert launch_words(replace(CELL.launch, **change)) == words


def test_a_row_whose_compiler_chose_the_threads_has_another_geometry():
    def own(language, **change):
        result = replace(CELL.variants["ptx"], language=language, launch=replace(CELL.launch, **change))
        return own_launches(replace(CELL, variants={"row": result}))

    assert own("tile") == ["row: other geometry, grid 64, block 256."]
    assert own("ptx", grid=(32, 1, 1), shared_bytes=64) == ["row: other geometry, grid 32, block 256."]
    assert own("ptx", shared_bytes=2048) == [
        "row: own launch, grid 64, block 256, 2,048 bytes of dynamic shared memory."
    ]
    assert own("ptx") == ["row: own launch, grid 64, block 256."]


FLOORS = {"cuda": {ISSUE: 10e-6, "of a later version": 4e-6}, "ptx": {ISSUE: 9e-6, "of a later version": 4.5e-6}}


def modelled(**widths):
    return Model("h100", FLOORS, "lower", None, widths=widths)


def test_the_second_floor_is_a_share_of_the_highest():
    highest, _, after, of_reference = floor_texts(modelled(), "ptx")
    assert (highest, after, of_reference) == (WORDS[ISSUE], "of a later version 50 %", "0.90")
    assert floor_texts(modelled(), "ptx.absent") == ("-",) * 4


def test_the_ratio_of_two_floors_covers_the_executions_of_both_kernels():
    assert share(modelled(), "cuda") == "-"
    assert share(modelled(ptx=0.1), "ptx") == "0.90 - 0.99"
    assert share(modelled(cuda=0.25), "ptx") == "0.72 - 0.90"
    assert share(modelled(cuda=0.25, ptx=0.1), "ptx") == "0.72 - 0.99"
