"""A flag that one CTA sets twice: the data announced by the first store are visible and judged too."""

from pathlib import Path

import pytest

from ptxbench.check.polls import announces
from ptxbench.check.stages import Checker
from ptxbench.emulator.parse import parse
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import PTX, changed

STORE = "st.relaxed.gpu.global.u64  [%state_at], %word;"


def test_a_sum_for_the_own_cta_alone_is_a_race_although_the_prefix_follows(tmp_path):
    text = (KERNELS / "ptx" / "scan.s32.ptx").read_text()
    assert text.count(STORE) == 2
    wrong = tmp_path / "wrong.ptx"
    wrong.write_text(text.replace(STORE, STORE.replace(".gpu", ".cta"), 1))
    sanitized = Checker(suite("scan.s32"), wrong).sanitizer()
    assert sanitized.findings
    assert all("st.relaxed.cta" in finding.message for finding in sanitized.findings)
    line = wrong.read_text()[: text.index(STORE)].count("\n") + 1
    assert all(finding.line == line or f"line {line}" in finding.message for finding in sanitized.findings)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("sub.s32               %look, %look, 32;", "sub.s32               %look, %look, 31;"),
        ("@%none bra.uni        WINDOW;", ""),
        ("add.rn.f32            %exclusive, %exclusive, %value;", "mov.f32               %exclusive, %value;"),
    ],
)
def test_a_look_back_over_more_ctas_than_a_warp_has_lanes_is_executed(right, wrong):
    """32 tiles and more before this one have stored only their own sums."""
    text = changed((KERNELS / "ptx" / "scan.ptx").read_text(), right, wrong)
    judgement = judged(Path("wrong.ptx"), "scan", text.encode(), stages=("parses", "repeats"))
    assert outcome(judgement) == "repeats depends-on-threads"


def test_announcing_kernels_are_recognised():
    assert announces(parse((KERNELS / "ptx" / "scan.ptx").read_text()))
    assert announces(parse(PTX.replace("st.global.f32", "st.volatile.f32")))
    assert not announces(parse(PTX))
    assert not announces(parse(PTX.replace("st.global.f32", "st.volatile.shared.f32")))
