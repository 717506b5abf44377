"""docs/kernels: a page for every pair, with figures that the tools of today make, and the tool that writes them.

After a change of a kernel, `make pages` writes the figures again.
"""

import re
import shlex
from itertools import pairwise

import pytest

from ptxbench import discovery
from ptxbench.errors import UsageError
from tools import kernel_pages
from tools.kernel_pages import CLOSING, FOLDER, Block, blocks, filled, made_by

KERNELS = discovery.default_kernels()
PAIRS = discovery.find_pairs(KERNELS)
PAGES = kernel_pages.pages()
AGAIN = "Write the figures again: make pages, or .venv/bin/python tools/kernel_pages.py"


def page_name(path):
    return path.stem


def family(name):
    """The pair of the page that also covers `name`: `reduce_sum` for `reduce_sum.s32`."""
    return name.partition(".")[0]


# ---- the pages


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_has_its_figures_on_the_page_of_its_family(name):
    path = FOLDER / f"{family(name)}.md"
    assert path.is_file(), (
        f"The pair {name} has no page: write docs/kernels/{path.name}, as docs/kernels/README.md says."
    )
    shown = [pair for _, _, block in blocks(path.read_text()) for pair in block.pairs]
    assert name in shown, f"docs/kernels/{path.name} has no figures of {name}: add a block with pairs={name}."


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_page_belongs_to_one_pair_and_shows_no_other(path):
    assert path.stem in PAIRS, f"docs/kernels/{path.name} is the page of no pair."
    for _, _, block in blocks(path.read_text()):
        assert {family(name) for name in block.pairs} == {path.stem}, f"docs/kernels/{path.name}: {block}"


def commands(text):
    """The pairs, architectures and columns of each `ptxbench run` of a page, as Blocks."""
    for line in re.findall(r"ptxbench run ([^`\n]+)", text):
        words = shlex.split(line)
        options = dict(pairwise(words))
        patterns = [word for before, word in pairwise(["", *words]) if "--" not in before + word]
        if {"--arch", "--columns"} <= options.keys():
            names = discovery.choose_pairs(KERNELS, patterns)
            if any(discovery.load(KERNELS, name).pair.by_request for name in names) and options.get("--variant") != "*":
                continue  # it leaves out rows that the block has
            yield Block(names, options["--arch"], tuple(options["--columns"].split(",")))


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_page_names_the_command_that_prints_its_figures(path):
    text = path.read_text()
    shown = [block for _, _, block in blocks(text)]
    assert shown, f"docs/kernels/{path.name} has no block of figures."
    documented = list(commands(text))
    for block in shown:
        assert block in documented, (
            f"docs/kernels/{path.name} names no command that prints its figures: ptxbench run {' '.join(block.pairs)} "
            f"--arch {block.arch} --columns {','.join(block.columns)}"
        )


def without_figures(text):
    """`text` with # for every table number and the versions of a block, so that it does not depend on tool versions."""
    lines = [
        re.sub(r"(?<=\| )(?:[\d,.]+|-)(?= \|)", "#", line) if line.startswith("|") else line
        for line in text.splitlines()
    ]
    return re.sub(r"(?m)\bBuilt for (\w+) by .*$", r"Built for \1", "\n".join(lines))


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_the_figures_of_a_page_are_those_that_the_tools_of_today_make(path):
    """Figures of other tool versions cannot be checked: then only variants and columns are."""
    text = path.read_text()
    today = filled(text)
    tool_lines = re.findall(r"^Built for .*", text, re.M)
    if tool_lines == re.findall(r"^Built for .*", today, re.M):
        assert text == today, f"docs/kernels/{path.name}. {AGAIN}"
    else:
        assert without_figures(text) == without_figures(today), f"docs/kernels/{path.name}. {AGAIN}"


# ---- the index

VERDICTS = ("tie", "PTX wins", "PTX wins a little", "a compiler flag", "depends on the target", "a geometry study")


def index():
    """The rows of the index, as lists of cells, without its heading."""
    lines = (FOLDER / "README.md").read_text().partition("<!-- scoreboard -->")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_the_index_names_every_pair_once():
    names = [name for cells in index() for name in re.findall(r"\[([\w.]+)\]\(|`([\w.]+)`", cells[0])]
    names = ["".join(words) for words in names]
    where = "docs/kernels/README.md, its table:"
    assert not set(PAIRS) - set(names), f"{where} a row is missing for {', '.join(sorted(set(PAIRS) - set(names)))}."
    assert not set(names) - set(PAIRS), f"{where} there is no pair {', '.join(sorted(set(names) - set(PAIRS)))}."
    assert len(names) == len(PAIRS), (
        f"{where} named twice: {', '.join(sorted({x for x in names if names.count(x) > 1}))}."
    )


@pytest.mark.parametrize("cells", index(), ids=lambda cells: cells[0][:20])
def test_a_row_of_the_index_links_a_page_and_has_a_verdict(cells):
    where = f"docs/kernels/README.md: {' | '.join(cells)}"
    assert len(cells) == 4, where
    ((name, page),) = re.findall(r"\[([\w.]+)\]\(([^)]*)\)", cells[0])
    assert page == f"{name}.md", where
    assert {family(match) for match in re.findall(r"`([\w.]+)`", cells[0])} <= {name}, where
    assert (FOLDER / page).is_file(), f"docs/kernels/README.md links {page}, which is not there."
    assert cells[2] in VERDICTS, f"{where}: expected is one of {', '.join(VERDICTS)}"
    assert cells[3], where


def test_a_page_and_the_index_agree_on_what_was_not_measured():
    for cells in index():
        page = re.search(r"\(([^)]*)\)", cells[0])[1]
        if cells[3] == "not measured yet":
            text = (FOLDER / page).read_text() if (FOLDER / page).is_file() else "Not measured yet"
            assert "Not measured yet" in text, (
                f"docs/kernels/{page} does not say 'Not measured yet', as the index does."
            )


# ---- what the checks find


def page(columns="registers,sass.LDG", pairs="triad", arch="sm_90", inside=""):
    return f"# triad\n\n<!-- figures: pairs={pairs} arch={arch} columns={columns} -->\n{inside}{CLOSING}\n\nend\n"


def test_a_block_becomes_a_table_and_filling_it_again_changes_nothing():
    once = filled(page())
    assert re.fullmatch(
        r"""# triad

<!-- figures: pairs=triad arch=sm_90 columns=registers,sass\.LDG -->
\| variant \| regs \| LDG \|
\|:--\|--:\|--:\|
\| `cuda` \| \d+ \| \d+ \|
\| `ptx` \| \d+ \| \d+ \|
\| `tile` \| \d+ \| \d+ \|
\| `numba` \| \d+ \| \d+ \|

Built for sm_90 by NVRTC \d+\.\d+\.\d+ and ptxas \d+\.\d+\.\d+\. tile: compiled by .*? numba: compiled by .*
<!-- /figures -->

end
""",
        once,
    )
    assert filled(once) == once
    assert filled(page(inside="| of yesterday |\n")) == once


def test_rows_of_several_pairs_name_them():
    lines = filled(page(pairs="reduce_sum.s32,scan.s32", columns="sass.REDUX")).splitlines()
    assert lines[3] == "| pair | variant | REDUX |"
    assert [line.split(" | ")[:2] for line in lines[5:9]] == [
        ["| `reduce_sum.s32`", "`cuda`"], ["| `reduce_sum.s32`", "`ptx`"],
        ["| `scan.s32`", "`cuda`"], ["| `scan.s32`", "`ptx`"],
    ]  # fmt: skip


def test_a_variant_of_a_newer_architecture_has_no_figures():
    lines = filled(page(pairs="copy_hints", arch="sm_75", columns="registers")).splitlines()
    assert "| `ptx` | - |" in lines
    assert [line for line in lines if re.fullmatch(r"\| `ptx.l2_128` \| \d+ \|", line)]


@pytest.mark.parametrize(
    ("before", "after", "equal"),
    [
        ("| `cuda` | 38 | - |",           "| `cuda` | 1,040 | 7 |",          True),
        ("Built for sm_90 by NVRTC 1.2.", "Built for sm_90 by NVRTC 3.4.",   True),
        ("| `cuda` | 38 | 40 |",          "| `cuda` | 38 |",                 False),   # a column less
        ("| `cuda` | 38 |",               "| `ptx` | 38 |",                  False),   # another variant
        ("| variant | LDG |",             "| variant | LDS |",               False),
        ("Built for sm_90 by NVRTC 1.2.", "Built for sm_80 by NVRTC 1.2.",   False),
        ("It has 38 registers.",          "It has 40 registers.",            False),
    ],
)  # fmt: skip
def test_figures_of_other_versions_may_differ_in_numbers_alone(before, after, equal):
    assert (without_figures(before) == without_figures(after)) is equal


def test_commands_are_read_with_their_globs_and_other_options():
    text = (
        "`ptxbench run 'reduce_*' triad --variant '*' --no-save --arch sm_80 --columns registers,sass.LDG` and "
        "`ptxbench run triad`"
    )
    assert list(commands(text)) == [
        Block(("reduce_sum", "reduce_sum.s32", "reduce_sum.v8", "triad"), "sm_80", ("registers", "sass.LDG"))
    ]


WRONG = [
    (page(columns="time"),                        r"^'time' is not a figure of a build"),
    (page(columns="sass.ldg"),                    r"^Unknown column 'sass\.ldg'\. .*sass\.OPCODE"),
    (page(pairs="triads"),                        r"^Unknown pair 'triads'\. Did you mean 'triad'\?"),
    (page(arch="sm90"),                           r"^Unknown architecture 'sm90'"),
    (page().replace("pairs=", "pair="),           r"^3: 'figures: pair=triad .*' needs each of pairs, "),
    (page().replace("arch=sm_90", ""),            r"^3: .* needs each"),
    (page().replace("arch", "arch=sm_80 arch"),   r"^3: .* needs each"),
    (page().replace("=sm_90", "="),               r"^3: .* needs each"),
    (page().replace(CLOSING, ""),                 r"^3: this block has no end"),
    (page() + CLOSING,                            r"^7: there is no block that <!-- /figures --> ends"),
    (page().replace(CLOSING, page()),             r"^6: this block begins inside the block of line 3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=lambda value: value[-40:])
def test_an_invalid_block_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        filled(text)


def test_a_page_that_cannot_be_filled_is_not_changed_and_the_others_are_written(tmp_path, capsys):
    bad, good = tmp_path / "bad.md", tmp_path / "good.md"
    bad.write_text(page().replace(CLOSING, ""))
    good.write_text(page())
    assert kernel_pages.main([str(bad), str(tmp_path / "none.md"), str(good)]) == [
        f"{bad}:3: this block has no end. Write {CLOSING} below it.",
        f"{tmp_path / 'none.md'}: No such file or directory",
    ]
    assert bad.read_text() == page().replace(CLOSING, "")
    assert capsys.readouterr().out == f"Wrote {good}\n"
    assert kernel_pages.main([str(good)]) == []
    assert capsys.readouterr().out == ""


def test_without_a_tool_a_page_is_not_changed(monkeypatch):
    monkeypatch.setattr("ptxbench.toolchain.versions", lambda: {"nvrtc": "13.5.37", "ptxas": None, "nvdisasm": None})
    with pytest.raises(UsageError, match=r"^ptxas, nvdisasm is not there"):
        made_by("sm_90")
