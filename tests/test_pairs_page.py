"""docs/pairs.md: its examples are executed, its pair is verified, and its mistakes give the messages that it shows."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from ptxbench.discovery import load
from ptxbench.draft import draft
from ptxbench.toolchain.options import AS_IT_IS
from tests.folders import changed

PAGE = Path(__file__).parents[1] / "docs" / "pairs.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
EXAMPLES = "\n".join(block for block in BLOCKS if block.startswith(">>>"))
PAIR, PYTHON = (block for block in BLOCKS if not block.startswith(">>>"))
(CUDA,) = re.findall(r"^```c\n(.*?)^```", TEXT, re.M | re.S)
MISTAKES = re.findall(r"^\| `([^`]*)` \| (?:`([^`]*)`|nothing) \| (\d+) \| `([^`]*)` \|$", TEXT, re.M)
RUN = ("run", "axpy", "--kernels", "kernels", "--backend", "emulator", "--no-save")


def failures(text):
    """What doctest reports about examples that are not true."""
    reports = []
    examples = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples, out=reports.append)
    return "".join(reports)


def test_every_example_is_true():
    assert failures(EXAMPLES) == ""
    assert "Expected:\n    3\nGot:\n    2\n" in failures(">>> 1 + 1\n3\n")


@pytest.mark.parametrize("module", ["ptxbench.pair", "ptxbench.knobs", "ptxbench.libraries"])
def test_every_name_for_pair_files_is_in_an_executed_example(module):
    used = {word for line in EXAMPLES.splitlines() if "import" not in line for word in re.findall(r"\w+", line)}
    used |= set(re.findall(r"\w+", PAIR))
    assert set(importlib.import_module(module).__all__) - used == set()


@pytest.fixture(scope="module")
def ptx(tmp_path_factory):
    """The PTX of the page's kernel."""
    path = tmp_path_factory.mktemp("axpy") / "axpy.cu"
    path.write_text(CUDA)
    return draft(path, "axpy", "axpy", "sm_90", AS_IT_IS, path.parent).ptx


@pytest.fixture
def axpy(tmp_path, monkeypatch, ptx):
    """The folder of the page's pair; gives a function that writes another pair file."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("cuda/axpy.cu", CUDA), ("ptx/axpy.ptx", ptx)):
        path = tmp_path / "kernels" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "kernels" / "pairs").mkdir()

    def write(text):
        (tmp_path / "kernels" / "pairs" / "axpy.py").write_text(text)

    write(PAIR)
    return write


def test_the_pair_of_the_page_is_verified(axpy, ptxbench):
    ran = ptxbench(*RUN)
    assert (ran.status, ran.err) == (0, "")
    assert "2 variants: 2 verified." in ran.out
    assert load(Path("kernels"), "axpy").summary == "y = a * x + y, one element per thread, a partial last block."


def test_the_kernel_in_python_is_verified_and_its_lines_are_shown(axpy, ptxbench):
    path = Path("kernels", "numba", "axpy.py")
    path.parent.mkdir()
    path.write_text(PYTHON)
    ran = ptxbench(*RUN)
    assert (ran.status, ran.err) == (0, "")
    assert "3 variants: 3 verified." in ran.out
    assert re.search(r"^i numba: compiled by numba-cuda [\d.]+ with NVVM [\d.]+\.$", ran.out, re.M)
    shown = ptxbench("show", "axpy", "--kernels", "kernels", "--variant", "numba", "--variant", "cuda").out
    assert re.search(r"\b8 +y\[i\] = a \* x\[i\] \+ y\[i\] +[0-9a-f]{4}  [A-Z]", shown)
    assert re.search(r"^- numba executes \d+ PTX instructions on 64-bit integers, cuda \d+\.", shown, re.M)


@pytest.mark.parametrize(("right", "wrong", "line", "message"), MISTAKES)
def test_a_mistake_gives_the_message_of_the_page(axpy, ptxbench, right, wrong, line, message):
    axpy(changed(PAIR, right, wrong))
    assert ptxbench(*RUN) == (2, "", f"Error: kernels/pairs/axpy.py:{line}: {message}\n")


def test_the_page_has_at_least_twenty_mistakes_and_the_table_holds_no_other_row():
    section = TEXT.partition("## Mistakes")[2]
    assert len(MISTAKES) == len(re.findall(r"^\|", section, re.M)) - 2
    assert len(MISTAKES) >= 20


def test_a_parameter_that_does_not_fit_is_reported_with_both_lines(axpy, ptxbench):
    axpy(changed(PAIR, 'Scalar("a", f32, 0.7)', 'Scalar("a", u32, 7)'))
    ran = ptxbench(*RUN)
    assert ran.status == 4
    (message,) = re.findall(r"^axpy\.cu:1: parameter .*$", TEXT, re.M)
    assert message in " ".join(ran.out.split())
