"""Connections of clients that are slow, too many, or gone: what they cost the service, and what it logs of them."""

import asyncio
import contextlib
import json
import socket
import time
from dataclasses import dataclass

import pytest

from ptxbench import discovery
from ptxbench.service import program
from ptxbench.service.application import Settings, is_own_host
from ptxbench.service.judgements import Judgements

HEAD = b"POST /judgements HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def exchange(caplog, monkeypatch):
    """Runs a client, a function of a Peer, while a service in this process answers; no traceback may be logged."""
    monkeypatch.setattr(program, "END_SECONDS", 0.2)

    def run(client):
        async def both(peer):
            serving = asyncio.create_task(peer.server.serve([listening]))
            try:
                return await asyncio.to_thread(client, peer)
            finally:
                peer.server.should_exit = True
                await serving

        judgements = Judgements(jobs=1, most_waiting=8, most_of_client=8)
        server = program.server(Settings(discovery.default_kernels()), judgements)
        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
            result = asyncio.run(both(Peer(listening.getsockname(), server, stack)))
        assert "Traceback" not in caplog.text
        return result

    return run


@dataclass
class Peer:
    address: tuple[str, int]
    server: program.Program
    stack: contextlib.ExitStack

    def send(self, content):
        """A new connection, on which this was sent."""
        connection = self.stack.enter_context(socket.create_connection(self.address, timeout=20))
        connection.sendall(content)
        return connection


def answer(connection):
    """The status of the answer and its document; None if the connection was closed without one."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            content += part
            head, _, body = content.partition(b"\r\n\r\n")
            if body.endswith(b"}"):
                return int(head.split()[1]), json.loads(body)
    assert content == b""
    return None


def test_a_connection_without_a_whole_request_is_closed(exchange, monkeypatch):
    monkeypatch.setattr(program, "REQUEST_SECONDS", 0.1)

    def client(peer):
        return [answer(peer.send(content)) for content in (b"", b"GET /heal", HEAD)]

    assert exchange(client) == [None, None, None]


def test_a_connection_with_a_request_stays_open(exchange, monkeypatch):
    monkeypatch.setattr(program, "REQUEST_SECONDS", 0.05)

    def client(peer):
        connection = peer.send(HEAD + b"Content-Length: 2\r\n\r\n{")
        time.sleep(0.3)
        connection.sendall(b"}")
        return answer(connection)

    status, _ = exchange(client)
    assert status == 422


def test_too_many_connections_are_closed_and_the_others_are_answered(exchange, monkeypatch):
    monkeypatch.setattr(program, "CONNECTIONS", 2)

    def client(peer):
        first, _, third = [peer.send(b"") for _ in range(3)]
        assert answer(third) is None
        first.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return answer(first)

    status, _ = exchange(client)
    assert status == 200


def test_a_client_that_goes_in_the_middle_of_its_body_is_not_logged(exchange):
    def client(peer):
        peer.send(HEAD + b"Content-Length: 9\r\n\r\n{").close()
        return answer(peer.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))

    status, _ = exchange(client)
    assert status == 200


def test_a_body_that_is_announced_as_too_large_is_not_read(exchange):
    def client(peer):
        return answer(peer.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"))

    status, _ = exchange(client)
    assert status == 413


def test_a_body_that_arrives_while_the_service_ends_is_refused(exchange):
    def client(peer):
        connection = peer.send(HEAD + b"Content-Length: 9\r\n\r\n{")
        time.sleep(0.1)
        peer.server.should_exit = True
        return answer(connection)

    status, document = exchange(client)
    assert (status, document["error"]) == (503, "The service is ending.")


@pytest.mark.parametrize(("host", "own"), [
    ("localhost", True), ("LocalHost:8717", True), ("127.0.0.1:8717", True), ("127.0.0.2", True), ("[::1]:80", True),
    ("", False), ("localhost.evil.example", False), ("evil.example:80", False), ("10.0.0.1", False), ("[::1", False),
    ("localhost:80:80", False), ("::1", False), ("127.0.0.1.", False), ("localhost:evil", False),
])  # fmt: skip
def test_only_names_of_this_machine_are_its_own(host, own):
    assert is_own_host(host) == own
