"""Every shipped variant is accepted against its own pair: the judge asks no more than the pairs promise."""

import pytest

from ptxbench.check.findings import STAGES
from tests.check.judging import judged, outcome
from tests.kernels.harness import PAIRS, emulated_arch

DEAR = {"fp8_gemm_promoted", "hgemm_wgmma"}
QUICK = set(list(PAIRS)[::2]) - DEAR
"""Pairs whose own PTX is tried by every test run. All other files go through the same stages; those of DEAR take two to
four seconds each."""
VARIANTS = [
    pytest.param(
        name,
        source,
        id=f"{name}-{source.variant}",
        marks=() if source.variant == "ptx" and name in QUICK else pytest.mark.long,
    )
    for name, loaded in PAIRS.items()
    for source in loaded.right_sources
    if not source.flags and source.variant not in loaded.pair.launches  # a candidate is launched as the pair is
]

BUT_COUNTS = tuple(stage for stage in STAGES if stage != "counts")


def test_all_shipped_variants_are_tested():
    assert len(VARIANTS) >= 2 * len(PAIRS)


@pytest.mark.parametrize(("name", "source"), VARIANTS)
def test_a_shipped_variant_is_accepted(name, source):
    judgement = judged(source.path, name, flags=source.flags, stages=BUT_COUNTS, arch=emulated_arch(name))
    assert outcome(judgement) == "accepted"
    same_code = [finding.message for finding in judgement.findings if finding.code == "same-code"]
    assert source.variant in same_code[0]  # it is reported as identical to itself
    verdicts = {stage.stage: stage.verdict for stage in judgement.stages}
    assert verdicts["hidden"] == "passed"
    assert [note for note in judgement.notes if note.startswith("hidden: ")] == []


@pytest.mark.long  # half a second per variant, to derive its machine instruction counts
@pytest.mark.parametrize("name", PAIRS)
def test_a_shipped_variant_has_the_counts_of_itself(name):
    for source in (
        candidate for candidate in PAIRS[name].right_sources if candidate.variant not in PAIRS[name].pair.launches
    ):
        stages = ("parses", "counts")
        judgement = judged(source.path, name, flags=source.flags, stages=stages, arch=emulated_arch(name))
        assert [stage.verdict for stage in judgement.stages] == ["passed", "passed"], source.variant
        ratios = judgement.ratios[source.variant]
        assert (ratios["instructions"], ratios["sass_executed"]) in ((1, 1), (1, None)), source.variant
        assert judgement.executed["candidate"] == judgement.executed[source.variant]
