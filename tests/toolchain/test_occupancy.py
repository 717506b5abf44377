"""Occupancy against NVIDIA's own formula."""

import dataclasses

import pytest

from ptxbench.launch import Launch
from ptxbench.result import BuildReport
from ptxbench.toolchain import launch_occupancy, occupancy

# Results of cudaOccMaxActiveBlocksPerMultiprocessor, by g++ from CUDA 13.5's cuda_occupancy.h: CTAs an SM.
# Of 94,248 combinations of 12 architectures, 17 block sizes, 21 register counts and 22 shared sizes (all of which
# agreed), 7 an architecture, and 5 at the edges. Its cudaOccDeviceProp had 65536 registers an SM and a CTA, 48 KiB of
# shared memory a CTA, 1 KiB of it reserved from 8.0 on and the rest of an SM's to opt in to; FUNC_SHMEM_LIMIT_OPTIN;
# no carve-out chosen.
ROWS = [
    # arch, threads, registers, shared bytes, CTAs, warps of an SM
    ("sm_75",  288,  80,  0,      2,  32),
    ("sm_75",  352,  128, 0,      1,  32),
    ("sm_75",  768,  16,  32768,  1,  32),
    ("sm_75",  992,  16,  8192,   1,  32),
    ("sm_75",  1024, 32,  65537,  0,  32),
    ("sm_75",  32,   16,  0,      16, 32),
    ("sm_75",  512,  8,   32768,  2,  32),
    ("sm_80",  256,  80,  0,      3,  64),
    ("sm_80",  96,   255, 0,      2,  64),
    ("sm_80",  160,  16,  65537,  2,  64),
    ("sm_80",  128,  16,  49152,  3,  64),
    ("sm_80",  512,  32,  232449, 0,  64),
    ("sm_80",  33,   16,  0,      32, 64),
    ("sm_80",  256,  17,  16388,  8,  64),
    ("sm_86",  384,  65,  0,      2,  48),
    ("sm_86",  160,  56,  0,      7,  48),
    ("sm_86",  288,  16,  65536,  1,  48),
    ("sm_86",  32,   16,  49153,  2,  48),
    ("sm_86",  1024, 32,  200000, 0,  48),
    ("sm_86",  32,   16,  0,      16, 48),
    ("sm_86",  512,  8,   127,    3,  48),
    ("sm_87",  320,  37,  0,      4,  48),
    ("sm_87",  192,  255, 0,      1,  48),
    ("sm_87",  352,  16,  101376, 1,  48),
    ("sm_87",  160,  16,  65537,  2,  48),
    ("sm_87",  96,   32,  200000, 0,  48),
    ("sm_87",  32,   16,  0,      16, 48),
    ("sm_87",  512,  16,  49152,  3,  48),
    ("sm_88",  640,  48,  0,      2,  48),
    ("sm_88",  160,  129, 0,      2,  48),
    ("sm_88",  160,  16,  32768,  3,  48),
    ("sm_88",  32,   16,  16388,  5,  48),
    ("sm_88",  32,   32,  101377, 0,  48),
    ("sm_88",  32,   16,  0,      16, 48),
    ("sm_88",  256,  17,  8192,   6,  48),
    ("sm_89",  192,  128, 0,      2,  48),
    ("sm_89",  320,  56,  0,      3,  48),
    ("sm_89",  352,  16,  8192,   4,  48),
    ("sm_89",  256,  16,  49152,  2,  48),
    ("sm_89",  512,  32,  200000, 0,  48),
    ("sm_89",  32,   16,  0,      24, 48),
    ("sm_89",  256,  17,  128,    6,  48),
    ("sm_90",  192,  96,  0,      3,  64),
    ("sm_90",  352,  56,  0,      3,  64),
    ("sm_90",  256,  16,  65537,  3,  64),
    ("sm_90",  32,   16,  80000,  2,  64),
    ("sm_90",  512,  32,  232449, 0,  64),
    ("sm_90",  33,   16,  0,      32, 64),
    ("sm_90",  256,  16,  4096,   8,  64),
    ("sm_100", 160,  128, 0,      3,  64),
    ("sm_100", 256,  168, 0,      1,  64),
    ("sm_100", 33,   16,  65537,  3,  64),
    ("sm_100", 288,  16,  3000,   7,  64),
    ("sm_100", 352,  32,  232449, 0,  64),
    ("sm_100", 32,   16,  0,      32, 64),
    ("sm_100", 512,  16,  8192,   4,  64),
    ("sm_103", 320,  56,  0,      3,  64),
    ("sm_103", 128,  40,  0,      12, 64),
    ("sm_103", 256,  16,  101377, 2,  64),
    ("sm_103", 288,  16,  49153,  4,  64),
    ("sm_103", 352,  32,  232449, 0,  64),
    ("sm_103", 33,   16,  0,      32, 64),
    ("sm_103", 512,  17,  32768,  4,  64),
    ("sm_110", 320,  129, 0,      1,  48),
    ("sm_110", 256,  48,  0,      5,  48),
    ("sm_110", 352,  16,  65537,  3,  48),
    ("sm_110", 352,  16,  49152,  4,  48),
    ("sm_110", 192,  32,  232449, 0,  48),
    ("sm_110", 32,   16,  0,      24, 48),
    ("sm_110", 512,  1,   65536,  3,  48),
    ("sm_120", 96,   96,  0,      6,  48),
    ("sm_120", 352,  128, 0,      1,  48),
    ("sm_120", 640,  16,  4096,   2,  48),
    ("sm_120", 32,   16,  65536,  1,  48),
    ("sm_120", 512,  32,  232448, 0,  48),
    ("sm_120", 33,   16,  0,      24, 48),
    ("sm_120", 512,  1,   3000,   3,  48),
    ("sm_121", 384,  64,  0,      2,  48),
    ("sm_121", 96,   64,  0,      10, 48),
    ("sm_121", 768,  16,  80000,  1,  48),
    ("sm_121", 33,   16,  49153,  2,  48),
    ("sm_121", 1024, 32,  101377, 0,  48),
    ("sm_121", 32,   16,  0,      24, 48),
    ("sm_121", 512,  24,  127,    3,  48),
    ("sm_75", 32,   16,  9344,   6,  32),  # shared memory in units of 256 bytes
    ("sm_80", 32,   16,  4224,   32, 64),  # of 128 from there on
    ("sm_80", 128,  16,  166912, 1,  64),  # all that a CTA can have
    ("sm_80", 128,  16,  166913, 0,  64),
    ("sm_90", 256,  33,  0,      6,  64),  # registers in units of 8 a thread
]  # fmt: skip


@pytest.mark.parametrize(("arch", "threads", "registers", "shared_bytes", "ctas", "warps"), ROWS)
def test_occupancy_matches_nvidias_formula(arch, threads, registers, shared_bytes, ctas, warps):
    share = occupancy(arch, threads=threads, registers=registers, shared_bytes=shared_bytes)
    assert share == ctas * -(-threads // 32) / warps


@pytest.mark.parametrize("registers", [0, 16])
@pytest.mark.parametrize(
    ("arch", "share"), [("sm_80", 32 / 64), ("sm_90", 32 / 64), ("sm_103", 32 / 64), ("sm_120", 24 / 48)]
)
def test_an_sm_holds_only_so_many_ctas(arch, share, registers):
    assert occupancy(arch, threads=32, registers=registers, shared_bytes=0) == share


def test_the_suffix_of_an_architecture_makes_no_difference():
    assert occupancy("sm_90a", threads=256, registers=40, shared_bytes=0) == 0.75
    assert occupancy("sm_100f", threads=256, registers=40, shared_bytes=0) == 0.75


@pytest.mark.parametrize("arch", ["sm_70", "sm_101", "sm_999", "sm_9", "90", ""])
def test_the_occupancy_of_an_architecture_that_is_not_known_is_none(arch):
    assert occupancy(arch, threads=256, registers=32, shared_bytes=0) is None


def test_a_block_that_no_gpu_can_launch_has_no_occupancy():
    assert occupancy("sm_90", threads=1025, registers=32, shared_bytes=0) == 0.0
    assert occupancy("sm_90", threads=1024, registers=65, shared_bytes=0) == 0.0


def test_the_occupancy_of_a_launch_is_that_of_its_threads_and_all_its_shared_memory():
    build = BuildReport("", "", registers=32, shared_bytes=8 * 1024)
    launch = Launch(grid=1, block=(32, 8), shared_bytes=48 * 1024)
    assert launch_occupancy("sm_90", launch, build) == 4 * 8 / 64  # 57 KiB of 228 with the KiB of the driver
    no_static = dataclasses.replace(build, shared_bytes=None)
    assert launch_occupancy("sm_90", launch, no_static) == 4 * 8 / 64
    assert launch_occupancy("sm_90", launch, dataclasses.replace(build, registers=None)) is None
