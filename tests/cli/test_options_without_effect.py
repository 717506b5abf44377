"""Options that would have no effect, or that contradict each other, are wrong usage: each names what to leave out."""

from pathlib import Path

import pytest

from ptxbench.result import to_json

DUMPED = "--dump-config prints the rules and judges nothing."
ARRAYS = "--arg f32[1024]=random --arg f32[1024]=zeros --arg f32=2 --arg u32=1024 --grid 8 --block 128"

REFUSED = [
    # the command, the message
    ("view RUN --metric time --kernels kernels",   "RUN is a run, not a sweep. Leave out --metric, --kernels."),
    ("list --results .",                           "Only --verdicts reads recorded runs. Leave out --results."),
    ("list --baselines . --json",                  "Only --verdicts reads recorded runs. Leave out --baselines."),
    ("gate RUN --base RUN --arch sm_80",
     "--arch is for the run that is made without HEAD. Leave out --arch."),
    ("gate --dump-config --json",                  f"{DUMPED} Leave out --json."),
    ("gate --dump-config --confirm -o a.md",       f"{DUMPED} Leave out --confirm, -o."),
    ("show scale --kernels kernels --ptx --sass",  "--ptx and --sass exclude each other. Choose one."),
    ("show scale --kernels kernels --sass --side-by-side", "--sass and --side-by-side exclude each other. Choose one."),
    (f"exec kernels/ptx/scale.ptx {ARRAYS} --save x=a.npy --save y=a.npy",
     "--save names a.npy for 'x' and for 'y'. Name two files."),
]  # fmt: skip


@pytest.mark.parametrize(("command", "message"), REFUSED)
def test_an_option_without_effect_is_named(command, message, emulated, tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    Path("RUN").write_text(to_json(emulated.run))
    ran = ptxbench(*command.split())
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {message}\n")


def test_one_array_may_be_saved_twice(kernels, ptxbench):
    ran = ptxbench("exec", "kernels/ptx/scale.ptx", *ARRAYS.split(), "--save", "y=a.npy", "--save", "y=a.npy")
    assert ran.status == 0
    assert Path("a.npy").is_file()


@pytest.mark.parametrize("command", ["history", "run", "compare a b", "gate a", "list --verdicts"])
def test_a_file_in_place_of_the_folder_of_runs_is_wrong_usage(command, kernels, ptxbench):
    ran = ptxbench(*command.split(), "--results", "kernels/ptx/scale.ptx")
    assert ran.status == 2
    assert "Directory 'kernels/ptx/scale.ptx' is a file." in ran.err


WITHOUT_CODE = [
    ("empty.ptx",   "",                       "is empty."),
    ("empty.cu",    " \n",                    "is empty."),
    ("comment.ptx", "// to do\n\n/* later */", "has no kernel: it has comments only."),
    ("comment.cu",  "/* to do",               "has no kernel: it has comments only."),
]  # fmt: skip


@pytest.mark.parametrize("command", ["exec", "show", "arch", "new pair --from"])
@pytest.mark.parametrize(("name", "text", "message"), WITHOUT_CODE)
def test_a_file_without_code_is_wrong_usage(command, name, text, message, kernels, tmp_path, ptxbench):
    path = tmp_path / name
    path.write_text(text)
    ran = ptxbench(*command.split(), path)
    assert (ran.status, ran.err) == (2, f"Error: {path} {message}\n")


@pytest.mark.parametrize("command", ["exec", "show", "arch", "new pair --from"])
def test_a_text_that_is_not_ptx_is_a_broken_kernel(command, kernels, tmp_path, ptxbench):
    (path := tmp_path / "words.ptx").write_text("hello")
    ran = ptxbench(*command.split(), path)
    assert (ran.status, ran.err) == (4, "Error: words.ptx:1: expected '.version', found 'hello'.\n")
