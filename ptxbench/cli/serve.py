"""`ptxbench serve`: the judge over HTTP."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from ptxbench.cli._service import service_options
from ptxbench.cli._terminal import say
from ptxbench.extras import require_extra
from ptxbench.pool import usable_cores

MODULES = ("starlette", "uvicorn", "jsonschema")


@click.command("serve", short_help="Judge kernels for other programs, over HTTP.")
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="HOST",
    help="Listen on this address. An address other than loopback needs a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8717,
    metavar="PORT",
    help="Listen on this port; 0 chooses a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Require one of the tokens in FILE, which has one per line; the variable PTXBENCH_TOKEN adds one.",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N",
    help="Judge this many kernels in parallel; each may use --memory.  [default: the number of cores]",
)  # fmt: skip
@click.option(
    "--queue", "most_waiting", type=click.IntRange(1), default=1000, metavar="N",
    help="Let at most N kernels wait; refuse more with 503.",
)  # fmt: skip
@click.option(
    "--client-limit", type=click.IntRange(1), default=64, metavar="N",
    help="Let at most N kernels of one client wait or run; refuse more with 429.",
)  # fmt: skip
@service_options
def command(
    host: str,
    port: int,
    token_file: Path | None,
    jobs: int | None,
    most_waiting: int,
    client_limit: int,
    timeout: float,
    memory: float,
    kernels: Path,
) -> None:
    """Judge kernels that other programs send over HTTP, as `ptxbench check` does on the emulator.

    Each kernel is judged in its own contained process. POST /verdicts takes one or many kernels for a
    pair and streams a judgement per line; POST /judgements and GET /judgements/ID are for programs that do not wait.
    GET /openapi.json describes all requests. docs/serve.md has examples.

    A client is identified by its token and its address. Ctrl-C ends the service and all judgements.

    Needs `pip install 'ptxbench[serve]'`.

    ptxbench serve --port 8717

    Exit status: 2 usage, 130 interrupted.
    """
    require_extra("serve", *MODULES)
    from ptxbench.discovery import find_pairs
    from ptxbench.service.application import Settings
    from ptxbench.service.judgements import Judgements
    from ptxbench.service.program import listen, require_token, run, tokens, url
    from ptxbench.service.submission import Limits

    find_pairs(kernels)
    accepted_tokens = tokens(token_file)
    with listen(host, port) as listening:
        require_token(listening, accepted_tokens, partial(say, err=True))
        judgements = Judgements(jobs=jobs or usable_cores(), most_waiting=most_waiting, most_of_client=client_limit)
        say(f"Listening on {url(listening)}; Ctrl-C ends.")
        run(Settings(kernels, Limits(timeout, memory), accepted_tokens), judgements, listening)
