"""The emulator as a backend: another launch on the same data is one with another number of host threads."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.arrays import poison
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import LaunchUnavailable
from ptxbench.pair import Launch, f32, u32


@pytest.mark.parametrize("options", [{"cluster": 1}, {"cooperative": True}])
def test_an_unsupported_launch_is_refused_and_not_run_with_features_missing(options):
    build = SimpleNamespace(source=SimpleNamespace(name="scale.ptx"))
    with pytest.raises(LaunchUnavailable, match=r"scale\.ptx: its launch .* which the emulator does not support yet"):
        EmulatorBackend("sm_90").run(build, Launch(4, 32, **options), {}, ())


@pytest.mark.parametrize(("cores", "threads"), [(1, 2), (2, 1), (64, 1)])
def test_another_launch_runs_in_another_number_of_threads(kernels, monkeypatch, cores, threads):
    asked = []
    run = emulator.run

    def noted(*arguments, **options):
        asked.append(options["threads"])
        return run(*arguments, **options)

    monkeypatch.setattr(emulator, "run", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    backend = EmulatorBackend("sm_90")
    built = toolchain.build(
        kernels / "ptx" / "scale.ptx", language="ptx", variant="ptx", entry="scale", arch="sm_90", flags=()
    )
    arguments = {"x": np.ones(300, f32), "y": poison((300,), f32), "a": f32.type(2), "n": u32.type(300)}
    launch = Launch(3, 128)
    first = backend.run(built, launch, arguments, ("y",))
    (again,) = backend.again(built, launch, arguments, ("y",))
    assert asked == [None, threads]
    assert again.outputs["y"].tobytes() == first.outputs["y"].tobytes()
    assert again.counts == first.counts
