"""The OpenAPI document of the service: made of the JSON Schemas, and tried by schemathesis."""

import httpx
import hypothesis
import pytest
from jsonschema import Draft202012Validator

from ptxbench.check.source import MOST_BYTES
from ptxbench.service import openapi
from ptxbench.service.schemas import FOLDER, schema

EXAMPLES = 5
"""Requests of schemathesis per operation."""


def references(part):
    """Every `$ref` of a document."""
    if isinstance(part, list):
        for entry in part:
            yield from references(entry)
    elif isinstance(part, dict):
        for key, member in part.items():
            if key == "$ref":
                yield member
            else:
                yield from references(member)


def at(document, reference):
    for key in reference.removeprefix("#/").split("/"):
        document = document[key]
    return document


@pytest.mark.parametrize("tokens", [False, True])
def test_every_schema_is_that_of_ptxbench_and_every_reference_exists(tokens):
    document = openapi.document(["triad"], tokens=tokens)
    for name, described in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(described)
        assert described["properties"].keys() == schema(name)["properties"].keys()
    assert all(at(document, reference) for reference in references(document))
    assert ("401" in document["paths"]["/judgements"]["post"]["responses"]) == tokens


def test_a_text_may_be_as_long_as_a_file_of_check():
    candidate = schema("submission")["$defs"]["candidate"]
    assert candidate["properties"]["text"]["maxLength"] == MOST_BYTES
    assert {path.stem for path in FOLDER.glob("*.json")} >= set(openapi.DOCUMENTS)


def test_the_service_answers_as_its_openapi_document_describes(service):
    """Requests that are right and wrong; the texts are no kernels, so a judgement costs little."""
    import schemathesis  # half a second, for this test alone

    # A schema cannot say which architectures and targets the tools know, so one that is unknown may be refused.
    unchecked = [schemathesis.checks.positive_data_acceptance]
    api = schemathesis.openapi.from_url(f"{service}/openapi.json")
    tried = []
    for result in api.get_all_operations():
        operation = result.ok()

        @hypothesis.seed(1)
        @hypothesis.settings(max_examples=EXAMPLES, database=None, deadline=None, phases=[hypothesis.Phase.generate])
        @hypothesis.given(case=operation.as_strategy())
        def attempt(case):
            response = case.call_and_validate(base_url=service, excluded_checks=unchecked)
            tried.append((case.method, case.path, response.status_code))

        attempt()
    assert {(method, path) for method, path, _ in tried} == {
        ("GET", "/health"),
        ("POST", "/judgements"),
        ("POST", "/verdicts"),
        ("GET", "/judgements/{id}"),
        ("DELETE", "/judgements/{id}"),
    }
    assert {202, 404} <= {status for _, _, status in tried}
    assert httpx.get(f"{service}/health").status_code == 200
