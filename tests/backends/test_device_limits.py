"""Limits of devices and requirements of launches: tables, without a device."""

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.backends import device_limits
from ptxbench.backends.device_limits import LaunchLimits
from ptxbench.errors import LaunchError
from ptxbench.pair import Chain, Launch
from tests.kernels.harness import ptx_of, target_of

KIB = 1024
H100 = LaunchLimits("H100", 132, 227 * KIB, clusters=True, tensor_maps=True, dependent=True, set_aside_bytes=30 << 20)
RTX_4090 = LaunchLimits("RTX 4090", 128, 99 * KIB, set_aside_bytes=1 << 20)
A10 = LaunchLimits("A10", 72, 99 * KIB, set_aside_bytes=1 << 20)
A100 = LaunchLimits("A100", 108, 163 * KIB, set_aside_bytes=30 << 20)
T4 = LaunchLimits("T4", 40, 64 * KIB)

SM_PARTITION = discovery.load(discovery.default_kernels(), "sm_partition").pair
PARTITION = SM_PARTITION.launch(**SM_PARTITION.bench_sizes[0])
CLUSTER = Launch(64, 128, cluster=8)
DEPENDENT = Launch(4, 32, chain=Chain(2, "k", dependent=True))

# device, launch, static shared memory, the reason or None
NEEDS = [
    (H100,     PARTITION, 8, None),
    (RTX_4090, PARTITION, 8, "A CTA needs 118,792 bytes of shared memory; RTX 4090 has at most 101,376."),
    (A10,      PARTITION, 8, "A CTA needs 118,792 bytes of shared memory; A10 has at most 101,376."),
    (T4,       PARTITION, 8, "A CTA needs 118,792 bytes of shared memory; T4 has at most 65,536."),
    (RTX_4090, Launch(1, 32, shared_bytes=99 * KIB), 0, None),
    (RTX_4090, Launch(1, 32, shared_bytes=99 * KIB), 1,
     "A CTA needs 101,377 bytes of shared memory; RTX 4090 has at most 101,376."),
    (H100,     CLUSTER, 0, None),
    (A100,     CLUSTER, 0, "The launch needs clusters of CTAs; A100 does not support them (they need sm_90 or later)."),
    (H100,     DEPENDENT, 0, None),
    (A100,     DEPENDENT, 0,
     "The launch has dependent launches; A100 does not support them (they need sm_90 or later)."),
    (A100,     Launch(4, 32, chain=Chain(2, "k")), 0, None),
    (H100,     Launch(4, 32, cooperative=True), 0, None),
    (H100,     Launch(4, 32, set_aside=100), 0, None),
    (T4,       Launch(4, 32, set_aside=1), 0,
     "The launch needs a part of L2 set aside; T4 cannot do that (it needs sm_80 or later)."),
    (LaunchLimits("MIG", 14, 99 * KIB, cooperative=False), Launch(4, 32, cooperative=True), 0,
     "The launch is cooperative; MIG cannot launch cooperative grids."),
    (LaunchLimits("Old", 4, 99 * KIB, threads=512), Launch(1, (32, 32)), 0,
     "A CTA needs 1024 threads; Old has at most 512."),
    (H100,     Launch((1, 65536), 32), 0, "The grid is (1, 65536, 1); H100 has at most (2147483647, 65535, 65535)."),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "launch", "static", "reason"), NEEDS)
def test_a_missing_device_feature_is_reported_in_one_sentence(limits, launch, static, reason):
    assert device_limits.refusal(limits, launch, static_shared_bytes=static) == reason


@pytest.mark.parametrize(
    ("limits", "skipped"),
    [
        (H100, set()),
        (A100, set()),
        (RTX_4090, {"sm_partition"}),
        (A10, {"sm_partition"}),
        (T4, {"l2_policy", "sm_partition"}),
    ],
)
def test_small_devices_skip_shipped_pairs_that_they_cannot_launch(limits, skipped):
    """Pairs for Hopper are not built for the others."""
    kernels = discovery.default_kernels()
    refused = set()
    for name in discovery.find_pairs(kernels):
        pair = discovery.load(kernels, name).pair
        if limits is not H100 and target_of(ptx_of(name).path.read_text()) >= 90:
            continue
        for size in (*pair.check_sizes, *pair.bench_sizes):
            launch = pair.launch(**size)
            device_limits.check_launch(launch)
            if device_limits.refusal(limits, launch):
                refused.add(name)
    assert refused == skipped


def test_tensor_maps_need_a_device_that_has_them():
    assert device_limits.no_tensor_maps(H100) is None
    assert device_limits.no_tensor_maps(A100) == (
        "The kernel takes a tensor map; A100 does not support them (they need sm_90 or later)."
    )


def test_a_grid_that_must_be_co_resident_is_checked_against_the_device():
    assert device_limits.too_many_ctas(H100, PARTITION, 132) is None
    assert device_limits.too_many_ctas(A100, PARTITION, 108) == (
        "All 132 CTAs must run at once; A100 with its 108 SMs holds 108. Choose a --size with fewer CTAs."
    )


# launch, its error on any device
MISTAKES = [
    (Launch(0, 32), "The grid is"),
    (Launch((1, 0), 32), "The grid is"),
    (Launch(1, (32, 1, 0)), "The block is"),
    (Launch(-1, 32), "The grid is"),
    (Launch(4, 32, cluster=(2, 0)), "The cluster is"),
    (Launch(6, 32, cluster=4), r"The cluster \(4, 1, 1\) does not divide the grid \(6, 1, 1\)"),
    (Launch((4, 3), 32, cluster=(1, 2)), "does not divide"),
    (Launch(64, 32, cluster=32), "A cluster of 32 CTAs; at most 16"),
]


@pytest.mark.parametrize(("launch", "message"), MISTAKES)
def test_a_launch_that_no_device_supports_is_an_error_of_the_pair(launch, message):
    with pytest.raises(LaunchError, match=message):
        device_limits.check_launch(launch)


def test_usual_launches_pass():
    for launch in (Launch((4, 2), 256), Launch(64, 128, cluster=16), Launch((4, 6), 32, cluster=(2, 3))):
        device_limits.check_launch(launch)


class Runtime:
    """Answers as CuPy's runtime does on an H100."""

    cudaDevAttrMaxThreadsPerBlock, cudaDevAttrMaxGridDimX, cudaDevAttrMaxGridDimY, cudaDevAttrMaxGridDimZ = 1, 5, 6, 7  # noqa: N815
    cudaDevAttrMultiProcessorCount, cudaDevAttrCooperativeLaunch, cudaDevAttrMaxSharedMemoryPerBlockOptin = 16, 95, 97  # noqa: N815
    answers = {1: 1024, 5: 2**31 - 1, 6: 65535, 7: 65535, 16: 132, 95: 1, 97: 227 * KIB, 108: 30 << 20, 120: 1}  # noqa: RUF012

    def getDeviceProperties(self, device):  # noqa: N802
        return {"name": b"H100", "major": 9}

    def deviceGetAttribute(self, number, device):  # noqa: N802
        return self.answers[number]


def test_the_limits_are_the_devices_attributes():
    assert LaunchLimits.of(Runtime()) == H100


def test_the_attributes_have_cupys_names_and_numbers():
    from cupy.cuda import runtime

    for name in [var for var in vars(Runtime) if var.startswith("cudaDevAttr")]:
        assert getattr(Runtime, name) == getattr(runtime, name)


def test_only_the_partition_pair_has_sizes_that_must_be_resident():
    assert PARTITION.resident
    assert np.prod(PARTITION.grid_xyz) == SM_PARTITION.bench_sizes[0]["sms"]
