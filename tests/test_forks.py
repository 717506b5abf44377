"""Copies of a process: what they keep of it, and that they do not outlive it."""

import os
import selectors
import signal
import sys

import pytest

from ptxbench.forks import Fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


def read_all(pipe, seconds=10):
    """What comes from a pipe until its last writer has closed it."""
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(seconds):
            if not (part := os.read(pipe, 1000)):
                return content
            content += part
    raise AssertionError(f"the pipe is still open in another process, after {content!r}")


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_a_copy_keeps_no_file_of_others(pipe):
    """The pipes of another judgement or launch would stay open in it, and it could write to them."""
    reading, writing = pipe
    others = os.pipe()

    def main():
        kept = []
        for number in range(max(reading, writing, *others) + 10):
            try:
                os.fstat(number)
            except OSError:
                continue
            kept.append(number)
        os.write(writing, repr(kept).encode())

    copy = Fork(main, [writing])
    os.close(writing)
    assert read_all(reading) == repr([0, 1, 2, writing]).encode()
    assert copy.wait(10) == 0
    for descriptor in others:
        os.close(descriptor)


def test_a_copy_ends_with_the_process_that_made_it(pipe):
    reading, writing = pipe

    def pause():
        os.write(writing, b"2")
        signal.pause()

    def main():
        os.write(writing, b"1")
        Fork(pause, [writing])
        signal.pause()

    copy = Fork(main, [writing])
    os.close(writing)
    assert os.read(reading, 1) + os.read(reading, 1) == b"12"
    copy.kill()
    assert copy.wait(10) == -signal.SIGKILL
    assert read_all(reading) == b""


@pytest.mark.parametrize(("main", "status"), [(lambda: None, 0), (lambda: sys.exit(0), 1), (lambda: 1 / 0, 1)])
def test_a_copy_ends_with_a_status(main, status):
    assert Fork(main, []).wait(10) == status
