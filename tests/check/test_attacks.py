"""Kernels with errors hidden by data, order or place: rejected, or a warning if no launch shows the error."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.check.candidate_launcher import CandidateLauncher
from ptxbench.check.launching import CheckKernel, LaunchOptions, launch
from ptxbench.check.repeats import collision_at, collisions, largest_by_turns
from ptxbench.check.stages import Checker
from ptxbench.check.suite import CheckSuite
from ptxbench.check.variations import aspects, varied
from ptxbench.errors import Deadlock
from ptxbench.verify import expect
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import changed

TILE = "mov.u32             %tile, tile;"
LAUNDERED = """.shared .u64 kept[256];
    .reg .u32 %number, %slot;
    .reg .u64 %own;
    .reg .u32 %seen;
    .reg .f32 %was;
    mad.lo.u32 %number, %warp, 32, %lane;
    mov.u32 %slot, kept;
    mad.lo.u32 %slot, %number, 8, %slot;
"""
SUM_OF_HALVES = "shfl.sync.bfly.b32  %other, %sum, 16, 31, 0xffffffff;"
BY_VOLATILE = """.shared .f32 kept[256];
    .reg .u32 %mine, %others;
    xor.b32 %others, %thread, 16;
    mov.u32 %mine, kept;
    mad.lo.u32 %others, %others, 4, %mine;
    mad.lo.u32 %mine, %thread, 4, %mine;
    st.volatile.shared.f32 [%mine], %sum;
    ld.volatile.shared.f32 %other, [%others];
"""


def broken(pair, *changes):
    """The PTX of a pair with the replacements (right, wrong)."""
    text = (KERNELS / "ptx" / f"{pair}.ptx").read_text()
    for right, wrong in changes:
        text = changed(text, right, wrong)
    return text


def leaves_if(condition):
    """A change of the transposition after which a thread does nothing where `condition` sets %leaves."""
    return TILE, f"{TILE}\n    .reg .pred %leaves;\n    .reg .u32 %known;\n    {condition}\n    @%leaves ret;"


REJECTED = [
    # its CTAs hope that those before them have started, as the ticket would have it
    ("scan", [("@%is_first st.shared.u32        [drawn]",
               "mov.u32 %tile, %ctaid.x;\n    @%is_first st.shared.u32 [drawn]")],
     "repeats depends-on-threads"),
    # its CTAs wait for those after them, which start only if all CTAs fit on the GPU at once
    ("scan", [("@%is_first st.shared.u32        [drawn]",
               "mov.u32 %offset_of, %nctaid.x;\n    mov.u32 %tile, %ctaid.x;\n    not.b32 %tile, %tile;\n"
               "    add.u32 %tile, %offset_of, %tile;\n    @%is_first st.shared.u32 [drawn]"),
              (".reg .u64    %x, %x_at,", ".reg .u32 %offset_of;\n    .reg .u64    %x, %x_at,")],
     "repeats depends-on-threads"),
    # it does not wait for the sums of those before it, which are there if CTAs run one after the other
    ("scan", [("@!%some_empty bra.uni               READY;", "bra.uni READY;")], "repeats depends-on-threads"),
    # a load, an addition and a store, between which other CTAs may store, as the emulator runs it in one thread
    ("histogram256", [("red.global.add.u32  [%bin_at], %count;",
                       "ld.volatile.global.u32 %bin, [%bin_at];\n    add.u32 %bin, %bin, %count;\n"
                       "    st.volatile.global.u32 [%bin_at], %bin;")],
     "repeats depends-on-threads"),
    # an addition by a swap that is not tried again if another CTA has added meanwhile
    ("reduce_sum", [("@%is_first red.global.add.f32  [%total], %sum;",
                     "@!%is_first bra DONE;\n    .reg .b32 %seen, %new;\n    ld.volatile.global.f32 %other, [%total];\n"
                     "    add.rn.f32 %sum, %sum, %other;\n    mov.b32 %seen, %other;\n    mov.b32 %new, %sum;\n"
                     "    atom.global.cas.b32 %seen, [%total], %seen, %new;")],
     "repeats depends-on-threads"),
    # lanes exchange sums through volatile shared memory and hope that all of their warp are as far, which is so if
    # they run together; the sum by an atomic has other bits in another order anyway
    ("reduce_sum", [(SUM_OF_HALVES, BY_VOLATILE)], "repeats schedule"),
    # shared memory that is zero by luck; counts that some warps have not finished
    ("histogram256", [("st.shared.u32  [%own], 0;\n", "")], "results wrong-result"),
    ("histogram256", [("COUNTED:\n    bar.sync            0;", "COUNTED:")], "results wrong-result"),
    # a fast warp's sum over a slow warp's maximum
    ("softmax", [("mov.u32                %sums, warp_sums;", "mov.u32                %sums, warp_maxima;")],
     "results wrong-result"),
    # right on data that does not overflow
    ("softmax.passes", [("mul.rn.ftz.f32  %base, %largest, 0fbfb8aa3b;", "mov.f32 %base, 0f00000000;")],
     "values wrong-result"),
    # leftovers of local memory, and a register that was never written
    ("transpose", [leaves_if(".local .u32 left[4]; ld.local.u32 %known, [left]; setp.ne.u32 %leaves, %known, 0; "
                             "st.local.u32 [left], 1;")], "results output-unwritten"),
    ("transpose", [leaves_if("setp.ne.u32 %leaves, %known, 0;")], "sanitizer uninitialised"),
    # all but the first row of CTAs
    ("transpose", [leaves_if("setp.ge.u32 %leaves, %block_y, 1;")], "results output-unwritten"),
    # an input that gets its old content back
    ("transpose", [(TILE, f"{TILE}\n    .reg .f32 %was;\n    .reg .u64 %own;\n    mov.u64 %own, %x;\n"
                          "    ld.global.f32 %was, [%own];\n    st.global.f32 [%own], %was;")], "lint input-written"),
    # an input that is restored, by an address that went through shared memory
    ("transpose", [(TILE, f"{TILE}\n{LAUNDERED} st.shared.u64 [%slot], %x; ld.shared.u64 %own, [%slot]; "
                          "ld.global.f32 %was, [%own]; st.global.f32 [%own], %was;")], "sanitizer race"),
    # a counter of launches, by an address that went through shared memory
    ("transpose", [(".visible .entry", ".global .u32 launches;\n.visible .entry"),
                   (TILE, f"{TILE}\n{LAUNDERED} mov.u64 %own, launches; st.shared.u64 [%slot], %own; "
                          "ld.shared.u64 %own, [%slot]; red.global.add.u32 [%own], 1;")],
     "results writable-module-state"),
    # values that are the same at every launch of one GPU
    ("transpose.padded", [leaves_if("mov.u32 %known, %total_smem_size; setp.gt.u32 %leaves, %known, 4224;")],
     "repeats depends-on-hardware"),
    ("transpose", [leaves_if(".reg .b64 %both; .reg .b32 %next; mov.b64 %both, {%smid, %lane}; "
                             "mov.b64 {%known, %next}, %both; setp.gt.u32 %leaves, %known, 131;")],
     "repeats depends-on-hardware"),
    ("transpose", [leaves_if("setp.ge.u32 %leaves, %tile, 8192;")], "repeats depends-on-address"),
    # the address of a function is the emulator's usual one
    ("triad", [(".visible .entry triad", ".func f() { ret; }\n.visible .entry triad"),
               ("    ld.param.u32        %n, [n];",
                "    .reg .u64 %f;\n    .reg .pred %elsewhere;\n    mov.u64 %f, f;\n"
                "    setp.ne.u64 %elsewhere, %f, 0x30000000000;\n    @%elsewhere ret;\n"
                "    ld.param.u32        %n, [n];")],
     "repeats depends-on-address"),
    # an update that other CTAs overwrite, behind an atomic that has nothing to do with it
    ("reduce_sum", [("@%is_first red.global.add.f32  [%total], %sum;",
                     "@!%is_first bra DONE;\n    red.global.add.f32 [%total], 0f00000000;\n"
                     "    ld.global.f32 %other, [%total];\n    add.rn.f32 %sum, %sum, %other;\n"
                     "    st.global.f32 [%total], %sum;")],
     "sanitizer race-between-ctas"),
    # an update between two swaps is lost
    ("reduce_sum", [("@%is_first red.global.add.f32  [%total], %sum;",
                     "@!%is_first bra DONE;\n    atom.global.exch.b32 %other, [%total], 0f00000000;\n"
                     "    add.rn.f32 %sum, %sum, %other;\n    atom.global.exch.b32 %other, [%total], %sum;")],
     "repeats depends-on-threads"),
    # an update of shared memory that other warps overwrite
    ("reduce_sum", [("@%leads st.shared.f32  [%slot], %sum;\n    bar.sync               0;",
                     "@%leads st.shared.f32  [%slot], 0f00000000;\n    bar.sync 0;\n    @!%leads bra ADDED;\n"
                     "    ld.volatile.shared.f32 %other, [%sums];\n    add.rn.f32 %sum, %sum, %other;\n"
                     "    st.volatile.shared.f32 [%sums], %sum;\nADDED:\n    bar.sync 0;")],
     "repeats depends-on-threads"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "changes", "expected"), REJECTED)
def test_a_wrong_kernel_is_rejected_even_if_something_hides_the_error(file, changes, expected):
    content = broken(file, *changes).encode()
    assert outcome(judged(Path("attack.ptx"), file.partition(".")[0], content)) == expected


def test_a_race_between_threads_of_the_host_is_rejected_wherever_it_shows():
    """A load, an addition and a store, between which the CTAs of another thread may store, or may not."""
    addition = (
        "red.global.add.u32  [%bin_at], %count;",
        "ld.global.u32 %bin, [%bin_at];\n    add.u32 %bin, %bin, %count;\n    st.global.u32 [%bin_at], %bin;",
    )
    judgement = judged(Path("attack.ptx"), "histogram256", broken("histogram256", addition).encode())
    assert judgement.verdict == "rejected"
    assert judgement.ended_at in ("results", "hidden", "values", "sanitizer", "repeats")


@pytest.mark.parametrize(("cache", "expected"), [("", "accepted"), (".nc", "sanitizer nc-of-written")])
def test_an_address_through_shared_memory_is_a_warning_and_a_read_only_load_of_what_was_written_is_rejected(
    cache, expected
):
    hidden = (
        "@%writes_8 st.global.f32   [%y_at_8], %out_8;",
        f"@%writes_8 st.global.f32   [%y_at_8], %out_8;\n{LAUNDERED} st.shared.u64 [%slot], %y_at_8; "
        "ld.shared.u64 %own, [%slot]; @%writes_8 "
        f"ld.global{cache}.f32 %was, [%own]; @%writes_8 st.global.f32 [%y_at_8], %was;",
    )
    judgement = judged(Path("attack.ptx"), "transpose", broken("transpose", hidden).encode())
    assert outcome(judgement) == expected
    assert "hides-address" in {finding.code for finding in judgement.findings}


def test_a_variant_that_the_architecture_cannot_run_is_not_an_excuse():
    old = suite("hgemm_mma", arch="sm_75")
    assert {"cuda", "ptx"} <= set(old.pair_kernels.executable)
    assert set(old.pair_kernels.right) == {"cuda"}  # the matrix instructions of the PTX need sm_80
    assert [old.beyond_contract(case) for case in old.check] == [None] * len(old.check)


def test_another_order_of_ctas_does_not_count_if_a_kernel_of_the_pair_depends_on_it_too(tmp_path):
    right, wrong, _ = REJECTED[0]
    path = tmp_path / "attack.ptx"
    path.write_text(broken(right, *wrong))
    scan = CheckSuite(suite("scan").loaded, "sm_90", 3)
    launcher, case = Checker(scan, path).launcher, scan.repeated[0]
    some = aspects(scan.drawn("variations"), 1, "last first")
    (dependence,) = varied(launcher, case, None, some)
    assert dependence.code == "depends-on-threads"
    assert dependence.message.startswith("with the CTAs one after the other, the last one first: ")
    assert dependence.hint.startswith("A CTA waits for one that may start after it has ended.")
    scan.pair_kernels.__dict__["right"] = {"ptx": CheckKernel(path.read_text(), "scan", "sm_90")}
    assert list(varied(launcher, case, None, some)) == []


@pytest.mark.parametrize("update", ["atom.global.cas", "st.volatile.global.u32"])
def test_updates_by_turns_are_tried_at_the_largest_check_size_too(tmp_path, update):
    """At a hidden size, CTAs may all update different places."""
    right, changes, _ = next(row for row in REJECTED if update in row[1][0][1])
    path = tmp_path / "attack.ptx"
    for text, found in ((broken(right, *changes), ["depends-on-threads"]), (broken(right), [])):
        path.write_text(text)
        launcher = Checker(CheckSuite(suite(right).loaded, "sm_90", 3), path).launcher
        assert [finding.code for finding in largest_by_turns(launcher)] == found


@pytest.mark.parametrize("name", ["remembers.ptx", "right_five_times.ptx", "right_once.cu", "knows_its_data.cu"])
def test_later_launches_find_errors_even_if_a_kernel_of_the_pair_keeps_state(name):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    triad.pair_kernels.__dict__.update(keeps_state=True, lint_codes=frozenset({"writable-module-state"}))
    judge = Checker(triad, Path(__file__).with_name("hostile") / name)
    assert "writable-module-state" not in {finding.code for finding in judge.lint().findings}
    assert [finding.code for finding in judge.repeats().findings] == ["depends-on-launch"]


@pytest.mark.parametrize(("later", "found"), [("v", []), ("__fmaf_rz(s, c[i], b[i])", ["bits-differ"])])
def test_later_launches_may_keep_state_but_give_the_same_bits(tmp_path, later, found):
    """The pair allows one unit in the last place."""
    text = (Path(__file__).with_name("hostile") / "right_once.cu").read_text()
    text = changed(text, "seen[i] ? 0.0f : fmaf(s, c[i], b[i])", f"seen[i] ? {later} : v")
    text = changed(text, "a[i] =", "{ const float v = fmaf(s, c[i], b[i]); a[i] =")
    (tmp_path / "keeps.cu").write_text(changed(text, "seen[i] = 1;", "seen[i] = 1; }"))
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    triad.pair_kernels.__dict__.update(keeps_state=True, lint_codes=frozenset({"writable-module-state"}))
    judgement = Checker(triad, tmp_path / "keeps.cu").repeats()
    assert [finding.code for finding in judgement.findings] == found


def left_by(first, at, by=1):
    """The outputs of a launch after one element of the bins was changed."""
    bins = first.outputs["bins"].copy()
    bins[at] += by
    return dataclasses.replace(first, outputs={"bins": bins})


@pytest.mark.parametrize(
    ("first_writes", "last_writes", "collide"), [(0, 0, True), (0, 1, False), (0, None, False), (None, None, False)]
)
def test_two_ctas_collide_where_both_write_even_if_neither_ends(first_writes, last_writes, collide):
    histogram = suite("histogram256")
    case, launcher = histogram.repeated[0], CandidateLauncher(histogram, text=None, fuel=0)
    launched = launch(histogram.pair_kernels.executable["ptx"], histogram.pair, case, LaunchOptions())
    before = dataclasses.replace(
        launched, outputs={"bins": case.arguments["bins"].copy()}, counters={"ptx_atomic_global_requests": 0}
    )

    def lone(case, how):
        at = first_writes if how.ctas == "first alone" else last_writes
        if at is None:
            raise Deadlock("it waits for another.")
        return left_by(before, at)

    launcher.launch = lone
    whole = left_by(before, 0, 2)
    assert (collision_at(launcher, case, whole) is not None) == collide
    atomic = dataclasses.replace(whole, counters={"ptx_atomic_global_requests": 1})
    assert list(collisions(launcher, atomic, case)) == []


@pytest.mark.parametrize(("complaints", "found"), [(["same-place"], True), ([], False)])
def test_if_every_cta_stores_to_one_place_the_largest_size_is_tried_too(complaints, found, monkeypatch):
    """At the size of the other launches the last CTA may have nothing to add."""
    histogram = suite("histogram256")
    case, launcher = histogram.repeated[0], Checker(histogram, KERNELS / "ptx" / "histogram256.ptx").launcher
    lint = [SimpleNamespace(code=code) for code in complaints]
    monkeypatch.setattr(CandidateLauncher, "complaints", property(lambda self: lint))
    launched = launch(histogram.pair_kernels.executable["ptx"], histogram.pair, case, LaunchOptions())

    def lone(current, options):
        start = dataclasses.replace(launched, outputs={"bins": current.arguments["bins"].copy()})
        idle = options.ctas == "last alone" and current is case
        return start if idle else left_by(start, 0, 1 if "alone" in options.ctas else 2)

    launcher.launch = lone
    whole = dataclasses.replace(lone(case, LaunchOptions()), counters={"ptx_atomic_global_requests": 0})
    findings = list(collisions(launcher, whole, case))
    assert [finding.code for finding in findings] == (["depends-on-threads"] if found else [])
    assert all(finding.message.startswith(f"{histogram.largest.label}: ") for finding in findings)
    assert all("red.global.add" in launcher.text.ptx.splitlines()[finding.line - 1] for finding in findings)


@pytest.mark.parametrize(
    ("huge", "left", "excused"),
    [
        (1e38, np.nan, True), (1e38, np.inf, True), (1e38, 0.0, False),
        (1.0, np.nan, False), (np.inf, np.nan, False),
    ],
)  # fmt: skip
def test_where_inputs_add_up_to_more_than_f32_holds_the_order_decides_between_infinity_and_nan(huge, left, excused):
    total = suite("reduce_sum")
    case = total.check[-1]
    x = np.full_like(case.arguments["x"], huge)
    arguments = {**case.arguments, "x": x}
    case = dataclasses.replace(case, arguments=arguments, expected=expect(total.pair, arguments))
    launched = launch(total.pair_kernels.executable["ptx"], total.pair, total.check[-1], LaunchOptions())
    wrong = dataclasses.replace(launched, outputs={"total": np.full(1, left, np.float32)})
    assert total.is_explained(wrong, case, "values") == excused
