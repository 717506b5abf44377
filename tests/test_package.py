"""The wheel holds all that a user needs outside the repository. It is built here, offline, by the real backend."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import ptxbench

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_contains_every_kernel_byte_for_byte(wheel):
    kernels = [path for path in (ROOT / "kernels").rglob("*") if path.suffix in {".py", ".cu", ".ptx"}]
    assert kernels
    for path in kernels:
        assert wheel.read(f"ptxbench/{path.relative_to(ROOT).as_posix()}") == path.read_bytes()


def test_the_wheel_contains_every_module_and_data_file(wheel):
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ptxbench").rglob("*") if path.is_file()}
    wanted = {name for name in files if not any(part[0] == "." or part == "__pycache__" for part in name.split("/"))}
    assert {"ptxbench/py.typed", "ptxbench/backends/l2_sweep.ptx"} <= wanted <= set(wheel.namelist())


def test_the_wheel_contains_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"ptxbench", f"ptxbench-{ptxbench.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_names_its_version_its_license_its_command_and_its_plugin(wheel, metadata):
    assert metadata["Version"] == ptxbench.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    info = f"ptxbench-{ptxbench.__version__}.dist-info"
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[console_scripts]\nptxbench = ptxbench.__main__:program\n" in entry_points
    assert "[pytest11]\nptxbench = ptxbench.pytest_plugin\n" in entry_points


def test_each_extra_brings_cupy_nvrtc_ptxas_and_nvdisasm_of_its_major_version(metadata):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(metadata.get_all("Provides-Extra")) == set(extras)
    assert {extra for extra in extras if extra.startswith("cu")} == {"cu12", "cu13"}
    for extra, wheels in ((name, extras[name]) for name in ("cu12", "cu13")):
        for wanted in ("cupy-cuda", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-nvcc", "nvidia-cuda-nvdisasm"):
            assert any(requirement.startswith(wanted) for requirement in wheels), (extra, wanted)
