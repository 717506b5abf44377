"""The lines of machine code read from a cubin, compared with nvdisasm, which reads the same cubin."""

import dataclasses

import pytest

from ptxbench import discovery, toolchain
from ptxbench.executed.graph import LABEL
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import line_table, lines, locate, ptxas
from tests.toolchain.conftest import PTX

KERNELS = discovery.default_kernels()
SHIPPED = [
    # relocations with an addend from sm_90 on, and without one before
    ("triad",          "cuda",    "sm_80"),
    ("triad",          "cuda",    "sm_90"),
    ("bigint_mul256",  "ptx",     "sm_120"),
    ("hgemm_mma",      "cuda",    "sm_90"),   # 1,700 instructions, and shared memory, whose address the driver fills in
    ("softmax",        "ptx",     "sm_90"),   # collective warp synchronization
    ("transpose",      "cuda",    "sm_80"),
]  # fmt: skip
FAR = [
    ("rmsnorm",        "cuda",    "sm_90"),   # calls the slow path of a root
    ("bigint_mul256.rows", "ptx", "sm_80"),   # a jump over a long distance
]  # fmt: skip


def built(name, language, arch):
    path = KERNELS / language / f"{name}{'.cu' if language == 'cuda' else '.ptx'}"
    entry = name.split(".")[0]
    return toolchain.build(path, language=language, variant=language, entry=entry, arch=arch)


def resolved(code):
    """The instructions with addresses in place of labels, whatever their names."""
    addresses = {label: f"{instruction.address:#x}" for instruction in code for label in instruction.labels}
    return [
        dataclasses.replace(
            instruction, labels=(), text=LABEL.sub(lambda match: addresses.get(match[0], match[0]), instruction.text)
        )
        for instruction in code
    ]


@pytest.mark.parametrize(("name", "language", "arch"), SHIPPED)
def test_lines_and_targets_are_those_of_nvdisasm(monkeypatch, name, language, arch):
    build = built(name, language, arch)
    expected = lines.annotate(build)
    monkeypatch.setattr(lines, "annotate", None)
    listed = lines.with_lines(build)
    assert resolved(listed.instructions) == resolved(expected.instructions)
    assert listed.same_code
    assert all(instruction.line for instruction in listed.instructions)


@pytest.mark.parametrize(("name", "language", "arch"), [row for row in SHIPPED if row[1] == "cuda"])
def test_a_cubin_of_ptx_with_lines_of_cuda_c_has_those_of_the_ptx_too(name, language, arch):
    """So it is not assembled again."""
    build = built(name, language, arch)
    assembled_again, _ = toolchain.assembled(locate.program("ptxas"), build.ptx, build.arch, toolchain.LINE_INFORMATION)
    rows, expected = (line_table.rows(elf.read(cubin), build.entry) for cubin in (build.cubin, assembled_again))
    assert rows == expected
    assert lines.with_line_information(build) == (build.cubin, build.report.sass_sha256)


@pytest.mark.parametrize(("name", "language", "arch"), FAR)
def test_code_with_targets_outside_is_read_by_nvdisasm(name, language, arch):
    build = built(name, language, arch)
    assert lines.with_lines(build) == lines.annotate(build)


def test_no_start_of_nvdisasm_is_needed_for_a_build_whose_opcodes_are_known(build, monkeypatch):
    twice = build(PTX, "twice")
    monkeypatch.setattr(lines, "printed", None)
    assert lines.with_lines(twice).instructions


def test_other_machine_code_with_line_information_is_reported(build):
    twice = build(PTX, "twice")
    assert lines.with_lines(twice).same_code
    other = dataclasses.replace(twice, report=dataclasses.replace(twice.report, sass_sha256="of other code"))
    assert not lines.with_lines(other).same_code
    assert not lines.annotate(other).same_code


TWO_FILES = """\
extern "C" __global__ void scale(float* x)
{
    float v = x[threadIdx.x];
#line 70 "other.cuh"
    v = v * v + sqrtf(v);
#line 6 "scale.cu"
    x[threadIdx.x] = v;
}
"""


def test_code_of_another_file_has_no_line_of_this_one(build):
    built = build(TWO_FILES)
    cubin, _ = toolchain.assembled(locate.program("ptxas"), built.ptx, built.arch, toolchain.LINE_INFORMATION)
    own, other = (
        set(line_table.source_rows(elf.read(cubin), "scale", name).values()) for name in ("scale.cu", "other.cuh")
    )
    assert own <= {1, 2, 3, 6, 7, None}
    assert {3, 6, None} <= own
    assert other == {70, None}


@pytest.fixture
def image(build):
    twice = build(PTX, "twice")
    cubin, _ = toolchain.assembled(locate.program("ptxas"), twice.ptx, twice.arch, toolchain.LINE_INFORMATION)
    return elf.read(cubin)


def with_program(image, content):
    """The same cubin with another line program."""
    sections = [
        section._replace(content=content) if section.name == line_table.OF_PTX else section
        for section in image.sections
    ]
    return dataclasses.replace(image, sections=tuple(sections))


def program_of(image):
    return next(section.content for section in image.sections if section.name == line_table.OF_PTX)


def test_a_line_program_of_another_format_is_refused(image):
    content = program_of(image)
    assert line_table.rows(image, "twice")
    with pytest.raises(ValueError, match="version 5"):
        line_table.rows(with_program(image, content[:4] + b"\x05\0" + content[6:]), "twice")
    with pytest.raises(ValueError, match="no lines of other"):
        line_table.rows(image, "other")
    with pytest.raises(ValueError, match="no section"):
        line_table.rows(dataclasses.replace(image, sections=image.sections[:1]), "twice")
    for length in range(1, len(content), 7):
        with pytest.raises(ValueError, match=line_table.OF_PTX):
            line_table.rows(with_program(image, content[:length]), "twice")


PROGRAM = (
    # unit length, version, header length; step, is_stmt, line base -5, range 14, first special opcode 13
    b"\x00\x00\x00\x00\x03\x00\x13\x00\x00\x00\x01\x01\xfb\x0e\x0d"
    b"\x00\x01\x01\x01\x01\x00\x00\x00\x01\x00\x00\x01"  # operands of opcodes 1 to 12
    b"\x00\x00"  # no folders, no files
    b"\x00\x09\x02ADDRESS."  # start at an address
    b"\x03\x0a\x01"  # 10 lines on, a row: 0, line 11
    b"\x02\x10\x14"  # 16 bytes on, then 2 lines on, a row: 16, line 13
    b"\x05\x07\x04\x02\x06"  # a column, file 2, a change of is_stmt: no row
    b"\x03\x7e\x02\x80\x01\x01"  # 2 lines back, 128 bytes on: 144, line 11
    b"\x08\x01"  # as far as special opcode 255, which is 17 bytes: 161, line 11
    b"\x09\x0f\x00\x01"  # 15 bytes: 176, line 11
    b"\x00\x02\x90\x00"  # an opcode of NVIDIA's
    b"\x00\x01\x01"  # the end
)


def test_each_opcode_of_a_line_program_has_its_effect_in_dwarf():
    content = len(PROGRAM[4:]).to_bytes(4, "little") + PROGRAM[4:]
    start = content.index(b"ADDRESS.")
    rows = list(line_table.program(content, {start: 0x1000}))
    assert rows == [(0x1000, 1, 11), (0x1010, 1, 13), (0x1090, 2, 11), (0x10A1, 2, 11), (0x10B0, 2, 11)]
    assert list(line_table.program(content, {})) == []  # of another kernel
    assert list(line_table.program(content * 2, {start + len(content): 0})) == [
        row._replace(address=row.address - 0x1000) for row in rows
    ]


def test_unknown_architectures_are_read_by_nvdisasm(build, monkeypatch):
    twice = build(PTX, "twice")
    monkeypatch.setattr(lines, "KNOWN_FLOW", frozenset())
    assert lines.with_lines(twice) == lines.annotate(twice)


LABELLED = [
    ("@!P0 BRA 0x20",                  "@!P0 BRA .L_20"),
    ("BSSY.RECONVERGENT B0, 0x20",     "BSSY.RECONVERGENT B0, .L_20"),
    ("WARPSYNC.COLLECTIVE R5, 0x20",   "WARPSYNC.COLLECTIVE R5, .L_20"),
    ("WARPSYNC 0x20",                  "WARPSYNC 0x20"),   # a mask
    ("BRA.DIV UR5, 0x20",              "BRA.DIV UR5, .L_20"),
    ("IMAD R0, R0, 0x20, R3",          "IMAD R0, R0, 0x20, R3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), LABELLED)
def test_a_target_gets_a_label_and_no_other_number_does(text, shown):
    first, second, third = lines.labelled([text, "NOP", "EXIT"], {0: 7, 32: 9}, frozenset())
    assert (first.text, first.line) == (shown, 7)
    assert (second.labels, second.line) == ((), 7)
    assert (third.labels, third.line) == ((".L_20",) if ".L_20" in shown else (), 9)


@pytest.mark.parametrize("text", ["BRX R6 -0x170", "CALL.REL.NOINC 0xd80", "RET.REL.NODEC R6 0x0", "@P0 BRA 0x0"])
def test_a_target_that_the_texts_do_not_contain_is_refused(text):
    with pytest.raises(ValueError, match="leads to another function, or by a table"):
        lines.labelled([text], {}, frozenset({0}))


def test_line_information_changes_no_machine_code_and_no_message():
    """What a judgement counts is what `run` times. ptxas 13.5 agreed on 436 builds for sm_75, sm_90 and sm_120."""
    tool = lines.require("ptxas")
    compared = 0
    for path in sorted((KERNELS / "ptx").glob("*.ptx")):
        ptx, entry = path.read_text(), path.stem.split(".")[0]
        try:
            both = [toolchain.assembled(tool, ptx, "sm_90", options) for options in ((), toolchain.LINE_INFORMATION)]
        except ptxas.RefusedError:
            continue
        reports = [ptxas.resources(messages, entry) for _, messages in both]
        assert reports[0] == reports[1]
        assert len({ptxas.notable(messages, ptx, path, "ptx") for _, messages in both}) == 1
        identities = {elf.identity(elf.read(cubin), entry, 0, 0) for cubin, _ in both}
        assert len(identities) == 1, path.name
        compared += 1
    assert compared > 70
