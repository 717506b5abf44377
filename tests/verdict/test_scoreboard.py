"""The scoreboard: what is predicted, counted and measured becomes a verdict, and nothing more than that."""

import dataclasses
import hashlib

import numpy as np
import pytest

from ptxbench.discovery import load
from ptxbench.result import MUST_FAIL, WRONG, ExecutedReport, LaunchReport
from ptxbench.verdict.scoreboard import records, standings
from ptxbench.wording.scoreboard import evidence_words, scoreboard_table
from tests.folders import CUDA, PAIR, PTX, changed
from tests.runs import GPU, Kernel, cell, run_of


def predicting(kernels, prediction, more=""):
    """The pair `scale` with this prediction."""
    text = changed(PAIR, "    args=[", f"    prediction={prediction!r},\n    {more}args=[")
    (kernels / "pairs" / "scale.py").write_text(text)
    return load(kernels, "scale")


def recorded(loaded, kernels, *, executed=None, stale=(), **options):
    """A cell with these kernels; `executed`: their ranges. The files are unchanged, except those of `stale`."""
    size = options.pop("size", {"n": 1024})
    options.setdefault("launch", LaunchReport(**loaded.pair.launch(**size).recorded))
    result_cell = cell(np.random.default_rng(1), "scale", size, kernels, **options)
    files = {source.variant: source.on(result_cell.arch).path for source in loaded.sources}
    variants = {}
    for name, result in result_cell.variants.items():
        text = b"other" if name in stale else files[name].read_bytes()
        build = dataclasses.replace(result.build, source_sha256=hashlib.sha256(text).hexdigest())
        ends = (executed or {}).get(name)
        variants[name] = dataclasses.replace(
            result, build=build, executed=ends and ExecutedReport(*ends, fit=ends[0], whole=True)
        )
    return dataclasses.replace(result_cell, variants=variants)


def judged(loaded, *cells, **frame):
    return standings(loaded, records([run_of(list(cells), **frame)] if cells else []))


def sectors(count, wavefronts=0):
    """Counters of a kernel."""
    return {
        "ptx_global_load_sectors": count,
        "ptx_global_store_sectors": 0,
        "ptx_shared_load_wavefronts": wavefronts,
        "ptx_shared_store_wavefronts": 0,
    }


@pytest.mark.parametrize(
    ("prediction", "places"),
    [
        ("ties",                                [("sm_90", "ties")]),    # of an H100
        ({"sm_89": "wins", "sm_90": "loses"},   [("sm_89", "wins"), ("sm_90", "loses")]),
        ("",                                    []),
        ("only way",                            [("sm_90", "only way")]),
    ],
)  # fmt: skip
def test_without_runs_a_verdict_is_the_prediction(kernels, prediction, places):
    verdicts = judged(predicting(kernels, prediction))
    assert [(verdict.arch, verdict.verdict) for verdict in verdicts] == places
    assert {verdict.rests_on for verdict in verdicts} <= {("expected",)}


def test_a_prediction_is_for_the_first_architecture_that_can_run_the_ptx(kernels):
    loaded = predicting(kernels, "wins")
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "sm_75", "sm_100"))
    assert [verdict.arch for verdict in judged(loaded)] == ["sm_100"]
    (kernels / "ptx" / "scale.ptx").unlink()
    (kernels / "ptx" / "scale.sm_90a.ptx").write_text(changed(PTX, "sm_75", "sm_90a"))
    assert [verdict.arch for verdict in judged(load(kernels, "scale"))] == ["sm_90a"]


EXACT = {"cuda": (100, 100), "ptx": (100, 100)}
FEWER = {"cuda": (100, 110), "ptx": (80, 90)}
MORE = {"cuda": (80, 90), "ptx": (100, 110)}
MEET = {"cuda": (100, 110), "ptx": (80, 105)}
NEAR = {"cuda": (1000, 1000), "ptx": (985, 985)}
APART = {"cuda": (1000, 1000), "ptx": (950, 950)}


@pytest.mark.parametrize(
    ("prediction", "executed", "counts", "grounds"),
    [
        ("wins",  FEWER, (64, 64), ("executed",)),
        ("wins",  MEET,  (64, 64), ()),                     # the ranges do not decide
        ("wins",  NEAR,  (64, 64), ()),                     # 1.5 % is no gain
        ("wins",  MORE,  (64, 32), ("counted",)),
        ("wins",  MORE,  (64, 64), ()),                     # the counts point the other way: a prediction alone
        ("wins",  None,  (1000, 990), ()),                  # 1 % of the sectors is no gain
        ("loses", MORE,  (32, 64), ("counted", "executed")),
        ("loses", FEWER, (64, 32), ()),
        ("ties",  EXACT, (64, 64), ("counted", "executed")),
        ("ties",  NEAR,  (64, 64), ("counted", "executed")),
        ("ties",  APART, (64, 64), ("counted",)),
        ("ties",  None,  (64, 32), ()),
        ("a flag", EXACT, (64, 64), ()),                    # counts cannot tell
        ("only way", FEWER, (64, 32), ()),                  # that C has no such instruction is no count
    ],
)  # fmt: skip
def test_counts_can_only_agree_with_a_prediction(kernels, prediction, executed, counts, grounds):
    loaded = predicting(kernels, prediction)
    variants = {"cuda": Kernel(counts=sectors(counts[0])), "ptx": Kernel(counts=sectors(counts[1]), code="B")}
    (verdict,) = judged(loaded, recorded(loaded, variants, executed=executed))
    assert (verdict.verdict, verdict.rests_on) == (prediction, ("expected", *grounds))


def test_traffic_that_is_less_in_one_count_and_more_in_another_suggests_no_verdict(kernels):
    loaded = predicting(kernels, "wins")
    variants = {"cuda": Kernel(counts=sectors(64, 10)), "ptx": Kernel(counts=sectors(32, 20), code="B")}
    (verdict,) = judged(loaded, recorded(loaded, variants))
    assert verdict.rests_on == ("expected",)


def test_a_row_with_another_grid_is_not_compared_by_traffic(kernels):
    loaded = predicting(kernels, "wins")
    counted = recorded(loaded, {"cuda": Kernel(counts=sectors(64)), "ptx": Kernel(counts=sectors(32), code="B")})
    other = dataclasses.replace(counted.variants["cuda"], launch=LaunchReport((1, 1, 1), (64, 1, 1)))
    (verdict,) = judged(loaded, dataclasses.replace(counted, variants={**counted.variants, "cuda": other}))
    assert verdict.rests_on == ("expected",)
    assert "of cuda (other geometry)" in evidence_words(verdict)


def test_a_run_with_another_launch_than_that_of_the_pair_does_not_count(kernels):
    loaded = predicting(kernels, "ties")
    variants = {"cuda": Kernel(counts=sectors(64)), "ptx": Kernel(counts=sectors(64), code="B")}
    launch = LaunchReport((4, 1, 1), (256, 1, 1))
    (verdict,) = judged(loaded, recorded(loaded, variants, launch=launch))
    assert (verdict.rests_on, verdict.stale) == (("expected",), True)
    (verdict,) = judged(loaded, recorded(loaded, variants, launch=launch, size={"n": 999}))  # no size of the pair
    assert verdict.rests_on == ("expected", "counted")


@pytest.mark.parametrize("stale", ["cuda", "ptx"])
def test_a_run_of_other_kernels_does_not_count(kernels, stale):
    loaded = predicting(kernels, "ties")
    variants = {"cuda": Kernel(counts=sectors(64)), "ptx": Kernel(counts=sectors(64), code="B")}
    (verdict,) = judged(loaded, recorded(loaded, variants, stale=[stale]))
    assert (verdict.rests_on, verdict.stale, verdict.cell) == (("expected",), True, None)
    assert evidence_words(verdict) == "the kernels have changed since the recorded run"


def test_a_wrong_result_is_wrong_with_any_prediction(kernels):
    loaded = predicting(kernels, "wins")
    variants = {
        "cuda": Kernel(counts=sectors(64)),
        "ptx": Kernel(status=WRONG, reason="y[0] is 1, expected 2", code="B"),
    }
    (verdict,) = judged(loaded, recorded(loaded, variants))
    assert (verdict.verdict, verdict.rests_on) == ("wrong", ("executed",))


def test_a_result_that_is_wrong_at_one_size_is_wrong(kernels):
    loaded = predicting(kernels, "wins")
    right = {"cuda": Kernel(), "ptx": Kernel(code="B")}
    wrong = {"cuda": Kernel(), "ptx": Kernel(status=WRONG, reason="y[0] is 1, expected 2", code="B")}
    cells = [recorded(loaded, right, size={"n": 1024}), recorded(loaded, wrong, size={"n": 4096})]
    for order in (cells, cells[::-1]):
        (verdict,) = judged(loaded, *order)
        assert (verdict.verdict, verdict.cell.size) == ("wrong", {"n": 4096})


def test_a_wrong_result_on_a_gpu_is_wrong_although_nothing_was_timed(kernels):
    loaded = predicting(kernels, "wins")
    wrong = {"cuda": Kernel(), "ptx": Kernel(status=WRONG, reason="y[0] is 1, expected 2", code="B")}
    right = {"cuda": Kernel(50), "ptx": Kernel(25, code="B")}
    cells = [recorded(loaded, wrong), recorded(loaded, right, size={"n": 4096})]
    (verdict,) = judged(loaded, *cells)
    assert (verdict.verdict, verdict.cell.size) == ("wrong", {"n": 1024})
    (verdict,) = judged(loaded, cells[0], device=dataclasses.asdict(GPU))
    assert (verdict.verdict, verdict.rests_on, verdict.device) == ("wrong", ("measured",), "NVIDIA H100 80GB HBM3")
    assert scoreboard_table([verdict])


def test_a_variant_that_must_be_wrong_has_a_row_and_a_run_that_shows_it(kernels):
    (kernels / "ptx" / "scale.bad.ptx").write_text(PTX)
    loaded = predicting(kernels, "ties", "must_fail=['ptx.bad'],\n    ")
    assert [(verdict.variant, verdict.verdict, verdict.rests_on) for verdict in judged(loaded)][1:] == [
        ("ptx.bad", "wrong", ("expected",))
    ]
    variants = {
        "cuda": Kernel(counts={}),
        "ptx": Kernel(counts={}, code="B"),
        "ptx.bad": Kernel(status=MUST_FAIL, code="C"),
    }
    assert judged(loaded, recorded(loaded, variants))[1].rests_on == ("expected", "executed")
    assert judged(loaded, recorded(loaded, variants, stale=["ptx.bad"]))[1].rests_on == ("expected",)


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([(100, 90)],            "wins"),
        ([(100, 115)],           "loses"),
        ([(100, 90), (100, 90)], "wins"),
        ([(100, 90), (100, 115)], None),    # the sizes differ: there is no one verdict
    ],
)  # fmt: skip
def test_times_decide_and_the_prediction_does_not(kernels, times, verdict):
    loaded = predicting(kernels, "ties")
    cells = [
        recorded(loaded, {"cuda": Kernel(us=cuda), "ptx": Kernel(us=ptx, code="B")}, size={"n": 1024 << number})
        for number, (cuda, ptx) in enumerate(times)
    ]
    (standing,) = judged(loaded, *cells)
    assert standing.device == "NVIDIA H100 80GB HBM3"
    assert (standing.verdict, standing.rests_on) == ((verdict, ("measured",)) if verdict else ("ties", ("expected",)))


def test_the_ground_is_a_flag_if_only_a_compiler_option_makes_c_as_good(kernels):
    loaded = predicting(kernels, "wins")
    timed = {"cuda": Kernel(us=100), "cuda@fast": Kernel(us=80, code="B"), "ptx": Kernel(us=80, code="C")}
    (verdict,) = judged(loaded, recorded(loaded, timed))
    assert (verdict.verdict, verdict.rests_on) == ("a flag", ("measured",))
    assert judged(loaded, recorded(loaded, {**timed, "cuda@fast": Kernel(us=95, code="B")}))[0].verdict == "wins"


def test_the_later_run_counts(kernels):
    loaded = predicting(kernels, "wins")

    def run(us, day):
        timed_cell = recorded(loaded, {"cuda": Kernel(us=100), "ptx": Kernel(us=us, code="B")})
        return run_of([timed_cell], started=f"2026-01-{day}T12:00:00Z")

    (verdict,) = standings(loaded, records([run(115, 31), run(90, 30)]))
    assert verdict.verdict == "loses"


def test_ptx_is_not_the_only_way_if_a_row_in_another_language_exists(kernels):
    loaded = predicting(kernels, "only way")
    tile, triton = (dataclasses.replace(loaded.sources[0], variant=name, language=name) for name in ("tile", "triton"))
    (verdict,) = judged(dataclasses.replace(loaded, sources=(*loaded.sources, tile)))
    assert (verdict.verdict, verdict.other_rows) == ("wins", ("tile",))
    assert evidence_words(verdict) == "PTX is not the only way: tile is a row too, not compared here"
    (verdict,) = judged(dataclasses.replace(loaded, sources=(*loaded.sources, tile, triton)))
    assert evidence_words(verdict) == "PTX is not the only way: tile and triton are rows too, not compared here"


def test_the_table_explains_the_words_that_it_has_and_says_that_nothing_was_measured(kernels):
    (kernels / "cuda" / "scale.cu").write_text(CUDA)
    loaded = predicting(kernels, "wins")
    variants = {"cuda": Kernel(counts=sectors(64)), "ptx": Kernel(counts=sectors(32), code="B")}
    table = scoreboard_table(judged(loaded, recorded(loaded, variants, executed=FEWER)))
    assert [[*row] for row in table.rows] == [
        ["scale", "sm_90", "wins", "expected, counted, executed", "0.727 to 0.9 × instr., 0.5 × sectors of cuda"]
    ]
    assert [note.partition(":")[0] for note in table.notes[:4]] == ["wins", "expected", "counted", "executed"]
    assert table.notes[-1].startswith("No GPU has measured any of them.")
