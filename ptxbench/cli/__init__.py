"""The command `ptxbench`: one module per command, found by name and imported when it is needed.

A command module has an attribute `command` and imports nothing heavy at its top: `ptxbench --help` reads them all.
Modules whose name begins with _ are not commands.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import select
import sys
import warnings
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TextIO

import click

from ptxbench import __version__
from ptxbench.cli import _hints
from ptxbench.cli._terminal import say
from ptxbench.errors import NoSuchPair, NoSuchRun, PtxbenchError, UsageError, suggestion
from ptxbench.exit_status import ExitStatus
from ptxbench.output_files import FULL

UNUSABLE = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP}
"""Errors with a path that a user names. They are not bugs, and any use of the path may raise them."""

NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says."""

LONG_WORD = re.compile(r"(\S{120})\S{380,}")
"""No path of a usual length has 500 characters."""


class Commands(click.Group):
    """The modules of this package, as commands."""

    @cached_property
    def names(self) -> list[str]:
        # not pkgutil, whose import would take as long as everything else that --help needs
        return sorted(path.stem for path in Path(__path__[0]).glob("*.py") if not path.name.startswith("_"))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self.names

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.names:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0][:1] != "-" and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'.{_hints.of_word(args[0]) or suggestion(args[0], self.names)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
    epilog="Exit status: 0 good, 1 ptxbench crashed, 2 usage or unreadable input, 3 regression, "
    "4 a wrong or broken kernel, 5 no verdict.\n\n"
    "\b\nFor TAB to complete names, in bash or with zsh_source in zsh:\n"
    '  eval "$(_PTXBENCH_COMPLETE=bash_source ptxbench)"',
)
@click.version_option(__version__, prog_name="ptxbench")
def group() -> None:
    """Compare hand-written PTX with what the compiler makes of CUDA C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status. Every error except a bug is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a replacement stream, as in tests
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without × shows ?
    warnings.filterwarnings("once", category=SyntaxWarning, append=True)  # of a pair file that is read several times
    try:
        # not list(arguments): after the import of the command `list`, that name is its module here
        status = invoke([*(sys.argv[1:] if arguments is None else arguments)])
        sys.stdout.flush()
        return status
    except BaseException as error:
        return handle_error(error)


def invoke(arguments: list[str]) -> int:
    """The exit status of the command. Not click's `main`, which turns a closed pipe into status 1."""
    if completion_request := os.environ.get("_PTXBENCH_COMPLETE"):
        from ptxbench.cli._completion import complete

        return complete(group, completion_request)
    require_words(arguments)
    try:
        with group.make_context("ptxbench", arguments) as context:
            try:
                status = group.invoke(context)
            except NoSuchRun as error:
                command = group.get_command(context, context.invoked_subcommand or "")
                raise UsageError(f"{error}{_hints.of_run(error.name, command)}") from None
            except NoSuchPair as error:
                command = group.get_command(context, context.invoked_subcommand or "")
                raise UsageError(f"{error}{_hints.of_value(error.name, command)}") from None
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code
    return status if isinstance(status, int) else ExitStatus.GOOD


def require_words(arguments: Sequence[str]) -> None:
    """Raise UsageError for an empty word. No command needs one, and as a path it would mean the current folder."""
    for number, word in enumerate(arguments, 1):
        if word == "" or re.fullmatch(r"--[\w-]+=", word):
            problem = f"'{word}' has no value" if word else f"Argument {number} is empty"
            raise UsageError(f"{problem}. Is a variable of the shell not set?")


def handle_error(error: BaseException) -> int:
    """Print the error and return the exit status."""
    if isinstance(error, click.UsageError):
        error = _hints.with_hint(error)
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        return exit_with(with_short_words(shown.getvalue()), ExitStatus.USAGE, nl=False)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return exit_with(str(error), ExitStatus.INTERRUPTED)  # at least a new line after the terminal's ^C
    if isinstance(error, PtxbenchError):
        return exit_with(f"Error: {with_short_words(str(error))}", error.exit_status)
    if isinstance(error, BrokenPipeError) and discard_unread():
        return ExitStatus.READER_GONE
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        name = str(error.filename)
        short = f"{name[:60]}..." if error.errno == errno.ENAMETOOLONG else name
        return exit_with(f"Error: Cannot use '{short}': {os.strerror(error.errno)}.", ExitStatus.USAGE)
    if isinstance(error, FileNotFoundError) and error.filename is None and is_lost():
        return exit_with("Error: The current folder does not exist any more. Change to another one.", ExitStatus.USAGE)
    if isinstance(error, OSError) and error.errno in FULL:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        discard(sys.stdout)
        what = "the whole output, or a temporary file (TMPDIR)"
        return exit_with(f"Error: Cannot write {what}: {os.strerror(error.errno)}.", ExitStatus.USAGE)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return exit_with(
            f"Error: {os.strerror(error.errno)}. Raise the limit (ulimit -n), or use fewer --jobs.", ExitStatus.USAGE
        )
    if (isinstance(error, OSError) and error.errno == errno.EAGAIN) or NO_THREAD in str(error):
        return exit_with(
            "Error: No more processes can be started. Raise their limit (ulimit -u), or end some.", ExitStatus.USAGE
        )
    if isinstance(error, MemoryError):
        return exit_with("Error: Not enough free memory.", ExitStatus.USAGE)
    if isinstance(error, Exception):
        return report_crash(error)
    raise error


def with_short_words(message: str) -> str:
    """The message without the end of very long words, such as a value of an option that is not one."""
    return LONG_WORD.sub(r"\1...", message)


def is_lost() -> bool:
    """Whether the current folder has been removed."""
    try:
        return not os.getcwd()  # noqa: PTH109  Path.cwd is the same
    except FileNotFoundError:
        return True


def exit_with(text: str, status: int, *, nl: bool = True) -> int:
    """Print the text on stderr and return `status`, which also holds if stderr has no reader."""
    try:
        sys.stdout.flush()  # buffered output comes before it, if it still has a reader
    except OSError:
        discard_unread()
    try:
        say(text, err=True, nl=nl)
    except OSError:
        discard_unread()
    return status


def discard_unread() -> bool:
    """Discard what stdout and stderr still hold if their reader has gone. Returns whether one of them has.

    Otherwise the interpreter's own flush at its end would report an error.
    """
    if not hasattr(select, "poll"):
        discard(sys.stdout)
        return True
    reader_gone = False
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if any(state & select.POLLERR for _, state in poll.poll(0)):
            discard(stream)
            reader_gone = True
    return reader_gone


def discard(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report_crash(error: Exception) -> int:
    """Print the traceback of a bug on stderr; return the exit status."""
    import traceback

    details = "".join(traceback.format_exception(error))
    return exit_with(f"{details}This is a bug in ptxbench: please report it with the lines above.", ExitStatus.CRASHED)
