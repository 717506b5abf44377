"""What stages warn of and note: other bits, sums that are modelled, checks that were not made, missing figures."""

import dataclasses
import re

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.check import repeats
from ptxbench.check.comparison import resource_words
from ptxbench.check.launching import LaunchOptions
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.check.variations import aspects, unlike, varied
from ptxbench.emulator import sanitizer_report
from ptxbench.emulator.variation import EXTREMES
from ptxbench.result import BuildReport
from ptxbench.toolchain import locate
from tests.check import test_stages
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import CUDA, PTX, changed

NANS = (0x7FC00000, 0xFFFFFFFF)


def test_other_bits_within_the_tolerance_are_a_warning():
    launcher = Checker(suite("triad"), test_stages.HOSTILE / "honest.ptx").launcher
    case = suite("triad").check[2]
    first = launcher.launch(case, LaunchOptions())
    rounded = first.outputs["a"]
    exact = case.expected.outputs["a"]  # the second nearest float is on the other side, within an ulp too
    nudged = dataclasses.replace(
        first, outputs={"a": np.nextafter(rounded, np.where(exact > rounded, np.inf, -np.inf).astype(np.float32))}
    )
    some = aspects(suite("triad").drawn("variations"))
    (warning,) = varied(launcher, case, nudged, some)
    assert (warning.code, warning.severity) == ("bits-differ", "warning")
    assert list(varied(launcher, case, first, some)) == []
    as_nan = [dataclasses.replace(first, outputs={"a": np.full(1, bits, np.uint32).view(np.float32)}) for bits in NANS]
    assert unlike(case, *as_nan, words="") == []


def test_the_sanitizer_runs_every_check_size_and_hidden_sizes_as_well():
    """The largest one too: of tma_reduce.bf16, it may be the only one in which two CTAs add to the same tile."""
    pair = suite("triad").pair
    sizes = [dict(case.size) for case in suite("triad").sanitized]
    assert [size for size in pair.check_sizes if size not in sizes] == []
    assert len(sizes) > len(pair.check_sizes)


def test_the_first_launch_in_which_everything_varies_has_the_arrays_in_the_reverse_order():
    (address, *_) = (
        aspect for aspect in aspects(suite("triad").drawn("variations")) if aspect.code == "depends-on-address"
    )
    assert address.options.placement % EXTREMES == 0


def test_approximate_results_vary_in_one_launch_and_the_order_of_the_lanes_in_another(monkeypatch):
    launches = []
    monkeypatch.setattr(repeats, "varied", lambda launcher, case, first, varying: launches.append(varying) or ())
    triad = suite("triad")
    list(repeats.everything_varied(Checker(triad, KERNELS / "ptx" / "triad.ptx").launcher, None, triad.check[-1]))
    variations = [[aspect.options.variation for aspect in varying] for varying in launches]
    assert [any(one.approximate is not None for one in some) for some in variations] == [True, False, False]
    assert [any(one.lanes is not None for one in some) for some in variations] == [False, True, False]
    orders = [{aspect.options.ctas for aspect in varying} - {"usual"} for varying in launches]
    assert orders == [{"first first"}, {"last first"}, {"by turns"}]


def test_there_is_no_verdict_where_the_pairs_own_kernels_are_wrong_too(kernels, tmp_path):
    path = kernels / "ptx" / "scale.ptx"
    path.write_text(PTX.replace("%value, %value, %a;", "%value, %value, %value;"))
    (kernels / "cuda" / "scale.cu").write_text(changed(CUDA, "a * x[i]", "x[i] * x[i]"))
    scale = CheckSuite(discovery.load(kernels, "scale"), "sm_90", 1)
    judgement = Checker(scale, path).judge()
    assert (judgement.verdict, outcome(judgement)) == ("unjudged", "results nothing-counts")


def test_without_ptxas_its_figures_are_left_out(monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    judgement = Checker(CheckSuite(suite("triad").loaded, "sm_90", 5), test_stages.HOSTILE / "honest.ptx").judge()
    verdicts = {stage.stage: stage.verdict for stage in judgement.stages}
    assert judgement.verdict == "accepted"
    assert [stage for stage, verdict in verdicts.items() if verdict == "skipped"] == [
        "assembles", "resources", "time", "portability",
    ]  # fmt: skip


def test_sums_that_are_modelled_and_functions_that_are_ideal_are_noted():
    ptx = suite("hgemm_mma").loaded
    source = next(source for source in ptx.sources if source.variant == "ptx")
    assert any("adds up by a model of sm_90" in note for note in judged(source.path, "hgemm_mma").notes)
    softmax = next(source for source in suite("softmax").loaded.sources if source.variant == "ptx")
    assert any(note.startswith("ex2.approx") for note in judged(softmax.path, "softmax").notes)


def test_the_sanitizer_calls_nothing_clean_where_a_check_was_not_made():
    judgement = test_stages.honest(
        test_stages.HONEST.replace(
            "    mov.u32             %thread", "    activemask.b32      %step;\n    mov.u32 %thread", 1
        )
    )
    detail = next(stage.detail for stage in judgement.stages if stage.stage == "sanitizer")
    assert detail == "no finding, but not all checks were made"
    assert "sanitizer: second schedule inconclusive: line 25 uses activemask.b32" in judgement.notes[0]


def test_launches_that_are_too_large_for_the_second_schedule_are_counted(monkeypatch):
    monkeypatch.setattr(sanitizer_report, "MOST_RESCHEDULED", 20_000)
    judgement = judged(test_stages.HOSTILE / "honest.ptx", "triad", stages=("parses", "sanitizer"))
    [note] = [note for note in judgement.notes if note.startswith("sanitizer")]
    words = r"sanitizer: second schedule skipped: more than 20,000 thread instructions, in (\d+) of (\d+) launches"
    few, all_launches = map(int, re.fullmatch(words, note).groups())
    assert 0 < few < all_launches


@pytest.mark.parametrize(
    ("sass", "words"), [({"total": 42}, "22 registers, 0 B shared, 42 SASS"), ({}, "22 registers, 0 B shared")]
)
def test_machine_code_that_could_not_be_read_has_no_number(sass, words):
    assert resource_words(BuildReport("", "", registers=22, shared_bytes=0, sass=sass)) == words


@pytest.mark.parametrize("path", ["ptx/sm_partition.ptx", "ptx/q4q8_gemv.aos.ptx", "cuda/softmax.cu"])
def test_the_lint_does_not_warn_of_what_the_pairs_own_kernels_do(path):
    """Of clocks and the number of an SM, of addresses that are compared, of a product that may be fused."""
    file = KERNELS / path
    assert test_stages.codes(judged(file, file.stem, stages=("parses", "lint"))) == []
