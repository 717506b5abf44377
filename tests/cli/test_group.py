"""The command itself: help, start-up time, and how each kind of failure ends."""

import errno
import os
import resource
import subprocess
import sys

import click
import pytest

from ptxbench import __version__, cli
from ptxbench.check import launching
from ptxbench.emulator import launch
from ptxbench.errors import IncompletePair, PairError, PtxbenchError, WrongResult

COMMANDS = ("arch", "compare", "doctor", "exec", "export", "history", "isa", "list", "new", "run", "view")
SCRIPT = "import sys; from ptxbench.cli import main; sys.exit(main())"


def test_help_names_every_command(ptxbench):
    ran = ptxbench("--help")
    assert ran.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in ran.out
    assert "Exit status: 0 good" in ran.out


def test_the_line_of_each_command_is_not_cut(ptxbench):
    commands = ptxbench("--help").out.split("Commands:")[1]
    assert "..." not in commands


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_explains_its_exit_status(ptxbench, name):
    ran = ptxbench(name, "-h")
    assert ran.status == 0
    assert "Exit status: 0 " in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_of_the_help_can_be_copied(ptxbench, name):
    """A command that goes on in a next line says so to the shell."""
    lines = ptxbench(name, "-h").out.splitlines()
    for i, line in enumerate(lines):
        if line.lstrip().startswith("ptxbench ") and line.startswith("  "):
            while lines[i].endswith("\\"):
                i += 1
            assert lines[i + 1].strip() == "", line


def test_the_help_has_the_default_number_of_loop_iterations(ptxbench):
    assert (launch.FUEL, launch.SANITIZED_FUEL, launching.FUEL) == (1 << 27, 1 << 25, 1 << 20)
    assert "2^27, with --sanitize 2^25, divided by the warps" in " ".join(ptxbench("exec", "--help").out.split())
    assert "warp may run. [default: 2^20]" in " ".join(ptxbench("check", "--help").out.split())


def test_the_version_matches_the_package(ptxbench):
    assert ptxbench("--version") == (0, f"ptxbench, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"],                  "No such command 'rnu'. Did you mean 'run'?"),
        (["RUN"],                  "No such command 'RUN'. Did you mean 'run'?"),
        (["import"],               "No such command 'import'.\n"),  # not near 'report'
        (["compile"],              "No such command 'compile'.\n"),
        (["triad"],                "No such command 'triad'. It is a pair: ptxbench run triad.\n"),
        (["mine.cu", "--grid", "1"], "No such command 'mine.cu'. For a file, write a command before it: ptxbench exec "
                                   "mine.cu, or show, arch or check.\n"),
        (["help"],                 "No such command 'help'. Did you mean '--help'?\n"),
        (["--backend", "gpu", "run"], "No such option '--backend'. Write the options of a command after its name.\n"),
        (["run", "--BACKEND"],     "No such option '--BACKEND'. Did you mean '--backend'?"),
        (["exec", "", "--grid", "1"], "Argument 2 is empty. Is a variable of the shell not set?\n"),
        (["_saving"],              "No such command '_saving'."),
        (["run", "--bakcend"],     "No such option '--bakcend'. Did you mean '--backend'?"),
        (["run", "--var", "ptx"],  "No such option '--var'. Did you mean '--variant'?"),
        (["run", "--sanitize"],    "No such option '--sanitize'.\n"),  # not near '--size', which click suggests
        (["run", "--jobs", "2"],   "No such option '--jobs'.\n"),
        (["exec", "--shared-bytes", "9"], "No such option '--shared-bytes'. Did you mean '--shared'?"),
        (["exec", "--smem", "9"],  "No such option '--smem'. Did you mean '--shared'?"),
        (["exec", "--fast-math"],  "No such option '--fast-math'. Did you mean '--flag --use_fast_math'?"),
        (["arch", "--sm", "90"],   "No such option '--sm'. Did you mean '--target'?"),
        (["run", "--pair", "triad"], "No such option '--pair'. Write the pair without an option: ptxbench run PAIR.\n"),
        (["report", "--run", "x"], "No such option '--run'. Write the run without an option: ptxbench report RUN.\n"),
        (["check", "x.cu", "triad"], "Missing option '--pair'. Did you mean '--pair triad'?\n"),
        (["check", "x.cu"],        "Missing option '--pair'. `ptxbench list` shows the pairs.\n"),
        (["gate", "triad"],        "'triad' is a pair: write --pair triad.\n"),
        (["run", "triad", "n=9"],  " Did you mean '--size n=9'?\n"),
        (["run", "triad", "sm_90"], " Did you mean '--arch sm_90'?\n"),
        (["tune", "triad", "BLOCK=64,128"], "(BLOCK=64,128). Did you mean '--knob BLOCK=64,128'?\n"),
        (["exec", "x.cu", "x:f32[4]=zeros"], "(x:f32[4]=zeros). Did you mean '--arg x:f32[4]=zeros'?\n"),
        (["compare", "triad"],     "'triad' is a pair: ptxbench run triad makes a run of it.\n"),
        (["run", "--backend", "x"], "'x' is not one of"),
        (["run", "--seed", "x"],   "'x' is not a whole number.\n"),
        (["run", "--timeout", "x"], "'x' is not a number.\n"),
        (["exec", "x.cu", "--shared", "48k"], "'48k' is not a whole number.\n"),
    ],
)  # fmt: skip
def test_a_mistyped_command_line_is_a_usage_error(ptxbench, arguments, message):
    ran = ptxbench(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err


def boom():
    raise ZeroDivisionError("a bug")


FAILURES = [
    (PairError("x.py:3: no."),                2,   "Error: x.py:3: no.\n"),
    (WrongResult("x.ptx: no."),               4,   "Error: x.ptx: no.\n"),
    (PtxbenchError("no."),                    2,   "Error: no.\n"),
    (click.ClickException("no."),             2,   "Error: no.\n"),
    (OSError(errno.ENAMETOOLONG, "too long", 99 * "x"), 2,
     f"Error: Cannot use '{60 * 'x'}...': File name too long.\n"),
    (PtxbenchError("\x1b[2J\n::error::\u202e"), 2, "Error: \\x1b[2J\n: :error::\\u202e\n"),
    (KeyboardInterrupt(),                     130, "\n"),
    *(
        (error, 2, "Error: No more processes can be started. Raise their limit (ulimit -u), or end some.\n")
        for error in (BlockingIOError(errno.EAGAIN, "try again"), RuntimeError("can't start new thread"))
    ),
]  # fmt: skip


@pytest.mark.parametrize(("error", "status", "message"), FAILURES)
def test_an_exception_becomes_one_sentence_and_an_exit_status(monkeypatch, ptxbench, error, status, message):
    @click.command("fails")
    def fails():
        raise error

    monkeypatch.setattr(cli.Commands, "get_command", lambda self, ctx, name: fails)
    assert ptxbench("fails") == (status, "", message)


def test_a_bug_shows_its_traceback_and_asks_for_a_report(monkeypatch, ptxbench):
    monkeypatch.setattr(cli.Commands, "get_command", lambda self, ctx, name: click.command("bug")(boom))
    ran = ptxbench("bug")
    assert (ran.status, ran.out) == (1, "")
    assert "ZeroDivisionError: a bug" in ran.err
    assert ran.err.endswith("This is a bug in ptxbench: please report it with the lines above.\n")


def test_a_missing_file_is_reported_in_a_sentence():
    assert str(IncompletePair("x", ["kernels/ptx/x.ptx"])).startswith("Pair 'x' lacks kernels/ptx/x.ptx.")


def processor_seconds(command, environment):
    """The CPU time of a command; other work on the machine does not change it much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", *command], env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


USUAL_START = 0.02
"""Seconds that the start of Python takes where `ptxbench --help` takes 0.12."""


@pytest.mark.parametrize(("arguments", "seconds"), [(["--help"], 0.15), (["list"], 1)])
def test_help_and_list_answer_quickly(tmp_path, arguments, seconds):
    """The least of eight runs, in seconds of the processor. Other work on the machine makes it slower: then the start
    of Python alone takes longer too."""
    # as installed: with byte code, which the first turn writes
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    taken = []
    while len(taken) < 8 and not (taken and min(taken) <= seconds):
        taken.append(processor_seconds([SCRIPT, *arguments], environment))
    python = min(processor_seconds(["pass"], environment) for _ in range(4)) if min(taken) > seconds else 0
    assert min(taken) <= seconds * max(1, python / USUAL_START)


def test_the_package_is_the_command():
    ran = subprocess.run(
        [sys.executable, "-m", "ptxbench", "list", "triadd"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (2, "Error: Unknown pair 'triadd'. Did you mean 'triad'?\n")
