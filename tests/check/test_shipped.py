"""Every shipped variant is accepted against its own pair: the judge asks no more than the pairs promise."""

import pytest

from ptxbench import discovery
from tests.check.judging import KERNELS, judged, outcome

PAIRS = {name: discovery.load(KERNELS, name) for name in discovery.find_pairs(KERNELS)}
VARIANTS = [  # further variants go through the same stages as the pair's two kernels
    pytest.param(
        name,
        source,
        id=f"{name}-{source.variant}",
        marks=() if source.variant in ("cuda", "ptx") else pytest.mark.long,
    )
    for name, found in PAIRS.items()
    for source in found.sources
]


def test_there_are_as_many_as_are_shipped():
    assert len(VARIANTS) >= 66


@pytest.mark.parametrize(("name", "source"), VARIANTS)
def test_a_shipped_variant_is_accepted(name, source):
    judgement = judged(source.path, name, flags=source.flags)
    assert outcome(judgement) == "accepted"
    same = [each.message for each in judgement.findings if each.code == "same-code"]
    assert source.variant in same[0]  # it is what it is
    verdicts = {each.stage: each.verdict for each in judgement.stages}
    assert verdicts["hidden"] == "passed"
    assert verdicts["counts"] == "passed"
    assert judgement.ratios[source.variant]["instructions"] == 1
