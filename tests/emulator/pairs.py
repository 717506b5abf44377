"""The shipped pairs as PTX: handwritten, and compiled from CUDA C and Python."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxbench import discovery, toolchain
from ptxbench.discovery import specialisation
from ptxbench.languages import has_own_threads
from ptxbench.pair import Pair
from tests import quick

KERNELS = discovery.default_kernels()
NAMES = discovery.find_pairs(KERNELS)


@functools.cache
def load(name: str) -> discovery.LoadedPair:
    return discovery.load(KERNELS, name)


SIDES = [
    (name, source.variant)
    for name in NAMES
    for source in load(name).sources
    if not has_own_threads(source.language)  # tests/kernels/test_tile.py
]
"""Every pair with each of its variants, such as ("softmax", "cuda.passes@fast"), except those of tile kernels."""


def marked(sides: Sequence[tuple[str, str]], of: Collection[str] = ("cuda", "ptx"), step: int = 1) -> list[Any]:
    """The sides as parameters of a test: the variants `of` each `step`th pair are quick, all others are long."""
    return [quick.parameter(side, is_quick=side[1] in of and NAMES.index(side[0]) % step == 0) for side in sides]


def source(name: str, variant: str) -> discovery.Source:
    return next(source for source in load(name).sources if source.variant == variant)


def ptx(name: str, variant: str, arch: str = "sm_90") -> str:
    """The PTX of one side, for `arch` where a compiler makes it."""
    side = source(name, variant)
    if side.language == "ptx":
        return side.path.read_text()
    return toolchain.build_source(side, arch, "driver").ptx


def lowest_target(path: Path) -> int:
    """The lowest target that the pair of a kernel file needs: 80 of sm_80, as its own PTX says."""
    own = source(discovery.owner(path.stem, NAMES), "ptx").path
    match = re.search(r"^\.target sm_(\d+)", own.read_text(), re.MULTILINE)
    assert match, own
    return int(match[1])


def emulated_arch(name: str) -> str:
    """The architecture to launch a pair for: sm_90, or the target of its PTX if it is higher or the only one."""
    own = source(name, "ptx").path
    return specialisation.split(own.stem)[1] or f"sm_{max(90, lowest_target(own))}"


def launches(name: str, variant: str) -> list[tuple[dict[str, Any], Mapping[str, Any]]]:
    """For each check size: options of emulator.run (grid, block), and fresh arguments by name."""
    pair: Pair = load(name).pair
    prepared: list[tuple[dict[str, Any], Mapping[str, Any]]] = []
    for size in pair.check_sizes:
        launch = pair.launch_of(variant)(**size)
        options = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
        if launch.cluster_xyz:
            options["cluster"] = launch.cluster_xyz
        prepared.append((options, pair.make_arguments(size, seed=1)))
    return prepared
