"""A reader that goes away, and streams that are closed from the start, by a real shell: 0 or 141, and no traceback."""

import shutil
import subprocess
import sys

import pytest

from tests.quick import every

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs a POSIX shell")

PTXBENCH = f"{sys.executable} -m ptxbench"
GONE = 141
"""128 + SIGPIPE, as `yes | head` reports it."""


def status_of(script, cwd):
    """The exit status of the first command of the last pipe, and everything on stderr."""
    ran = subprocess.run(
        ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}"], cwd=cwd, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stderr


READER_GONE = [
    # `true` reads nothing; `head` reads the start, and the rest may already be in the pipe
    ("--help | true",                      {GONE}),
    ("run --help | true",                  {GONE}),
    ("list | true",                        {GONE}),
    ("list | head -1",                     {0, GONE}),
    ("list --json | head -c 10",           {0, GONE}),
    ("isa | true",                         {GONE}),     # by Rich
    ("schema run | true",                  {GONE}),
    ("run scale --backend emulator | true", {GONE}),
    ("nothing 2>&1 >/dev/null | true",     {2}),        # the message is lost, not the status
    ("run nothing 2>&1 >/dev/null | true", {2}),
    ("list 2>&1 >/dev/null | true",        {0}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "statuses"), every(4, READER_GONE))
def test_a_reader_that_has_closed_the_pipe_is_not_a_failure(tmp_path, kernels, line, statuses, monkeypatch):
    if line.startswith("run"):
        monkeypatch.setenv("PTXBENCH_KERNELS", str(kernels))
    # the reader ends before the command starts to print
    first, _, reader = line.partition(" | ")
    status, err = status_of(f"(sleep 0.1; exec {PTXBENCH} {first}) | {reader}", tmp_path)
    assert status in statuses
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert "Error" not in err


CLOSED = [
    ("list >&-", 0),
    ("isa >&-", 0),                  # by Rich
    ("list --json >&-", 0),
    ("list >/dev/null 2>&-", 0),
    ("list >&- 2>&- <&-", 0),
    ("mcp <&-", 0),                  # reads it
    ("nothing >/dev/null 2>&-", 2),
    ("run nothing >&- 2>&-", 2),
]  # fmt: skip


@pytest.mark.parametrize(("line", "status"), every(4, CLOSED))
def test_streams_that_are_closed_from_the_start(tmp_path, line, status):
    assert status_of(f"{PTXBENCH} {line}", tmp_path) == (status, "")


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path, kernels):
    """The first file that the run opens would be number 1 or 2, and get what is printed."""
    status, _ = status_of(
        f"{PTXBENCH} run scale --kernels kernels --backend emulator --output run.json >&- 2>&-", tmp_path
    )
    assert status == 0
    assert (tmp_path / "run.json").read_text().startswith("{")
