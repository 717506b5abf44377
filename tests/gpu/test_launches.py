"""Launches beyond the usual: clusters, cooperative grids, tensor maps, shared memory up to the device's limit."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import toolchain
from ptxbench.arrays import poison
from ptxbench.emulator import tensor_maps
from ptxbench.errors import LaunchError, LaunchUnavailable
from ptxbench.pair import Chain, Launch, f32, u32, u64
from ptxbench.tensor_map import TiledMap

PTX, HOPPER = (Path(__file__).with_name(folder) for folder in ("ptx", "hopper"))


def build(gpu, entry, folder=PTX):
    path, arch = folder / f"{entry}.ptx", gpu.device().sm
    return toolchain.build(path, language="ptx", variant="ptx", entry=entry, arch=arch)


def launch(gpu, entry, how, arguments):
    return gpu.run(build(gpu, entry), how, arguments, ("out",)).outputs["out"]


CLUSTERS = [Launch(8, 32, cluster=4), Launch(32, 32, cluster=16), Launch(8, 32, cluster=2, cooperative=True)]


def test_clusters_and_cooperative_grids_are_launched(gpu):
    out = {"out": poison((32,), u32)}
    for how in (Launch(8, 32, cooperative=True), Launch(8, 32, resident=True), *CLUSTERS):
        ctas = how.grid_xyz[0]
        if how.cluster and not gpu.launcher.limits.clusters:
            with pytest.raises(LaunchUnavailable, match=r"The launch needs clusters of CTAs; .* does not support them"):
                launch(gpu, "launched", how, out)
        else:
            assert launch(gpu, "launched", how, out)[:ctas].tolist() == list(range(ctas))
    with pytest.raises(LaunchError, match="does not divide the grid"):
        launch(gpu, "launched", Launch(6, 32, cluster=4), out)
    clock = gpu.clock(build(gpu, "launched"), Launch(8, 32, cooperative=True), out, ("out",))
    assert clock.enqueue()() > 0
    assert clock.outputs()["out"][:8].tolist() == list(range(8))
    assert gpu.floor(Launch(8, 32, cooperative=True), out).enqueue()() > 0


CHAIN = {"out": np.zeros((9, 64), u32), "k": u32.type(0)}
ROWS = np.arange(9)[:, None] * np.ones(64)


@pytest.mark.parametrize("dependent", [False, True])
def test_the_launches_of_a_chain_see_what_the_one_before_has_stored(gpu, dependent):
    how = Launch(2, 32, chain=Chain(8, "k", dependent=dependent))
    if not gpu.launcher.limits.dependent:
        with pytest.raises(
            LaunchUnavailable, match=r"The launch is a chain of dependent launches; .* does not support them"
        ):
            launch(gpu, "launched", Launch(2, 32, chain=Chain(8, "k", dependent=True)), CHAIN)
        return
    built = build(gpu, "chained", HOPPER)
    assert np.array_equal(gpu.run(built, how, CHAIN, ("out",)).outputs["out"], ROWS)
    clock = gpu.clock(built, how, CHAIN, ("out",), updated=("out",))
    assert clock.enqueue()() > 0
    assert np.array_equal(clock.outputs()["out"], ROWS)
    assert clock.enqueue_graph(3)() > 0
    assert gpu.floor(how, CHAIN).enqueue()() > 0


def test_ctas_that_must_run_simultaneously_and_do_not_fit_are_refused_before_the_launch(gpu):
    built, limits = build(gpu, "big_shared"), gpu.launcher.limits
    shared = limits.shared_bytes  # one CTA an SM
    for option in ("cooperative", "resident"):
        how = Launch(limits.sms + 1, 256, shared, **{option: True})
        sentence = f"All {limits.sms + 1} CTAs must run at once; .* holds {limits.sms}\\. Choose a --size with fewer"
        with pytest.raises(LaunchUnavailable, match=sentence):
            gpu.require(built, how)
        with pytest.raises(LaunchUnavailable, match=sentence):
            gpu.run(built, how, {"out": poison((256,), u32)}, ("out",))


def test_a_launch_may_use_all_shared_memory_of_the_device_but_not_more(gpu):
    most, out = gpu.launcher.limits.shared_bytes, {"out": poison((256,), u32)}
    assert launch(gpu, "big_shared", Launch(1, 256, most), out).tolist() == list(range(256))
    for how in (Launch(1, 256, most + 1), Launch(1, 256, most + 1024)):
        with pytest.raises(LaunchUnavailable, match=f"A CTA needs {how.shared_bytes:,} bytes .* has at most {most:,}"):
            launch(gpu, "big_shared", how, out)


def test_a_tensor_map_arrives_with_its_fields(gpu):
    tiled = TiledMap(
        "x", "f32", (48, 7, 5), (192, 1344), (16, 3, 2), (1, 2, 1), swizzle=64, l2_promotion=128, fill="nan"
    )  # fmt: skip
    arguments = {"map_x": tiled, "x": np.zeros((5, 7, 48), f32), "out": poison((16,), u64)}
    if not gpu.launcher.limits.tensor_maps:
        with pytest.raises(LaunchUnavailable, match=r"The kernel takes a tensor map; .* does not support them"):
            launch(gpu, "map_bytes", Launch(1, 1), arguments)
        return
    arrived = launch(gpu, "map_bytes", Launch(1, 1), arguments)
    encoded = np.frombuffer(gpu.launcher.encode(tiled, address := 0x7F0000001000).tobytes(), u64)
    assert arrived[1:].tolist() == encoded[1:].tolist()  # all but the address
    value = int.from_bytes(encoded.tobytes(), "little")

    def bits(low, width):
        return value >> low & (1 << width) - 1

    assert bits(0, 64) == address
    assert bits(68, 3) == 2  # dimensions, less 1
    assert (bits(71, 4), bits(75, 2), bits(77, 2), bits(79, 1)) == (7, 0, 2, 1)  # f32, no interleave, 64 bytes, NaN
    assert [bits(96 + 32 * i, 32) for i in range(2)] == [192 // 16, 1344 // 16]
    assert [bits(256 + 32 * i, 32) for i in range(3)] == [47, 6, 4]
    assert [bits(416 + 3 * i, 3) for i in range(3)] == [0, 1, 0]
    assert [bits(440, 8), bits(448, 8), bits(456, 8)] == [15, 2, 1]
    ours = int.from_bytes(tensor_maps.encode(tiled, address), "little")
    unknown = 0b1111 << 64 | 0b11 << 81 | 1 << 85
    assert (value ^ ours) & (1 << 480) - 1 & ~(unknown | 0x1FF << 431) == 0  # the emulator's own encoder
