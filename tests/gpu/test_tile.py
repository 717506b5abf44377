"""Rows in CUDA Tile C++ on a GPU, which alone can launch those with hidden parameters. Nothing simulates them."""

import pytest

from ptxbench import toolchain
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import LaunchUnavailable, TargetMismatch
from ptxbench.verify import expect, verify
from tests.emulator.pairs import load

REAL = GpuBackend().unavailable() is None
PAIRS = ("triad", "softmax", "tma_transpose", "hgemm_wgmma", "fp8_gemm_promoted")


@pytest.mark.parametrize("name", PAIRS)
def test_a_tile_kernel_is_right_on_a_gpu(name, gpu):
    """The launch is as the Programming Guide says, and was not tried when this was written: a grid, and one thread."""
    if not REAL:
        return  # the simulated device has no tile kernels
    loaded = load(name)
    source = next(source for source in loaded.sources if source.variant == "tile")
    size = loaded.pair.check_sizes[-1]
    try:
        built = toolchain.build_source(source, gpu.device().sm)
        launch = built.launched(loaded.pair.launch_of("tile")(**size))
        gpu.require(built, launch)
    except (TargetMismatch, LaunchUnavailable):
        return  # not for this device, or its driver
    arguments = loaded.pair.make_arguments(size, seed=1)
    outputs = gpu.run(built, launch, arguments, loaded.pair.outputs).outputs
    assert verify(outputs, expect(loaded.pair, arguments), f"{name}.tile.cu, {size}").worst is None
