"""The verdict of the counters gate on shipped pairs that were made worse in a known way or edited without effect.

A mutant of each kind, and each pair; `ptxbench gate audit --mutants` makes every edit of every PTX file.
"""

import json

import pytest

from ptxbench.audit import mutants
from ptxbench.audit.edits import WORSE, Edit, one_text
from ptxbench.audit.hopper import HOPPER
from ptxbench.audit.kernel import read_kernel
from ptxbench.audit.mutants import EDITS, audit_mutants, count_mutants
from ptxbench.audit.neutral import NEUTRAL, commented
from ptxbench.audit.tables import OF_PAIRS, SCATTERED, UNSCATTERED
from ptxbench.discovery import default_kernels, find_pairs
from ptxbench.errors import AssembleError, UsageError
from ptxbench.verdict.rules import RULES
from tests.folders import PTX, changed, kernels_folder
from tests.kernels.harness import emulated_arch


def audited(pair, *edits, kernels=None, variants=()):
    arch = None if kernels else emulated_arch(pair)
    outcomes = list(audit_mutants(kernels or default_kernels(), arch, [pair], edits, variants))
    assert len(outcomes) == count_mutants(kernels or default_kernels(), [pair], edits, variants)
    return outcomes


# pair, edits: each must hold for every PTX file of the pair that can have it
CHOSEN = [
    ("bigint_mul256",        "registers spilled", "other comments"),
    ("cluster_multicast",    "labels renamed"),
    ("cluster_rmsnorm",      "other comments", "an extra barrier of the cluster", "a word of the cluster"),
    ("cluster_rmsnorm.s32",  "neighbours exchanged"),
    ("copy_hints",           "vector stores split", "reversed declarations"),
    ("copy_hints.beside",    "lanes scattered"),
    ("copy_hints.gather",    "loads repeated"),
    ("copy_hints.v8",        "labels renamed"),
    ("fp8_gemm_promoted",    "an extra barrier", "labels renamed"),
    ("fp8_mma_sync",         "labels renamed"),
    ("hgemm_mma",            "swizzle removed", "labels renamed"),
    ("hgemm_wgmma",          "other comments", "an extra product of a warpgroup"),
    ("histogram256",         "no .nc", "registers renamed", "an atomic of 0, global"),
    ("int8_gemm_mma",        "labels renamed"),
    ("l2_policy",            "vector loads split", "neighbours exchanged"),
    ("pdl_chain",            "loads repeated", "other comments"),
    ("q4q8_gemv",            "registers spilled", "registers renamed"),
    ("q4q8_gemv.aos",        "a round trip through local memory", "other comments"),
    ("reduce_sum",           "lanes scattered", "labels renamed", "CUDA C: an atomic per warp"),
    ("reduce_sum.s32",       "a dependent chain", "neighbours exchanged"),
    ("reduce_sum.v8",        "CUDA C: an extra barrier"),
    ("rmsnorm",              "registers renamed", "CUDA C: a root and a division",
     "loops not unrolled"),
    ("scan",                 "an extra barrier", "neighbours exchanged", "a wider scope"),
    ("scan.s32",             "diverging lanes", "reversed declarations"),
    ("scatter_add_bf16",     "loads repeated", "sufficient .maxnreg"),
    ("scatter_add_bf16.f16", "no .nc", "other comments"),
    ("scatter_add_bf16.f32", "lanes scattered", "labels renamed"),
    ("sgemm_tiled",          "padding removed", "shared vector loads split", "neighbours exchanged"),
    ("sgemm_tiled.packed",   "labels renamed"),
    ("sm_partition",         "an extra barrier", "registers renamed"),
    ("softmax",              "lanes scattered", "reversed declarations", "subnormal numbers kept", "CUDA C: expf"),
    ("softmax.warp",         "unused shared memory", "vector loads split", "other comments"),
    ("tma_reduce",           "other comments", "an extra phase of an mbarrier"),
    ("tma_reduce.bf16",      "registers renamed"),
    ("tma_transpose",        "labels renamed", "tensor copies repeated"),
    ("transpose",            "padding removed", "lanes scattered", "sufficient .maxnreg", "an extra shuffle",
     "a round trip through shared memory", "CUDA C: swizzle removed"),
    ("transpose.copy",       "lanes scattered", "labels renamed"),
    ("triad",                "vector loads split", "registers renamed", "an extra division", "an extra approximation",
     "a system fence", "generic loads", "sleeps", "CUDA C: no __restrict__"),
    ("triad.v8",             "loads repeated", "neighbours exchanged"),
    ("w4a16_dequant",        "loads repeated", "sufficient .maxnreg"),
    ("w4a16_dequant.mixed",  "other comments"),
    ("warp_special",         "shared vector loads split", "labels renamed", "bulk copies repeated"),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("pair", "edits"), [(pair, edits) for pair, *edits in CHOSEN])
def test_a_known_cause_is_named_and_an_edit_without_effect_is_not(pair, edits):
    outcomes = audited(pair, *edits)
    assert {outcome.edit for outcome in outcomes} == set(edits)
    judged = [outcome for outcome in outcomes if "needs sm_100; " not in (outcome.skipped or "")]
    assert {outcome.edit for outcome in judged} == set(edits)
    for outcome in judged:
        assert outcome.skipped is None
        assert outcome.holds, outcome


def test_every_pair_and_every_edit_is_tested():
    assert [pair for pair, *_ in CHOSEN] == list(find_pairs(default_kernels()))
    tried = {edit for _, *edits in CHOSEN for edit in edits}
    assert tried >= {edit.name for edit in (*WORSE, *OF_PAIRS, *NEUTRAL)}
    assert tried >= {edit.name for edit in HOPPER}
    assert tried <= {edit.name for edit in EDITS}  # only some of costs.py and cuda.py; .ci/run makes them all


def test_every_rule_that_fails_has_a_mutant_that_it_must_catch():
    failing = {name for name, rule in RULES.items() if rule.fails} - {"launched_warps"}  # of no text: tests/cli
    assert {metric for edit in EDITS for metric in edit.expected} == failing


def test_every_kernel_can_scatter_its_lanes_or_has_a_reason_why_not():
    entries = {name.replace(".", "_") for name in find_pairs(default_kernels())}
    assert SCATTERED.keys() | UNSCATTERED.keys() | {"transpose", "transpose_copy"} == entries
    assert not SCATTERED.keys() & UNSCATTERED.keys()


@pytest.mark.parametrize(
    ("file", "edits"),
    [
        ("triad", set()),
        ("tma_reduce.copied", {"bulk copies repeated", "an extra phase of an mbarrier"}),
        ("hgemm_wgmma.multicast.sm_90a", {"an extra product of a warpgroup", "an extra barrier of the cluster",
                                          "a word of the cluster", "an extra phase of an mbarrier"}),  # two CTAs' bytes
    ],
)  # fmt: skip
def test_an_edit_of_a_unit_is_for_kernels_that_use_it_and_that_stay_right(file, edits):
    kernel = read_kernel((default_kernels() / "ptx" / f"{file}.ptx").read_text(), file.partition(".")[0])
    assert {edit.name for edit in HOPPER if edit.applies(kernel)} == edits


# pair, edit, all metrics that fail, before and after
EXACT = [
    ("transpose", "padding removed", {"ptx_shared_load_conflicts": (0, 1024 * 32 * 31),  # of 32 x 32 tiles, a row
                                      "ptx_shared_load_wavefronts": (1024 * 32, 1024 * 32 * 32)}),
    ("transpose", "an extra barrier",  {"ptx_barriers": (8192, 16384)}),
    ("triad",     "no .nc",        {"sass.nc": (4, 0)}),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "edit", "changes"), EXACT)
def test_no_other_metric_fails_if_nothing_else_was_changed(pair, edit, changes):
    several = audited(pair, edit)
    # of the two tiles the padded one: a barrier is over 2 % of the instructions of the other, which has its own rule
    for outcome in [group for group in several if pair != "transpose" or group.variant == "ptx.padded"]:
        assert {change.metric: (change.base, change.head) for change in outcome.changes} == changes
        assert outcome.exit_status == 3


# ---- an audit that can fail


def test_a_gate_without_its_rule_misses_the_mutant_and_the_audit_says_so(monkeypatch, ptxbench):
    monkeypatch.delitem(RULES, "ptx_barriers")
    ran = ptxbench("gate", "audit", "--mutants", "--pair", "softmax.warp", "--edit", "an extra barrier", "--json")
    assert ran.status == 3
    assert '"an extra barrier"' in ran.out
    (outcome,) = audited("softmax.warp", "an extra barrier")
    assert (outcome.failing, outcome.exit_status, outcome.skipped) == ([], 0, None)
    assert not outcome.holds


def test_a_gate_with_its_rule_is_good(ptxbench):
    ran = ptxbench("gate", "audit", "--mutants", "--pair", "softmax.warp", "--edit", "an extra barrier", "--json")
    assert ran.status == 0
    assert json.loads(ran.out)


def test_an_edit_that_fails_for_another_reason_is_not_caught(monkeypatch):
    monkeypatch.setattr(mutants, "EDITS", [Edit("barrier", ("spills",), edit.texts) for edit in EDITS
                                           if edit.name == "an extra barrier"])  # fmt: skip
    (outcome,) = audited("softmax.warp", "barrier")
    assert (outcome.failing, outcome.exit_status) == (["ptx_barriers"], 3)
    assert not outcome.holds


def test_an_alarm_about_a_neutral_edit_does_not_hold(monkeypatch):
    monkeypatch.setattr(mutants, "EDITS", [Edit("barrier", (), edit.texts) for edit in EDITS
                                           if edit.name == "an extra barrier"])  # fmt: skip
    (outcome,) = audited("softmax.warp", "barrier")
    assert outcome.neutral
    assert not outcome.holds


def test_a_mutant_that_does_not_change_the_machine_code_is_not_counted(monkeypatch):
    monkeypatch.setattr(mutants, "EDITS", [Edit("nothing", ("spills",), one_text(commented))])
    (outcome,) = audited("triad", "nothing", variants=["ptx"])
    assert outcome.skipped == "ptxas makes the same machine code from it."
    assert (outcome.failing, outcome.exit_status) == ((), 0)


def test_a_kernel_that_fits_the_fewest_registers_cannot_be_made_to_spill():
    (outcome,) = audited("triad", "registers spilled", variants=["ptx"])
    assert outcome.skipped == WORSE[5].undone


def test_so_much_shared_memory_that_no_cta_fits_is_not_tried():
    (outcome,) = audited("warp_special", "unused shared memory", variants=["ptx"])
    assert outcome.skipped == "something else limits how many warps fit an SM."


def test_a_wrong_mutant_is_not_counted_as_a_worse_one(monkeypatch):
    def wrong(kernel):
        return changed(kernel.text, "fma.rn.f32           %a_w, %s, %c_w, %b_w", "fma.rn.f32 %a_w, %s, %c_w, %c_w")

    monkeypatch.setattr(mutants, "EDITS", [Edit("wrong", ("sass.width",), one_text(wrong))])
    (outcome,) = audited("triad", "wrong", variants=["ptx"])
    assert (outcome.failing, outcome.exit_status) == (["verified"], 4)
    assert "triad.ptx, n=65536: a[" in outcome.reason
    assert not outcome.holds


def test_a_mutant_that_ptxas_refuses_is_not_counted_as_a_worse_one(monkeypatch):
    monkeypatch.setattr(
        mutants, "EDITS", [Edit("typo", ("spills",), one_text(lambda kernel: kernel.text.replace("fma", "fmb")))]
    )
    (outcome,) = audited("triad", "typo", variants=["ptx"])
    assert (outcome.failing, outcome.exit_status) == (["verified"], 4)
    assert not outcome.holds


# ---- options and bad input


def test_an_unknown_edit_gets_a_suggestion():
    with pytest.raises(UsageError, match=r"Unknown edit 'an extra barier'\. Did you mean 'an extra barrier'\?"):
        count_mutants(default_kernels(), (), ["an extra barier"])


def test_a_kernel_that_is_wrong_without_an_edit_shows_nothing_about_the_gate(tmp_path):
    kernels = kernels_folder(tmp_path, ptx=changed(PTX, "mul.rn.f32", "add.rn.f32"))
    outcomes = audited("scale", "an extra barrier", "no .nc", "other comments", kernels=kernels)
    assert [outcome.edit for outcome in outcomes] == ["an extra barrier", "other comments"]  # it has no .nc
    assert all("the original kernel is wrong: scale.ptx, n=1024: y[" in outcome.skipped for outcome in outcomes)


def test_a_file_that_ptxas_cannot_read_is_reported_with_its_line(tmp_path):
    kernels = kernels_folder(tmp_path)
    path = kernels / "ptx/scale.ptx"
    path.write_bytes(b"   \xc2\xb5s\n" + path.read_bytes())
    with pytest.raises(
        AssembleError, match=r"scale\.ptx:1: column 4 is 'µ' \(U\+00B5, MICRO SIGN\), which is not ASCII"
    ):
        count_mutants(kernels)


def test_pairs_of_a_folder_are_audited_like_the_shipped_ones(tmp_path):
    outcomes = audited(
        "scale", "a*", "*registers*", "sufficient *", "neighbours exchanged", kernels=kernels_folder(tmp_path)
    )
    assert len(outcomes) == 7
    assert all(outcome.holds or outcome.skipped for outcome in outcomes), outcomes
