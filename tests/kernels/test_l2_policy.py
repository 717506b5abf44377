"""The pair l2_policy."""

import numpy as np
import pytest

from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import KERNELS, PAIRS, build, source_of


def l2_policy(x, table, rows, n):
    y = []
    for i in range(n):
        mixed = i // 32 * 0x9E3779B1 % 2**32
        mixed ^= mixed >> 15
        mixed = mixed * 0x85EBCA77 % 2**32
        y.append(float(np.float32(x[i] + table[mixed * rows >> 32][i % 32])))
    return {"y": y}


REFERENCE = (l2_policy, {"n": 135, "rows": 7, "aside": 0})

MUTANTS = [
    ("l2_policy.ptx", "setp.ge.u32 %past_vectors",       "setp.gt.u32 %past_vectors"),
    ("l2_policy.ptx", "shr.u32 %high, %hash, 15",        "shr.u32 %high, %hash, 16"),         # another hash
    ("l2_policy.ptx", "mul.hi.u32 %row, %hash, %rows",   "rem.u32 %row, %hash, %rows"),       # by the low bits
    ("l2_policy.ptx", "and.b32 %column, %i, 7",          "and.b32 %column, %i, 3"),
    ("l2_policy.ptx", "mad.lo.u32 %from, %row, 32",      "mad.lo.u32 %from, %row, 8"),        # in the last elements
    ("l2_policy.half.ptx", "shr.u32 %group, %i, 3",      "shr.u32 %group, %i, 5"),
    ("l2_policy.half.ptx", "add.rn.f32 %y_w, %x_w",      "add.rn.f32 %y_w, %x_z"),
    ("l2_policy.half.ptx", "mul.wide.u32 %offset, %i, 16", "mul.wide.u32 %offset, %i, 8"),
    ("l2_policy.half_rows.ptx", "selp.b64 %policy, %stays, %streams, %kept;\n and.b32 %column, %i, 7",
     "and.b32 %column, %i, 15"),
    ("l2_policy.half_rows.ptx", "add.rn.f32 %y_y, %x_y",      "add.rn.f32 %y_y, %x_x"),
    ("l2_policy.half_rows.ptx", "and.b32 %column, %last, 31", "and.b32 %column, %last, 15"),
    ("l2_policy.last.ptx", "mul.lo.u32 %hash, %hash, 0x85ebca77", "mul.lo.u32 %hash, %hash, 0x85ebca78"),
    ("l2_policy.last.ptx", "add.rn.f32 %y_z, %x_z",           "add.rn.f32 %y_z, %x_y"),
    ("l2_policy.last.ptx", "not.b32 %last, %i",               "neg.s32 %last, %i"),
    ("l2_policy.first.ptx", "xor.b32 %hash, %hash, %high",    "or.b32 %hash, %hash, %high"),
    ("l2_policy.first.ptx", "add.rn.f32 %y_w, %x_w",          "sub.rn.f32 %y_w, %x_w"),
    ("l2_policy.first.ptx", "and.b32 %rest, %n, 3",           "and.b32 %rest, %n, 1"),
]  # fmt: skip


def opcodes(file, arch):
    return build(source_of(KERNELS / file), arch, "toolkit").report.opcodes


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_a_policy_adds_no_access_and_no_opcode_of_one(arch):
    """It is part of the descriptor, which every access has: all three files have the same accesses as C, by name."""

    def accesses(file):
        return {opcode: count for opcode, count in opcodes(file, arch).items() if opcode.startswith(("LDG", "STG"))}

    cuda, plain = accesses("cuda/l2_policy.cu"), accesses("cuda/l2_policy.plain.cu")
    for variant in ("", ".half", ".half_rows", ".first"):
        assert accesses(f"ptx/l2_policy{variant}.ptx") == cuda
    assert accesses("ptx/l2_policy.last.ptx") == plain
    assert any(".EF." in opcode for opcode in cuda)
    assert not any(".EF" in opcode for opcode in plain)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_policies_cost_a_few_instructions_of_the_uniform_datapath(arch):
    """PTX's createpolicy becomes arithmetic on constants, once per warp."""
    cuda, ptx = opcodes("cuda/l2_policy.cu", arch), opcodes("ptx/l2_policy.ptx", arch)
    assert not any("POLICY" in opcode for opcode in ptx)
    assert 0 < sum(ptx.values()) - sum(cuda.values()) <= 16
    for variant in ("first", "last"):
        assert 0 < sum(opcodes(f"ptx/l2_policy.{variant}.ptx", arch).values()) - sum(cuda.values()) <= 8


def test_two_vectors_a_thread_cost_less_instructions_and_touch_lines_twice():
    """The reason for it: the sectors are the same, and each line of 128 bytes is requested twice."""
    pair, size = PAIRS["l2_policy"].pair, {"n": 1 << 16, "rows": 64, "aside": 0}
    one, two = (
        EmulatorBackend("sm_90")
        .run(
            build(source_of(KERNELS / "cuda" / file), "sm_90"), pair.launch(**size),
            pair.make_arguments(size, seed=1), pair.outputs,
        )
        .counts
        for file in ("l2_policy.cu", "l2_policy.two.cu")
    )  # fmt: skip
    assert two["ptx_warp_instructions"] < 0.9 * one["ptx_warp_instructions"]
    for kind in ("load", "store"):
        assert two[f"ptx_global_{kind}_sectors"] <= one[f"ptx_global_{kind}_sectors"]
        assert two[f"ptx_global_{kind}_lines"] > 1.9 * one[f"ptx_global_{kind}_lines"]  # idle CTAs touch none


def test_the_hash_chooses_each_row_about_as_often():
    """At the benchmark sizes; if a part of the table were never read, the table would be smaller than stated."""
    namespace = PAIRS["l2_policy"].pair.reference.__globals__
    for size in PAIRS["l2_policy"].pair.bench_sizes:
        groups = size["n"] // 32
        times = np.bincount(namespace["rows_of"](np.arange(groups), size["rows"]), minlength=size["rows"])
        mean = groups / size["rows"]
        assert times.size == size["rows"]
        assert np.count_nonzero(times) > 0.99 * size["rows"]
        assert abs(times.var() / mean - 1) < 0.5  # 1 where chosen at random
