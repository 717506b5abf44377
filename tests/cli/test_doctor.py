"""`ptxbench doctor`: every part that works, is absent or is broken, and the advice."""

import json
import sys
from pathlib import Path

import pytest

from ptxbench import cache
from ptxbench.backends import gpu
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.cli.doctor import show
from ptxbench.doctor import ABSENT, BROKEN, WORKS, PartStatus, display_path, examine_kernels, examine_triton
from ptxbench.emulator import Execution
from ptxbench.errors import DeviceError, EmulatorCrash
from ptxbench.run_info import Device
from ptxbench.toolchain import locate, ptxas, triton
from tests.folders import kernels_folder
from tests.quick import every


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """So that every tool is used."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def doctor(ptxbench):
    """Runs `ptxbench doctor --json`: the exit status, the findings by subject, stderr."""

    def doctor():
        ran = ptxbench("doctor", "--json")
        document = json.loads(ran.out)
        assert document["works"] is (ran.status == 0)
        return ran.status, {finding["subject"]: PartStatus(**finding) for finding in document["findings"]}, ran.err

    return doctor


MAY_LACK = {"CuPy", "Triton", "containment"}
"""Parts that a machine of the tests may lack."""


@pytest.mark.usefixtures("empty_cache")
def test_where_everything_is_installed_everything_works(doctor, monkeypatch):
    monkeypatch.setattr(gpu, "find_driver", lambda: None)
    status, findings, err = doctor()
    assert status == 0
    assert err == ""
    absent = {"NVIDIA driver", "GPU"}
    assert {name for name, finding in findings.items() if finding.status != WORKS} - MAY_LACK == absent
    assert list(findings) == [
        "Python", "numpy", "llvmlite", "numba", "NVRTC", "CUDA headers", "ptxas", "nvdisasm", "tileiras", "Triton",
        "emulator", "CuPy", "NVIDIA driver", "GPU", "kernels", "containment", "cache",
    ]  # fmt: skip


@pytest.mark.usefixtures("empty_cache")
def test_without_tools_the_emulator_works_and_the_advice_says_what_to_install(doctor, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    monkeypatch.setattr(locate, "nvrtc", lambda: None)
    status, findings, _ = doctor()
    assert status == 0
    for name in ("NVRTC", "ptxas", "nvdisasm"):
        assert findings[name].status == ABSENT
        assert "pip install 'ptxbench[cu13]'" in findings[name].advice
    assert findings["tileiras"].status == ABSENT
    assert "pip install 'ptxbench[tile]'" in findings["tileiras"].advice
    assert "CUDA headers" not in findings


@pytest.mark.usefixtures("empty_cache")
def test_triton_is_absent_or_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("ptxbench.toolchain.triton.installed", lambda package: None)
    monkeypatch.setattr("ptxbench.toolchain.python_source.installed", lambda package: None)
    extra = "pip install 'ptxbench[triton]'."
    assert examine_triton() == PartStatus(
        "Triton", ABSENT, "-", f"Rows in Triton are skipped until it is installed: {extra}"
    )

    triton.PROCESS.stop()
    monkeypatch.setattr("ptxbench.toolchain.triton.installed", lambda package: "3.9.0")
    monkeypatch.setattr("ptxbench.toolchain.python_source.installed", lambda package: "3.9.0")
    (tmp_path / "triton.py").write_text("raise ImportError('no libtriton')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    why = "answer.triton.py: Triton does not work here: ImportError: no libtriton. Reinstall it: "
    assert examine_triton() == PartStatus("Triton", BROKEN, "3.9.0", why + extra)
    triton.PROCESS.stop()


@pytest.mark.long
@pytest.mark.usefixtures("empty_cache")
def test_without_headers_the_advice_says_what_to_install(doctor, monkeypatch):
    monkeypatch.setattr(locate, "headers", tuple)
    _, findings, _ = doctor()
    assert findings["NVRTC"].status == WORKS
    assert findings["CUDA headers"].status == ABSENT
    assert findings["CUDA headers"].advice.startswith(
        "answer.cu includes cuda_fp16.h, and CUDA's headers are not installed"
    )


@pytest.mark.usefixtures("empty_cache")
def test_a_ptxas_older_than_nvrtc_is_broken(doctor, monkeypatch):
    def assemble(*_):
        raise ptxas.RefusedError(
            "ptxas kernel.ptx, line 9; fatal   : Unsupported .version 9.5; current version is '9.0'"
        )

    monkeypatch.setattr(ptxas, "assemble", assemble)
    _, findings, _ = doctor()
    assert findings["ptxas"].status == BROKEN
    assert findings["ptxas"].advice.startswith("NVRTC is newer than ptxas ")
    assert findings["nvdisasm"].status == WORKS


@pytest.mark.usefixtures("empty_cache")
def test_a_tool_that_does_not_start_is_broken(doctor, monkeypatch, tmp_path):
    (tmp_path / "tool").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.setattr(locate, "program", lambda name: tmp_path / "tool")
    monkeypatch.setattr(locate, "nvrtc", lambda: tmp_path / "tool")
    status, findings, _ = doctor()
    assert status == 0
    assert {findings[name].status for name in ("NVRTC", "ptxas", "nvdisasm")} == {BROKEN}
    assert findings["NVRTC"].advice.startswith("NVRTC does not load: ")


def test_a_package_that_does_not_import_is_broken(doctor, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    _, findings, _ = doctor()
    assert findings["numba"].status == BROKEN
    assert findings["numba"].advice == "Reinstall ptxbench in a new virtual environment: it includes numba."


def crash(*_, **__):
    raise EmulatorCrash("The emulator's process died of signal 11.")


def write_nothing(*_, **__):
    return Execution({}, {}, "in order")


@pytest.mark.parametrize("run", every(2, [crash, write_nothing]))
def test_an_emulator_that_does_not_work_is_the_one_failure_of_the_command(doctor, monkeypatch, run):
    monkeypatch.setattr("ptxbench.backends.emulator.run_steps", run)
    status, findings, err = doctor()
    assert status == 2
    assert findings["emulator"].status == BROKEN
    assert err.startswith("Error: The emulator does not work, so no kernel can be verified. ")
    assert "Reinstall ptxbench" in err


class WorkingGpu:
    """A GPU by another name."""

    def unavailable(self):
        return None

    def device(self):
        return Device("gpu", "NVIDIA H100", "sm_90")

    def run(self, *arguments):
        return EmulatorBackend("sm_90").run(*arguments)


class LostDevice(WorkingGpu):
    def run(self, *arguments):
        raise DeviceError("answer.ptx: CUDA_ERROR_ILLEGAL_ADDRESS.")


class NoDevice(WorkingGpu):
    def unavailable(self):
        return "No GPU: cudaErrorNoDevice."


DEVICES = [
    (WorkingGpu, PartStatus("GPU", WORKS,  "NVIDIA H100, sm_90", "")),
    (LostDevice, PartStatus("GPU", BROKEN, "-", "answer.ptx: CUDA_ERROR_ILLEGAL_ADDRESS.")),
    (NoDevice,   PartStatus("GPU", ABSENT, "-", "No GPU: cudaErrorNoDevice.")),
]  # fmt: skip


@pytest.mark.parametrize(("device", "finding"), every(3, DEVICES))
def test_a_gpu_is_used_once(doctor, monkeypatch, device, finding):
    monkeypatch.setattr(gpu, "find_driver", object)
    monkeypatch.setattr(gpu, "driver_cuda_version", lambda driver: "13.0")
    monkeypatch.setattr(gpu, "GpuBackend", device)
    monkeypatch.setattr("ptxbench.doctor.driver_version", lambda: "580.82.07")
    status, findings, _ = doctor()
    assert status == 0
    assert findings["NVIDIA driver"].found == "580.82.07, supports CUDA 13.0"
    assert findings["GPU"] == finding


@pytest.mark.long
def test_an_unwritable_cache_is_reported(doctor, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "file"))
    status, findings, _ = doctor()
    assert status == 0
    assert findings["cache"].status == BROKEN
    assert findings["cache"].advice == "Nothing is cached. Set PTXBENCH_CACHE to a writable folder."


@pytest.mark.long
def test_a_user_without_a_home_gets_advice_on_the_cache(doctor, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: None)
    _, findings, _ = doctor()
    assert findings["cache"].status == ABSENT


def test_a_pair_that_lacks_a_file_is_reported(tmp_path):
    kernels = kernels_folder(tmp_path)
    (kernels / "ptx" / "scale.ptx").unlink()
    found = examine_kernels(kernels)
    assert found.status == BROKEN
    assert found.advice.startswith(f"Pair 'scale' lacks {kernels}/ptx/scale.ptx.")


def test_missing_kernels_are_reported(doctor, monkeypatch, tmp_path):
    monkeypatch.setattr("ptxbench.discovery.default_kernels", lambda: tmp_path / "gone")
    status, findings, _ = doctor()
    assert status == 0
    assert findings["kernels"].status == BROKEN
    assert findings["kernels"].advice.endswith("See --kernels and PTXBENCH_KERNELS.")


@pytest.mark.long
def test_the_folder_of_the_user_is_examined(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("PTXBENCH_KERNELS", str(kernels_folder(tmp_path)))
    assert doctor()[1]["kernels"] == PartStatus("kernels", WORKS, f"1 pair in {tmp_path}/kernels")
    monkeypatch.setenv("PTXBENCH_KERNELS", str(tmp_path / "gone"))
    status, findings, _ = doctor()
    assert (status, findings["kernels"].status) == (0, BROKEN)


def test_a_path_in_the_users_home_does_not_show_the_users_name(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert display_path(Path("/home/alice/.venv/bin/python")) == "~/.venv/bin/python"
    assert display_path("/home/alice2/x") == "/home/alice2/x"


PRINTED = """\
works   NVRTC  13.0.88  ~/venv/lib/libnvrtc.so.13
absent  GPU    -
broken  cache  /a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/
               path/a/very/long/path

What to do:
  GPU: pip install 'ptxbench[cu13]'.
  cache: Set PTXBENCH_CACHE.
"""


def test_the_findings_are_printed_a_row_each_and_no_wider_than_a_table_may_be(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    show(
        [
            PartStatus("NVRTC", WORKS, "13.0.88  ~/venv/lib/libnvrtc.so.13"),
            PartStatus("GPU", ABSENT, "-", "pip install 'ptxbench[cu13]'."),
            PartStatus("cache", BROKEN, "/".join(["", *["a/very/long/path"] * 6]), "Set PTXBENCH_CACHE."),
        ]
    )
    out = capsys.readouterr().out
    assert "".join(f"{line.rstrip()}\n" for line in out.splitlines()) == PRINTED
    assert max(map(len, out.splitlines())) <= 100
