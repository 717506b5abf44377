"""Runs the service: its socket, its tokens, and how it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ptxbench.documents import read_text
from ptxbench.errors import UsageError
from ptxbench.service.application import Service, Settings
from ptxbench.service.judgements import Judgements
from ptxbench.units import plural

if sys.platform != "win32":
    import resource

TOKEN_VARIABLE = "PTXBENCH_TOKEN"

SHORTEST_TOKEN = 16

CONNECTIONS = 1000
"""The most connections at once, if the limit of open files allows twice as many. Others are closed."""

MOST_ACCEPTED = 64
"""The most connections that are accepted before those beyond the limit are closed. With uvicorn's 2,048 they could take
all files that the process may open, and asyncio would print a traceback for each further one."""

REQUEST_SECONDS = 30.0
"""How long the head of a request may take to arrive."""

END_SECONDS = 3
"""How long requests may take to end after Ctrl-C."""


class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection. It is closed if there are too many, or if it is open without a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        self.close_unused(())

    def close_unused(self, last: Any) -> None:
        """Close the connection if it has had no request since the last call. `last`: the last one's."""
        if self.transport.is_closing():
            return
        if self.cycle is last and (last is None or self.cycle.response_complete):
            self.transport.abort()
        else:
            self.loop.call_later(REQUEST_SECONDS, self.close_unused, self.cycle)


def most_connections() -> int:
    """How many connections may be open. Judgements need the other half of the files that this process may open."""
    if sys.platform == "win32":
        return CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)


class Program(uvicorn.Server):
    """A server that ends its judgements first, so that requests that wait for them end."""

    def __init__(self, config: uvicorn.Config, judgements: Judgements) -> None:
        super().__init__(config)
        self.judgements = judgements

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.judgements.close()
        await super().shutdown(sockets)


def run(settings: Settings, judgements: Judgements, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, which are raised again at the end, or until the terminal is closed."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        server(settings, judgements).run([listening])
    finally:
        judgements.close()


def server(settings: Settings, judgements: Judgements) -> Program:
    config = uvicorn.Config(
        Service(settings, judgements).application(),
        http=Protocol,
        backlog=min(MOST_ACCEPTED, 1 + most_connections() // 8),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=END_SECONDS,
        ws="none",
    )
    return Program(config, judgements)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError if that is not possible."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a host"
        reason = reason.partition(" (while ")[0]  # Python repeats the address
        raise UsageError(f"Cannot listen on {host} port {port}: {reason}. Choose another --host or --port.") from None


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine can connect."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def tokens(path: Path | None, environment: MutableMapping[str, str] = os.environ) -> tuple[str, ...]:
    """The tokens in a file, one a line, and in TOKEN_VARIABLE. Raises UsageError for one that could be guessed.

    The variable is removed: the processes of candidates inherit the environment of ptxbench.
    """
    of_variable = environment.pop(TOKEN_VARIABLE, "")
    found = [(TOKEN_VARIABLE, of_variable)] if of_variable else []
    if path is not None:
        lines = [line.strip() for line in read_text(path, UsageError).splitlines()]
        if not any(lines):
            raise UsageError(f"{path} has no token; expected one token per line.")
        found += [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line]
    for place, token in found:
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(
                f"{place}: a token of {plural(len(token), 'character')}; expected at least {SHORTEST_TOKEN} letters, "
                "digits and signs without blanks. `openssl rand -hex 32` makes one."
            )
    return tuple(token for _, token in found)


def require_token(listening: socket.socket, configured: tuple[str, ...], warn: Callable[[str], None]) -> None:
    """Raises UsageError if other machines can connect and no token is set."""
    if is_loopback(listening):
        return
    if not configured:
        raise UsageError(
            f"Other machines can connect to {listening.getsockname()[0]}, and no token is set. Name a file with "
            f"--token-file, set {TOKEN_VARIABLE}, or leave out --host."
        )
    warn("The connection is not encrypted. Between machines, put a proxy with TLS in front of it.")
