"""Mechanical checks of the documents: paths, names, links, options and exit statuses exist."""

import pkgutil
import re
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

from ptxbench import cli
from ptxbench.exit_status import PRECEDENCE, ExitStatus
from ptxbench.verdict import VERDICTS
from tests.test_layers import LAYERS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted([*ROOT.glob("ptxbench/**/*.py"), *ROOT.glob("tools/*.py")])

FENCE = re.compile(r"^ *```.*?^ *```", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
OWN = re.compile(r"(?:ptxbench|tests|tools|kernels|docs|benchmarks|baselines|\.ci)/[\w./-]*")
"""A path of this repository."""
PLACEHOLDER = re.compile(r"(?<![A-Z])(?:NAME|PAIR|VARIANT|CHAPTER|DEVICE|X)(?![A-Z])|\.\.\.")
"""A part of a path for which the reader puts a name, such as NAME."""


OF_OTHER_PROJECTS = {"kernels/requirements.txt", "docs/legacy.md"}
"""A file of a user's repository, and one of DeepEP."""


def name_of(path):
    return str(path.relative_to(ROOT))


def prose(text):
    """The text of a page without its blocks of code."""
    return FENCE.sub("", text)


def missing_paths(text):
    """The paths in backticks that do not exist."""
    paths = [span for span in SPAN.findall(prose(text)) if OWN.fullmatch(span) and not PLACEHOLDER.search(span)]
    return [path for path in paths if path not in OF_OTHER_PROJECTS and not (ROOT / path).exists()]


def missing_names(text):
    """Names that a page says are in a file, "`NAME` in `PATH`" or "`NAME` of `PATH`", which the file does not have."""
    pairs = re.findall(r"`(\w+)`(?: \w+)? (?:in|of) `([\w/]+\.py)`", " ".join(prose(text).split()))
    return [
        f"{name} in {path}"
        for name, path in pairs
        if (ROOT / path).is_file() and not re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8"))
    ]


def anchors(text):
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page, text):
    """The links to files or headings that do not exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@cache
def options():
    """Every option of every command."""
    modules = [import_module(f"ptxbench.cli.{module.name}") for module in pkgutil.iter_modules(cli.__path__)]
    commands = [value for module in modules for value in vars(module).values() if isinstance(value, click.Command)]
    return {"--help", "--version"}.union(
        *(parameter.opts + parameter.secondary_opts for command in commands for parameter in command.params)
    )


OF_OTHERS = {
    "--csv", "--device-int128", "--fmad", "--ftz", "--gpu-name", "--metrics", "--prec-div", "--use_fast_math",
    "--audit", "--expt-relaxed-constexpr", "--extended-lambda", "--nthreads",
}  # fmt: skip
"""Options of other programs that the pages mention; and `check --audit`, which is a command."""


def unknown_options(text):
    """The options in backticks that no command has."""
    spans = [
        span
        for span in SPAN.findall(prose(text))
        if not re.match(r"(?:\.venv/bin/)?(?:git|mypy|ncu|nvidia-smi|pip|python|twine) ", span)
    ]
    words = {word for span in spans for word in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    return sorted(words - options() - OF_OTHERS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_everything_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":  # of released versions nothing changes
        text = text.split("\n## [0", 1)[0]
    assert missing_paths(text) == []
    assert missing_names(text) == []
    assert broken_links(page, text) == []
    assert unknown_options(text) == []


WIDTH = 120


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "kernels"], ids=name_of)
def test_lines_of_prose_are_no_longer_than_those_of_the_code(page):
    """Except tables, and on the pages of kernels the lines that `make pages` writes."""
    lines = prose(page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if len(line) > WIDTH and not line.startswith(("|", "<!--"))] == []


def without_a_link(index, pages):
    """The pages, relative to docs without their suffix, that no table of contents of the index names."""
    listed = {entry for tree in re.findall(r"^```{toctree}\n(.*?)^```", index, re.M | re.S) for entry in tree.split()}
    return [page for page in pages if not any(fnmatchcase(page, entry) for entry in listed)]


def test_the_table_of_contents_has_every_page():
    docs = ROOT / "docs"
    pages = [str(page.relative_to(docs).with_suffix("")) for page in sorted(docs.glob("**/*.md"))]
    index = (docs / "index.md").read_text(encoding="utf-8")
    assert without_a_link(index, pages) == ["index"]
    assert without_a_link("```{toctree}\n:glob:\n\nkernels/*\n```\n", ["kernels/scan", "run"]) == ["run"]


def test_the_line_that_the_picture_of_the_report_points_at_is_in_its_kernel():
    tool = (ROOT / "tools" / "draw_report.py").read_text(encoding="utf-8")
    (pair,) = re.findall(r'^LISTING = "#pair-(\w+) ', tool, re.M)
    (line,) = re.findall(r'^LINE = "(.+)"$', tool, re.M)
    assert line in (ROOT / "kernels" / "cuda" / f"{pair}.cu").read_text(encoding="utf-8")


def test_a_name_that_does_not_exist_is_reported():
    text = (
        "`ptxbench/none.py`, `RULES` in `ptxbench/cache.py`, [x](none.md), [y](#none), `--none`, `tests/test_NAME.py`"
    )
    assert missing_paths(text) == ["ptxbench/none.py"]
    assert missing_names(text) == ["RULES in ptxbench/cache.py"]
    assert broken_links(ROOT / "README.md", text) == ["none.md", "#none"]
    assert unknown_options(text) == ["--none"]


def wrong_citations(text):
    """The pages of docs that a source cites and that do not exist; and sections by number, which no page has."""
    pages = [page for page in re.findall(r"\bdocs/[a-z/-]+\.md\b", text) if not (ROOT / page).is_file()]
    return [*pages, *re.findall(r"[\w/-]+\.md,? (?:sections? )?\d[\d.]*", text)]


def test_sources_cite_only_pages_of_the_repository():
    wrong = {name_of(path): wrong_citations(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: citations for name, citations in wrong.items() if citations} == {}
    assert wrong_citations("docs/none.md; gate.md, section 3") == ["docs/none.md", "gate.md, section 3"]


def statuses_of_help(name):
    """The exit statuses that `ptxbench NAME --help` lists."""
    command = cli.group.get_command(click.Context(cli.group), name)
    sentence = re.search(r"Exit status:(.*?)\.(?:\s|$)", " ".join((command.help or "").split()))[1]
    return {int(status) for status in re.findall(r"(?:^|[,;:]|,? and) (\d+) ", sentence)}


@pytest.mark.parametrize(
    ("page", "command"), [("measuring.md", "run"), ("check.md", "check"), ("exec.md", "exec")]
)  # ci.md also has the statuses of every command
def test_the_exit_statuses_of_a_page_match_the_help(page, command):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    table = re.search(r"^\| exit status[^\n]*\n\|---.*?(?=^[^|])", text, re.M | re.S)[0]
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", table, re.M)} == statuses_of_help(command)


def test_the_verdicts_of_a_page_match_compare():
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    table = text.partition("## Verdicts")[2].partition("\n## ")[0]
    names = [name for names in re.findall(r"^\| ([A-Z][A-Z, -]+) \|", table, re.M) for name in names.split(", ")]
    assert set(names) == set(VERDICTS)


def test_the_order_of_exit_statuses_matches_the_gate():
    order = ", ".join(str(int(status)) for status in (ExitStatus.USAGE, *PRECEDENCE))
    assert f"the first of {order} is used" in (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def test_the_layers_of_contributing_are_those_that_are_checked():
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)
    layers = [set() for _ in LAYERS]
    for number, parts in rows:
        layers[int(number) - 1] |= set(SPAN.findall(parts))
    exist = {path.stem for path in (ROOT / "ptxbench").iterdir()} - {"__main__", "__init__"}
    assert layers == [layer & exist for layer in LAYERS]
