"""The OpenAPI document of the service, made of the JSON Schemas of its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptxbench import __version__
from ptxbench.service.schemas import schema

DOCUMENTS = ("submission", "judgement", "verdict", "refusal", "health")

REFUSALS = {
    "400": "The body is not JSON.",
    "404": "The judgement is unknown, or was removed some time after its end.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large, or has more candidates than the service takes.",
    "415": "The body is not application/json.",
    "422": "The submission does not match its schema, or names a pair or an option that does not exist.",
    "429": "This client has too many judgements that wait or run.",
    "503": "The queue is full, the service is ending, or a tool or a folder that it needs is missing.",
}
"""What each status of a refusal means."""

OF_A_SUBMISSION = ("400", "408", "413", "415", "422", "429", "503")

RETRY = {
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}}
}


def document(pairs: Sequence[str], *, tokens: bool) -> dict[str, Any]:
    """The document. `pairs`: the names that the service knows. `tokens`: whether requests need one."""
    submission = {"required": True, "content": {"application/json": {"schema": reference("submission")}}}
    judgement = json_of(reference("judgement"))
    paths: dict[str, Any] = {
        "/health": {"get": {"summary": "How busy the service is.", "security": [],
            "responses": {"200": answer("The service works.", json_of(reference("health")))}}},
        "/openapi.json": {"get": {"summary": "This document.", "security": [],
            "responses": {"200": answer("This document.", json_of({"type": "object"})),
                          **refusals("503", tokens=False)}}},
        "/judgements": {"post": {
            "summary": "Submit candidates; they are judged whether or not the client waits.",
            "requestBody": submission,
            "responses": {
                "202": answer("A judgement for each candidate, in their order.",
                              json_of({"type": "array", "items": reference("judgement")})),
                **refusals(*OF_A_SUBMISSION, tokens=tokens)}}},
        "/verdicts": {"post": {
            "summary": "Submit candidates and read each judgement when it ends. They are cancelled if the client "
                       "disconnects.",
            "requestBody": submission,
            "responses": {
                "200": answer("One judgement per line, each as soon as it has ended.",
                              {"application/x-ndjson": {"schema": {"type": "string"}}}),
                **refusals(*OF_A_SUBMISSION, tokens=tokens)}}},
        "/judgements/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True,
                 "schema": schema("judgement")["properties"]["id"]}],
            "get": {
                "summary": "A judgement.",
                "parameters": [{
                    "name": "wait", "in": "query", "description": "Wait up to this many seconds for it to end.",
                    "schema": {"type": "integer", "minimum": 0, "maximum": MOST_WAIT}}],
                "responses": {"200": answer("The judgement.", judgement), **refusals("404", "422", tokens=tokens)}},
            "delete": {
                "summary": "Cancel a judgement, unless it has ended.",
                "responses": {"200": answer("The judgement.", judgement), **refusals("404", tokens=tokens)}}},
    }  # fmt: skip
    schemas = {name: below(schema(name), name) for name in DOCUMENTS}
    schemas["submission"]["properties"]["pair"]["enum"] = [*pairs]
    return {
        "openapi": "3.1.0",
        "info": {"title": "ptxbench serve", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if tokens else {},
        },
        "security": [{"token": []}] if tokens else [],
    }


DESCRIPTION = "Judges kernels as variants of a pair, as `ptxbench check` does, without trusting them."

MOST_WAIT = 60
"""The most seconds that a request may wait for the end of a judgement."""


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": content}}


def answer(description: str, content: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": content, **({"headers": headers} if headers else {})}


def refusals(*statuses: str, tokens: bool) -> dict[str, Any]:
    """The answers of a request that is refused."""
    meanings = {status: REFUSALS[status] for status in statuses}
    if tokens:
        meanings["401"] = "The token is missing or unknown."
    return {
        status: answer(words, json_of(reference("refusal")), RETRY if status in ("429", "503") else None)
        for status, words in sorted(meanings.items())
    }


def below(part: Any, name: str) -> Any:
    """A schema for `components/schemas/NAME`, with references that are right at that place."""
    if isinstance(part, list):
        return [below(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(target := part.get("$ref"), str):
        file, _, inside = target.partition("#")
        return {"$ref": f"#/components/schemas/{file.removesuffix('.json') or name}{inside}"}
    return {key: below(item, name) for key, item in part.items() if key != "$schema"}
