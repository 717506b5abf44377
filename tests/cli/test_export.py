"""`ptxbench export`: each form to a file or to stdout."""

from pathlib import Path

import pytest

from ptxbench.exporters import FORMATS, NVBENCH, exporter
from ptxbench.result import save
from tests.terminal.test_comparison import COUNTED, HEAD


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(HEAD, Path("results/nvidia-h100-80gb-hbm3"))


@pytest.mark.parametrize("form", [form for form in FORMATS if form != NVBENCH])
def test_a_text_format_is_written_to_a_file_or_to_stdout(results, ptxbench, form):
    assert ptxbench("export", "4ead", "--to", form, "-o", "out") == (0, "", "")
    assert Path("out").read_text() == exporter(form)(HEAD)
    assert ptxbench("export", "--to", form).out == exporter(form)(HEAD)


def test_nvbench_is_written_into_a_folder(results, ptxbench):
    assert ptxbench("export", "latest", "--to", "nvbench", "-o", "out/nv") == (0, "", "")
    assert {path.name for path in Path("out/nv").glob("*.json")} == {"cuda.json", "ptx.json", "ptx.v4.json"}
    assert ptxbench("export", "latest", "--to", "nvbench", "-o", "out/nv").status == 0


def test_a_run_that_cannot_be_exported_gives_one_sentence_and_status_2(results, ptxbench):
    Path("file").write_text("")
    refused = [
        (["latest", "--to", "nvbench"], "Error: NVBench's files need a folder. Name one with --output.\n"),
        (["latest", "--to", "nvbench", "-o", "file"],
         "Error: Cannot write to file: Not a directory. Name another folder with --output.\n"),
        (["latest", "--to", "csv", "-o", "file/run.csv"],
         "Error: Cannot write file/run.csv: file is a file. Choose another path.\n"),
        (["beef", "--to", "csv"],
         "Error: There is no run 'beef' below results. A run is a file, the start of a file's "
         "name or of an id, 'latest', or 'latest~1', the one before.\n"),
    ]  # fmt: skip
    for arguments, message in refused:
        assert ptxbench("export", *arguments) == (2, "", message)
    assert ptxbench("export", "latest", "--to", "gif").status == 2
    save(COUNTED, Path("results"))
    ran = ptxbench("export", "c0a", "--to", "benchstat", "-o", "out")
    assert (ran.status, Path("out").exists()) == (2, False)
    assert ran.err.startswith("Error: Run c0a has no times")


@pytest.mark.parametrize("folder", [".", "..", "/"])
def test_a_folder_without_a_name_of_its_own_is_not_a_file_to_write(results, ptxbench, folder):
    ran = ptxbench("export", "latest", "--to", "csv", "-o", folder)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: Cannot write {folder}: ")


@pytest.mark.parametrize("command", ["export --to csv", "report", "show triad --emit ptx"])
def test_a_dash_is_not_a_file_to_write(results, ptxbench, command):
    ran = ptxbench(*command.split(), "-o", "-")
    assert ran.status == 2
    assert "expected the name of a file, found '-'. For standard output, write /dev/stdout." in ran.err
    assert not Path("-").exists()
