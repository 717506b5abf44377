"""`ptxbench isa`: the table as text and as JSON, and the text on one opcode."""

import json

import pytest

from ptxbench.emulator.isa import CHAPTERS, TABLE
from ptxbench.emulator.isa.unsupported import UNSUPPORTED
from ptxbench.wording.instructions import look_up


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_every_chapter_and_line_of_the_table_is_shown(ptxbench):
    ran = ptxbench("isa")
    assert (ran.status, ran.err) == (0, "")
    rows = [row.strip() for row in ran.out.splitlines()]
    for chapter in CHAPTERS:
        assert any(row.startswith(chapter.instruction.title) for row in rows)
    document = json.loads(ptxbench("isa", "--json").out)
    shown = {line["syntax"] for chapter in document["chapters"] for line in chapter["lines"]}
    assert shown == {pattern.syntax for group in TABLE.patterns.values() for pattern in group}
    assert max(map(len, ran.out.splitlines())) <= 100


def test_a_line_shows_its_spellings_class_section_and_meaning(ptxbench):
    out = ptxbench("isa", "integer").out
    assert "\n  #integer-arithmetic-instructions-add\n" in "\n".join(line.rstrip() for line in out.splitlines())
    [row] = [line for line in out.splitlines() if line.strip().startswith("add.sat.s32 d, a, b")]
    assert row.split()[4:] == ["1", "spelling,", "int"]
    assert "      Clamped to the least and the greatest s32." in out


def test_a_chapter_shows_the_modifiers_allowed_at_each_position(ptxbench):
    ran = ptxbench("isa", "integer")
    assert ran.status == 0
    assert "      type: u16 u32 u64 s16 s32 s64" in ran.out
    assert "Floating Point" not in ran.out
    assert "Not supported" not in ran.out


def test_an_unknown_chapter_gets_a_suggestion(ptxbench):
    ran = ptxbench("isa", "intger")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "Error: Unknown chapter 'intger'. Did you mean 'Integer'?\n"


@pytest.mark.parametrize("opcode", ["szext", "shl.b32"])
def test_an_instruction_in_place_of_a_chapter_is_pointed_to_the_option(ptxbench, opcode):
    ran = ptxbench("isa", opcode)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"Error: '{opcode}' is an instruction, not a chapter. Use --opcode, with all its modifiers.\n"


def test_unsupported_instructions_are_listed_with_their_reason(ptxbench):
    out = " ".join(ptxbench("isa").out.split())
    for missing in UNSUPPORTED:
        assert ", ".join(missing.opcodes) in out
        assert missing.reason[1:] in out
    assert len(json.loads(ptxbench("isa", "--json").out)["unsupported"]) == len(UNSUPPORTED)


def test_no_instruction_is_both_supported_and_unsupported():
    for missing in UNSUPPORTED:
        assert not [opcode for opcode in TABLE if missing.covers(opcode)], missing.what


def test_a_known_opcode_is_shown_with_its_line_and_section(ptxbench):
    ran = ptxbench("isa", "--opcode", "mad.wide.u32")
    assert ran.status == 0
    assert ran.out.startswith("mad.wide.u32 is known.\n")
    assert "mad.wide.type d:wide, a, b, c:wide" in ran.out
    assert "https://docs.nvidia.com/cuda/parallel-thread-execution/#integer-arithmetic-instructions-mad\n" in "".join(
        f"{line.rstrip()}\n" for line in ran.out.splitlines()
    )


def test_every_line_of_the_table_is_found_by_its_first_spelling():
    for pattern in (pattern for group in TABLE.patterns.values() for pattern in group):
        opcode = next(pattern.spellings())
        assert pattern.syntax in [line.syntax for line in look_up(opcode).lines], opcode


UNKNOWN = [
    ("add.f31",        "Unknown instruction 'add.f31'. Nearest: add.f32,"),
    ("frobnicate",     "Unknown instruction 'frobnicate'."),
    ("tex.2d.v4.f32.f32", "'tex.2d.v4.f32.f32' is not supported, as are all textures and surfaces: "),
    ("tcgen05.mma", "'tcgen05.mma' is not supported, as are all tensor memory and its matrix operations"),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "sentence"), UNKNOWN)
def test_an_unknown_opcode_ends_with_5_and_the_nearest(ptxbench, opcode, sentence):
    ran = ptxbench("isa", "--opcode", opcode)
    assert ran.status == 5
    assert " ".join(ran.out.split()).startswith(sentence)
    document = json.loads(ptxbench("isa", "--opcode", opcode, "--json").out)
    assert (document["known"], document["lines"]) == (False, [])


def test_a_chapter_and_an_opcode_exclude_each_other(ptxbench):
    ran = ptxbench("isa", "integer", "--opcode", "add.f32")
    assert (ran.status, ran.err) == (2, "Error: Name a CHAPTER or an --opcode, not both.\n")
