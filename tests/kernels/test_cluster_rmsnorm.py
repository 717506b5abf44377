"""The pair cluster_rmsnorm."""

import dataclasses
import functools
import math

import pytest

from ptxbench import emulator, verify
from tests.kernels.harness import PAIRS, build, code, count, executed, reports


def cluster_rmsnorm(x, w, eps, columns):
    means = [math.fsum(value * value for value in row) / columns for row in x]
    return {
        "y": [
            [value * weight / math.sqrt(mean + eps) for value, weight in zip(row, w, strict=True)]
            for row, mean in zip(x, means, strict=True)
        ]
    }


REFERENCE = (cluster_rmsnorm, {"rows": 2, "columns": 32})

TARGETS = (90, 100, 103, 110, 120, 121)  # those with clusters
REGISTERS = 40  # four pieces of x and of w, and four sets of 256 threads or more on an SM
SAME_BITS = False  # cuda.two_pass adds up the squares of a row in another order

EACH = [
    ("shr.u32 %pieces, %columns, 5",            "shr.u32 %pieces, %columns, 6"),         # half of the row
    ("mul.wide.u32 %part_offset, %rank, %pieces", "mul.wide.u32 %part_offset, %cta, %pieces"),  # past the end of w
    ("setp.ge.u32 %none, %piece, %pieces",      "setp.gt.u32 %none, %piece, %pieces"),
    ("setp.ge.u32 %few, %fourth, %pieces",      "setp.gt.u32 %few, %fourth, %pieces"),
    ("fma.rn.f32 %squares, %x_13, %x_13",       "fma.rn.f32 %squares, %x_13, %x_12"),
    ("mul.rn.f32 %x_10, %x_10, %w_10",          "mul.rn.f32 %x_10, %x_10, %w_11"),
    ("mad.lo.u32 %sum_here, %rank, 4",          "mad.lo.u32 %sum_here, %thread, 4"),     # each at its own place
    ("%sum_there, %sum_here, %thread",           "%sum_there, %sum_here, %rank"),
    ("add.rn.f32 %sum_4, %sum_4, %sum_6",       "add.rn.f32 %sum_4, %sum_4, %sum_5"),    # without CTAs 6 and 7
    ("barrier.cluster.arrive.relaxed.aligned;", ""),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in ("cluster_rmsnorm.ptx", "cluster_rmsnorm.barrier.ptx") for edit in EACH),
    ("cluster_rmsnorm.ptx", "cta.b64 _, [%arrived], 32", "cta.b64 _, [%arrived], 28"),
    ("cluster_rmsnorm.ptx", "cta.b64 _, [%arrived], 32", "cta.b64 _, [%arrived], 36"),
    ("cluster_rmsnorm.ptx", "%arrived_there, %arrived, %thread", "%arrived_there, %arrived, %rank"),
    ("cluster_rmsnorm.ptx", "cta.b64 %complete, [%arrived], 0", "cta.b64 %complete, [%arrived], 1"),  # does not wait
]  # fmt: skip

FOUND = PAIRS["cluster_rmsnorm"]
SIDES = {source.variant: source for source in FOUND.sources}
ARCHS = ["sm_90", "sm_100", "sm_120"]
SIZE = {"rows": 3, "columns": 1024}


@functools.cache
def launched(variant, text=None):
    """The sanitized launch of a variant at SIZE, whose result must be correct, or of `text` in its place."""
    arguments = FOUND.pair.make_arguments(SIZE, seed=1)
    launch = FOUND.pair.launch_of(variant)(**SIZE)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
    ptx = text or build(SIDES[variant], "sm_90").ptx
    execution = emulator.run(ptx, args=[*arguments.values()], sanitize=True, **extent)
    if text is None:
        assert verify.verify({"y": arguments["y"]}, verify.expect(FOUND.pair, arguments), variant).worst is None
    return execution


# ---- the machine code


@pytest.mark.parametrize("arch", ARCHS)
def test_st_async_is_one_instruction_and_saves_a_barrier_of_the_cluster_and_a_fence(arch):
    by_variant = reports("cluster_rmsnorm", arch)
    names = ("STAS", "UCGABAR_ARV", "UCGABAR_WAIT", "MEMBAR.ALL.GPU")
    assert count(by_variant["ptx"], *names) == [1, 1, 1, 0]
    assert count(by_variant["cuda"], *names) == count(by_variant["ptx.barrier"], *names) == [0, 2, 2, 1]


@pytest.mark.parametrize("arch", ARCHS)
def test_an_arrival_that_is_not_relaxed_costs_a_second_fence_in_c(arch, tmp_path):
    text = SIDES["cuda"].path.read_text()
    assert text.count("__cluster_barrier_arrive_relaxed();") == 1
    path = tmp_path / "cluster_rmsnorm.cu"
    path.write_text(text.replace("arrive_relaxed();", "arrive();"))
    report = build(dataclasses.replace(SIDES["cuda"], path=path), arch, "toolkit").report
    assert count(report, "MEMBAR.ALL.GPU") == [2]


def test_without_explicitcluster_ptxas_adds_barriers_for_a_launch_without_clusters(tmp_path):
    text = SIDES["ptx"].path.read_text()
    assert text.count("\n.explicitcluster") == 1
    path = tmp_path / "cluster_rmsnorm.ptx"
    path.write_text(text.replace("\n.explicitcluster", "\n//"))
    source = dataclasses.replace(SIDES["ptx"], path=path)
    bars = [count(build(variant, "sm_90", "toolkit").report, "BAR") for variant in (SIDES["ptx"], source)]
    assert bars == [[1], [2]]


@pytest.mark.parametrize("variant", ["cuda", "ptx", "ptx.barrier"])
def test_four_loads_of_sixteen_bytes_are_in_flight_before_the_first_is_used(variant):
    """Loads of x before a store to shared memory, and loads of w before a store to y."""
    opcodes = [text.split()[0] for text in code(build(SIDES[variant], "sm_90", "toolkit"))]
    memory = "".join({"LDG": "L", "STS": "S", "STG": "G"}.get(opcode.partition(".")[0], "") for opcode in opcodes)
    assert "LLLLS" in memory
    assert "LLLLG" in memory


# ---- what the emulator counts


def test_x_is_read_once_by_a_cluster_and_twice_by_one_cta():
    bytes_of = {variant: launched(variant).counters["ptx_global_load_bytes"] for variant in SIDES}
    x, w = 4 * SIZE["rows"] * SIZE["columns"], 4 * SIZE["rows"] * SIZE["columns"]  # every row needs all of w
    assert bytes_of == {"cuda": x + w, "ptx": x + w, "ptx.barrier": x + w, "cuda.two_pass": 2 * x + w}


def test_the_cluster_variants_agree_bit_for_bit():
    for size in FOUND.pair.check_sizes:
        sides = [executed("cluster_rmsnorm", SIDES[name], "sm_90", size)[0]["y"] for name in SIDES if "two" not in name]
        assert len(sides) == 3
        assert len({side.tobytes() for side in sides}) == 1


# ---- what the sanitizer finds


@pytest.mark.parametrize(
    ("variant", "missing"),
    [
        ("ptx", "    fence.mbarrier_init.release.cluster;"),
        ("ptx", "    barrier.cluster.wait.acquire.aligned;"),
        ("ptx", "    bar.sync               0;"),
        ("ptx.barrier", "    barrier.cluster.arrive.release.aligned;\n    barrier.cluster.wait.acquire.aligned;"),
        ("ptx.barrier", "    bar.sync               0;"),
    ],
)
def test_the_sanitizer_names_a_missing_fence_or_barrier(variant, missing):
    text = SIDES[variant].path.read_text()
    assert missing in text
    assert launched(variant, text.replace(missing, "", 1)).findings
