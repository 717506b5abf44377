"""Bugs planted in a small pair: all are caught, and all are reported as missed once `check` is made blind."""

import dataclasses

import pytest

from ptxbench.bugs import audit as audits
from ptxbench.bugs import equivalent, trial
from ptxbench.bugs.audit import TrialOrder, audit, bugs_of, interleaved_by_kind
from ptxbench.bugs.bug import KINDS
from ptxbench.bugs.outcome import CAUGHT, EXPLAINED, MISSED, SAME, exit_status, tally
from ptxbench.bugs.trial import BugTrial
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import default_kernels, load
from ptxbench.errors import PairError, UsageError
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder

SEED = 3


def planted(kernels, bugs=4, **chosen):
    return list(audit(TrialOrder(kernels, "sm_90", SEED, bugs, **chosen)))


def test_bugs_of_every_kind_are_caught_and_the_same_seed_plants_the_same(tmp_path):
    kernels = kernels_folder(tmp_path)
    outcomes = planted(kernels, 5)
    counted = [outcome for outcome in outcomes if outcome.counts]
    assert [(outcome.language, outcome.status) for outcome in counted] == [("ptx", CAUGHT)] * 5 + [("cuda", CAUGHT)] * 5
    assert exit_status(outcomes) == 0
    numbers = tally(outcomes)
    assert (numbers.planted, numbers.caught, numbers.compared) == (10, 10, 10)
    assert numbers.allclose < 10  # a bound that is too large shows in no result
    found_pair = load(kernels, "scale")
    for variant, source in zip(("ptx", "cuda"), (found_pair.sources[-1], found_pair.sources[0]), strict=True):
        order = TrialOrder(kernels, "sm_90", SEED, 5)
        repeated = interleaved_by_kind(bugs_of(source), order, f"scale {variant}")
        planted_bugs = [outcome.bug for outcome in outcomes if outcome.language == source.language]
        chosen = [bug for bug, _ in zip(repeated, range(40), strict=False)]
        assert [bug for bug in chosen if bug in planted_bugs] == planted_bugs


def test_a_judge_that_detects_nothing_misses_all_bugs(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "JUDGED", ("parses", "assembles", "signature"))
    outcomes = planted(kernels_folder(tmp_path), 2)
    assert {outcome.status for outcome in outcomes} <= {MISSED, SAME}
    assert exit_status(outcomes) == 3


def test_an_edit_that_does_not_change_the_machine_code_is_not_a_bug(tmp_path):
    twice = changed(PTX, "    add.u64             %at, %y, %offset;", "    add.u64 %at, %y, %offset;\n" * 2)
    loaded = load(kernels_folder(tmp_path, ptx=twice + "// the end"), "scale")
    of_ptx = BugTrial(CheckSuite(loaded, "sm_90", SEED), loaded.sources[-1])
    dropped = [bug for bug in bugs_of(of_ptx.source) if bug.edit == "dropped"]
    assert {bug.code: of_ptx.is_a_bug(bug) for bug in dropped if bug.code.startswith("add")} == {
        "add.u64 %at, %x, %offset;": True,
        "add.u64 %at, %y, %offset;": False,
    }
    nonsense = dataclasses.replace(dropped[0], changes=((0, 0, "nonsense"),))
    assert of_ptx.is_a_bug(nonsense) is None


ENTRY = """
[[equivalent]]
pair = "scale"
language = "ptx"
code = "{code}"
edits = ["*"]
why = "For a test."
"""


def test_an_entry_explains_a_missed_bug_and_must_hold(tmp_path, monkeypatch):
    kernels = kernels_folder(tmp_path)
    table = kernels / equivalent.FILE
    table.write_text(ENTRY.format(code="mov.u32 %thread, %ctaid.x;"))
    with pytest.raises(UsageError, match=r"the ptx kernel of 'scale' has no bug '\*' in 'mov"):
        planted(kernels, 1)
    table.write_text(ENTRY.format(code="*"))
    with pytest.raises(PairError, match="is not equivalent: check rejects it at stage results"):
        planted(kernels, 1)
    monkeypatch.setattr(trial, "JUDGED", ("parses", "assembles", "signature"))
    monkeypatch.setattr(audits, "VARIANTS", ("ptx",))
    outcomes = planted(kernels, 1, kinds=("scope", "tail"))
    assert {outcome.status for outcome in outcomes} == {EXPLAINED}
    assert {outcome.why for outcome in outcomes} == {"For a test."}
    assert exit_status(outcomes) == 5  # nothing that counts
    table.write_text('[[equivalent]]\npair = "scale"\n')
    with pytest.raises(UsageError, match=r"entry 1 of \[\[equivalent\]\] is invalid; expected pair"):
        equivalent.read(kernels)


def test_a_kernel_that_is_wrong_without_a_bug_is_not_audited(tmp_path):
    wrong = changed(PTX, "mul.rn.f32          %value, %value, %a;", "add.rn.f32 %value, %value, %a;")
    with pytest.raises(PairError, match=r"scale\.ptx: check does not accept the original kernel: n="):
        planted(kernels_folder(tmp_path, ptx=wrong))


def test_a_kernel_with_its_own_launch_is_audited_with_that_launch(tmp_path, monkeypatch):
    """Half as many threads in a CTA, and not one more: with the launch of the pair it could not run."""
    monkeypatch.setattr(audits, "VARIANTS", ("cuda",))
    own_launch = 'launches={"cuda": lambda n: Launch(grid=ceil_div(n, 64), block=64)},\n    flops='
    halved = changed(changed(CUDA, "128 *", "64 *"), "void scale", "void __launch_bounds__(64) scale")
    pair = changed(PAIR, "flops=", own_launch)
    outcomes = planted(kernels_folder(tmp_path, pair=pair, cuda=halved), 1)
    assert [outcome.status for outcome in outcomes if outcome.counts] == [CAUGHT]


def test_every_entry_of_the_shipped_table_matches_a_bug():
    kernels = default_kernels()
    entries = equivalent.read(kernels)
    for name in {entry.pair for entry in entries}:
        for source in load(kernels, name).sources:
            if source.variant in audits.VARIANTS:
                equivalent.entries_of_kernel(entries, name, source.language, bugs_of(source))


def test_every_shipped_kernel_has_enough_bugs():
    kernels = default_kernels()
    for name in ("triad", "scatter_add_bf16.f32", "copy_hints"):
        for source in load(kernels, name).sources:
            if source.variant in audits.VARIANTS:
                assert len(bugs_of(source)) > 30
                assert {bug.kind for bug in bugs_of(source)} <= set(KINDS)
                assert len({dataclasses.astuple(bug) for bug in bugs_of(source)}) == len(bugs_of(source))
