"""What is told of two listings, in words. No tool runs here."""

from pathlib import Path

import pytest

from ptxbench.explanation import Case, explain
from ptxbench.listing import Listing, compare
from ptxbench.pair import Launch
from ptxbench.result import BuildReport
from ptxbench.toolchain.lines import Instruction


def listing(variant, *code, **report):
    sass = tuple(Instruction(16 * i, text) for i, text in enumerate(code))
    known = {"sass_sha256": variant, "registers": 32, "shared_bytes": 0, **report}
    made = BuildReport(source_sha256="", ptx_sha256="", **known)
    return Listing(variant, "ptx", Path("k.ptx"), "k", "sm_90", (), (), {}, sass, made, True)


def told(left, right, launch=None):
    return {each.kind: each.text for each in explain(Case(compare(left, right), launch))}


ADD = ("FADD R1, R2, R3", "EXIT")


def test_of_the_same_machine_code_nothing_else_is_told():
    found = told(listing("cuda", *ADD, sass_sha256="x"), listing("ptx", "EXIT", sass_sha256="x", registers=99))
    assert found == {
        "same code": "ptx is the same machine code as cuda, to the bit: a difference in time would be noise."
    }


def test_the_same_mix_is_no_difference_in_instructions():
    found = told(listing("cuda", *ADD), listing("ptx", *ADD[::-1]))
    assert found == {
        "instructions": "ptx has the instructions of cuda, each as often, in another order or on other registers."
    }


# left, right: code and report; kind, what is told
TOLD = [
    ((("FADD R1, R2, R3",) * 3 + ("EXIT",), {}), (("FADD R1, R2, R3", "EXIT"), {}),
     "instructions", "ptx has 2 SASS instructions, cuda 4: 50 % fewer. Most of it is FADD 3 to 1."),
    ((ADD, {}), (("FMUL R1, R2, R3", "EXIT"), {}),
     "instructions", "cuda and ptx both have 2 SASS instructions, but not the same. "
                     "Most of it is FADD 1 to 0, FMUL 0 to 1."),
    ((ADD, {"spill_store_bytes": 8, "spill_load_bytes": 16}), (ADD, {}),
     "spills", "Spilled registers go through memory: cuda 24 bytes a thread, stores and loads."),
    ((ADD, {}), (ADD, {"registers": 40}),
     "registers", "ptx needs 40 registers, cuda 32."),
    ((("@P0 ATOM.E.ADD P0, RZ, [R2], R3", "LD.E R1, [R2]", "LD.E R1, [R4]"), {}), (("ATOMG.E.ADD R1", "LDG.E R1"), {}),
     "generic addressing", "cuda has generic addresses, of no certain memory: 2 LD, 1 ATOM."),
    ((("LDG.E R1, [R2]",) * 4, {}), (("LDG.E.128.CONSTANT R1, [R2]",), {}),
     "access width", "Global loads in the code, by bytes a thread: cuda 4 of 4 bytes; ptx 1 of 16 bytes."),
    ((("STG.E.64 [R2], R1",), {}), (("STG.E.U16 [R2], R1",), {}),
     "access width", "Global stores in the code, by bytes a thread: cuda 1 of 8 bytes; ptx 1 of 2 bytes."),
    ((("FMUL R1, R2, R3", "FADD R1, R1, R4"), {}), (("FFMA R1, R2, R3, R4",), {}),
     "fused multiply-add", "cuda has 1 more multiplications and additions apart, ptx 1 more of them fused."),
    ((("FSETP.GEU.AND P1, PT, |R2|, 1.175494350822287508e-38, PT",), {}), (("NOP",), {}),
     "subnormal numbers",
     "Guards for subnormal numbers: cuda 1, ptx 0. In CUDA C --use_fast_math takes them out."),
    ((("F2F.F16.F32 R1, R2", "I2FP.F32.S32 R1, R2"), {}), (ADD, {}),
     "conversions", "Conversions between types: cuda 2, ptx 0."),
    ((ADD, {}), (ADD, {"log": "ptxas info : (C7508) Potential Performance Loss: 'setmaxnreg' ignored\nother"}),
     "ptxas", "ptx: ptxas info : (C7508) Potential Performance Loss: 'setmaxnreg' ignored"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "kind", "text"), TOLD)
def test_a_difference_is_told_with_its_figures(left, right, kind, text):
    assert told(listing("cuda", *left[0], **left[1]), listing("ptx", *right[0], **right[1]))[kind] == text


def test_occupancy_is_that_of_the_launch():
    few, many = listing("cuda", *ADD), listing("ptx", *ADD, registers=128)
    launch = Launch(grid=1, block=256)
    assert told(few, many, launch)["registers"] == "ptx needs 128 registers, cuda 32: occupancy 25 % against 100 %."
    near = listing("ptx", *ADD, registers=31)
    assert told(few, near, launch)["registers"] == "ptx needs 31 registers, cuda 32; occupancy is the same."


def test_what_is_alike_is_not_told():
    wide = ("LDG.E.128 R1, [R2]", "LDG.E R1, [R2]", "EXIT")
    more = ("LDG.E.128 R1, [R2]", "LDG.E R1, [R2]", "LDG.E R1, [R2]", "EXIT")
    assert set(told(listing("cuda", *wide), listing("ptx", *more))) == {"instructions"}  # of the same widths
    assert set(told(listing("cuda", *ADD), listing("ptx", "FFMA R1, R2, R3, R4", "EXIT"))) == {"instructions"}


def test_what_costs_most_comes_first():
    left = listing("cuda", "LD.E R1, [R2]", "I2F R1, R2", spill_load_bytes=4)
    kinds = [each.kind for each in explain(Case(compare(left, listing("ptx", *ADD, registers=16))))]
    assert kinds == ["spills", "registers", "instructions", "generic addressing", "conversions"]
