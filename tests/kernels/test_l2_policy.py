"""The pair l2_policy."""

import numpy as np
import pytest

from tests.kernels.harness import KERNELS, PAIRS, build, source_of


def l2_policy(x, table, rows, n):
    y = []
    for i in range(n):
        mixed = i // 32 * 0x9E3779B1 % 2**32
        mixed ^= mixed >> 15
        mixed = mixed * 0x85EBCA77 % 2**32
        y.append(float(np.float32(x[i] + table[mixed * rows >> 32][i % 32])))
    return {"y": y}


REFERENCE = (l2_policy, {"n": 135, "rows": 7})

MUTANTS = [
    ("l2_policy.ptx", "setp.ge.u32 %past_vectors",       "setp.gt.u32 %past_vectors"),
    ("l2_policy.ptx", "shr.u32 %high, %hash, 15",        "shr.u32 %high, %hash, 16"),         # another hash
    ("l2_policy.ptx", "mul.hi.u32 %row, %hash, %rows",   "rem.u32 %row, %hash, %rows"),       # by the low bits
    ("l2_policy.ptx", "and.b32 %column, %i, 7",          "and.b32 %column, %i, 3"),
    ("l2_policy.ptx", "mad.lo.u32 %from, %row, 32",      "mad.lo.u32 %from, %row, 8"),        # in the last elements
    ("l2_policy.half.ptx", "shr.u32 %group, %i, 3",      "shr.u32 %group, %i, 5"),
    ("l2_policy.half.ptx", "add.rn.f32 %y_w, %x_w",      "add.rn.f32 %y_w, %x_z"),
    ("l2_policy.half.ptx", "mul.wide.u32 %offset, %i, 16", "mul.wide.u32 %offset, %i, 8"),
]  # fmt: skip


def opcodes(file, arch):
    return build(source_of(KERNELS / file), arch, "toolkit").report.opcodes


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_a_policy_adds_no_access_and_no_opcode_of_one(arch):
    """It travels in the descriptor, which every access has: the accesses of all three are those of C, by name."""

    def accesses(file):
        return {opcode: count for opcode, count in opcodes(file, arch).items() if opcode.startswith(("LDG", "STG"))}

    cuda = accesses("cuda/l2_policy.cu")
    assert accesses("ptx/l2_policy.ptx") == accesses("ptx/l2_policy.half.ptx") == cuda
    assert any(".EF." in opcode for opcode in cuda)
    assert not any(".EF" in opcode for opcode in accesses("cuda/l2_policy.plain.cu"))


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_policies_cost_a_few_instructions_of_the_uniform_datapath(arch):
    """What PTX calls createpolicy is arithmetic on constants, once a warp."""
    cuda, ptx = opcodes("cuda/l2_policy.cu", arch), opcodes("ptx/l2_policy.ptx", arch)
    assert not any("POLICY" in opcode for opcode in ptx)
    assert 0 < sum(ptx.values()) - sum(cuda.values()) <= 16


def test_the_hash_chooses_each_row_about_as_often():
    """At the sizes of a benchmark; a table of which a part is never read would be smaller than it says."""
    namespace = PAIRS["l2_policy"].pair.reference.__globals__
    for size in PAIRS["l2_policy"].pair.bench_sizes:
        groups = size["n"] // 32
        times = np.bincount(namespace["rows_of"](np.arange(groups), size["rows"]), minlength=size["rows"])
        mean = groups / size["rows"]
        assert times.size == size["rows"]
        assert np.count_nonzero(times) > 0.99 * size["rows"]
        assert abs(times.var() / mean - 1) < 0.5  # 1 where chosen at random
