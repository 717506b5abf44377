"""The emulator as a backend: another launch on the same data is one with another number of host threads."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.arrays import poison
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.emulator.chain import run_steps
from ptxbench.errors import GridTooLarge, LaunchUnavailable, MemoryFault
from ptxbench.pair import Chain, Launch, f32, u32
from ptxbench.result import BuildReport
from ptxbench.toolchain import Build
from tests.folders import CUDA, PTX, changed


def build_for(arch):
    return Build("ptx", "ptx", "scale", arch, Path("scale.ptx"), "", None, BuildReport("", ""))


def test_a_cooperative_grid_of_more_ctas_than_can_wait_for_each_other_is_not_launched():
    EmulatorBackend("sm_90").require(build_for("sm_90"), Launch(4096, 32, cooperative=True))
    with pytest.raises(LaunchUnavailable, match=r"scale\.ptx: its launch is cooperative: all its 4,097 CTAs must be"):
        EmulatorBackend("sm_90").require(build_for("sm_90"), Launch(4097, 32, cooperative=True))


def test_a_cooperative_grid_that_needs_too_much_memory_is_not_launched(monkeypatch):
    def too_large(*_, **__):
        raise GridTooLarge("'scale' may wait for the whole grid. Use a smaller grid.")

    monkeypatch.setattr("ptxbench.backends.emulator.run_steps", too_large)
    with pytest.raises(LaunchUnavailable, match=r"^scale\.ptx: 'scale' may wait for the whole grid\. Use a smaller"):
        EmulatorBackend("sm_90").run(build_for("sm_90"), Launch(4, 32, cooperative=True), {}, ())


@pytest.mark.parametrize(("arch", "refused"), [("sm_89", True), ("sm_90", False), ("sm_120", False)])
def test_dependent_launches_need_sm_90(arch, refused):
    build = build_for(arch)
    EmulatorBackend(arch).require(build, Launch(4, 32, chain=Chain(2, "k")))
    dependent = Launch(4, 32, chain=Chain(2, "k", dependent=True))
    if refused:
        with pytest.raises(LaunchUnavailable, match=r"scale\.ptx: its launches are dependent, .* not sm_89\."):
            EmulatorBackend(arch).require(build, dependent)
    else:
        EmulatorBackend(arch).require(build, dependent)


@pytest.mark.parametrize(("cores", "threads"), [(1, 2), (2, 1), (64, 1)])
def test_another_launch_uses_another_number_of_threads(kernels, monkeypatch, cores, threads):
    thread_counts = []

    def noted(*arguments, **options):
        thread_counts.append(options["threads"])
        return run_steps(*arguments, **options)

    monkeypatch.setattr("ptxbench.backends.emulator.run_steps", noted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores), raising=False)
    backend = EmulatorBackend("sm_90")
    built = toolchain.build(
        kernels / "ptx" / "scale.ptx", language="ptx", variant="ptx", entry="scale", arch="sm_90", flags=()
    )
    arguments = {"x": np.ones(300, f32), "y": poison((300,), f32), "a": f32.type(2), "n": u32.type(300)}
    launch = Launch(3, 128)
    first = backend.run(built, launch, arguments, ("y",))
    (again,) = backend.again(built, launch, arguments, ("y",))
    assert thread_counts == [None, threads]
    assert again.outputs["y"].tobytes() == first.outputs["y"].tobytes()
    assert again.counts == first.counts


# language, the guard and one that lets a thread too many pass, the message
FAULTS = [
    ("ptx", "setp.ge.u32   %past", "setp.gt.u32   %past",
     r"scale\.ptx:{line}: ld\.global\.f32 by thread 44 of CTA 2 reads byte 1200 of 'x', which has 1200\. .*"),
    ("cuda", "if (i < n)", "if (i <= n)",
     r"scale\.cu:{line} \(PTX line \d+\): ld\.global\.f32 by thread 44 of CTA 2 reads byte 1200 of 'x', which has .*"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "guard", "wrong", "message"), FAULTS)
def test_a_fault_names_the_line_of_the_source_and_the_argument(tmp_path, language, guard, wrong, message):
    text, suffix, at = {"ptx": (PTX, "ptx", "ld.global"), "cuda": (CUDA, "cu", "y[i] =")}[language]
    text = changed(text, guard, wrong)
    path = tmp_path / f"scale.{suffix}"
    path.write_text(text)
    built = toolchain.build(path, language=language, variant=language, entry="scale", arch="sm_90", flags=())
    arguments = {"x": np.ones(300, f32), "y": poison((300,), f32), "a": f32.type(2), "n": u32.type(300)}
    line = next(number for number, row in enumerate(text.splitlines(), 1) if at in row)
    with pytest.raises(MemoryFault) as raised:
        EmulatorBackend("sm_90").run(built, Launch(3, 128), arguments, ("y",))
    assert re.fullmatch(message.replace("{line}", str(line)), str(raised.value))
