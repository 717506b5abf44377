"""Whole printed gates, and their parts for GitHub."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ptxbench.exporters.gate import to_json, to_junit, to_markdown
from ptxbench.exporters.github import MOST_BYTES, annotate, summary
from ptxbench.safe_text import workflow_property, workflow_text
from ptxbench.terminal.gate import GateTable
from ptxbench.verdict.config import GateConfig, parse
from ptxbench.verdict.gate import gate
from ptxbench.verdict.problems import Problem
from ptxbench.wording.gating import header, steps
from ptxbench.wording.remedies import waivers
from tests.cli.test_gate import BASE, BEFORE, TIMED, UNLIKE_TOOLS, after, counted, timed
from tests.runs import Kernel
from tests.terminal.test_table import printed

COUNTED = gate(
    counted({"triad": after(registers=40, ptx_barriers=96), "scan": after(status="wrong", reason="y[2] is 1.")}),
    BASE,
    GateConfig(),
)
RATIOS = gate(
    timed({"cuda": Kernel(50), "ptx": Kernel(50, "B")}),
    TIMED,
    parse('version = 1\n[[pair]]\nmatch = "triad"\nmin_speedup = 1.1'),
)


def test_counters_are_shown_with_changes_and_advice():
    assert (
        printed(GateTable(COUNTED)).replace((date.today() + timedelta(days=30)).isoformat(), "2026-03-02")
        == """\
base  ba5e0001  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee
head  4ead0001  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee

gate  verdict    variant    metric        base  head  change
────────────────────────────────────────────────────────────
FAIL  REGRESSED  triad ptx  ptx_barriers    64    96   +50 %
                 n=64
warn  REGRESSED  triad ptx  registers       22    40   +82 %
                 n=64

FAIL BROKEN    scan ptx n=64: ptx is wrong: y[2] is 1.
               Next: ptxbench run scan --variant ptx --size n=64 --backend emulator --arch sm_90
FAIL REGRESSED triad ptx n=64 (ptx_barriers): warps wait at more barriers; code moved (ptx: source);
               registers 22 -> 40, ptx_barriers 64 -> 96.
               Next: git checkout c0ffee && ptxbench gate --pair triad --mode counters --arch sm_90
               --base ba5e0001. If intended: ptxbench baseline set 4ead0001 --reason TEXT, and
               commit baselines/emulator-sm_90.json. For a while: a [[waive]].

To waive it for a while, in ptxbench.toml, with the reason:

[[waive]]
pair = "triad"
variant = "ptx"
metric = "ptx_barriers"
max = 0.51
until = 2026-03-02
reason = "TEXT"

Gate: a wrong or broken kernel (exit status 4). 2 rows fail, 1 row warns, 43 rows pass.
1 BROKEN, 2 REGRESSED, 15 NO-REGRESSION, 28 SAME-CODE.
Gated: counters, exact. A [[pair]] may have other limits.
"""
    )


def test_ratios_with_their_intervals_against_baseline_and_limit():
    text = printed(GateTable(RATIOS))
    assert (
        text[: text.index("FAIL REGRESSED")]
        == """\
base  ba5e0002  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee
head  4ead0002  2026-01-31T12:00:00Z  NVIDIA H100 80GB HBM3  c0ffee

gate  verdict    variant    metric        base   head   change          interval
────────────────────────────────────────────────────────────────────────────────
FAIL  REGRESSED  triad ptx  ratio        0.898  0.999  +11.3 %  +11.0 .. +11.8 %
                 n=64       min_speedup  1.100  1.001   -9.0 %    -9.4 .. -8.8 %

"""
    )


def test_the_head_lines_name_what_the_runs_differ_in_and_a_run_that_is_not_complete():
    assert list(header(gate(UNLIKE_TOOLS, BASE, GateConfig())))[2:] == [
        "They differ in ptxas 13.2.78 -v -> 13.9 -v (NOT-COMPARABLE: counts of the tools)."
    ]
    cut = replace(BASE, run=replace(BASE.run, status="interrupted"))
    frame = "ba5e0001  2026-01-31T12:00:00Z  emulator-sm_90  c0ffee"
    assert list(header(gate(cut, BASE, GateConfig()))) == [f"base  {frame}", f"head  {frame}  interrupted"]


def test_a_warning_is_left_out_only_if_its_own_variant_fails():
    """The failure says the same, with all numbers."""
    head = counted({"triad": after(registers=40, ptx_barriers=96), "scan": after(registers=40)})
    todo = steps(gate(head, BASE, GateConfig()))
    assert [(step.outcome, step.words.split(":")[0]) for step in todo] == [
        ("FAIL", "triad ptx n=64 (ptx_barriers)"), ("warn", "scan ptx n=64 (registers)"),
    ]  # fmt: skip


def test_a_command_is_not_cut_on_a_narrow_terminal():
    size = {"sms": 132, "copiers": 20, "n": 1048576, "chunk": 16384, "tiles": 132, "steps": 8, "roles": 3}
    base, head = (
        replace(run, cells=[replace(cell, size=size) for cell in run.cells])
        for run in (counted({"a": BEFORE}), counted({"a": after(ptx_barriers=65)}))
    )
    text = printed(GateTable(gate(head, base, GateConfig())), width=80)
    assert "ptxbenchgate--paira--modecounters--archsm_90" in "".join(text.split())
    assert "…" not in text


def test_a_small_change_of_a_large_count_is_visible_in_the_explanation():
    base, head = (counted({"a": after(code, ptx_barriers=n)}) for code, n in (("A", 123456789012), ("B", 123456789013)))
    assert "ptx_barriers 123,456,789,012 -> 123,456,789,013" in steps(gate(head, base, GateConfig()))[0].words


def test_no_line_is_wider_than_the_terminal():
    for result in (COUNTED, RATIOS, gate(UNLIKE_TOOLS, BASE, GateConfig())):
        for width in (100, 80):
            assert max(map(len, printed(GateTable(result), width=width).splitlines())) <= width


def test_every_row_that_does_not_pass_has_a_next_step():
    for result in (COUNTED, RATIOS, gate(UNLIKE_TOOLS, BASE, GateConfig()), gate(BASE, None, GateConfig())):
        todo = steps(result)
        assert todo
        assert all(step.words and step.remedy for step in todo)


def test_counts_that_no_tool_made_are_named_with_advice():
    bare = replace(BASE, cells=[replace(cell, variants={
        name: replace(result, build=replace(result.build, sass={})) for name, result in cell.variants.items()
    }) for cell in BASE.cells])  # fmt: skip
    [step] = steps(gate(bare, BASE, GateConfig()))
    assert step.words.startswith("triad cuda n=64 (sass, sass.local, sass.width), triad ptx n=64 (sass, ")
    assert step.remedy == (
        "ptxbench doctor shows which tool is missing. If intended: ptxbench baseline set ba5e0001 --reason TEXT, and "
        "commit baselines/emulator-sm_90.json."
    )


def many(count):
    """A gate with that many missing pairs, each with a different reason: no two are reported together."""
    reasons = {f"pair_{i:04}": after(status="unsupported", reason=f"no instruction {i}.") for i in range(count)}
    return gate(
        counted({**reasons, "z": BEFORE}), counted({**dict.fromkeys(reasons, BEFORE), "z": BEFORE}), GateConfig()
    )


def test_github_gets_a_few_annotations_and_the_number_of_the_others():
    lines = list(annotate(many(20)))
    assert len(lines) == 9
    assert lines[0].startswith("::error title=ptxbench gate MISSING::pair_0000 ptx n=64: ptx is unsupported: no ")
    assert lines[-1].startswith("::error title=ptxbench gate::12 more. Gate: no verdict (exit status 5).")
    assert len(list(annotate(many(8)))) == 8
    assert list(annotate(gate(BASE, BASE, GateConfig()))) == []


ARGV = [
    (["gate", "--kernels", "my kernels", "--json"], " --kernels 'my kernels'"),
    (["gate", "--kernels=k"], " --kernels=k"),
    (["gate"], ""),
    (["--kernels"], " --kernels ''"),
    (None, ""),
]


@pytest.mark.parametrize(("argv", "words"), ARGV)
def test_the_command_that_repeats_a_row_takes_the_kernels_of_its_run(argv, words):
    head = counted({"triad": after(ptx_barriers=65), "scan": BEFORE}, run={"argv": argv})
    [step] = steps(gate(head, BASE, GateConfig()))
    assert (
        f"ptxbench gate --pair triad --mode counters --arch sm_90 --base ba5e0001{words}. If intended:" in step.remedy
    )


def test_a_row_at_its_own_size_is_repeated_by_a_run():
    head = counted({"triad": after(ptx_barriers=65), "scan": BEFORE}, run={"argv": ["run", "--size=n=64"]})
    [step] = steps(gate(head, BASE, GateConfig()))
    assert step.remedy.startswith("ptxbench run triad --variant ptx --size n=64 --backend emulator --arch sm_90. ")


def test_a_warm_row_is_repeated_by_a_warm_run():
    few = timed({"cuda": Kernel(50), "ptx": Kernel(50, "B")}, 4)
    warm = [replace(run, cells=[replace(cell, cache="warm") for cell in run.cells]) for run in (few, TIMED)]
    [step] = steps(gate(*warm, config=parse('version = 1\n[gate]\ninconclusive = "fail"')))
    assert "ptxbench run triad --variant cuda --variant ptx --size n=64 --cache warm --rounds 5" in step.remedy
    assert "n=64 warm cache" in printed(GateTable(gate(*warm, config=GateConfig())))


def located(run, file="kernels/ptx/triad.ptx", lines=(("ptx_barriers", 14),)):
    """The run with the file and the lines of triad's PTX."""
    [cell, *others] = run.cells
    ptx = replace(cell.variants["ptx"], file=file, hot_lines=dict(lines))
    return replace(run, cells=[replace(cell, variants={**cell.variants, "ptx": ptx}), *others])


def test_uncommitted_changes_are_named_before_a_baseline_is_set():
    head = located(counted({"triad": after(ptx_barriers=65), "scan": BEFORE}))
    head = replace(head, source=replace(head.source, dirty=True))
    [step] = steps(gate(head, BASE, GateConfig()))
    assert step.remedy.startswith("ptxbench gate --pair triad")  # no commit to check out
    assert (
        "If intended: commit kernels/ptx/triad.ptx, then ptxbench run --backend emulator, then ptxbench baseline set "
        "latest --reason TEXT, and commit baselines/emulator-sm_90.json." in step.remedy
    )


def test_annotations_point_at_the_line_with_the_highest_count():
    head = located(counted({"triad": after(ptx_barriers=65), "scan": BEFORE}))
    [line] = annotate(gate(head, BASE, GateConfig()))
    assert line.startswith("::error file=kernels/ptx/triad.ptx,line=14,title=ptxbench gate REGRESSED::triad ptx n=64 ")
    [line] = annotate(gate(head, BASE, GateConfig()), "sub/")
    assert line.startswith("::error file=sub/kernels/ptx/triad.ptx,line=14,")
    both = counted({"triad": after(ptx_barriers=65, ptx_shared_load_conflicts=3), "scan": BEFORE})
    both = located(both, lines=[("ptx_barriers", 14), ("ptx_shared_load_conflicts", 20)])
    [line] = annotate(gate(both, BASE, GateConfig()))
    assert "line=20," in line  # there were none before
    hostile = located(head, "a,line=1::error::b\n.ptx")
    [line] = annotate(gate(hostile, BASE, GateConfig()))
    assert "\n" not in line
    assert line.startswith("::error file=a%2Cline=1%3A%3Aerror%3A%3Ab%0A.ptx,line=14,title=")


def test_annotations_of_a_broken_kernel_point_at_the_line_that_failed():
    head = counted({"triad": after(status="broken", reason="triad.ptx:7: reads outside 'x'."), "scan": BEFORE})
    [line] = annotate(gate(located(head), BASE, GateConfig()))
    assert line.startswith("::error file=kernels/ptx/triad.ptx,line=7,")


def test_a_waiver_is_ready_to_paste():
    """It parses as a config, and covers the failures: with a number, or without one for a count that was 0."""
    worse = after(ptx_barriers=65, ptx_shared_load_conflicts=3)
    failing = gate(counted({"triad": worse, "scan": BEFORE}), BASE, GateConfig())
    assert failing.exit_status == 3
    blocks = list(waivers(failing.failing, failing.config))
    assert len(blocks) == len(failing.failing) == 2
    document = "version = 1\n" + "\n".join(blocks)
    assert gate(counted({"triad": worse, "scan": BEFORE}), BASE, parse(document)).exit_status == 0
    worst = after(ptx_barriers=90, ptx_shared_load_conflicts=3)
    assert gate(counted({"triad": worst, "scan": BEFORE}), BASE, parse(document)).exit_status == 3  # beyond its `max`
    assert all(block in to_markdown(failing) for block in blocks)


def test_the_worst_row_comes_first():
    """Wrong kernels come first. Among equal verdicts, counters that were zero come first, then the greatest change."""
    pairs = {"a": after(ptx_barriers=65), "b": after(ptx_barriers=128), "c": after(ptx_shared_load_conflicts=1),
             "d": after(status="wrong", reason="y[2] is 1.")}  # fmt: skip
    result = gate(counted(pairs), counted(dict.fromkeys(pairs, BEFORE)), GateConfig())
    assert [step.words[0] for step in steps(result)] == ["d", "c", "b", "a"]
    assert [line.split("::")[2][0] for line in annotate(result)] == ["d", "c", "b", "a"]


def test_annotations_are_escaped_workflow_text():
    result = replace(COUNTED, rows=[], problems=[Problem("100 %\r\nbad", "a:b,c")])
    assert list(annotate(result)) == ["::error title=ptxbench gate::100 %25%0Abad Next: a:b,c"]
    assert workflow_text("50%25") == "50%2525"
    assert workflow_property("a:b,c%") == "a%3Ab%2Cc%25"


def test_a_summary_that_is_too_long_is_cut_with_a_note():
    result = many(50)
    complete = to_markdown(result)
    assert summary(result) == complete
    cut = summary(result, MOST_BYTES - 5000)
    assert len(cut.encode()) < 5200
    assert cut.splitlines()[-1].endswith("more lines are cut here: `ptxbench gate -o FILE.md` has them.")
    assert summary(result, MOST_BYTES).splitlines()[-1].startswith(f"{len(complete.splitlines())} more lines are cut")


def test_markdown_has_a_marker_the_causes_and_the_rows():
    text = to_markdown(RATIOS)
    assert text.startswith("<!-- ptxbench gate -->\n**Gate: a regression (exit status 3).")
    assert "| FAIL | REGRESSED | triad | `ptx` | n=64 | ratio | 0.898 | 0.999 | +11.3 % | +11.0 .. +11.8 % |" in text


def test_compiler_output_is_visible_in_markdown():
    broken = counted({"triad": after(status="broken", reason="expected\n<!-- ';'"), "scan": BEFORE})
    assert "ptx is broken: expected &lt;!-- ';'" in to_markdown(gate(broken, BASE, GateConfig()))


def test_compiler_output_cannot_break_the_xml():
    broken = counted({"triad": after(status="broken", reason="ptxas: \x1b[31m<bad> & \x00 \ud800"), "scan": BEFORE})
    assert r"ptxas: \x1b[31m&lt;bad&gt; &amp; \x00 \ud800" in to_junit(gate(broken, BASE, GateConfig()))


def test_junit_and_json_agree_with_the_gate():
    text = to_junit(COUNTED)
    assert 'tests="46" failures="2" errors="0" skipped="0"' in text
    assert to_json(COUNTED).count('"outcome": "fail"') == 2
    first = to_junit(gate(BASE, None, GateConfig()))
    assert 'tests="5" failures="0" errors="0" skipped="1"' in first  # that there is no baseline
    owed = to_junit(gate(BASE, None, GateConfig(first_run="fail")))
    assert 'tests="5" failures="1" errors="0" skipped="0"' in owed
    for document in (text, first, owed):
        assert (
            f'failures="{document.count("<failure ")}" errors="0" skipped="{document.count("<skipped ")}"' in document
        )
        assert f'tests="{document.count("<testcase ")}"' in document
