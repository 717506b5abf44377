"""Commands as users start them, on a device: a separate process, its workers, and the saved files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.folders import PTX, changed, kernels_folder

SLOW = changed(
    PTX,
    "    mul.rn.f32          %value, %value, %a;\n",
    """\
    mul.rn.f32          %value, %value, %a;
    mov.u32             %i, 0;
MORE:
    add.u32             %i, %i, 1;
    mul.rn.f32          %value, %value, 0f3F800000;
    setp.lt.u32         %past, %i, 50;
    @%past bra          MORE;
""",
)
"""The same result, after much work for nothing."""


@pytest.fixture
def start(gpu, tmp_path, shared_cache):
    """Runs `ptxbench` as a program in a folder with the pair `scale`: status, stdout, stderr."""
    kernels_folder(tmp_path)
    environment = {**os.environ, "PTXBENCH_CACHE": str(shared_cache)}

    def start(*arguments):
        command = [Path(sys.executable).with_name("ptxbench"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    return start


def test_a_run_saves_its_times_and_a_report_can_be_made(start, gpu, tmp_path):
    status, out, err = start("run", "--kernels", "kernels", "--size", "n=65536", "--rounds", "1", "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["device"]["name"] == gpu.device().name
    assert {variant["status"] for cell in document["cells"] for variant in cell["variants"].values()} == {"verified"}
    assert sorted(cell["control"] for cell in document["cells"]) == [False, True]
    rounds = [timed_round for cell in document["cells"] for timed_round in cell["rounds"]]
    assert all(ns > 0 for timed_round in rounds for block in timed_round["ns"] for ns in block)
    assert start("report", "latest")[0] == 0
    assert "scale" in (tmp_path / "report.html").read_text()


@pytest.mark.long
def test_a_sweep_times_both_sides_at_every_point(start, tmp_path):
    sweep = ("--size", "n=65536", "--knob", "BLOCK=128,256", "--rounds", "1")
    status, out, err = start("tune", "triad", *sweep)
    assert status == 0, err
    assert "time (µs)" in out
    (saved,) = tmp_path.glob("results/*/*.sweep.json")
    cells = [cell for cell in json.loads(saved.read_text())["cells"] if not cell["control"]]
    assert sorted(cell["knobs"]["BLOCK"] for cell in cells) == [128, 256]
    assert {variant["status"] for cell in cells for variant in cell["variants"].values()} == {"verified"}
    assert all(cell["rounds"] for cell in cells)


@pytest.mark.long
def test_a_slowdown_is_confirmed_by_a_second_run(start, tmp_path):
    once = ("run", "--kernels", "kernels", "--size", "n=1048576")
    assert start(*once)[0] == 0
    status, _, err = start("baseline", "set", "latest", "--reason", "the first")
    assert status == 0, err
    (tmp_path / "kernels" / "ptx" / "scale.ptx").write_text(SLOW)
    assert start(*once)[0] == 0
    status, out, err = start("gate", "latest", "--kernels", "kernels", "--confirm", "--json")
    gated = json.loads(out)
    assert (status, gated["exit_status"]) == (3, 3), err
    assert len(gated["confirmed_by"]) == 1
