"""`ptxbench schema`: a schema for every document, which refuses a misspelt and a missing key."""

import copy
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ptxbench.check import findings
from ptxbench.check.finding_codes import ERROR, UNJUDGED, WARNING
from ptxbench.check.findings import Judgement, StageResult, finding
from ptxbench.exporters.check import document, verdict
from tests.documents import FOLDER, problems

ROOT = Path(__file__).parents[2]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

OPEN = {
    ("run", "tool"), ("run", "source"), ("run", "host"), ("run", "device"), ("run", "toolchain"), ("run", "settings"),
    ("run", "calibration"), ("run", "sweep"), ("run", "processes"), ("run", "evidence"), ("calibration", "tool"),
    ("calibration", "device"), ("calibration", "toolchain"), ("first-run", "tool"), ("first-run", "device"),
    ("first-run", "toolchain"),
}  # fmt: skip
"""Parts that may have any key: the environment of a run."""


def test_the_names_are_listed_and_each_prints_its_schema(ptxbench):
    listed = ptxbench("schema")
    assert (listed.status, [line.split()[0] for line in listed.out.splitlines()]) == (0, list(SCHEMAS))
    for name, schema in SCHEMAS.items():
        ran = ptxbench("schema", name)
        assert (ran.status, json.loads(ran.out), ran.err) == (0, schema, "")
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


def test_an_unknown_name_gets_a_suggestion(ptxbench):
    ran = ptxbench("schema", "chek")
    assert (ran.status, ran.err) == (2, "Error: Unknown document 'chek'. Did you mean 'check'?\n")


def test_every_document_of_the_package_has_a_schema_of_its_version():
    texts = "\n".join(path.read_text() for path in (ROOT / "ptxbench").rglob("*.py"))
    in_sources = set(re.findall(r"\"(ptxbench\.[a-z-]+/\d+)\"", texts))
    in_schemas = {
        match for schema in SCHEMAS.values() for match in re.findall(r"ptxbench\.[a-z-]+/\d+", json.dumps(schema))
    }
    assert in_sources == in_schemas
    assert {name.split(".")[1].split("/")[0] for name in in_sources} == SCHEMAS.keys() - {"baseline"}


def objects(schema, path=()):
    """Every object that a schema describes, with the names of the keys that lead to it."""
    if isinstance(schema, list):
        for part in schema:
            yield from objects(part, path)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            if key in ("properties", "$defs"):
                for name, inner in value.items():
                    yield from objects(inner, (*path, name))
            else:
                yield from objects(value, path)


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_object_takes_a_key_that_is_not_described(name):
    kind = "run" if name == "baseline" else name
    for path, schema in objects(SCHEMAS[name]):
        if (kind, (path or ("",))[-1]) not in OPEN:
            assert schema.get("additionalProperties", True) not in (True, {}), path


def rejected():
    """A judgement with everything in it."""
    return Judgement(
        "mine.ptx", "0" * 64, "ptx", "softmax", "sm_90", 7,
        stages=[StageResult("parses", "rejected", "no PTX", 0.1)],
        findings=[finding("parses", "syntax", "no", 3, 4)],
        compared={"candidate": {"registers": 23, "occupancy": None}},
        ratios={"cuda": {"sectors": 1.0}},
        targets={"sm_90": True},
        notes=["one"],
    )  # fmt: skip


def broken(document):
    """The document with one key missing or misspelt, at every place, with the key."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            for inner, key in broken(item):
                yield [*document[:index], inner, *document[index + 1 :]], key
    elif isinstance(document, dict):
        for name, item in document.items():
            remaining = {key: copy.deepcopy(value) for key, value in document.items() if key != name}
            yield remaining, name
            yield {**remaining, f"{name}x": item}, name
            for inner, key in broken(item):
                yield {**remaining, name: inner}, f"{name}.{key}"


def test_a_missing_and_a_misspelt_key_are_refused():
    maps = ("compared", "ratios", "targets")  # its keys are names of variants and targets
    for whole in (document([rejected()], pair="softmax", arch="sm_90", seed=7), verdict(rejected())):
        assert problems(whole) == []
        tried = [(changed, key) for changed, key in broken(whole) if not re.search(rf"({'|'.join(maps)})\.", key)]
        assert len(tried) > 50
        name = whole["schema"].split(".")[1].split("/")[0]
        assert [key for changed, key in tried if not problems(changed, name)] == []
    assert problems({**verdict(rejected()), "verdict": "perhaps"})
    assert problems({**verdict(rejected()), "seed": "7"})


def test_the_enumerations_of_a_schema_match_the_program():
    candidate = SCHEMAS["verdict"]
    assert set(candidate["properties"]["verdict"]["enum"]) == findings.EXIT_STATUSES.keys()
    assert set(candidate["$defs"]["finding"]["properties"]["severity"]["enum"]) == {ERROR, WARNING, UNJUDGED}
    stage = {findings.PASSED, findings.WARNED, findings.REJECTED, findings.NO_VERDICT, findings.SKIPPED}
    assert set(candidate["$defs"]["stage"]["properties"]["verdict"]["enum"]) == stage


def test_the_baseline_of_the_repository_fits_its_schema(ptxbench):
    for path in (ROOT / "baselines").glob("*.json"):
        assert problems(json.loads(path.read_text())) == []
    assert ptxbench("baseline", "show", "--baselines", ROOT / "baselines", "--json").status == 0


def test_documents_that_need_no_run_fit_their_schemas(ptxbench):
    """The fixture compares every document of every test; these are the commands that no other test prints as JSON."""
    for command in (
        ["isa"],
        ["isa", "--opcode", "add.u32"],
        ["isa", "--opcode", "tex.1d"],
        ["isa", "--opcode", "ad.u32"],
    ):
        assert ptxbench(*command, "--json").out
