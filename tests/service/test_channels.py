"""Every way to the judge gives every hostile candidate the same verdict: library, command, Dask, HTTP and MCP."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import pytest

from ptxbench import Judge
from ptxbench.exporters.check import verdict
from tests.check.judging import SEED
from tests.documents import problems

HOSTILE = sorted((Path(__file__).parents[1] / "check" / "hostile").iterdir())
OPTIONS = {"seed": SEED, "arch": "sm_90"}
LANGUAGES = {".ptx": "ptx", ".cu": "cuda"}
PTXBENCH = (sys.executable, "-m", "ptxbench")
MOST = 64
"""Candidates of a submission."""


def header_value(path, what):
    return re.search(rf"^// {what}: (.*)$", path.read_text("utf-8", "replace"), re.M)[1]


def text(path):
    """As JSON can carry it."""
    return path.read_bytes().decode("utf-8", "replace")


# ---- the channels: the verdict on each hostile candidate, by the name of its file


def by_pair():
    """The candidates, in groups of one pair each that fit a submission."""
    for pair in sorted({header_value(path, "pair") for path in HOSTILE}):
        paths = [path for path in HOSTILE if header_value(path, "pair") == pair]
        for first in range(0, len(paths), MOST):
            yield pair, paths[first : first + MOST]


def by_library():
    verdicts = {}
    for pair, paths in by_pair():
        with Judge(pair, **OPTIONS, backend="emulator", jobs=2) as judge:
            judgements = list(judge.judge_many(paths))
        verdicts |= {path.name: verdict(judgement) for path, judgement in zip(paths, judgements, strict=True)}
    return json.loads(json.dumps(verdicts))  # with lists in place of tuples, as in the other channels


def by_command(*workers):
    verdicts = {}
    for pair, paths in by_pair():
        command = [*PTXBENCH, "check", *map(str, paths), "--pair", pair, "--seed", str(SEED), "--arch", "sm_90"]
        command += ["--backend", "emulator", *workers, "--json-lines"]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (4, "")
        verdicts |= {Path(line["file"]).name: line for line in map(json.loads, ran.stdout.splitlines())}
    return verdicts


def by_http(url):
    verdicts = {}
    for pair, paths in by_pair():
        candidates = [{"file": path.name, "language": LANGUAGES[path.suffix], "text": text(path)} for path in paths]
        document = {"pair": pair, **OPTIONS, "candidates": candidates}
        with httpx.stream("POST", f"{url}/verdicts", json=document, timeout=600) as answer:
            judgements = [json.loads(line) for line in answer.iter_lines()]
        assert [problem for judgement in judgements for problem in problems(judgement)] == []
        verdicts |= {judgement["file"]: judgement["verdict"] for judgement in judgements}
    return verdicts


def by_agent():
    from mcp import Client, StdioServerParameters  # half a second, for this test alone

    server = StdioServerParameters(command=PTXBENCH[0], args=[*PTXBENCH[1:], "mcp", "--jobs", "2"], env={**os.environ})
    verdicts = {}

    async def judge(client, path, limiter):
        call = {"pair": header_value(path, "pair"), "text": text(path), "language": LANGUAGES[path.suffix], **OPTIONS}
        async with limiter:
            answer = await client.call_tool("judge", call)
        assert not answer.is_error, answer.content
        verdicts[path.name] = answer.structured_content

    async def judge_all():
        limiter = anyio.CapacityLimiter(2)
        async with Client(server) as client, anyio.create_task_group() as group:
            for path in HOSTILE:
                group.start_soon(judge, client, path, limiter)

    anyio.run(judge_all)
    return verdicts


@pytest.fixture
def channels(service):
    """Every way to the judge but the library, by its name."""
    return {
        "command": lambda: by_command("--jobs", "2"),
        "dask": lambda: by_command("--dask", "local"),
        "http": lambda: by_http(service),
        "mcp": by_agent,
    }


# ---- the test


def outcome(verdict):
    return f"{verdict['stage']} {verdict['code']}" if verdict["code"] else verdict["verdict"]


def comparable(verdict, keys):
    """These keys of a verdict, without what differs between judgements, or is not in every channel."""
    stages = [{**stage, "seconds": 0} for stage in verdict.get("stages", [])]
    shared = ("stage", "code", "severity", "line", "message", "hint")
    findings = [{key: finding[key] for key in shared} for finding in verdict["findings"]]
    complete = {**verdict, "stages": stages, "findings": findings}
    return {key: complete[key] for key in keys}


@pytest.mark.long
def test_a_hostile_candidate_gets_the_same_verdict_through_every_channel(channels):
    """The same object, as far as the channel has it; the agent's has no stages."""
    library = by_library()
    assert {name: outcome(from_library) for name, from_library in library.items()} == {
        path.name: header_value(path, "judged") for path in HOSTILE
    }
    findings = [finding for from_library in library.values() for finding in from_library["findings"]]
    assert all(finding["message"] and finding["hint"] for finding in findings)
    not_utf8 = {path.name for path in HOSTILE if text(path).encode() != path.read_bytes()}  # JSON has another text
    for channel, judge in channels.items():
        by_channel = judge()
        assert by_channel.keys() == library.keys(), channel
        for name, from_library in by_channel.items():
            keys = from_library.keys() - {"file"} - ({"sha256"} if name in not_utf8 else set())
            assert comparable(from_library, keys) == comparable(library[name], keys), (channel, name)
