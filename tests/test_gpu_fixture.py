"""The `gpu` fixture uses the simulated device only if the real one is missing, and never if a real one is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFTEST = Path(__file__).parent / "gpu" / "conftest.py"

NO_GPU = "No GPU: no NVIDIA driver is installed. Run with --backend emulator to verify without timing."


ONCE = "lambda find=backend.find_driver, answers=[None]: answers.pop() if answers else find()"
"""No driver at the first call; then the real one."""


@pytest.fixture
def pytest_on(tmp_path):
    """Runs one test that needs the device, in a separate process, with `find_driver` replaced first."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\n", encoding="utf-8")

    def run(find_driver, **environment):
        (tmp_path / "test_it.py").write_text(
            f"from ptxbench.backends import gpu as backend\n"
            f"backend.find_driver = {find_driver}\n"
            f"def test_it(gpu):\n    print('found', gpu.device().name)\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "pytest", "-ra", "-s", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
        clean = {name: value for name, value in os.environ.items() if name != "PTXBENCH_REQUIRE_GPU"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=clean | environment)
        return done.returncode, done.stdout

    return run


@pytest.mark.long
def test_a_missing_device_is_simulated(pytest_on):
    status, output = pytest_on(ONCE)
    assert status == 0
    assert "found Small GPU" in output
    assert "1 passed" in output


@pytest.mark.long
def test_a_missing_device_fails_where_a_gpu_is_required(pytest_on):
    status, output = pytest_on("lambda: None", PTXBENCH_REQUIRE_GPU="1")
    assert status == 1
    assert NO_GPU in output
    assert "found" not in output


@pytest.mark.long
def test_any_other_failure_is_an_error_and_no_skip(pytest_on):
    status, output = pytest_on("lambda: 1 / 0")
    assert status == 1
    assert "ZeroDivisionError" in output
    assert "found" not in output
