"""The fixture `ncu`: a script in the place of Nsight Compute."""

import json
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture
def ncu(tmp_path, monkeypatch):
    """Replaces ncu by a script, and returns the function that sets its behaviour."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ncu"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("ncu.py")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def does(mode, counts=None, runs=False):
        monkeypatch.setenv("NCU_MODE", mode)
        monkeypatch.setenv("NCU_COUNTS", json.dumps(counts or {}))
        monkeypatch.setenv("NCU_RUNS", "1" if runs else "")
        monkeypatch.setenv("NCU_PID", str(tmp_path / "pid"))
        return tmp_path / "pid"

    return does
