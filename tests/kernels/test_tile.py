"""The rows in CUDA Tile C++: which the emulator can execute, what their machine code has, and mistakes in them."""

import dataclasses
import re

import pytest

from ptxbench import emulator, toolchain
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import LaunchUnavailable, MemoryFault, TargetMismatch
from ptxbench.launch import OwnCta
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import locate, ptxas
from ptxbench.toolchain.tile import HIDDEN_PARAMETERS, OTHER_CODE
from tests.kernels.harness import KERNELS, PAIRS, count, executed, source_of

TILE = {path.name.removesuffix(".tile.cu"): source_of(path) for path in sorted(KERNELS.glob("tile/*.tile.cu"))}
EXECUTED = ("softmax", "tma_transpose", "triad")


def built(name, arch="sm_90"):
    return toolchain.build_source(TILE[name], arch)


ROWS = [
    # name                 arch      threads  why it is verified on a GPU alone
    ("triad",             "sm_80",   128,     None),
    ("triad",             "sm_90",   128,     None),
    ("softmax",           "sm_90",   128,     None),
    ("softmax",           "sm_100",  128,     OTHER_CODE),
    ("tma_transpose",     "sm_90",   128,     None),
    ("hgemm_wgmma",       "sm_90",   256,     HIDDEN_PARAMETERS),
    ("hgemm_wgmma",       "sm_80",   128,     OTHER_CODE),
    ("fp8_gemm_promoted", "sm_90",   384,     HIDDEN_PARAMETERS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arch", "threads", "reason"), ROWS)
def test_a_row_says_how_many_threads_it_has_and_whether_the_emulator_can_execute_it(name, arch, threads, reason):
    build = built(name, arch)
    assert (build.own_cta, build.gpu_only) == (OwnCta((threads, 1, 1)), reason)
    launch = build.launched(PAIRS[name].pair.launch_of("tile")(**PAIRS[name].pair.check_sizes[0]))
    assert launch.block_xyz == (threads, 1, 1)
    assert build.enqueued(launch).block_xyz == (1, 1, 1)  # what the driver is asked for
    if reason:
        with pytest.raises(LaunchUnavailable, match=re.escape(f"{name}.tile.cu: {reason}")):
            EmulatorBackend(arch).require(build, launch)
    assert build.arch == {"sm_80": "sm_80"}.get(arch, f"{arch}a")


@pytest.mark.parametrize("name", EXECUTED)
def test_a_row_that_the_emulator_can_execute_is_right_at_every_check_size(name):
    pair = PAIRS[name].pair
    for size in pair.check_sizes:
        for integers in {False, pair.exact_on_integers}:
            assert not executed(name, TILE[name], "sm_90", size, integers=integers)[1]


@pytest.mark.parametrize("name", ["triad"])  # the others take a minute to compile for the sanitizer
def test_the_sanitizer_finds_nothing_in_it(name):
    build, pair = built(name), PAIRS[name].pair
    for size in pair.check_sizes[-2:]:
        arguments = build.arguments(pair.make_arguments(size, seed=1))
        execution = emulator.run(
            build.ptx,
            build.entry,
            grid=pair.launch_of("tile")(**size).grid_xyz,
            block=build.own_cta.threads,
            args=[*arguments.values()],
            names=[*arguments],
            arch=build.arch,
            sanitize=True,
        )
        assert execution.findings == ()


WRONG = [
    ("triad", "i < n;", "i <= n;"),  # one element too many
    ("tma_transpose", "column, row);", "row, column);"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), WRONG, ids=[name for name, _, _ in WRONG])
def test_the_check_sizes_find_a_mistake_in_it(name, right, wrong, tmp_path):
    text = TILE[name].path.read_text()
    assert right in text
    path = tmp_path / TILE[name].path.name
    path.write_text(text.replace(right, wrong))
    broken = dataclasses.replace(TILE[name], path=path)

    def message_at(size):
        try:
            return executed(name, broken, "sm_90", size)[1]
        except MemoryFault as fault:
            return str(fault)

    message = next(filter(None, map(message_at, PAIRS[name].pair.check_sizes)))
    assert re.match(rf"{name}\.tile\.cu(:\d+ \(PTX line \d+\): |, )", message)  # a fault, or a wrong result


OPCODES = [
    # name                arch      opcodes in the machine code
    ("hgemm_wgmma",       "sm_90",  {"HGMMA": 8, "UTMALDG": 3, "UTMASTG": 4, "USETMAXREG": 3, "HMMA": 0}),
    ("hgemm_wgmma",       "sm_100", {"UTCHMMA": 4, "UTMALDG": 3, "UTMASTG": 4, "USETMAXREG": 4, "LDTM": 32, "HMMA": 0}),
    ("fp8_gemm_promoted", "sm_90",  {"QGMMA": 8, "UTMALDG": 3, "USETMAXREG": 5}),
    ("fp8_gemm_promoted", "sm_100", {"UTCQMMA": 4, "UTMALDG": 3, "USETMAXREG": 4}),
    ("tma_transpose",     "sm_90",  {"UTMALDG": 0, "UTMASTG": 0, "UBLKCP": 0, "LDG.128": 8, "STG.128": 8}),
    ("tma_transpose",     "sm_100", {"UTMALDG": 0, "UTMASTG": 0}),
    ("triad",             "sm_90",  {"LDG.128": 4, "STG.128": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arch", "opcodes"), OPCODES)
def test_the_machine_code_has_what_its_page_says(name, arch, opcodes):
    """With tileiras of the version that the pages are of."""
    build = built(name, arch)
    assert "asm" not in TILE[name].path.read_text()
    if "tileiras 13.5." in build.report.compiler:
        assert dict(zip(opcodes, count(build.report, *opcodes), strict=True)) == opcodes


@pytest.mark.parametrize(("name", "arch"), [("triad", "sm_80"), ("softmax", "sm_90"), ("tma_transpose", "sm_100")])
def test_the_figures_in_the_cubin_are_those_that_ptxas_reports(name, arch):
    """The driver reserves a part of shared memory from sm_90 on, which is no part of the figure."""
    build = built(name, arch)
    _, messages = ptxas.assemble(locate.program("ptxas"), build.ptx, build.arch)
    resources, report = ptxas.resources(messages, build.entry), build.report
    figures = report.registers, report.stack_bytes, report.shared_bytes
    assert figures == (resources.registers, resources.stack_bytes, resources.shared_bytes)


def test_lines_of_the_ptx_have_the_lines_of_the_file_that_they_come_from():
    build = built("triad")
    text = TILE["triad"].path.read_text().splitlines()
    rows = build.ptx.splitlines()
    for opcode, word in (("st.global", "ct::store"), ("fma.rn.f32", "ct::fma"), ("ld.global", "ct::load")):
        at = [i for i, row in enumerate(rows) if row.startswith(opcode)]
        lines = {next(row.split()[2] for row in rows[i::-1] if row.startswith(".loc")) for i in at}
        assert {word in text[int(line) - 1] for line in lines} == {True}, opcode
    with_code = elf.identity(elf.read(toolchain.assembled_text(build.ptx, build.arch)), "triad", 0, 0)
    assert with_code == elf.identity(elf.read(build.cubin), "triad", 0, 0)


LACKS = [
    ("triad", "sm_75", "triad.tile.cu: needs sm_80. tileiras 13."),
    ("fp8_gemm_promoted", "sm_80", "fp8_gemm_promoted.tile.cu:20: unsupported type 'f8E4M3FN'. tileiras 13."),
]


@pytest.mark.parametrize(("name", "arch", "message"), LACKS)
def test_a_target_that_lacks_something_is_not_a_fault_of_the_kernel(name, arch, message):
    with pytest.raises(TargetMismatch, match=f"^{re.escape(message)}"):
        built(name, arch)
