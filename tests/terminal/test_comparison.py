"""Printed comparisons, whole, from seeded runs."""

from dataclasses import replace

import numpy as np
import pytest

from ptxbench.result import UNJUDGED
from ptxbench.terminal.comparison import ComparisonTable
from ptxbench.verdict import compare
from ptxbench.wording.judgement import REASONS, header
from tests.runs import Kernel, Noise, Sampling, cell, run_of
from tests.terminal.test_table import printed

SAMPLING = Sampling(noise=Noise(process=0.004))
BEFORE = {
    "softmax": {"cuda": Kernel(50), "ptx": Kernel(45)},
    "triad": {"cuda": Kernel(80), "ptx": Kernel(80), "ptx.v4": Kernel(78)},
    "scan": {"cuda": Kernel(60), "ptx": Kernel(52)},
    "transpose": {"cuda": Kernel(30), "ptx": Kernel(30)},
    "histogram256": {"cuda": Kernel(90), "ptx": Kernel(70)},
}
AFTER = {
    "softmax": {"cuda": Kernel(50), "ptx": Kernel(49.6, "B")},
    "triad": {"cuda": Kernel(80), "ptx": Kernel(80), "ptx.v4": Kernel(70, "B")},
    "scan": {"cuda": Kernel(54, "B", "A"), "ptx": Kernel(52)},
    "transpose": {"cuda": Kernel(30), "ptx": Kernel(30, "B", status="wrong", reason="transpose.ptx, n=33: out[2] is 1, "
                                                    "expected 2.")},
    "histogram256": {"cuda": Kernel(90), "ptx": Kernel(70.5, "B")},
}  # fmt: skip


def run(seed, pairs, **frame):
    rng = np.random.default_rng(seed)
    noisy = Sampling(noise=Noise(process=0.03))
    cells = [
        cell(rng, pair, {"n": 65536}, kernels, noisy if pair == "histogram256" else SAMPLING)
        for pair, kernels in pairs.items()
    ]
    return run_of(cells, **frame)


BASE = run(1, BEFORE, id="ba5e0001")
HEAD = run(2, AFTER, id="4ead0002", started="2026-02-01T12:00:00Z", device={"driver": "590.10"})


def test_ratios_with_their_rounds_intervals_causes_and_advice():
    text = printed(ComparisonTable(compare(BASE, HEAD)))
    assert (
        text
        == """\
base  ba5e0001  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
head  4ead0002  2026-02-01T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
They differ in driver 580.65 -> 590.10.

verdict            variant           ratio, base → head            change  -12 %       0       +13 %
────────────────────────────────────────────────────────────────────────────────────────────────────
REGRESSED          softmax ptx       0.895 → 0.991                +10.8 %         ·    ┊    ·   ├●┤
ptx: source        n=65536           ▁▁▁▁▁ → █▇▇██        +9.8 .. +11.5 %
INCONCLUSIVE       histogram256 ptx  0.749 → 0.788                 +5.1 %         ├─────────●──────┤
ptx: source        n=65536           ▆▁▅▃▂ → █▅▁█▆        -4.9 .. +12.8 %
REFERENCE-CHANGED  scan ptx          0.862 → 0.963                +11.8 %         ·    ┊    ·     ●┤
cuda: toolchain    n=65536           ▁▁▁▁▁ → ▇████       +11.1 .. +12.6 %
IMPROVED           triad ptx.v4      0.980 → 0.874                -10.8 %  ├●┤    ·    ┊    ·
ptx.v4: source     n=65536           ▇▇███ → ▂▁▁▂▁        -11.5 .. -9.5 %

BROKEN       transpose ptx n=65536: ptx is wrong: transpose.ptx, n=33: out[2] is 1, expected 2.
INCONCLUSIVE histogram256 ptx n=65536: the interval is too wide. It is close to the budget, so more
             rounds help little.

6 rows of ratio: 1 BROKEN, 1 REGRESSED, 1 INCONCLUSIVE, 1 REFERENCE-CHANGED, 1 IMPROVED, 1
SAME-CODE.
Budget 5 %; intervals between one-sided 99 % bounds over rounds.
If no code changed, the probability of any regression is at most 5 %.
Geometric mean of head over base: 1.030. No verdict depends on it.
"""
    )


def test_times():
    text = printed(ComparisonTable(compare(BASE, HEAD, "time")))
    assert (
        text
        == """\
base  ba5e0001  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
head  4ead0002  2026-02-01T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
They differ in driver 580.65 -> 590.10.

verdict          variant           time, base → head           change  -11 %          0        +11 %
────────────────────────────────────────────────────────────────────────────────────────────────────
REGRESSED        softmax ptx       44.96 → 49.51 µs           +10.2 %           ·     ┊     ·     ●┤
ptx: source      n=65536           ▁▁▁▁▁ → █████      +9.8 .. +10.7 %
INCONCLUSIVE     histogram256 ptx  69.20 → 70.77 µs            +2.3 %           ·    ├───●────┤
ptx: source      n=65536           ▃▁▄▃▃ → █▅▃▆▅       -0.4 .. +6.2 %
IMPROVED         triad ptx.v4      78.00 → 70.11 µs           -10.1 %  ├●┤      ·     ┊     ·
ptx.v4: source   n=65536           ▇▇███ → ▁▁▁▁▁      -10.8 .. -9.4 %
IMPROVED         scan cuda         60.22 → 54.08 µs           -10.1 %  ├●┤      ·     ┊     ·
cuda: toolchain  n=65536           █████ → ▂▁▁▁▁      -10.6 .. -9.4 %

BROKEN       transpose ptx n=65536: ptx is wrong: transpose.ptx, n=33: out[2] is 1, expected 2.
MISSING      transpose cuda n=65536: has no value in the other run.
INCONCLUSIVE histogram256 ptx n=65536: the interval is too wide. About 12 rounds in each run would
             decide it (run --rounds 12); they have 5.

11 rows of time: 1 BROKEN, 1 REGRESSED, 1 MISSING, 1 INCONCLUSIVE, 2 IMPROVED, 5 SAME-CODE.
Budget 5 %; intervals between one-sided 99 % bounds over rounds.
If no code changed, the probability of any regression is at most 5 %.
5 rows of unchanged code moved by -0.04 %, which is subtracted from the others, 95 % of them within
2.20 % of that.
Geometric mean of head over base: 0.987. No verdict depends on it.
"""
    )


COUNTS = {"ptx_warp_instructions": 15360, "ptx_global_load_sectors": 16384, "ptx_global_store_sectors": 8192,
          "ptx_shared_load_conflicts": 0, "ptx_shared_store_conflicts": 0}  # fmt: skip


def counted(code, registers=22, **counts):
    kernels = {
        "cuda": Kernel(counts=COUNTS),
        "ptx": Kernel(counts={**COUNTS, **counts}, code=code, registers=registers),
    }
    return run_of([cell(np.random.default_rng(0), "triad", {"n": 65536}, kernels)], id=f"c0{code.lower()}")


COUNTED = counted("A")
CHANGED = counted("B", 30, ptx_warp_instructions=15361, ptx_global_load_sectors=12288, ptx_shared_load_conflicts=31)


def test_counters_that_changed():
    text = printed(ComparisonTable(compare(COUNTED, CHANGED)))
    assert (
        text
        == """\
base  c0a  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee
head  c0b  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee

verdict    variant    metric                       base    head     change  code
───────────────────────────────────────────────────────────────────────────────────────
REGRESSED  triad ptx  registers                      22      30      +36 %  ptx: source
           n=65536    ptx_warp_instructions      15,360  15,361  +0.0065 %
                      ptx_shared_conflicts            0      31        +31
                      ptx_shared_load_conflicts       0      31        +31
IMPROVED   triad ptx  ptx_global_sectors         24,576  20,480      -17 %  ptx: source
           n=65536    ptx_global_load_sectors    16,384  12,288      -25 %

28 rows of counters: 4 REGRESSED, 2 IMPROVED, 8 NO-REGRESSION, 14 SAME-CODE.
Counts are compared exactly.
"""
    )


def test_nothing_changed():
    text = printed(ComparisonTable(compare(COUNTED, COUNTED)))
    assert (
        text
        == """\
base  c0a  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee
head  c0a  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee

28 rows of counters: 28 SAME-CODE.
Counts are compared exactly.
"""
    )


def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut():
    for comparison in (compare(BASE, HEAD), compare(BASE, HEAD, "time"), compare(COUNTED, CHANGED)):
        for width in (100, 80, 72):
            text = printed(ComparisonTable(comparison), width=width)
            assert max(map(len, text.splitlines())) <= width
            assert "…" not in text


def test_a_terminal_without_unicode_gets_ascii():
    text = printed(ComparisonTable(compare(BASE, HEAD)), encoding="latin-1")
    assert "->" in text
    assert "o" in text
    assert text.isascii()


def test_text_from_outside_is_not_treated_as_markup():
    head = run(
        2, {"transpose": {"cuda": Kernel(30), "ptx": Kernel(30, status="broken", reason="[bold]x[/] is [red].")}}
    )
    text = printed(ComparisonTable(compare(run(1, {"transpose": BEFORE["transpose"]}), head)))
    assert "[bold]x[/] is [red]." in text


# the difference, the compared values, the text in the head line
CONSEQUENCES = [
    ("device", {"driver": "590.1"}, "ratio", "driver 580.65 -> 590.1"),
    ("device", {"name": "NVIDIA H200"}, "ratio",
     "GPU model NVIDIA H100 80GB HBM3 -> NVIDIA H200 (verdicts are advice)"),
    ("device", {"name": "NVIDIA H200"}, "time",
     "GPU model NVIDIA H100 80GB HBM3 -> NVIDIA H200 (NOT-COMPARABLE: times)"),
    ("toolchain", {"ptxas": "13.3"}, "ratio", "ptxas 13.2.78 -v -> 13.3 -v (may be why)"),
    ("toolchain", {"ptxas": "13.3"}, "counters", "ptxas 13.2.78 -v -> 13.3 -v (NOT-COMPARABLE: counts of the tools)"),
    ("toolchain", {"nvrtc": "13.3"}, "counters",
     "NVRTC 13.2 -std=c++17 -> 13.3 -std=c++17 (NOT-COMPARABLE: counts of the tools and counts of the "
     "emulator of CUDA C)"),
    ("run", {"seed": 2}, "counters", "seed 1 -> 2 (NOT-COMPARABLE: counts of the tools and counts of the emulator)"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "values", "mode", "differences"), CONSEQUENCES)
def test_the_head_line_names_the_rows_that_a_difference_makes_incomparable(part, values, mode, differences):
    base, head = run(1, BEFORE), run(2, AFTER)
    other = replace(head, **{part: replace(getattr(head, part), **values)})
    assert list(header(compare(base, other, mode)))[2:] == [f"They differ in {differences}."]


def test_single_rounds_have_values_and_no_picture():
    base, head = (
        run_of([cell(np.random.default_rng(seed), "triad", {"n": 1}, {"cuda": Kernel(50), "ptx": Kernel(us, code)},
                     Sampling(rounds=1))])
        for seed, us, code in ((1, 45, "A"), (2, 90, "B"))
    )  # fmt: skip
    lines = printed(ComparisonTable(compare(base, head))).splitlines()
    assert lines[3].split() == ["verdict", "variant", "ratio,", "base", "→", "head", "change"]
    assert lines[5].split() == ["INCONCLUSIVE", "triad", "ptx", "0.899", "→", "1.799", "-"]
    assert lines[8] == "INCONCLUSIVE triad ptx n=1: too few rounds in a run. Run both again with --rounds 5 or more."


def test_incomparable_rows_show_no_numbers():
    other = replace(HEAD, device=replace(HEAD.device, name="NVIDIA H200", driver="580.65"))
    text = printed(ComparisonTable(compare(run(1, {"triad": BEFORE["triad"]}), other, "time")))
    assert (
        text
        == """\
base  0a1b2c3d  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
head  4ead0002  2026-02-01T12:00:00Z  NVIDIA H200  c0ffee
They differ in GPU model NVIDIA H100 80GB HBM3 -> NVIDIA H200 (NOT-COMPARABLE: times).

BROKEN         transpose ptx n=65536: ptx is wrong: transpose.ptx, n=33: out[2] is 1, expected 2.
NOT-COMPARABLE triad cuda n=65536, triad ptx n=65536, triad ptx.v4 n=65536: GPU model NVIDIA H100
               80GB HBM3 -> NVIDIA H200.
NEW            softmax cuda n=65536, softmax ptx n=65536, scan cuda n=65536, scan ptx n=65536 and 3
               more.

11 rows of time: 1 BROKEN, 3 NOT-COMPARABLE, 7 NEW.
Budget 5 %; intervals between one-sided 99 % bounds over rounds.
If no code changed, the probability of any regression is at most 5 %.
"""
    )


def test_a_gpu_and_the_emulator_have_the_tools_counts_in_common():
    gpu = run(1, {"triad": {"cuda": Kernel(80), "ptx": Kernel(80, registers=20)}})
    text = printed(ComparisonTable(compare(gpu, COUNTED)))
    assert (
        text
        == """\
base  0a1b2c3d  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
head  c0a  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee
They differ in backend gpu -> emulator (NOT-COMPARABLE: counts of the emulator).

NOT-COMPARABLE triad cuda n=65536, triad ptx n=65536: backend gpu -> emulator.

28 rows of counters: 16 NOT-COMPARABLE, 12 SAME-CODE.
Counts are compared exactly.
1 row of unchanged code has different counts: the tools count differently.
"""
    )


def test_every_label_that_forbids_a_verdict_has_words():
    assert set(REASONS) >= UNJUDGED
