"""A kernel that is ready to be launched: what its launch must request from the driver first, and how it is enqueued."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptxbench.backends import device_limits, driver
from ptxbench.backends.device_limits import LaunchLimits
from ptxbench.errors import LaunchUnavailable
from ptxbench.languages import TILE
from ptxbench.pair import Launch
from ptxbench.tensor_map import TiledMap
from ptxbench.toolchain import Build, resident_ctas

DEFAULT_SHARED_BYTES = 48 * 1024
"""More static and dynamic shared memory of a CTA must be requested (CUDA C++ Programming Guide, 10.28)."""


@dataclass(frozen=True)
class Launcher:
    """`cuda`: CuPy's layer over CUDA; `library`: NVIDIA's driver, by ctypes, for what CuPy lacks."""

    cuda: Any
    library: Any
    limits: LaunchLimits
    stream: Any

    def require(self, build: Build, launch: Launch) -> None:
        """The checks of `ready` that the build's report allows, before data is made or a kernel is loaded.

        Raises LaunchUnavailable, LaunchError.
        """
        report = build.report
        static = report.shared_bytes or 0
        if build.language == TILE.name and (why := driver.no_tile_kernels(self.library)):
            raise LaunchUnavailable(why)
        device_limits.check_launch(launch)
        if lacks := device_limits.refusal(self.limits, launch, static_shared_bytes=static):
            raise LaunchUnavailable(lacks)
        if report.registers is None or not device_limits.must_be_resident(launch):
            return
        ctas = resident_ctas(
            build.arch,
            threads=math.prod(launch.block_xyz),
            registers=report.registers,
            shared_bytes=static + launch.shared_bytes,
        )
        if ctas is not None and (why := device_limits.too_many_ctas(self.limits, launch, self.limits.sms * ctas)):
            raise LaunchUnavailable(why)

    def ready(self, function: Any, launch: Launch) -> None:
        """Request what the launch needs beyond the default.

        Raises LaunchUnavailable if the device lacks it, LaunchError for a launch that no GPU can make.
        """
        driver_of = self.cuda.driver
        device_limits.check_launch(launch)
        static = driver_of.funcGetAttribute(driver_of.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.ptr)
        lacks = device_limits.refusal(self.limits, launch, static_shared_bytes=static)
        if lacks:
            raise LaunchUnavailable(lacks)
        if static + launch.shared_bytes > DEFAULT_SHARED_BYTES:
            dynamic = driver_of.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            driver_of.funcSetAttribute(function.ptr, dynamic, launch.shared_bytes)
        if math.prod(launch.cluster_xyz or (1,)) > driver.PORTABLE_CLUSTER:
            driver_of.funcSetAttribute(function.ptr, driver.NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
        self.require_room(function, launch)

    def require_room(self, function: Any, launch: Launch) -> None:
        """Raise LaunchUnavailable if the device cannot hold at once the CTAs that must run at once."""
        if launch.cluster_xyz is not None:
            clusters = driver.clusters_at_once(self.library, self.cuda.driver.check_status, function.ptr, launch)
            if not clusters:
                raise LaunchUnavailable(device_limits.no_room_for_cluster(self.limits, launch))
            at_once = clusters * math.prod(launch.cluster_xyz)
        elif device_limits.must_be_resident(launch):
            at_once = self.limits.sms * self.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(
                function.ptr, math.prod(launch.block_xyz), launch.shared_bytes
            )
        else:
            return
        if device_limits.must_be_resident(launch) and (
            why := device_limits.too_many_ctas(self.limits, launch, at_once)
        ):
            raise LaunchUnavailable(why)

    def encode(self, tiled: TiledMap, address: int) -> np.void:
        """The 128 bytes of a tensor map over the array at `address`, by cuTensorMapEncodeTiled.

        Raises LaunchUnavailable if the device, or its driver, has no tensor maps.
        """
        if why := device_limits.no_tensor_maps(self.limits):
            raise LaunchUnavailable(why)
        return np.void(driver.encode_tiled(self.library, self.cuda.driver.check_status, tiled, address))

    def bound(self, function: Any, launch: Launch, steps: Sequence[Sequence[np.generic[Any]]]) -> Callable[[], None]:
        """Returns the function that enqueues a launch of `function`, or each launch of a chain.

        `steps`: the parameters of each. The first one starts when the launch before it in the stream, which does not
        belong to the chain, has ended.
        """
        enqueues = [
            self.single(function, launch, packed, follows=launch.dependent and i > 0) for i, packed in enumerate(steps)
        ]
        if len(enqueues) == 1:
            return enqueues[0]

        def launch_all() -> None:
            for enqueue in enqueues:
                enqueue()

        return launch_all

    def single(
        self, function: Any, launch: Launch, packed: Sequence[np.generic[Any]], *, follows: bool
    ) -> Callable[[], None]:
        """Returns the function that enqueues one launch: by CuPy, or else by cuLaunchKernelEx."""
        grid, block, stream = launch.grid_xyz, launch.block_xyz, self.stream
        needs_driver = driver.attributes(launch, follows=follows) or any(isinstance(value, np.void) for value in packed)
        if needs_driver:
            content = [value.tobytes() for value in packed]
            enqueue = driver.launcher(
                self.library, self.cuda.driver.check_status, function.ptr, launch, content, stream.ptr, follows=follows
            )

            def launch_by_driver(held: Any = function) -> None:  # its module would be unloaded with it
                enqueue()

            return launch_by_driver
        parameters = tuple(packed)

        def launch_once() -> None:
            function(grid, block, parameters, launch.shared_bytes, stream)

        return launch_once
