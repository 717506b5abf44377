"""Tasks on a socket: the length of a JSON text in four bytes, the text, and file descriptors that come with it."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

HEADER_BYTES = 4
MOST_DESCRIPTORS = 4


class SentTask(NamedTuple):
    task: Mapping[str, Any]
    descriptors: list[int]


def send(channel: socket.socket, task: bytes, descriptors: Sequence[int]) -> None:
    """Send a task in JSON. Raises OSError if the other end is closed."""
    socket.send_fds(channel, [len(task).to_bytes(HEADER_BYTES, "little")], [*descriptors])
    channel.sendall(task)


def receive(channel: socket.socket) -> SentTask | None:
    """Wait for the next task; None if the other end is closed."""
    header, descriptors, _, _ = socket.recv_fds(channel, HEADER_BYTES, MOST_DESCRIPTORS)
    if len(header) < HEADER_BYTES:
        return None
    content = bytearray()
    length = int.from_bytes(header, "little")
    while len(content) < length:
        if not (part := channel.recv(length - len(content))):
            return None
        content += part
    return SentTask(json.loads(content), descriptors)
