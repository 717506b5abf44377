"""What a launch starts: warps, and the launches of a chain."""

import numpy as np
import pytest

from ptxbench.launch import Chain, Launch, OwnCta

CHAIN = Chain(launches=3, number="step")
WARPS = [
    (Launch(grid=1, block=1), 1),
    (Launch(grid=(2, 3), block=(33, 2)), 2 * 3 * 3),  # 66 threads
    (Launch(grid=5, block=(4, 4, 4), chain=CHAIN), 3 * 5 * 2),
]  # fmt: skip


@pytest.mark.parametrize(("launch", "warps"), WARPS)
def test_a_launch_starts_the_warps_of_all_its_ctas(launch, warps):
    assert launch.warps == warps


def test_each_launch_of_a_chain_gets_its_number():
    arguments = {"x": "array", "step": np.uint32(7), "n": np.uint32(9)}
    single, chained = Launch(grid=1, block=32), Launch(grid=1, block=32, chain=CHAIN)
    assert (single.launches, single.steps(arguments)) == (1, [arguments])
    assert (chained.launches, chained.steps(arguments)) == (3, [{**arguments, "step": step} for step in (0, 1, 2)])
    assert {type(step["step"]) for step in chained.steps(arguments)} == {np.uint32}
    assert chained.emulated(arguments)["steps"] == [["array", step, 9] for step in (0, 1, 2)]


def test_the_cta_that_a_compiler_chose_replaces_that_of_the_pair():
    launch = Launch(grid=(2, 3), block=32, shared_bytes=64)
    assert OwnCta((128, 1, 1)).of(launch) == Launch(grid=(2, 3), block=(128, 1, 1), shared_bytes=0)
