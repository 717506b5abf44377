"""The identity of machine code: equal where the code is, whatever it is called."""

import re

import pytest

from ptxbench.errors import MachineError
from ptxbench.toolchain import cubin, locate, ptxas
from ptxbench.toolchain.kernel_info import kernel_info

from .conftest import CUDA, PTX

TABLE = """\
__constant__ float weights[4] = {1, 2, 3, 4};
__device__ int count = 5;
extern "C" __global__ void scale(float* x, int i) { x[i] = weights[i & 3] * count; }
"""


@pytest.fixture(autouse=True)
def without_nvdisasm(monkeypatch):
    """It takes 0.4 s a cubin, and the identity does not need it."""
    program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "nvdisasm" else program(name))


SAME = [
    ("another name",          lambda text: text.replace("twice", "doubled")),
    ("other registers",       lambda text: text.replace("%value", "%v").replace("%slot", "%place")),
    ("another parameter name", lambda text: text.replace("[x]", "[data]").replace(".u64 x\n", ".u64 data\n")),
    ("another shared name",   lambda text: text.replace("values", "tile")),
    ("no comments",           lambda text: re.sub(r"//.*", "", text)),
    ("other white space",     lambda text: re.sub(r" {2,}", "\t", text)),
    ("a label",               lambda text: text.replace("    ret;", "END:\n    ret;")),
    ("a newer version",       lambda text: text.replace("6.3", "7.8")),
]  # fmt: skip

DIFFERENT = [
    ("an instruction",      lambda text: text.replace("fma.rn.f32", "fma.rz.f32")),
    ("a constant",          lambda text: text.replace("0f40000000", "0f40000001")),
    ("an address",          lambda text: text.replace("st.global.f32        [%x_at]", "st.global.f32 [%x_at+4]")),
    ("more shared memory",  lambda text: text.replace("values[64]", "values[65]")),
    ("a cache hint",        lambda text: text.replace("ld.global", "ld.global.nc")),
]  # fmt: skip


def identity(build, text, entry="twice", **options):
    return build(text, entry, **options).report.sass_sha256


@pytest.mark.parametrize("change", [change for _, change in SAME], ids=[name for name, _ in SAME])
def test_changes_invisible_to_the_gpu_keep_the_identity(build, change):
    changed = change(PTX)
    assert changed != PTX
    entry = re.search(r"\.entry\s+(\w+)", changed)[1]
    assert identity(build, changed, entry) == identity(build, PTX)


@pytest.mark.parametrize("change", [change for _, change in DIFFERENT], ids=[name for name, _ in DIFFERENT])
def test_changes_visible_to_the_gpu_change_the_identity(build, change):
    changed = change(PTX)
    assert changed != PTX
    assert identity(build, changed) != identity(build, PTX)


def test_another_architecture_is_another_identity(build):
    assert identity(build, PTX, arch="sm_80") != identity(build, PTX, arch="sm_90")


TABLES = [
    ("constants",             TABLE.replace("3, 4", "3, 5"),          False),
    ("a variable's start",    TABLE.replace("count = 5", "count = 6"), False),
    ("names",                 TABLE.replace("weights", "w").replace("count", "c"), True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changed", "same"), TABLES)
def test_constants_and_variables_are_identified_by_content_and_not_by_name(build, what, changed, same):
    assert (identity(build, changed, "scale") == identity(build, TABLE, "scale")) is same


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])  # relocations without an addend, and with one
def test_the_targets_of_an_address_table_are_part_of_the_identity(build, arch):
    """All bytes are the same: the loader fills in the addresses, as relocations say."""
    table = (
        "__device__ int a = 5, b = 6;\n__device__ int* table[2] = {{{}}};\n"
        'extern "C" __global__ void scale(int* x) {{ *x = *table[*x]; }}'
    )
    renamed = table.format("&a, &b").replace("table", "t").replace("int a", "int c").replace("&a", "&c")
    texts = (table.format("&a, &b"), table.format("&b, &a"), renamed)
    first, other, same = (identity(build, text, "scale", arch=arch) for text in texts)
    assert first != other
    assert first == same


def test_another_kernel_in_the_file_does_not_change_the_identity(build):
    beside = CUDA + 'extern "C" __global__ void other(int* x) { *x = 7; }'
    assert identity(build, beside, "scale") == identity(build, CUDA, "scale")


def test_a_cubins_kernels_are_listed(build):
    built = build(CUDA + 'extern "C" __global__ void other(int* x) { *x = 7; }')
    assert sorted(cubin.read(built.cubin).entries) == ["other", "scale"]


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_the_figures_of_a_kernel_are_its_own_and_those_that_ptxas_reports(build, arch):
    loads = "".join(f"ld.global.f32 %v{i}, [%x_at+{256 * i}];\n" for i in range(16))
    sums = "".join(f"add.rn.f32 %value, %value, %v{i};\n" for i in range(16))
    large = PTX[PTX.index(".visible") :].replace("twice", "large").replace(".maxntid 64", ".reqntid 96")
    large = large.replace("values[64];", "values[640];\n.reg .f32 %v<16>;").replace(
        "    bar.sync", f"{loads}    bar.sync"
    )
    text = PTX + large.replace("    st.global", f"{sums}    st.global")
    assert build(text, "large", arch=arch).report.registers > build(text, "twice", arch=arch).report.registers
    for entry, threads in (("twice", None), ("large", (96, 1, 1))):
        built = build(text, entry, arch=arch)
        figures = kernel_info(cubin.read(built.cubin), entry, arch)
        assert (figures.registers, figures.shared_bytes) == (built.report.registers, built.report.shared_bytes)
        assert (figures.shared_bytes, figures.threads) == ({"twice": 256, "large": 2560}[entry], threads)


@pytest.mark.parametrize("length", [0, 3, 63, 64, 200, 1000])
def test_an_incomplete_cubin_is_refused(build, length):
    with pytest.raises(ValueError, match=r"cut short|not a 64-bit"):
        cubin.read(build(CUDA).cubin[:length])


def test_a_cubin_that_a_full_disk_has_cut_is_incomplete_wherever_it_was_cut(build):
    whole = build(PTX, "twice").cubin
    assert [size for size in range(len(whole) + 1) if cubin.is_complete(whole[:size])] == [len(whole)]


def test_an_incomplete_cubin_of_ptxas_is_the_machines_fault(monkeypatch):
    run = ptxas.run

    def cut(tool, options, folder, *limits):
        ran = run(tool, options, folder, *limits)
        output = folder / ptxas.OUTPUT
        output.write_bytes(output.read_bytes()[:-100])
        return ran

    monkeypatch.setattr(ptxas, "run", cut)
    with pytest.raises(MachineError, match=r"could not write all of the machine code. Free space for .* \(TMPDIR\)"):
        ptxas.assemble(locate.program("ptxas"), PTX, "sm_90")
