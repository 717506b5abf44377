"""The pair triad."""

from fractions import Fraction

import numpy as np
import pytest

from ptxbench import verify
from ptxbench.toolchain import cubin, locate, nvrtc, ptxas
from tests.kernels.harness import KERNELS, PAIRS, count, reports


def triad(b, c, s, n):
    return {"a": [float(Fraction(b[i]) + Fraction(s) * Fraction(c[i])) for i in range(n)]}


REFERENCE = (triad, {"n": 5})

MUTANTS = [
    ("triad.ptx", "setp.ge.u32 %past_vectors",       "setp.gt.u32 %past_vectors"),  # a vector past the end
    ("triad.ptx", "setp.ge.u32 %past_rest",          "setp.gt.u32 %past_rest"),
    ("triad.ptx", "%rest, %n, 3",                    "%rest, %n, 1"),               # two elements never written
    ("triad.ptx", "%s, %c_w, %b_w",                  "%s, %c_w, %b_z"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"])
def test_both_sides_of_triad_are_the_same_machine_code_up_to_sm_90(arch):
    """Its control row depends on it, and its header says so. NVRTC 12.9 and 13.5 were tried."""
    assembler = locate.program("ptxas")
    ptx, cuda = (
        (KERNELS / "ptx" / "triad.ptx").read_text(),
        nvrtc.translate(
            nvrtc.find(), (KERNELS / "cuda" / "triad.cu").read_bytes(), KERNELS / "cuda" / "triad.cu", arch, ()
        )[0],
    )

    def identity(text):
        binary, messages = ptxas.assemble(assembler, text, arch)
        return cubin.identity(cubin.read(binary), "triad", ptxas.resources(messages, "triad").registers, shared_bytes=0)

    assert identity(ptx) == identity(cuda)
    assert identity(ptx) != identity(ptx.replace("%s, %c_x, %b_x", "%s, %c_x, %b_y"))


def test_triad_rejects_a_product_that_was_rounded_separately():
    pair = PAIRS["triad"].pair
    arguments = pair.make_arguments({"n": 65539}, seed=1)
    product = arguments["s"] * arguments["c"]
    assert product.dtype == np.float32
    assert verify.verify({"a": arguments["b"] + product}, verify.expect(pair, arguments), "triad").worst


@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_100", "sm_120"])
def test_both_sides_of_triad_load_two_vectors_and_store_one(arch):
    """And 4 fma: the fifth, with the other two loads and the store, belongs to the scalar tail."""
    for report in reports("triad", arch).values():
        assert count(report, "LDG.128", "STG.128", "FFMA", "LDG", "STG") == [2, 1, 5, 4, 2]


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_above_sm_90_the_sides_of_triad_differ_by_an_instruction(arch):
    """The page says so: there a difference in time is not the measurement's alone."""
    cuda, ptx = reports("triad", arch, "cuda", "ptx").values()
    assert cuda.sass_sha256 != ptx.sass_sha256
    assert abs(cuda.sass["total"] - ptx.sass["total"]) <= 1
