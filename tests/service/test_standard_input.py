"""How `ptxbench mcp` ends: Ctrl-C, signals, and an agent that has gone, also while a tool is in use."""

import contextlib
import json
import signal
import subprocess
import sys

import pytest

START = {
    "method": "initialize", "id": 1,
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip


def message(**content):
    return json.dumps({"jsonrpc": "2.0", **content}).encode() + b"\n"


@pytest.fixture
def server(cache_of_the_tests):
    """A server that has answered its first message."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ptxbench", "mcp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(message(**START) + message(method="notifications/initialized"))
    process.stdin.flush()
    assert b"ptxbench" in process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.close()


@pytest.mark.parametrize(
    ("sent", "status", "printed"),
    [(signal.SIGINT, 130, b"\n"), (signal.SIGTERM, -signal.SIGTERM, b"\n")],
)
def test_a_signal_ends_the_server_while_its_input_is_open(server, sent, status, printed):
    server.send_signal(sent)
    assert (server.wait(60), server.stderr.read()) == (status, printed)


def test_an_agent_that_reads_no_more_ends_the_server_without_a_traceback(server):
    server.stdout.close()
    server.stdin.write(message(method="ping", id=2))
    server.stdin.close()
    assert server.wait(60) in (0, 141)
    assert server.stderr.read() == b""
