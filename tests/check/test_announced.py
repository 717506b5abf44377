"""A flag that one CTA sets twice: the data announced by the first store are visible and judged too."""

from ptxbench.check.stages import Checker, announces
from ptxbench.emulator.parse import parse
from tests.check.judging import KERNELS, suite
from tests.folders import PTX

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


def test_which_kernels_announce():
    assert announces(parse((KERNELS / "ptx" / "scan.ptx").read_text()))
    assert announces(parse(PTX.replace("st.global.f32", "st.volatile.f32")))
    assert not announces(parse(PTX))
    assert not announces(parse(PTX.replace("st.global.f32", "st.volatile.shared.f32")))
