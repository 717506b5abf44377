"""Launches on smaller simulated devices: a missing feature is one sentence, and available features are used."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.arrays import poison
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import LaunchUnavailable, MachineError
from ptxbench.pair import Chain, Launch, f32, u32
from ptxbench.tensor_map import TiledMap
from tests import simulated

PTX = Path(__file__).parents[1] / "gpu" / "ptx"
KIB = 1024


def build(gpu, entry, assembler="toolkit", folder=PTX):
    path, arch = folder / f"{entry}.ptx", gpu.device().sm
    return toolchain.build(path, language="ptx", variant="ptx", entry=entry, arch=arch, assembler=assembler)


@pytest.mark.parametrize(("device", "most"), [("RTX 4090", 99 * KIB), ("T4", 64 * KIB)])
def test_a_smaller_device_launches_what_fits_and_refuses_the_rest(monkeypatch, tmp_path, device, most):
    simulated.install(monkeypatch, tmp_path, device=device)
    gpu, out = GpuBackend(), {"out": poison((256,), u32)}
    built = build(gpu, "big_shared")
    assert gpu.run(built, Launch(1, 256, most), out, ("out",)).outputs["out"].tolist() == list(range(256))
    lacks = [
        (Launch(1, 256, most + KIB), f"A CTA needs {most + KIB:,} bytes of shared memory; .* has at most {most:,}"),
        (Launch(8, 256, most, cluster=2), r"The launch needs clusters of CTAs; .* does not support them"),
    ]
    for launch, sentence in lacks:
        for ask in (lambda how=launch: gpu.require(built, how), lambda how=launch: gpu.run(built, how, out, ("out",))):
            with pytest.raises(LaunchUnavailable, match=sentence):
                ask()
    mapped = {"map_x": TiledMap("x", "f32", (16,), (), (16,), (1,)), "x": np.zeros(16, f32), "out": poison((16,), u32)}
    with pytest.raises(LaunchUnavailable, match=r"The kernel takes a tensor map; .* does not support them"):
        gpu.run(build(gpu, "map_bytes"), Launch(1, 1), mapped, ("out",))
    assert gpu.lost is None


@pytest.mark.parametrize("host_ns", [1_000, 300_000])
def test_a_slow_host_is_not_a_part_of_the_time_of_a_chain(monkeypatch, tmp_path, host_ns):
    """The launches of a chain are enqueued before the first one starts, however long that takes the host."""
    simulated.install(monkeypatch, tmp_path, host_ns={"cuLaunchKernel": host_ns, "cudaEventRecord": 1_000})
    gpu, arguments = GpuBackend(), {"out": np.zeros((9, 64), u32), "k": u32.type(0)}
    built = build(gpu, "chained", folder=PTX.with_name("hopper"))
    clock = gpu.clock(built, Launch(2, 32, chain=Chain(8, "k")), arguments, ("out",), updated=("out",))
    assert min(clock.enqueue()() for _ in range(3)) < 100_000


def test_the_backends_own_kernels_need_no_jit_compiler_if_ptxas_is_there(monkeypatch, tmp_path):
    simulated.install(monkeypatch, tmp_path, jit=False)
    gpu, out = GpuBackend(), {"out": poison((8,), u32)}
    launch = Launch(8, 32)
    clock = gpu.clock(build(gpu, "launched"), launch, out, ("out",))
    assert clock.enqueue()() > 0  # behind the sweep, a kernel of the backend
    assert gpu.floor(launch, out).enqueue()() > 0
    assert gpu.hold.step_ns
    with pytest.raises(MachineError, match="libnvidia-ptxjitcompiler"):
        gpu.run(build(gpu, "launched", assembler="driver"), launch, out, ("out",))
    monkeypatch.setattr(toolchain.locate, "program", lambda name: None)
    with pytest.raises(gpu.cuda.driver.CUDADriverError):
        gpu.own_kernel("spin")
