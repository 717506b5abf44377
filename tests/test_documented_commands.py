"""Every command line in the documentation is valid, and every workflow is valid YAML."""

import contextlib
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from ptxbench.cli import group

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
BETWEEN = {"&&", "||", "|", ";", "&", ">", ">>"}
"""The tokens that end a command in a shell line."""


def commands(shell):
    """The command lines of ptxbench in a text for a shell, each as its words after `ptxbench`."""
    for line in shell.replace("\\\n", " ").splitlines():
        if "ptxbench" not in line:
            continue
        # [--option a|b]: an optional part is an option too, and its first value is used
        line = re.sub(r"\[(--?[a-z][^]]*)\]", lambda match: re.sub(r"\|\S+", "", match[1]), line)
        words = [word for word in shlex.split(line.removeprefix("$ "), comments=True) if word != "..."]
        while words:
            end = next((i for i, word in enumerate(words) if word in BETWEEN), len(words))
            if words[:1] == ["ptxbench"]:
                yield words[1:end]
            words = words[end + 1 :]


def require_known(words, command=group, parent=None):
    """Raise click's UsageError unless the words are a command line that the real command takes; nothing is run."""
    if isinstance(command, click.Group):
        if not words or words[0].startswith("-"):
            command.make_context(command.name, list(words), parent)
            return
        context = click.Context(command, parent, info_name=command.name, **command.context_settings)
        subcommand = command.get_command(context, words[0])
        if subcommand is None:
            raise click.UsageError(f"No such command '{words[0]}'.")
        require_known(words[1:], subcommand, context)
        return
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(command.name, list(words), parent)


def documented():
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if language in ("", "sh", "bash", "shell", "console"):
                for words in commands(text):
                    yield f"{page.relative_to(ROOT)}: ptxbench {shlex.join(words)}", words


def blocks(language):
    return [text for tag, text in FENCE.findall(CI) if tag == language]


def texts(node):
    """Every string of a document."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from texts(child)


DOCUMENTED = list(documented())


def test_there_is_something_to_check():
    assert len(DOCUMENTED) > 30


@pytest.mark.parametrize("words", [words for _, words in DOCUMENTED], ids=[name for name, _ in DOCUMENTED])
def test_a_documented_command_line_is_one_that_ptxbench_takes(words):
    require_known(words)


WRONG = [
    ("ptxbench gaet", "No such command 'gaet'."),
    ("ptxbench gate --mod counters", "No such option"),
    ("ptxbench gate --mode counter", "'counter' is not one of"),
    ("ptxbench baseline set latest", "Missing option '--reason'"),
    ("ptxbench baseline put latest", "No such command 'put'."),
    ("ptxbench run --rounds ten", "'ten' is not a valid integer"),
    ("cd x && ptxbench export --to gif # to y", "'gif' is not one of"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_an_outdated_command_line_is_found(line, message):
    [words] = commands(line)
    with pytest.raises(click.UsageError) as error:
        require_known(words)
    assert message in error.value.format_message()


def test_all_commands_of_a_line_are_found_and_nothing_else():
    assert list(
        commands("ptxbench a 'b c' && ptxbench d | x > y; z # ptxbench e\nptxbench \\\n f\npip install ptxbench")
    ) == [
        ["a", "b c"],
        ["d"],
        ["f"],
    ]


def test_every_workflow_is_yaml_whose_steps_can_run_and_whose_commands_ptxbench_takes():
    called = []
    for block in blocks("yaml"):
        document = yaml.safe_load(block)
        assert isinstance(document, dict), block
        for job in document.get("jobs", {}).values():
            assert "runs-on" in job
            assert all(("uses" in step) != ("run" in step) for step in job["steps"]), job
        for repo in document.get("repos", ()):
            assert {"repo", "hooks"} <= repo.keys()
            assert all({"id", "name", "entry", "language"} <= hook.keys() for hook in repo["hooks"])
        called += [words for text in texts(document) for words in commands(text)]
    for words in called:
        require_known(words)
    assert {words[0] for words in called} >= {"gate", "run"}


def test_the_page_has_workflows_with_and_without_a_gpu_and_a_pre_commit_hook():
    documents = [yaml.safe_load(block) for block in blocks("yaml")]
    jobs = [job for document in documents for job in document.get("jobs", {}).values()]
    runners = [job["runs-on"] for job in jobs]
    assert "ubuntu-latest" in runners
    assert any("self-hosted" in runner for runner in runners)
    assert sum("repos" in document for document in documents) == 1
