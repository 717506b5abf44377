"""The JSON Schemas that requests are compared with, and the sentence about what a request has wrong."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

import ptxbench
from ptxbench.documents import display_value, read_json

FOLDER = Path(ptxbench.__file__).with_name("schemas")


def pattern_errors(
    validator: Any, pattern: str, instance: Any, part: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """The keyword `pattern`, whose `$` is the end of the text; Python's also matches before a last line feed."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern_errors})


@functools.cache
def schema(name: str) -> Mapping[str, Any]:
    """The schema that `ptxbench schema NAME` prints."""
    content: Mapping[str, Any] = read_json(FOLDER / f"{name}.json")
    return content


def problem(document: Any, name: str) -> str | None:
    """What is wrong with a document, in one sentence; None if it fits its schema."""
    error = jsonschema.exceptions.best_match(Validator(schema(name)).iter_errors(document))
    if error is None:
        return None
    where = error.json_path.removeprefix("$").removeprefix(".") or "the document"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{where}: the key '{missing}' is missing."
    if error.validator == "additionalProperties":
        unknown = next(key for key in error.instance if key not in error.schema["properties"])
        return f"{where}: unknown key {display_value(unknown)}; known are {', '.join(error.schema['properties'])}."
    return f"{where}: expected {expected(error.validator, error.validator_value, error.schema)}, found {actual(error)}."


def expected(validator: str, value: Any, part: Mapping[str, Any]) -> str:
    """What one keyword of a schema asks for, in words."""
    words = {
        "type": f"a value of type {value}",
        "enum": " or ".join(map(str, value)) if isinstance(value, list) else "",
        "const": str(value),
        "minLength": f"at least {value} characters",
        "maxLength": f"at most {value} characters",
        "minItems": f"at least {value} of them",
        "maxItems": f"at most {value} of them",
        "minimum": f"at least {value}",
        "maximum": f"at most {value}",
        "pattern": part.get("x-expected", f"a text that matches {value}"),
    }
    return str(words.get(validator, f"{validator} {value}"))


def actual(error: jsonschema.ValidationError) -> str:
    """What the document has where the error is, in words."""
    if error.validator in ("minLength", "maxLength", "minItems", "maxItems"):
        return str(len(error.instance))
    return display_value(error.instance)
