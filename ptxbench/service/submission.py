"""A submission: candidates for one pair, and how to judge them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptxbench import backends
from ptxbench.check.contained import CheckTask
from ptxbench.check.inputs import Candidate
from ptxbench.check.request import request
from ptxbench.documents import parse_json
from ptxbench.errors import PairError, PtxbenchError, ResultError, UsageError
from ptxbench.service.refusal import Refused
from ptxbench.service.schemas import problem

SCHEMA = "ptxbench.submission/1"
"""The key `schema` of a submission, which may be absent."""

STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string of JSON. Its end may be missing: otherwise each of many escaped quotes would be tried as its beginning."""

MOST_VALUES = 1000
"""The most values outside of strings; a submission that fits its schema has less than 300. Millions of them, which fit
into a body too, would take minutes and gigabytes to read."""

NAME = "candidate"
"""The `file` of a candidate without a name."""

TASKS_KEPT = 64
"""The most tasks that are kept, each for a pair and options, so that its pair file is not read again."""


@dataclass(frozen=True)
class Submission:
    """`task`: that of all candidates; its seed counts only if `seeded`."""

    candidates: tuple[Candidate, ...]
    task: CheckTask
    seeded: bool


@dataclass(frozen=True)
class Limits:
    """The limits of every judgement, which a submission cannot change."""

    timeout: float = 120.0
    memory_gib: float = 6.0


def read(body: bytes, kernels: Path, limits: Limits) -> Submission:
    """The submission in the body of a request. Raises Refused."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8.") from None
    outside = STRING.sub("", text)
    if (values := sum(outside.count(sign) for sign in ",[{")) > MOST_VALUES:
        raise Refused(
            413, f"The body has {values:,} values; expected at most {MOST_VALUES:,}. Submit fewer candidates."
        )
    try:
        document = parse_json(text, "the body")
    except ResultError as error:
        raise Refused(400, sentence(str(error))) from None
    if wrong := problem(document, "submission"):
        raise Refused(422, wrong)
    # By JSON Schema, 1.0 is a whole number too.
    document = {key: int(value) if isinstance(value, float) else value for key, value in document.items()}
    candidates = tuple(candidate(entry) for entry in document["candidates"])
    return Submission(candidates, task(document, kernels, limits), "seed" in document)


def candidate(document: Mapping[str, Any]) -> Candidate:
    # surrogatepass: half a character is not text, and the judgement reports that.
    content = document["text"].encode("utf-8", "surrogatepass")
    return Candidate(document.get("file", NAME), document.get("language", "ptx"), content)


def task(document: Mapping[str, Any], kernels: Path, limits: Limits) -> CheckTask:
    """The task that a document describes, for the emulator. Raises Refused for what ptxbench does not know."""
    lists = {key: tuple(document.get(key, ())) for key in ("flags", "targets")}
    options = {key: document.get(key) for key in ("arch", "max_loop_iterations")}
    try:
        unseeded = make(document["pair"], kernels, limits, **lists, **options, thorough=document.get("thorough", False))
    except (UsageError, PairError) as error:
        raise Refused(422, str(error)) from None
    except PtxbenchError as error:
        raise Refused(503, str(error)) from None
    return dataclasses.replace(unseeded, seed=document.get("seed", 0))


@functools.lru_cache(TASKS_KEPT)
def make(pair: str, kernels: Path, limits: Limits, *, arch: str | None, **options: Any) -> CheckTask:
    """A task with seed 0."""
    check_task, _ = request(
        pair,
        kernels,
        functools.partial(backends.open_backend, "emulator", arch),
        arch=arch,
        seed=0,
        timeout=limits.timeout,
        memory_gib=limits.memory_gib,
        **options,
    )
    return check_task


def sentence(words: str) -> str:
    return words[0].upper() + words[1:]
