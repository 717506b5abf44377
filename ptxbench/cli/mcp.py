"""`ptxbench mcp`: the judge as tools for an agent."""

from __future__ import annotations

from pathlib import Path

import click

from ptxbench.cli._service import service_options
from ptxbench.extras import require_extra

MODULES = ("mcp", "jsonschema")


@click.command("mcp", short_help="Judge kernels for an agent, over MCP.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, metavar="N",
    help="Judge this many kernels in parallel; each may use --memory.",
)  # fmt: skip
@service_options
def command(jobs: int, timeout: float, memory: float, kernels: Path) -> int:
    """Offer the judge as tools for an agent, over the Model Context Protocol on stdin and stdout.

    The tools: list_pairs, show_contract, judge, show_difference and hot_lines. Kernels are contained as by
    `ptxbench check`, and judged on the emulator. An agent starts this command itself; docs/serve.md shows how.

    Needs `pip install 'ptxbench[mcp]'`.

    Exit status: 0 the agent has closed stdin, 2 usage, 130 interrupted.
    """
    require_extra("mcp", *MODULES)
    from ptxbench.discovery import find_pairs
    from ptxbench.exit_status import ExitStatus
    from ptxbench.service.judgements import Judgements
    from ptxbench.service.submission import Limits
    from ptxbench.service.tools import Tools

    find_pairs(kernels)
    Tools(kernels, Limits(timeout, memory), Judgements(jobs=jobs, most_waiting=64, most_of_client=64)).run()
    return ExitStatus.GOOD
