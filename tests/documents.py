"""Checks that ptxbench's output matches its JSON Schemas."""

import functools
import json
from pathlib import Path

import pytest

import ptxbench

FOLDER = Path(ptxbench.__file__).with_name("schemas")


@functools.cache
def validator(name):
    """The validator of a document, by the name that `ptxbench schema` has for it."""
    try:
        from jsonschema import Draft202012Validator
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012
    except ModuleNotFoundError:
        pytest.fail("jsonschema is not installed: .venv/bin/python -m pip install --group dev", pytrace=False)
    # a reference to another schema names its file
    files = Registry().with_resources(
        (path.name, DRAFT202012.create_resource(json.loads(path.read_text()))) for path in FOLDER.glob("*.json")
    )
    return Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()), registry=files)


def name_of(document):
    """The name of a document, from its key "schema"; for a list from its first entry, None for an empty list."""
    if isinstance(document, list):
        return name_of(document[0]) if document else None
    name, _, version = document["schema"].removeprefix("ptxbench.").partition("/")
    assert document["schema"] == f"ptxbench.{name}/{version}"
    return "baseline" if "baseline" in document else name


def problems(document, name=None):
    """Where a document does not fit its schema."""
    name = name or name_of(document)
    errors = validator(name).iter_errors(document) if name else ()
    return [f"{name} {error.json_path}: {error.message[:300]}" for error in errors]


def require_schema(printed):
    """Fails unless every printed document, one per line or a single one, fits its schema."""
    if not printed.startswith(("{", "[")):
        return
    try:
        documents = [json.loads(printed)]
    except json.JSONDecodeError:
        documents = [json.loads(line) for line in printed.splitlines()]
    faults = [problem for document in documents for problem in problems(document)]
    assert not faults, "\n".join(faults[:10])
