"""The pair copy_hints."""

import pytest

from ptxbench import toolchain
from tests.kernels.harness import KERNELS, PAIRS, code, count, reports


def copy_hints(x, vectors):
    return {"y": [x[i] for i in range(4 * vectors)]}


REFERENCE = (copy_hints, {"n": 48})

MUTANTS = [
    ("copy_hints.ptx", "setp.lt.u32 %whole",              "setp.le.u32 %whole"),         # a vector past the end
    ("copy_hints.ptx", "setp.ge.u32 %past_end",           "setp.gt.u32 %past_end"),
    ("copy_hints.ptx", "[%x_at + 8192]",                  "[%x_at + 4096]"),
    ("copy_hints.ptx", "add.u32 %i, %i, 256",             "add.u32 %i, %i, 512"),        # the last CTA stops early
    ("copy_hints.plain.ptx", "setp.lt.u32 %whole",        "setp.le.u32 %whole"),
    ("copy_hints.plain.ptx", "[%x_at + 12288]",           "[%x_at + 8192]"),
    ("copy_hints.plain.ptx", "add.u64 %x_at, %x_at, 4096", "add.u64 %x_at, %x_at, 8192"),
    ("copy_hints.l2_128.ptx", "[%y_at + 12288]",              "[%y_at + 8192]"),
    ("copy_hints.l2_128.ptx", "mul.wide.u32 %offset, %i, 16", "mul.wide.u32 %offset, %i, 32"),
    ("copy_hints.l2_128.ptx", "setp.lt.u32 %more",            "setp.le.u32 %more"),
    ("copy_hints.evict_first.ptx", "{%v1_x, %v1_y, %v1_z, %v1_w}", "{%v1_x, %v1_y, %v1_w, %v1_z}"),
    ("copy_hints.evict_first.ptx", "add.u64 %y_at, %y_at, 4096",   "add.u64 %y_at, %y_at, 2048"),
    ("copy_hints.evict_first.ptx", "add.u32 %fourth, %i, 768",     "add.u32 %fourth, %i, 512"),
    ("copy_hints.interleaved.ptx", "@!%whole bra",                 "@%whole bra"),
    ("copy_hints.interleaved.ptx", "mad.lo.u32 %i, %block, 1024",  "mad.lo.u32 %i, %block, 512"),  # half never written
    ("copy_hints.interleaved.ptx", "[%y_at + 4096], {%v1_x",       "[%y_at + 4096], {%v0_x"),
]  # fmt: skip


ARCHS = ["sm_80", "sm_90", "sm_120"]  # of copy_hints.ptx; its neighbours have sm_75 too

HINTS = [
    # variant            its loads                   its stores
    ("cuda",             "LDG.128.CONSTANT",         "STG.128"),
    ("cuda.cs",          "LDG.EF.128",               "STG.EF.128"),
    ("cuda.cg",          "LDG.128.STRONG.GPU",       "STG.128.STRONG.GPU"),
    ("ptx",              "LDG.NA.LTC256B.128",       "STG.NA.128"),
    ("ptx.plain",        "LDG.128.CONSTANT",         "STG.128"),
    ("ptx.l2_128",       "LDG.NA.LTC128B.128",       "STG.NA.128"),
    ("ptx.evict_first",  "LDG.EF.128",               "STG.EF.128"),
    ("ptx.interleaved",  "LDG.128",                  "STG.128"),
]  # fmt: skip


@pytest.mark.parametrize("arch", ARCHS)
def test_every_access_in_the_machine_code_has_its_hint_and_c_has_none_of_the_ptx_hints(arch):
    """Four accesses, and one in the loop of the last CTA."""
    by_variant = reports("copy_hints", arch)
    assert by_variant.keys() == {variant for variant, _, _ in HINTS}
    for variant, load, store in HINTS:
        if arch == "sm_80":
            load = load.replace("256B", "128B")  # ptxas lowers it there: 12.9, 13.0 and 13.5
        accesses = count(by_variant[variant], "LDG", "STG")
        assert min(accesses) >= 5, variant
        assert count(by_variant[variant], load, store) == accesses, variant
        if variant.startswith("cuda"):
            assert count(by_variant[variant], "LDG.NA", "LDG.LTC128B", "LDG.LTC256B", "STG.NA") == [0, 0, 0, 0], variant


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_cuda_c_and_ptx_without_hints_are_the_same_but_for_the_order_of_blocks(arch):
    """C has one address for x and one for y; with an index in each access it would execute a third more."""
    by_variant = reports("copy_hints", arch)
    assert by_variant["cuda"].sass["total"] == by_variant["ptx.plain"].sass["total"] == by_variant["ptx"].sass["total"]


def order(path, arch):
    """Loads and stores of 16 bytes as the machine code has them: "LLLLSSSS" for four loads, then four stores."""
    language = "cuda" if path.suffix == ".cu" else "ptx"
    built = toolchain.build(path, language=language, variant="", entry="copy_hints", arch=arch)
    return "".join("L" if text.startswith("LDG") else "S" for text in code(built) if text.startswith(("LDG", "STG")))


@pytest.mark.parametrize("arch", ARCHS)
def test_ptxas_keeps_the_order_of_loads_and_stores_unless_nc_says_that_no_store_changes_what_is_loaded(arch, tmp_path):
    interleaved = KERNELS / "ptx" / "copy_hints.interleaved.ptx"
    assert "LSLSLSLS" in order(interleaved, arch)
    constant = tmp_path / "copy_hints.ptx"
    constant.write_text(interleaved.read_text().replace("ld.global.v4", "ld.global.nc.v4"))
    assert "LLLLSSSS" in order(constant, arch)
    assert "LSLSLSLS" not in order(constant, arch)


COPY = """
extern "C" __global__ void __launch_bounds__(256)
copy_hints(const uint4* RESTRICT x, uint4* RESTRICT y, unsigned vectors)
{
    const unsigned i = 1024 * blockIdx.x + threadIdx.x;
    if (i + 768 < vectors) {
        y[i] = x[i];
        y[i + 256] = x[i + 256];
        y[i + 512] = x[i + 512];
        y[i + 768] = x[i + 768];
    }
}
"""


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("qualifier", "expected"), [("__restrict__", "LLLLSSSS"), ("", "LSLSLSLS")])
def test_restrict_says_in_c_what_nc_says_in_ptx(qualifier, expected, arch, tmp_path):
    path = tmp_path / "copy_hints.cu"
    path.write_text(COPY.replace("RESTRICT", qualifier))
    assert order(path, arch) == expected


@pytest.mark.parametrize("arch", ARCHS)
def test_every_other_side_has_four_loads_in_flight(arch):
    for path in (source.path for source in PAIRS["copy_hints"].sources):
        if "interleaved" not in path.name:
            assert "LLLLSSSS" in order(path, arch), path.name
