"""Commands as users start them, on a device: a program of its own, its workers, and what it saves."""

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
    setp.lt.u32         %past, %i, 500;
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


def test_a_run_is_measured_reported_tracked_and_confirmed(start, gpu, tmp_path):
    once = ("run", "--kernels", "kernels", "--size", "n=65536", "--rounds", "2")
    status, out, err = start(*once, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["device"]["name"] == gpu.device()["name"]
    (control,) = [cell for cell in document["cells"] if cell["control"]]
    (cell,) = [cell for cell in document["cells"] if not cell["control"]]
    assert {each["status"] for each in (control | cell)["variants"].values()} == {"verified"}
    assert [one["process"] for one in cell["rounds"] if one["contrast"] == ["cuda", "ptx"]] == [0, 1]
    assert all(ns > 0 for one in cell["rounds"] for block in one["ns"] for ns in block)
    assert start("report", "latest")[0] == 0
    assert "scale" in (tmp_path / "report.html").read_text()

    status, out, err = start("baseline", "set", "latest", "--reason", "the first")
    assert status == 0, err
    (tmp_path / "kernels" / "ptx" / "scale.ptx").write_text(SLOW)
    assert start(*once)[0] == 0
    status, out, err = start("gate", "latest", "--kernels", "kernels", "--confirm", "--json")
    gated = json.loads(out)
    assert (status, gated["exit_status"]) == (3, 3), err
    assert len(gated["confirmed_by"]) == 1
