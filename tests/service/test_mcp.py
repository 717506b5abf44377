"""`ptxbench mcp`, as an agent sees it: through the SDK's own client, over stdio."""

import os
import sys
from pathlib import Path

import anyio
import pytest

from ptxbench.check.source import MOST_BYTES
from ptxbench.cli import mcp as command
from ptxbench.discovery import default_kernels, find_pairs
from ptxbench.errors import MachineError
from ptxbench.service.inspection import ContainedProcess, ask_process

HOSTILE = Path(__file__).parents[1] / "check" / "hostile"
HONEST = (HOSTILE / "honest.ptx").read_text()

TOOLS = {"list_pairs", "show_contract", "judge", "show_difference", "hot_lines"}


def asked(*calls):
    """The tools of a server, and its answer to each call, a name and arguments."""
    from mcp import Client, StdioServerParameters  # half a second, for these tests alone

    async def ask():
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "ptxbench", "mcp", "--jobs", "2"], env=dict(os.environ)
        )
        async with Client(command) as client:
            tools = (await client.list_tools()).tools
            return tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(ask)


CALLS = [
    ("list_pairs", {}),
    ("show_contract", {"pair": "triad"}),
    ("judge", {"pair": "triad", "text": (HOSTILE / "races.ptx").read_text(), "seed": 7}),
    ("judge", {"pair": "triad", "text": (HOSTILE / "reads_a_file.cu").read_text(), "language": "cuda"}),
    ("hot_lines", {"pair": "triad", "text": HONEST, "most": 3}),
    ("show_difference", {"pair": "triad", "b": HONEST}),
    ("hot_lines", {"pair": "triad", "variant": "cuda", "most": 1}),
    # refused
    ("judge", {"pair": "triadd", "text": ""}),
    ("judge", {"pair": "triad", "text": "x" * (MOST_BYTES + 1)}),
    ("show_contract", {"pair": "*"}),
    ("show_contract", {"pair": "a" * 9999}),
    ("hot_lines", {"pair": "triad", "variant": "ptxx"}),
    ("hot_lines", {"pair": "triad", "text": '#include "/etc/passwd"', "language": "cuda"}),
    ("show_difference", {"pair": "triad", "b": (HOSTILE / "refused.ptx").read_text()}),
]


@pytest.fixture(scope="module")
def answers(cache_of_the_tests):
    """One server for all calls."""
    return asked(*CALLS)


@pytest.mark.long
def test_the_tools_have_descriptions_and_typed_results(answers):
    tools, _ = answers
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert tool.description
        assert tool.output_schema["properties"]
    described = {tool.name: tool.input_schema["properties"] for tool in tools}
    assert described["judge"]["language"]["enum"] == ["ptx", "cuda"]


@pytest.mark.long
def test_an_agent_can_list_read_judge_and_inspect(answers):
    _, (pairs, contract, race, file, hot, difference, variant, *_) = answers
    assert not any(answer.is_error for answer in (pairs, contract, race, file, hot, difference, variant))
    names = {pair["name"] for pair in pairs.structured_content["result"]}
    assert names == set(find_pairs(default_kernels()))
    assert contract.structured_content["entry"] == "triad"
    assert [argument["name"] for argument in contract.structured_content["arguments"]] == ["a", "b", "c", "s", "n"]
    assert contract.structured_content["tolerance"] == "1 ulp"
    racing = race.structured_content
    assert (racing["verdict"], racing["stage"], racing["code"], racing["seed"]) == ("rejected", "sanitizer", "race", 7)
    assert (file.structured_content["verdict"], file.structured_content["stage"]) == ("rejected", "parses")
    lines = hot.structured_content["lines"]
    assert len(lines) == 3
    assert all(line["text"] == HONEST.splitlines()[line["line"] - 1].strip() for line in lines)
    assert hot.structured_content["executed"] > sum(line["executed"] for line in lines) > 0
    assert difference.structured_content["findings"]
    assert difference.structured_content["registers"].keys() == {"cuda", "b"}
    assert variant.structured_content["lines"][0]["executed"] > 0


@pytest.mark.long
def test_a_refusal_is_one_sentence(answers):
    _, (*_, pair, long, glob, path, name, include, refused) = answers
    expected = {
        "Unknown pair 'triadd'. Did you mean 'triad'?": pair,
        "text": long,
        "'*' matches": glob,
        "at most 100 characters": path,
        "Unknown variant 'ptxx' of triad. Did you mean 'ptx'?": name,
        "The text is not accepted: ": include,
        "refused.ptx": refused,
    }
    for words, answer in expected.items():
        assert answer.is_error
        if words != "refused.ptx":
            assert words in answer.content[0].text
        assert "Traceback" not in answer.content[0].text


def test_without_the_extra_the_command_names_it(ptxbench, monkeypatch):
    monkeypatch.setattr(command, "MODULES", ("not_installed",))
    assert ptxbench("mcp") == (
        2,
        "",
        "Error: The package not_installed is not installed: pip install 'ptxbench[mcp]'.\n",
    )


def test_an_inspection_that_takes_too_long_says_what_to_do():
    with pytest.raises(MachineError, match=r"^The kernel was not inspected within 0 s\. Make it smaller, or start"):
        ask_process("{}", 0, ContainedProcess())
