"""The strings of a run file reach an output only as text: every field, every command, every format.

A document is filled with a payload in every string and every key that reading takes, whatever fields there are. What
a command then prints and writes must have the shape that it has with a harmless payload.
"""

import csv
import functools
import io
import json
import os
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ptxbench.cli import main
from ptxbench.documents import toml_text
from ptxbench.errors import ResultError
from ptxbench.result import from_document, save
from tests.folders import PAIR, PTX, changed
from tests.full_runs import COUNTS, DOCUMENTS, PAIRS
from tests.tune.folders import knobs_folder

KEPT = {"cuda", "ptx", "emulator", "gpu", "driver", "total", "complete", "scale", "BLOCK", "n", *COUNTS}
"""Words that outputs rest on: without them there is little to print."""

NAMED = {(name,) for name in ("size", "knobs", "variants", "observed", "dropped", "sass", "opcodes", "files", "counts")}
"""Objects with keys that are names from a pair or a tool."""

HARMLESS = "zz"

FRAGMENTS = (
    "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\r", "\n", "\n\n# head\n\n- item\n", "\n::error title=a::b\n",
    "::warning::b", "##[error]b", "##vso[task.complete]", "\u202e", "\u200b\u2066", "\ufeff\U000e0041",
    "\ud800", "\u2028\x85", "[bold]b[/]", "[/]", ":smile:", "|", "||a|b|", "`b`", "``", "**b**", "_b_", "~~b~~",
    "![i](http://e.x/i.png)", "[a](http://e.x)", "http://e.x", "www.e.x", " @user", "<!-- ",
    "<img src=x onerror=b>", "</script><script>b</script>", "]]>", "&lt;b&gt;", "\"", "'", "\" onload=\"b",
    "\\", "\\|", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", ",", ";", "../../up", "/etc/x", "..", "\x00", "%0A",
    "{{ 7*7 }}", "${b}", "$b$", " ", "\ufffe\uffff",
)  # fmt: skip
ALL = "".join(FRAGMENTS)


def walk(value, at=()):
    """The place of every string and of every key below the document; all items of a list are one place."""
    if isinstance(value, str):
        yield at, False
    elif isinstance(value, dict):
        for key, child in value.items():
            yield (*at, key), True
            yield from walk(child, (*at, key))
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, (*at, "[]"))


def mapped(value, change, at=()):
    """The document with `change` of every string and key, by its place."""
    if isinstance(value, str):
        return change(at, False, value)
    if isinstance(value, dict):
        return {change((*at, key), True, key): mapped(item, change, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [mapped(item, change, (*at, "[]")) for item in value]
    return value


def is_read(document):
    try:
        from_document(document, "x")
    except ResultError:
        return False
    return True


@functools.cache  # a second and a half, which only a worker with one of these tests needs
def free(kind):
    """The places of strings and keys that may say anything: a run is read all the same."""
    document = DOCUMENTS[kind][1]

    def takes(place):
        return is_read(mapped(document, lambda at, key, text: text + "b" * ((at, key) == place)))

    return {place for place in set(walk(document)) if takes(place)}


def filled(kind, payload, rich):
    """Base and head with the payload behind every free string and key; if `rich`, except strings that outputs need."""

    def keeps(at, key, text):
        return rich and (text in KEPT or (key and at[-2:-1] not in NAMED))

    def change(at, key, text):
        return text + payload if (at, key) in free(kind) and not keeps(at, key, text) else text

    return [mapped(document, change) for document in DOCUMENTS[kind]]


CONFIG = """
version = 1
[[waive]]
pair = "*"
metric = "ptx_barriers"
until = 2999-01-01
reason = {0}
[[waive]]
pair = {0}
metric = "registers"
until = 2999-01-01
reason = {0}
"""
"""A waiver that covers a row of the gate, and one that covers nothing."""

COMMANDS = [
    ("view", "head.json"),
    ("view", "head.json", "--json"),
    ("compare", "base.json", "head.json", "-o", "compare.md", "-o", "compare.csv", "-o", "compare.json"),
    ("compare", "base.json", "head.json", "--json", "--metric", "counters"),
    ("gate", "head.json", "--base", "base.json", "-o", "gate.md", "-o", "gate.xml", "-o", "gate.json",
     "-o", "gate.sarif"),
    ("gate", "head.json", "--json"),
    ("report", "head.json", "-o", "report.html", "--kernels", "nowhere"),
    *(("export", "head.json", "--to", form, "-o", f"run.{form}")
      for form in ("benchstat", "gha", "bmf", "csv", "json", "markdown")),
    ("export", "head.json", "--to", "markdown"),
    ("export", "head.json", "--to", "nvbench", "-o", "nvbench"),
    ("history", "--results", "results"),
    ("history", "--results", "results", "--json"),
    ("baseline", "check", "head.json"),
    ("baseline", "set", "head.json", "--reason", "it moved"),
    ("baseline", "show"),
    ("baseline", "show", "--json"),
    ("list", "--verdicts", "--kernels", "kernels"),
    ("list", "--verdicts", "--kernels", "kernels", "--json"),
    ("view", "head.json", "--kernels", "kernels", "-o", "tune.svg", "-o", "tune.json"),
]  # fmt: skip


# ---- what an output may hold


class Tags(HTMLParser):
    """The elements of a page with their attribute names; break opportunities in long names do not count."""

    def __init__(self):
        super().__init__()
        self.elements = []

    def handle_starttag(self, tag, attrs):
        if tag != "wbr":
            self.elements.append((tag, sorted(name for name, _ in attrs)))

    def handle_comment(self, data):
        self.elements.append(("comment", data))


def of_html(text):
    tags = Tags()
    tags.feed(text)
    tags.close()
    return tags.elements


def of_xml(text):
    return [(element.tag, sorted(element.attrib)) for element in ElementTree.fromstring(text.encode()).iter()]


def of_csv(text):
    rows = list(csv.reader(io.StringIO(text)))
    for field in (field for row in rows for field in row):
        assert not re.match(r"\s*[=+@-]", field) or is_number(field), field
    return [len(row) for row in rows]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def of_markdown(text):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    bare = re.sub(r"^(`{3,}).*?^\1$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\w)@(?=\w)|://|\bwww\.", bare), bare
    plain = {"text", "code_inline", "text_special", "softbreak"}
    inner = [[child.type for child in token.children if child.type not in plain] for token in tokens if token.children]
    return [token.type for token in tokens], [part for part in inner if part]


def of_json(text):
    assert text.isascii()
    json.loads(text)


def of_tracker(text):
    """JSON with strings that others put into tables and code spans."""

    def require_plain(at, key, text):
        require_text(text)
        assert not re.search("[`|]", text), (at, text)
        return text

    of_json(text)
    mapped(json.loads(text), require_plain)


def of_benchstat(text):
    for line in text.splitlines():
        assert re.fullmatch(r"(goos|gpu): .*|Benchmark\S* 1 \S+ ns/op", line), line
    return len(text.splitlines())


def require_quoted(text):
    """A command to copy: all its special characters are inside single quotes."""
    bare = re.sub("'[^']*'", "", text.replace("""'"'"'""", ""))
    assert not re.search(r"[${}]|/etc", bare), bare


SHAPES = {"html": of_html, "xml": of_xml, "svg": of_xml, "csv": of_csv, "md": of_markdown, "markdown": of_markdown,
          "json": of_json, "sarif": of_json, "gha": of_tracker, "bmf": of_tracker,
          "benchstat": of_benchstat}  # fmt: skip


def require_text(text):
    """No control and nothing hidden."""
    bad = {
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\n\t"
    }
    assert not bad, (bad, text)


def require_no_command(text, allowed=r"(?!)"):
    """No command of a CI runner, except lines that begin like `allowed`."""
    for line in text.splitlines():
        assert re.match(allowed, line) or not line.lstrip().startswith("::"), line
        assert not re.search(r"##\w*\[", line), line


ANNOTATION = r"::(error|warning) (file=[^:,]*,line=\d+,)?title=ptxbench gate[^:,]*::"


def outputs(kind, payload, rich, capsys):
    """The output of every command for the payload: exit status and shape of each file, by command and name."""
    base, head = filled(kind, payload, rich)
    for name, document in (("base.json", base), ("head.json", head), ("baselines/other.json", base),
                           ("results/20260131T120000Z-ba5e.json", base), ("results/20260201T120000Z-4ead.json", head),
                           ):  # fmt: skip
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(json.dumps(document))
    Path("ptxbench.toml").write_text(
        CONFIG.format(toml_text(payload.encode(errors="ignore").decode())), encoding="utf-8"
    )
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    results = {}
    for command in COMMANDS:
        status = main(list(command))
        out, err = capsys.readouterr()
        assert status in (0, 2, 3, 4, 5), (command, status, err)
        assert "Traceback" not in err, (command, err)
        require_text(out + err)
        require_no_command(out)
        require_no_command(err, ANNOTATION if command[0] == "gate" else r"(?!)")
        if "--json" in command and out:
            of_json(out)
        elif command[-1] == "markdown":
            of_markdown(out)
        results[command] = status
    if Path("gate.json").exists():
        gate = json.loads(Path("gate.json").read_text())
        for row in (*gate["rows"], *gate["problems"]):
            require_quoted(row["next"] or "")
    for path in sorted(path for path in Path().rglob("*") if path.is_file() and path not in before):
        assert re.fullmatch(r"[\w.,=@+/-]+", str(path)), path
        if path.suffix != ".bin" and path.suffix != ".pyc":
            text = path.read_text(encoding="utf-8")
            require_text(text)
            name = str(path) if path.parent == Path() else str(path.parent)
            form = path.suffix[1:] or "md"
            results.setdefault(name, []).append((of_tracker if name == "nvbench" else SHAPES[form])(text))
            path.unlink()
    return results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with the pair of the sweep, in a job of GitHub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary")
    knobs_folder(tmp_path)


@pytest.mark.long
@settings(
    derandomize=True, database=None, deadline=None, max_examples=4, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@example("timed", ALL, True)
@example("counted", ALL, True)
@example("sound", ALL, True)
@example("swept", ALL, True)
@given(
    st.sampled_from(sorted(DOCUMENTS)),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(st.characters(), max_size=3)), min_size=1).map("".join),
    st.booleans(),
)
def test_strings_of_a_run_are_plain_text_in_every_output(folder, capsys, kind, payload, rich):
    harmless = outputs(kind, HARMLESS, rich, capsys)
    assert outputs(kind, payload, rich, capsys) == harmless


WRONG_TYPES = (3, None, [["x"]], {"x": -0.5})


@pytest.mark.parametrize("kind", ["timed", "counted"])
def test_a_value_of_another_type_is_read_as_text_or_refused_in_a_sentence(folder, capsys, kind):
    """Each alone where reading refuses it, and all together that it takes."""
    base, head = DOCUMENTS[kind]
    for value in WRONG_TYPES:
        places = {place for place in set(walk(head)) if not place[1]}

        def alone(place, value=value):
            return mapped(head, lambda at, key, text: value if (at, key) == place else text)

        taken = {place for place in places if is_read(alone(place))}
        together = mapped(head, lambda at, key, text, taken=taken, value=value: value if (at, key) in taken else text)
        Path("base.json").write_text(json.dumps(base))
        Path("head.json").write_text(json.dumps(together))
        for command in COMMANDS:
            status = main(list(command))
            _, err = capsys.readouterr()
            assert status in (0, 2, 3, 4, 5), (command, value, err)


HOSTILE_FILE = "x\x1b[2J|`b`\n::error::b\n##[group]\u202e.ptx"


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_and_words_of_files_are_text_too(kernels, ptxbench):
    pair = changed(PAIR, '"""scale: ', '"""scale: \\x1b[2J\\n::error::b ##[group] \\u202e ')
    (kernels / "pairs" / "scale.py").write_text(pair)
    (kernels / "ptx" / f"scale.{HOSTILE_FILE}").write_text(PTX)
    Path(HOSTILE_FILE).write_text(changed(PTX, "ret;", "rat\x1b[2J;"))
    Path(f"good {HOSTILE_FILE}").write_text(PTX)
    launch = ("--arg", "f32[1]=1", "--arg", "f32[1]=0", "--arg", "f32=2", "--arg", "u32=1")
    for command in (
        ("list", "--kernels", "kernels"),
        ("list", "--kernels", "kernels", "--json"),
        ("show", HOSTILE_FILE),
        ("show", HOSTILE_FILE, HOSTILE_FILE),
        ("show", f"good {HOSTILE_FILE}", f"good {HOSTILE_FILE}", *launch),
        ("show", f"good {HOSTILE_FILE}", f"good {HOSTILE_FILE}", *launch, "--json"),
        ("show", f"good {HOSTILE_FILE}", "--emit", "sass"),
        ("arch", HOSTILE_FILE, "--target", "sm_90", "-o", "arch.md", "-o", "arch.json"),
        ("arch", "scale", "--kernels", "kernels", "--target", "sm_90"),
        ("exec", HOSTILE_FILE),
        ("view", HOSTILE_FILE),
        ("gate", HOSTILE_FILE, "--config", HOSTILE_FILE),
        ("compare", HOSTILE_FILE, HOSTILE_FILE),
    ):
        ran = ptxbench(*command)
        assert ran.status in (0, 2, 4), (command, ran)
        require_text(ran.out + ran.err)
        require_no_command(ran.out + ran.err)
        if "--json" in command:
            of_json(ran.out)
    if Path("arch.md").exists():
        of_markdown(Path("arch.md").read_text())


def test_a_run_is_saved_in_its_folder_whatever_its_id_says(tmp_path):
    run = replace(PAIRS["counted"][0], run=replace(PAIRS["counted"][0].run, id="../../x", started="/2026"))
    assert save(run, tmp_path / "results").parent == tmp_path / "results"
