"""Text from files: one function for each kind of output, and no other code prints or parses it."""

import ast
import re
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from ptxbench.safe_text import (
    code_text,
    csv_text,
    file_name,
    log_text,
    markdown_code,
    markdown_text,
    one_line,
    plain,
    word,
    workflow_property,
    workflow_text,
    xml_text,
)
from ptxbench.terminal.console import SafeConsole

ROWS = [
    (plain,             "a\tb\n\x1b[1m\x85\u202e\U000e0041\ud800", "a\tb\n\\x1b[1m\\x85\\u202e\\U000e0041\\ud800"),
    (plain,             "µ × ✔ ▁█ → 中 é",       "µ × ✔ ▁█ → 中 é"),
    (plain,             "a\r\nb\rc",               "a\nb\\x0dc"),
    (one_line,          " a\r\n\n b\tc \r",       "a b c \\x0d"),
    (log_text,          "::error a\n \t::b\nc ::d\na::b", ": :error a\n \t: :b\nc ::d\na::b"),
    (log_text,          "x ##[group] ##vso[a] ## [b] #[", "x # #[group] # #vso[a] ## [b] #["),
    (markdown_text,     "a_b _c_ *d* `e`",        r"a_b \_c\_ \*d\* \`e\`"),
    (markdown_text,     "out[46] is -7.5, <b> &lt; & a|b", r"out\[46] is -7.5, &lt;b> &amp;lt; & a&#124;b"),
    (markdown_text,     "@me cuda@fast #12 x#1 http://a www.b", "@&#8203;me cuda@fast #&#8203;12 x#1 "
                                                                "http:&#8203;//a www.&#8203;b"),
    (markdown_text,     "# a",                    r"\# a"),
    (markdown_text,     "1. a",                   r"1\. a"),
    (markdown_text,     "- a",                    r"\- a"),
    (markdown_text,     "-1.5 %",                 "-1.5 %"),
    (markdown_text,     "a\n\n# b",               "a # b"),
    (markdown_code,     "ptx.v4",                 "`ptx.v4`"),
    (markdown_code,     "a`b",                    r"a\`b"),
    (markdown_code,     "a|b",                    "a&#124;b"),
    (csv_text,          "=1+1",                   "'=1+1"),
    (csv_text,          " @a",                    "'@a"),
    (csv_text,          "\t-1",                   "'-1"),
    (csv_text,          "a = -1",                 "a = -1"),
    (code_text,         "a `b`|c\nd",             "a _b__c d"),
    (word,              "a b\nc",                 "a_b_c"),
    (word,              "",                       "_"),
    (xml_text,          "<a b=\"c\">\x00&'",      "&lt;a b=&quot;c&quot;&gt;\\x00&amp;&#x27;"),
    (workflow_text,     "100 %\r\na::b\n::c ##[d]", "100 %25%0Aa::b%0A: :c # #[d]"),
    (workflow_property, "a:b,c%",                 "a%3Ab%2Cc%25"),
    (file_name,         "cuda@fast",              "cuda@fast"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "text", "safe"), ROWS)
def test_a_text_is_shown_unchanged(function, text, safe):
    assert function(text) == safe


HOSTILE_NAMES = ["../a", "/a", "..", ".a", "a/b", "a-b/", "", "a\x00", "a\nb", "-a", "CON:", "a" * 999, "\ud800"]


def test_a_file_name_stays_in_its_folder_and_differs_for_different_texts():
    names = [file_name(name) for name in HOSTILE_NAMES]
    assert all(re.fullmatch(r"[\w=@+][\w.,=@+-]{0,119}", name, re.ASCII) for name in names), names
    assert len({*names, "a", "a-b"}) == len(names) + 2


def test_a_console_shows_markup_and_hides_nothing(capsys):
    table = Table("[b]head[/b]")
    table.add_row("[red]a[/] :smile:")
    table.add_row(Text.assemble("x\x1b[31m", ("y", "bold"), "\u202e"))
    console = SafeConsole(width=60)
    console.print("[bold]a[/bold] \x1b]0;b\x07")
    console.print(table)
    console.print(Text.assemble("a\r\n", ("b\x1bc", "bold"), "d\r\n"))
    console.print(Text("::error::a\n##[group]b"))
    out = capsys.readouterr().out
    shown = [
        "[bold]a[/bold] \\x1b]0;b\\x07",
        "[b]head[/b]",
        "[red]a[/] :smile:",
        "x\\x1b[31my\\u202e",
        ": :error::a",
        "# #[group]b",
    ]
    assert [text for text in shown if text not in out] == []
    assert "\x1b" not in out
    assert "\\x0d" not in out


INNER = {"documents", "check", "containment", "emulator", "toolchain", "executed", "service.inspection"}
"""The modules that read and write messages between ptxbench's own processes."""

# functions that may be called only there; all other code uses the one function
ONLY = {
    "click.echo": {"cli._terminal", "cli.gate", "cli.list", "cli.exec"},  # commands of a runner, styles, a cursor
    "rich.console.Console": {"terminal.console"},
    "traceback.print_exc": {"forks"},  # where Python itself would print it, but for the exit of the copy
    "print": set(),
    "json.loads": INNER,
    "json.dumps": INNER,
    "json.load": set(),
    "tomllib.loads": {"documents"},
    "html.escape": {"safe_text"},
}  # fmt: skip


def test_only_one_function_prints_or_parses():
    package = Path(__file__).parents[1] / "ptxbench"
    breaches = set()
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {name.asname or name.name: name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                head, _, rest = ast.unparse(node.func).partition(".")
                called = ".".join(filter(None, [names.get(head, head), rest]))
                if called in ONLY and not {module, module.partition(".")[0]} & ONLY[called]:
                    breaches.add(f"{module}: {called}")
    assert not breaches
