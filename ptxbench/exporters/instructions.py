"""The emulator's instruction table, and the answer about one opcode, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench.documents import json_text
from ptxbench.emulator.isa.unsupported import UNSUPPORTED, Missing
from ptxbench.wording.instructions import MANUAL, InstructionLine, Lookup

SCHEMA, OPCODE_SCHEMA = "ptxbench.isa/1", "ptxbench.opcode/1"


def to_json(chapters: Mapping[str, Sequence[InstructionLine]]) -> str:
    document = {
        "schema": SCHEMA,
        "chapters": [
            {"title": title, "lines": [line_document(line) for line in lines]} for title, lines in chapters.items()
        ],
        "unsupported": [missing_document(missing) for missing in UNSUPPORTED],
    }
    return json_text(document)


def answer_to_json(answer: Lookup) -> str:
    document = {
        "schema": OPCODE_SCHEMA,
        "opcode": answer.opcode,
        "known": answer.known,
        "lines": [line_document(line) for line in answer.lines],
        "nearest": list(answer.nearest),
        "unsupported": missing_document(answer.missing) if answer.missing else None,
    }
    return json_text(document)


def line_document(line: InstructionLine) -> dict[str, Any]:
    return {
        "syntax": line.syntax,
        "spellings": line.spellings,
        "counted": line.counted,
        "section": MANUAL + line.section,
        "summary": line.summary,
        "choices": {name: list(members) for name, members in line.choices.items()},
    }


def missing_document(missing: Missing) -> dict[str, Any]:
    return {"what": missing.what, "opcodes": list(missing.opcodes), "reason": missing.reason}
