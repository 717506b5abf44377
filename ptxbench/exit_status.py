"""The exit statuses of all commands. They are API. Imports nothing of ptxbench."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command ends with. docs/ci.md has the table; a test compares it."""

    GOOD = 0
    CRASHED = 1
    """A bug in ptxbench."""
    USAGE = 2
    """Wrong usage, or an input that cannot be read."""
    REGRESSION = 3
    WRONG_KERNEL = 4
    """A kernel is wrong or broken."""
    NO_VERDICT = 5
    INTERRUPTED = 130
    """128 + SIGINT, as a shell reports it."""
    READER_GONE = 141
    """128 + SIGPIPE: the reader of the output has gone, as `head` does once it has its lines."""


PRECEDENCE = (ExitStatus.WRONG_KERNEL, ExitStatus.REGRESSION, ExitStatus.NO_VERDICT, ExitStatus.GOOD)
"""If several apply to a gate, the first one is used. USAGE ends a command before anything is judged."""
