"""The limits of a device, and why it cannot make a launch. Numbers and sentences: calls nothing of the driver.

If no GPU can make the launch, the pair is wrong: a LaunchError. If only this device cannot, it is LaunchUnavailable:
the launch is skipped, and no kernel is blamed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ptxbench.errors import LaunchError
from ptxbench.pair import Launch

MOST_CLUSTER = 16
"""CTAs of a cluster, if the device and an attribute of the kernel allow more than the portable 8."""

CLUSTER_LAUNCH, HOPPER = 120, 9
"""CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, which CuPy does not name; the first major capability with tensor maps and
programmatic dependent launches."""

SET_ASIDE = 108
"""CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE."""


@dataclass(frozen=True)
class LaunchLimits:
    """Limits of a device. `shared_bytes`: of a CTA, static and dynamic, if the kernel requests the maximum."""

    name: str
    sms: int
    shared_bytes: int
    threads: int = 1024
    grid: tuple[int, int, int] = (2**31 - 1, 65535, 65535)
    cooperative: bool = True
    clusters: bool = False
    tensor_maps: bool = False
    dependent: bool = False
    """Whether it has programmatic dependent launches."""
    set_aside_bytes: int = 0
    """The most bytes of L2 that can be set aside for persisting lines."""

    @classmethod
    def of(cls, runtime: Any) -> LaunchLimits:
        """The limits of the first device; `runtime` is CuPy's."""
        properties = runtime.getDeviceProperties(0)

        def attribute(number: int) -> int:
            return int(runtime.deviceGetAttribute(number, 0))

        return cls(
            name=properties["name"].decode(),
            sms=attribute(runtime.cudaDevAttrMultiProcessorCount),
            shared_bytes=attribute(runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin),
            threads=attribute(runtime.cudaDevAttrMaxThreadsPerBlock),
            grid=(
                attribute(runtime.cudaDevAttrMaxGridDimX),
                attribute(runtime.cudaDevAttrMaxGridDimY),
                attribute(runtime.cudaDevAttrMaxGridDimZ),
            ),
            cooperative=bool(attribute(runtime.cudaDevAttrCooperativeLaunch)),
            clusters=bool(attribute(CLUSTER_LAUNCH)),
            set_aside_bytes=attribute(SET_ASIDE),
            tensor_maps=properties["major"] >= HOPPER,
            dependent=properties["major"] >= HOPPER,
        )


def check_launch(launch: Launch) -> None:
    """Raise LaunchError for a launch that no GPU can make."""
    extents = {"grid": launch.grid_xyz, "block": launch.block_xyz, "cluster": launch.cluster_xyz or (1, 1, 1)}
    for name, extent in extents.items():
        if min(extent) < 1:
            raise LaunchError(f"The {name} is {extent}; every extent must be at least 1. Check the pair's launch.")
    if launch.cluster_xyz is None:
        return
    grid, cluster = launch.grid_xyz, launch.cluster_xyz
    if any(all_of % part for all_of, part in zip(grid, cluster, strict=True)):
        raise LaunchError(f"The cluster {cluster} does not divide the grid {grid}. Check the pair's launch.")
    if (ctas := math.prod(cluster)) > MOST_CLUSTER:
        raise LaunchError(f"A cluster of {ctas} CTAs; at most {MOST_CLUSTER} are allowed. Check the pair's launch.")


def refusal(limits: LaunchLimits, launch: Launch, *, static_shared_bytes: int = 0) -> str | None:
    """What the launch needs and the device lacks, with how much there is; None if it lacks nothing."""
    shared = static_shared_bytes + launch.shared_bytes
    threads = math.prod(launch.block_xyz)
    if shared > limits.shared_bytes:
        return f"A CTA needs {shared:,} bytes of shared memory; {limits.name} has at most {limits.shared_bytes:,}."
    if threads > limits.threads:
        return f"A CTA needs {threads} threads; {limits.name} has at most {limits.threads}."
    if any(extent > most for extent, most in zip(launch.grid_xyz, limits.grid, strict=True)):
        return f"The grid is {launch.grid_xyz}; {limits.name} has at most {limits.grid}."
    if launch.cluster_xyz and not limits.clusters:
        return f"The launch needs clusters of CTAs; {limits.name} does not support them (they need sm_90 or later)."
    if launch.dependent and not limits.dependent:
        return f"The launch has dependent launches; {limits.name} does not support them (they need sm_90 or later)."
    if launch.set_aside and not limits.set_aside_bytes:
        return f"The launch needs a part of L2 set aside; {limits.name} cannot do that (it needs sm_80 or later)."
    if launch.cooperative and not limits.cooperative:
        return f"The launch is cooperative; {limits.name} cannot launch cooperative grids."
    return None


def no_tensor_maps(limits: LaunchLimits) -> str | None:
    """Why the device does not support tensor maps; None if it does."""
    if limits.tensor_maps:
        return None
    return f"The kernel takes a tensor map; {limits.name} does not support them (they need sm_90 or later)."


def must_be_resident(launch: Launch) -> bool:
    """Whether all CTAs must run at once."""
    return launch.cooperative or launch.resident


def too_many_ctas(limits: LaunchLimits, launch: Launch, at_once: int) -> str | None:
    """Why CTAs that must run at once cannot, if the device holds only `at_once` of them; None if they can."""
    ctas = math.prod(launch.grid_xyz)
    if ctas <= at_once:
        return None
    return (
        f"All {ctas:,} CTAs must run at once; {limits.name} with its {limits.sms} SMs holds {at_once:,}. "
        "Choose a --size with fewer CTAs."
    )


def no_room_for_cluster(limits: LaunchLimits, launch: Launch) -> str:
    """The reason if the device cannot hold a single cluster."""
    cluster = math.prod(launch.cluster_xyz or (1,))
    return f"No cluster of {cluster} such CTAs fits {limits.name}. Use a smaller cluster, or CTAs that need less."
