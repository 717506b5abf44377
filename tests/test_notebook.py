"""The Python API: what its page shows is executed, and a run is shown as the command prints it."""

import dataclasses
import doctest
import json
import re
from pathlib import Path

import pytest

import ptxbench
from ptxbench.cli import main
from ptxbench.errors import ResultError, UsageError
from tests.folders import PTX, changed, kernels_folder

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "notebook.md"


def examples(text):
    """The examples of a page, as one doctest."""
    blocks = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))
    return doctest.DocTestParser().get_doctest(blocks, {}, PAGE.name, str(PAGE), 0)


def failures(text):
    """What doctest reports about a page whose examples are not true."""
    reports = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DocTestRunner(optionflags=flags).run(examples(text), out=reports.append)
    return "".join(reports)


def test_every_example_of_the_page_is_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    assert len(examples(text).examples) > 12
    assert failures(text) == ""


def test_an_example_that_is_not_true_is_reported():
    assert "Expected:\n    3\nGot:\n    2\n" in failures("```python\n>>> 1 + 1\n3\n\n```\n")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of the small pair of the tests, with its folder."""
    folder = tmp_path_factory.mktemp("notebook")
    return ptxbench.run("scale", kernels=kernels_folder(folder), backend="emulator", results=folder / "results"), folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": "n=4096"}, r"sizes is 'n=4096'; expected a list, such as \['n=4096'\]"),
        ({"variants": "ptx"}, "variants is 'ptx'; expected a list"),
        ({"variants": [3]}, "a value of variants is 3; expected a text"),
        ({"sizes": [4096]}, "a value of sizes is 4096; expected a size, such as 'n=65536'"),
        ({"arch": 90}, "Unknown architecture '90'. Did you mean 'sm_90'?"),
        ({"kernels": ["kernels"]}, r"kernels is \['kernels'\]; expected the path of a folder"),
        ({"rounds": 0}, "rounds is 0; expected a whole number of at least 1"),
        ({"cache": "hot"}, "cache is 'hot'; expected one of cold, warm"),
        ({"backend": "emulater"}, "expected one of auto, gpu, emulator. Did you mean 'emulator'?"),
    ],
)
def test_a_wrong_argument_is_an_error_before_anything_runs(options, message):
    with pytest.raises(UsageError, match=message):
        ptxbench.run("scale", **options)


def test_a_folder_for_results_that_cannot_be_one_is_an_error_before_anything_runs(tmp_path):
    in_the_way = tmp_path / "results"
    in_the_way.write_text("a file")
    steps = []
    with pytest.raises(ResultError, match=r"Cannot write to .*results.*Name another folder\."):
        ptxbench.run("triad", backend="emulator", results=in_the_way, progress=lambda *step: steps.append(step))
    assert steps == []


def test_pairs_in_a_list_are_an_error_that_says_so():
    with pytest.raises(UsageError, match=r"pair is \['scale'\]; expected the name of a pair"):
        ptxbench.run(["scale"])


def test_a_run_is_saved_and_read_again(ran):
    run, folder = ran
    read_back = ptxbench.load_run(run.document.run.id[:5], folder / "results")
    assert (read_back.path, read_back.rows(), read_back.to_json()) == (run.path, run.rows(), run.to_json())
    assert read_back.verified
    with pytest.raises(UsageError, match="There is no run 'zzz'"):
        ptxbench.load_run("zzz", folder / "results")
    (folder / "cut.json").write_text(run.to_json()[:-100])
    with pytest.raises(ResultError, match="not JSON"):
        ptxbench.load_run(folder / "cut.json")


def test_the_document_is_the_one_of_the_command(ran, capsys):
    run, folder = ran
    options = ["--kernels", str(folder / "kernels"), "--backend", "emulator", "--no-save", "--json"]
    assert main(["run", "scale", *options]) == 0
    command = json.loads(capsys.readouterr().out)
    document = json.loads(run.to_json())
    assert command["cells"] == document["cells"]


def test_a_notebook_shows_the_numbers_and_no_foreign_markup(ran):
    run, _ = ran
    page = run._repr_html_()
    assert page.count("<table>") == len(run.document.cells) == 1
    assert "<code>cuda@fast</code>" in page
    assert "machine instructions" in page
    assert re.search(r"<script|<style|style=\"(?!text-align)", page) is None
    [cell] = run.document.cells
    hostile = dataclasses.replace(cell, pair="<script>alert(1)</script>")
    document = dataclasses.replace(run.document, cells=[hostile])
    shown = dataclasses.replace(run, document=document)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_wrong_kernel_is_not_verified(ran, tmp_path):
    folder = kernels_folder(tmp_path)
    (folder / "ptx" / "scale.ptx").write_text(changed(PTX, "mul.rn.f32", "add.rn.f32"))
    run = ptxbench.run("scale", kernels=folder, backend="emulator")
    assert not run.verified
    assert {row["variant"]: row["status"] for row in run.rows()}["ptx"] == "wrong"
    assert repr(run).endswith("not verified>")
    assert any("ptx is wrong" in sentence for sentence in re.findall(r"<p>(.*?)</p>", run._repr_html_()))


def test_an_interrupted_run_is_saved_if_a_folder_is_named(ran, tmp_path):
    _, folder = ran

    def stop(done, total, words):
        if words.startswith("verify scale ptx at n=4096"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ptxbench.run(
            "scale", kernels=folder / "kernels", sizes=[{"n": 1024}, "n=4096"], backend="emulator",
            results=tmp_path, progress=stop,
        )  # fmt: skip
    saved = ptxbench.load_run("latest", tmp_path)
    assert (saved.status, [row["size.n"] for row in saved.rows()][:1], saved.verified) == ("interrupted", [1024], False)


def test_ptxbench_offers_these_names_and_loads_them_when_they_are_used():
    assert set(ptxbench.__all__) == {*ptxbench.MODULES, "__version__"}
    assert all(getattr(ptxbench, name).__module__ == f"ptxbench.{module}" for name, module in ptxbench.MODULES.items())
    with pytest.raises(AttributeError, match="module 'ptxbench' has no attribute 'runs'"):
        _ = ptxbench.runs
