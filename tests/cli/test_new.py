"""`ptxbench new`: a pair that works, the printed next steps, and that no file is overwritten."""

import errno
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from ptxbench import discovery
from ptxbench.discovery import new, reserved
from ptxbench.errors import UsageError
from ptxbench.toolchain import nvrtc


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files():
    return sorted(path.as_posix() for path in Path().rglob("*"))


def told_command(out):
    """The command to run that was printed, as words without `ptxbench`."""
    (line,) = re.findall(r"^ +ptxbench (run .*)$", out, re.MULTILINE)
    return shlex.split(line)


def test_three_files_are_written_and_the_next_steps_printed(ptxbench, tmp_path):
    assert ptxbench("new", "foo") == (0, f"""\
kernels/pairs/foo.py  arguments, launch, reference, tolerance, sizes
kernels/cuda/foo.cu   the kernel in CUDA C
kernels/ptx/foo.ptx   the kernel in PTX

1. Run it. Both sides are verified:
       ptxbench run foo --kernels kernels
2. Change it step by step, and run it after each step: reference, arguments, sizes, the CUDA C, the
   PTX.
3. To add a variant, add one file, such as kernels/ptx/foo.unrolled.ptx.
To start from a kernel of your own, use --from FILE.cu.

To use this folder without --kernels, set:
       export PTXBENCH_KERNELS={tmp_path}/kernels
""", "")  # fmt: skip
    assert files() == [
        "kernels", "kernels/cuda", "kernels/cuda/foo.cu", "kernels/pairs", "kernels/pairs/foo.py", "kernels/ptx",
        "kernels/ptx/foo.ptx",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["foo"],
        ["reduce_sum.s32"],                              # a dot in a file name is not a dot in the kernel name
        ["new_kernel_2"],                                # holds the template's own name
        ["x"],                                           # is a parameter too
        ["n" * new.LONGEST],
        ["foo", "--kernels", "of my own/kernels here"],
    ],
)  # fmt: skip
def test_the_suggested_command_verifies_both_sides_at_once(ptxbench, arguments):
    ran = ptxbench("new", *arguments)
    assert ran.status == 0
    ran = ptxbench(*told_command(ran.out), "--no-save", "--backend", "emulator")
    assert (ran.status, ran.err) == (0, "")
    assert "1 cell, 2 variants: 2 verified." in ran.out


def test_the_new_files_name_the_pair_and_follow_the_rules_of_a_kernel_file(ptxbench):
    name = "n" * 20
    ptxbench("new", name)
    for path in (path for path in Path("kernels").rglob("*") if path.is_file()):
        text = path.read_text(encoding="ascii")
        assert new.TEMPLATE_NAME not in text
        assert max(map(len, text.splitlines())) <= 120
        assert text.splitlines()[0].lstrip('"/ ').startswith(f"{name}: y[i] = a * x[i]")
    loaded = discovery.load(Path("kernels"), name)
    assert loaded.pair.purpose.startswith("Replace this: ")
    assert loaded.pair.expectation.startswith("Replace this: ")


def test_a_folder_that_the_environment_names_needs_no_option(ptxbench, monkeypatch):
    monkeypatch.setenv("PTXBENCH_KERNELS", "mine")
    ran = ptxbench("new", "foo")
    assert told_command(ran.out) == ["run", "foo"]
    assert "PTXBENCH_KERNELS" not in ran.out
    assert Path("mine/ptx/foo.ptx").is_file()
    assert ptxbench("list").out.startswith("foo\n")
    assert told_command(ptxbench("new", "foo", "--kernels", "other").out) == ["run", "foo", "--kernels", "other"]


def test_a_variable_with_an_unwritable_folder_is_reported_by_name(ptxbench, monkeypatch):
    Path("mine").write_text("a file")
    monkeypatch.setenv("PTXBENCH_KERNELS", "mine")
    assert ptxbench("new", "foo").err == (
        "Error: Cannot write mine/pairs/foo.py: Not a directory. PTXBENCH_KERNELS names mine.\n"
    )
    assert "PTXBENCH_KERNELS" not in ptxbench("new", "1foo").err


def test_the_folder_of_a_checkout_needs_no_option_either(ptxbench, monkeypatch):
    monkeypatch.setattr("ptxbench.discovery.default_kernels", lambda: Path.cwd() / "kernels")
    assert told_command(ptxbench("new", "foo").out) == ["run", "foo"]


def test_output_is_wrapped_to_the_terminal_except_commands(ptxbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    for folder in ("kernels", "a folder/of a name that is longer/than half a line"):
        lines = ptxbench("new", "foo", "--kernels", folder).out.splitlines()
        assert max(len(line) for line in lines if not line.startswith(" " * 7)) <= 60
        assert f"       ptxbench run foo --kernels {shlex.quote(folder)}" in lines


# ---- what it refuses

NAMES = [
    ("Foo",           "Did you mean 'foo'?"),
    ("foo-bar",       "Did you mean 'foo_bar'?"),
    ("foo bar",       "Did you mean 'foo_bar'?"),
    ("_foo",          "Did you mean 'foo'?"),                # hidden, as discovery has it
    ("foo.",          "Did you mean 'foo'?"),
    ("../foo",        "Did you mean 'foo'?"),
    ("1foo",          "such as reduce_sum.s32.\n"),
    ("foo..s32",      "such as reduce_sum.s32.\n"),
    ("fü",            "Did you mean 'fu'?"),
    ("Größe",         "Did you mean 'grosse'?"),
    ("ядро_x",        "such as reduce_sum.s32.\n"),           # 'x' lacks most of it
    ("",              "Argument 3 is empty."),
    ("foo\n",         "Did you mean 'foo'?"),
    ("n" * 61,        "has 61 characters. The name of a pair has at most 60."),
    ("add",           "'add' is a reserved word of PTX. Choose another name."),
    ("float",         "'float' is a reserved word of CUDA C."),
    ("expf",          "'expf' is a reserved word of CUDA C."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), NAMES)
def test_an_invalid_name_is_refused_and_the_message_says_what_is_valid(ptxbench, name, message):
    ran = ptxbench("new", "--", name)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: ")
    assert message in ran.err
    assert files() == []


@pytest.mark.parametrize("there", ["pairs/foo.py", "cuda/foo.cu", "ptx/foo.ptx"])
@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
def test_no_file_is_overwritten_and_no_other_file_is_written(ptxbench, there, kind):
    path = Path("kernels", there)
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    before = files()
    message = f"Error: kernels/{there} already exists. Choose another name, or another folder.\n"
    assert ptxbench("new", "foo") == (2, "", message)
    assert files() == before
    assert kind != "file" or path.read_text() == "mine"


@pytest.mark.parametrize("fails", ["foo.py", "foo.cu", "foo.ptx"])
@pytest.mark.parametrize(
    ("error", "status"),
    [(OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)],
    ids=["a full disk", "Ctrl-C"],
)
def test_files_written_before_a_failure_are_removed(ptxbench, monkeypatch, fails, error, status):
    (Path("kernels") / "cuda").mkdir(parents=True)
    open_path = Path.open

    class Full(io.TextIOWrapper):
        def write(self, text):
            raise error

    def open_to_fail(path, mode="r", *arguments, **options):
        if mode == "x" and path.name == fails:
            return Full(open_path(path, "xb"))
        return open_path(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_to_fail)
    ran = ptxbench("new", "foo")
    assert (ran.status, ran.out) == (status, "")
    assert status != 2 or ran.err.endswith(f"{fails}: No space left on device.\n")
    assert files() == ["kernels", "kernels/cuda"]


def test_a_file_in_place_of_a_folder_is_reported(ptxbench):
    Path("mine").write_text("a file")
    assert ptxbench("new", "foo", "--kernels", "mine") == (
        2, "", "Error: Cannot write mine/pairs/foo.py: Not a directory.\n"
    )  # fmt: skip


@pytest.mark.parametrize("inside", ["kernels", "template", "."])
def test_no_pair_is_written_into_the_package(ptxbench, tmp_path, monkeypatch, inside):
    os.symlink(new.PACKAGE, "link")  # noqa: PTH211  by whatever way it is reached
    for folder in (new.PACKAGE / inside, Path("link", inside)):
        ran = ptxbench("new", "foo", "--kernels", folder)
        assert ran == (
            2, "",
            f"Error: {folder} is inside ptxbench itself, which an update replaces. Choose another --kernels DIR.\n",
        )  # fmt: skip
    assert not list(new.PACKAGE.rglob("foo.*"))


# ---- the words


@pytest.mark.parametrize("word", sorted(reserved.CUDA)[::10])
def test_nvrtc_refuses_the_reserved_words_of_cuda_c(word):
    """A tenth of them: each costs NVRTC a compilation."""
    source = (new.TEMPLATE / "cuda" / "new_kernel.cu").read_text().replace("new_kernel(", f"{word}(")
    with pytest.raises(Exception, match=r"x\.cu"):
        nvrtc.translate(nvrtc.find(), source.encode(), Path("x.cu"), "sm_90", ())


def test_the_reserved_words_are_lower_case_and_each_is_listed_once():
    for words in (reserved.PTX, reserved.CUDA):
        assert all(new.NAME.fullmatch(word) for word in words)
    assert not reserved.PTX & reserved.CUDA
    assert {"add", "mov", "wgmma"} <= reserved.PTX
    for name in discovery.find_pairs(discovery.default_kernels()):
        new.require_name(name)
    with pytest.raises(UsageError):
        new.require_name("mov")
