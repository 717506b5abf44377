"""`ptxbench show` of two files on a device: after the emulator, both are verified and timed as a pair is."""

import json

import pytest

from tests.cli.test_show_files import ARGS, FILES

N = 1 << 20  # so many that a launch is not timed by graphs of many launches
TIMED = ("--grid", str(N // 256), "--block", "256", "--rounds", "1", *(word.replace("1000", str(N)) for word in ARGS))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def timing(ran, status=0):
    assert (ran.status, ran.err) == (status, "")
    return json.loads(ran.out)["launch"]["timing"]


@pytest.mark.long
def test_two_files_are_timed_in_paired_blocks(gpu, ptxbench, folder):
    times = timing(ptxbench("show", "saxpy.cu", "saxpy.ptx", *TIMED, "--json"))
    assert times["problem"] is None
    assert "ORACLE-WEAK" not in times["labels"]  # a fixed result cannot answer to other inputs
    assert all(seconds > 0 for seconds in times["seconds"])
    assert 0.8 < times["ratio"]["low"] <= times["ratio"]["value"] <= times["ratio"]["high"] < 1.25
    assert times["verdict"].startswith("1 process, so no verdict")
