"""The GitHub Action: each step is executed, in order, on a folder of kernels, with a scripted `gh` and `pip`."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from ptxbench.result import to_json
from ptxbench.verdict.baseline import baseline_text
from tests.folders import changed
from tests.quick import every

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
SCRIPTS = [step for step in STEPS if "run" in step]

GITHUB = {
    "action_path": str(ROOT),
    "event_name": "pull_request",
    "event.number": "7",
    "repository": "owner/kernels",
    "run_id": "99",
    "server_url": "https://github.com",
}

PYTHON = f"""#!{sys.executable}
# A Python whose `pip install` only notes what it was to install, and whose ptxbench is that of the tests.
import pathlib, sys
note = pathlib.Path(__file__).with_name("installed")
if sys.argv[1:3] == ["-m", "venv"]:
    folder = pathlib.Path(sys.argv[3], "bin")
    folder.mkdir(parents=True)
    for name, text in (("python", pathlib.Path(__file__).read_text()),
                       ("ptxbench", "#!/bin/sh\\nexec '{sys.executable}' -m ptxbench \\"$@\\"\\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
elif sys.argv[1:4] == ["-m", "pip", "install"]:
    note.write_text("\\n".join(each for each in sys.argv[4:] if not each.startswith("--")))
else:
    sys.exit(f"unexpected: {{sys.argv[1:]}}")
"""

GH = f"""#!{sys.executable}
# The comments of one pull request, in a file. REFUSES in the environment: a token without permission.
import json, os, pathlib, sys
state = pathlib.Path(__file__).with_name("comments.json")
comments = json.loads(state.read_text())
words = [word for word in sys.argv[1:] if word not in ("--silent", "--paginate")]
assert words.pop(0) == "api" and os.environ["GH_TOKEN"] == "secret", sys.argv
options = {{words[at]: words[at + 1] for at in range(len(words) - 1) if words[at].startswith("-")}}
where = next(word for at, word in enumerate(words) if word[0] != "-" and (at == 0 or words[at - 1][0] != "-"))
if where == "graphql":
    print("github-actions[bot]")
elif os.environ.get("REFUSES"):
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
elif "--jq" in options:
    assert where == "repos/owner/kernels/issues/7/comments"
    assert options["--jq"] == ".[] | select(.user.login == env.OWN and (.body | startswith(env.MARKER))) | .id"
    for comment in comments:
        if comment["user"]["login"] == os.environ["OWN"] and comment["body"].startswith(os.environ["MARKER"]):
            print(comment["id"])
else:
    body = pathlib.Path(options["-F"].removeprefix("body=@")).read_text()
    if options.get("-X") == "PATCH":
        [mine] = [each for each in comments if where == f"repos/owner/kernels/issues/comments/{{each['id']}}"]
        mine["body"] = body
    else:
        assert where == "repos/owner/kernels/issues/7/comments"
        comments.append({{"id": 1000 + len(comments), "user": {{"login": "github-actions[bot]"}}, "body": body}})
    state.write_text(json.dumps(comments))
"""


class Job(NamedTuple):
    """What a job with the action as its only step leaves: its status, log, summary, and the uses of other actions."""

    status: int
    log: str
    summary: str
    used: dict
    outputs: dict


class Runner:
    """A runner of GitHub with just what action.yml needs: expressions, conditions, outputs and files of commands."""

    def __init__(self, folder, inputs, github):
        self.folder = folder
        self.known = {f"github.{name}": value for name, value in {**GITHUB, **github}.items()}
        self.known |= {f"inputs.{name}": definition["default"] for name, definition in ACTION["inputs"].items()}
        for name, value in inputs.items():
            assert f"inputs.{name}" in self.known
            self.known[f"inputs.{name}"] = value
        self.known["steps.python.outputs.python-path"] = str(folder / "bin/python")

    def value(self, expression):
        """An expression of GitHub: names, strings, `==`, `!=`, `&&`, `||`. A name that is not known is empty."""
        parts = re.findall(r"'[^']*'|[a-z][\w.-]*|[=!&|]{2}", expression)
        assert re.sub(r"\s", "", expression) == re.sub(r"\s", "", "".join(parts)), f"unknown: {expression}"
        words = {"&&": "and", "||": "or", "==": "==", "!=": "!="}
        python = [words.get(part) or (part if part[0] == "'" else repr(self.known.get(part, ""))) for part in parts]
        return eval(" ".join(python), {"__builtins__": {}})

    def text(self, template):
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: str(self.value(match[1])), str(template))

    def run(self):
        temporary = self.folder / "temporary"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        summary, log, used, status = self.folder / "summary.md", "", {}, 0
        summary.write_text("")
        for step in STEPS:
            if "if" in step and not self.value(re.fullmatch(r"\$\{\{ (.*) \}\}", step["if"])[1]):
                continue
            if "uses" in step:
                used[step["uses"]] = {name: self.text(value) for name, value in step["with"].items()}
                continue
            output = temporary / "output"
            output.write_text("")
            environment = {
                **os.environ,
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "RUNNER_TEMP": str(temporary),
                "GITHUB_ACTIONS": "true",
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_WORKSPACE": str(self.folder / "work"),
                **{name: self.text(expression) for name, expression in step["env"].items()},
            }
            # as the runner does it for `shell: bash`
            command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
            cwd = self.folder / "work" / self.text(step.get("working-directory", "."))
            ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
            log += ran.stdout + ran.stderr
            for line in output.read_text().splitlines():
                name, _, value = line.partition("=")
                self.known[f"steps.{step['id']}.outputs.{name}"] = value
            if status := ran.returncode:
                break
        outputs = {name: self.text(declared["value"]) for name, declared in ACTION["outputs"].items()}
        return Job(status, log, summary.read_text(), used, outputs)


@pytest.fixture
def job(tmp_path, recorded):
    """Runs the action in a checkout with the pair `scale` and its baseline; `edit` changes the kernel."""
    work = tmp_path / "work"
    (work / ".git").mkdir(parents=True)
    shutil.copytree(recorded.kernels, work / "kernels")
    (work / "baselines").mkdir()
    (work / "baselines/emulator-sm_90.json").write_text(baseline_text(recorded.run, "the first", date(2026, 11, 1)))
    (tmp_path / "bin").mkdir()
    for name, text in (("python", PYTHON), ("gh", GH)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin/comments.json").write_text("[]")

    def job(edit=None, github=(), **inputs):
        ptx = work / "kernels/ptx/scale.ptx"
        ptx.write_text(changed(ptx.read_text(), *edit) if edit else ptx.read_text())
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        return Runner(tmp_path, named, dict(github)).run()

    return job


@pytest.fixture
def comments(tmp_path):
    return lambda: [comment["body"] for comment in json.loads((tmp_path / "bin/comments.json").read_text())]


MORE = ("    st.global.f32", "    bar.sync 0;\n    st.global.f32")
UPLOAD = "actions/upload-artifact@v4"
MARKER = "<!-- ptxbench gate: ptxbench -->\n"


def test_a_change_that_is_no_worse_passes_and_a_regression_fails_and_updates_the_comment(job, comments, tmp_path):
    passed = job(token="secret", sarif="true", requirements="pins.txt")
    assert (passed.status, passed.outputs["exit-status"]) == (0, "0"), passed.log
    assert (tmp_path / "temporary/ptxbench/bin/installed").read_text() == f"{ROOT}[cu13]\n-r\npins.txt"
    assert "**Gate: passed (exit status 0)." in passed.summary
    [comment] = comments()
    assert comment.startswith(f"{MARKER}<!-- ptxbench gate -->\n**Gate: passed (exit status 0).")
    assert comment.endswith("[The job](https://github.com/owner/kernels/actions/runs/99)\n")

    failed = job(MORE, token="secret", sarif="true")
    assert (failed.status, failed.outputs["exit-status"]) == (3, "3"), failed.log
    assert "**Gate: a regression (exit status 3)." in failed.summary
    [comment] = comments()  # the same one
    assert "**Gate: a regression (exit status 3)." in comment
    assert "ptx_barriers" in comment
    assert re.search(r"^::error file=kernels/ptx/scale.ptx,line=\d+,title=ptxbench gate REGRESSED::", failed.log, re.M)
    assert failed.used["github/codeql-action/upload-sarif@v4"] == {
        "sarif_file": f"{failed.outputs['report']}/gate.sarif", "category": "ptxbench",
    }  # fmt: skip
    [result] = json.loads(Path(failed.outputs["report"], "gate.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "gate-regressed"
    assert failed.used[UPLOAD]["path"] == failed.outputs["report"]
    assert list(Path(failed.outputs["report"]).glob("results/*/*.json"))  # to make a baseline from


# what it is, inputs, what github says, exit status, what is in the summary. The run is a saved one.
JOBS = [
    ("without a token", {"pairs": "sc* "}, {}, 0, "**Gate: passed"),
    ("outside a pull request", {"token": "secret", "args": "--mode counters"}, {"event_name": "push"}, 0,
     "**Gate: passed"),
    ("a mode without a verdict", {"args": "--mode ratio"}, {}, 5,
     "The ratio gate was requested, but the run has no times."),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "github", "status", "message"), every(3, [row[1:] for row in JOBS]),
                         ids=[row[0] for row in JOBS])  # fmt: skip
def test_a_job_without_a_comment_has_its_summary(job, comments, recorded, tmp_path, inputs, github, status, message):
    (tmp_path / "work/saved.json").write_text(to_json(recorded.run))
    ran = job(github=github, run="saved.json", **inputs)
    assert (ran.status, message in ran.summary, comments()) == (status, True, []), (ran.log, ran.summary)


def test_a_mistake_gets_a_comment_and_other_comments_stay(job, comments, tmp_path):
    others = [
        {"id": 1, "user": {"login": "somebody"}, "body": f"{MARKER}All is well!"},
        {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "<!-- ptxbench gate: other -->"},
    ]
    (tmp_path / "bin/comments.json").write_text(json.dumps(others))
    (tmp_path / "work/rules.toml").write_text("version = 7")
    ran = job(token="secret", config="rules.toml", sarif="true")
    comment = (
        "**ptxbench gate: nothing was judged (exit status 2).**\n\n"
        "    Error: rules.toml: expected 'version = 1', found 7."
    )
    assert (ran.status, comment in ran.summary, list(ran.used)) == (2, True, ["actions/setup-python@v5", UPLOAD])
    *before, our_comment = comments()
    assert before == [other["body"] for other in others]
    assert our_comment.startswith(f"{MARKER}{comment}")


def test_a_token_without_permission_costs_only_the_comment(job, comments, recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("REFUSES", "1")
    (tmp_path / "work/saved.json").write_text(to_json(recorded.run))
    ran = job(token="secret", run="saved.json")
    assert (ran.status, comments()) == (0, [])
    assert "::warning title=ptxbench gate::No comment was written: the token needs" in ran.log


# ---- the text of the action


@pytest.mark.parametrize("step", SCRIPTS, ids=[step["name"] for step in SCRIPTS])
def test_a_script_is_valid_and_takes_inputs_only_from_its_environment(step):
    assert step["shell"] == "bash"
    assert "${{" not in step["run"]  # an input would be code
    checks = [["bash", "-n"]]
    if shutil.which("shellcheck"):
        checks.append(["shellcheck", "--shell=bash", "-"])
    for check in checks:
        ran = subprocess.run(check, input=step["run"], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_other_actions_have_a_version_and_every_input_is_used():
    assert all(re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+(\.\d+)*", step["uses"]) for step in STEPS if "uses" in step)
    expressions = " ".join(re.findall(r"\$\{\{ .*? \}\}", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert set(re.findall(r"inputs\.([\w-]+)", expressions)) == set(ACTION["inputs"])
    assert all(entry["description"] for entry in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))


def test_the_page_lists_every_input_with_its_default():
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (?:`(.*?)`|all)? ?\|", page.partition("### The Action")[2], re.M))
    assert rows == {name: definition["default"] for name, definition in ACTION["inputs"].items()} | {
        "config": "ptxbench.toml"
    }
    [step] = [step for step in workflow_steps(page) if step.get("uses", "").startswith("OWNER/ptxbench@")]
    assert set(step["with"]) <= set(ACTION["inputs"])


def workflow_steps(page):
    for block in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S):
        for job in yaml.safe_load(block).get("jobs", {}).values():
            yield from job["steps"]
