"""A candidate's resources and counts next to those of the pair's variants: the figures, and which are worse."""

from dataclasses import replace

import pytest

from ptxbench.check.comparison import figures, heavier, resource_words, slower
from ptxbench.result import BuildReport

OWN = BuildReport("a", "b", "c", registers=40, spill_store_bytes=0, spill_load_bytes=0, shared_bytes=64, occupancy=0.5,
                  sass={"total": 32})  # fmt: skip
OTHERS = {"cuda": replace(OWN, sass_sha256="d", occupancy=0.75), "ptx": replace(OWN, sass_sha256="e", occupancy=0.5)}

# what differs from OWN; the code and the message
HEAVIER = [
    ({},                                                   None),                  # ptx has no more occupancy
    ({"occupancy": 0.25, "registers": 90},
     "more-registers: 90 registers: occupancy 25%, the pair's variants at least 50%."),
    ({"occupancy": None},                                  None),                  # unknown
    ({"spill_store_bytes": 8, "spill_load_bytes": 0},      "spills: each thread spills 8 bytes and reloads 0."),
    ({"spill_store_bytes": 0, "spill_load_bytes": 12},     "spills: each thread spills 0 bytes and reloads 12."),
    ({"spill_store_bytes": None, "spill_load_bytes": None}, None),                 # as the driver's assembler reports
    ({"sass_sha256": "d"},                                 "same-code: the machine code is the same as that of cuda."),
    ({"sass_sha256": None},                                None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), HEAVIER)
def test_more_resources_than_each_variant_has_are_a_warning(changes, expected):
    found = heavier(replace(OWN, **changes), OTHERS)
    assert [f"{finding.code}: {finding.message}" for finding in found] == ([expected] if expected else [])


def test_variants_without_a_known_occupancy_or_code_are_not_compared():
    unknown = {"cuda": BuildReport("a", "b")}
    assert list(heavier(replace(OWN, occupancy=0.25), unknown)) == []
    assert list(heavier(BuildReport("a", "b"), unknown)) == []
    mixed = {**unknown, "ptx": OTHERS["cuda"]}
    assert [finding.code for finding in heavier(replace(OWN, sass_sha256=None), mixed)] == ["more-registers"]


def test_the_figures_of_a_build_are_its_own():
    report = replace(OWN, spill_store_bytes=8, spill_load_bytes=12)
    expected = {"registers": 40, "spill_bytes": 20, "shared_bytes": 64, "sass": 32, "occupancy": 0.5}
    assert figures(report) == expected
    assert figures(BuildReport("a", "b")) == dict.fromkeys(expected) | {"spill_bytes": 0}
    assert resource_words(report) == "40 registers, 64 B shared, 32 SASS"
    assert resource_words(replace(report, sass={})) == "40 registers, 64 B shared"


# by variant: sectors and executed machine instructions in proportion; what there is more of
SLOWER = [
    ({"cuda": (1.006, 1.0), "ptx": (1.006, 1.006)}, "global sectors"),
    ({"cuda": (1.004, 1.006), "ptx": (2.0, 1.006)}, "machine instructions"),
    ({"cuda": (1.006, 1.006)},                      "global sectors and machine instructions"),
    ({"cuda": (1.005, 0.5), "ptx": (9.0, 9.0)},     None),                           # no more than one variant
    ({"cuda": (None, None)},                        None),                           # unknown
    ({},                                            None),                           # nothing to compare with
]  # fmt: skip


@pytest.mark.parametrize(("ratios", "more"), SLOWER)
def test_more_of_a_count_than_each_variant_has_is_a_warning(ratios, more):
    by_name = {
        variant: {name: ratio for name, ratio in zip(("sectors", "sass_executed"), pair, strict=True) if ratio}
        for variant, pair in ratios.items()
    }
    expected = [] if more is None else [f"n=96: more {more} than any variant of the pair."]
    assert [finding.message for finding in slower(by_name, "n=96")] == expected
