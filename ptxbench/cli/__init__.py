"""The command `ptxbench`: one module per command, found by name and imported when it is needed.

A command module has an attribute `command` and imports nothing heavy at its top: `ptxbench --help` reads them all.
Modules whose name begins with _ are not commands.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path

import click

from ptxbench import __version__
from ptxbench.cli._terminal import say
from ptxbench.errors import PtxbenchError, suggestion
from ptxbench.exit_status import ExitStatus

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if os.name == "posix" else {errno.ENOSPC}
"""Errors of a file system that refuses a write: not a bug, and no command can foresee them."""


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
            ctx.fail(f"No such command '{args[0]}'.{suggestion(args[0], self.names)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
    epilog="Exit status: 0 good, 1 ptxbench crashed, 2 usage or unreadable input, 3 regression, "
    "4 a wrong or broken kernel, 5 no verdict.",
)
@click.version_option(__version__, prog_name="ptxbench")
def group() -> None:
    """Compare hand-written PTX with what the compiler makes of CUDA C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status. Every error except a bug is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream that a test has put there
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without × shows ?
    try:
        # not list(arguments): after the import of the command `list`, that name is its module here
        given = None if arguments is None else [*arguments]
        status = group.main(args=given, prog_name="ptxbench", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue(), err=True, nl=False)
        return ExitStatus.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    except PtxbenchError as error:
        say(f"Error: {error}", err=True)
        return error.exit_status
    except BrokenPipeError:
        discard_output()  # the reader of our output has gone
        return ExitStatus.CRASHED
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no command could have foreseen this
            say(f"Error: Cannot use '{str(error.filename)[:60]}...': {os.strerror(error.errno)}.", err=True)
            return ExitStatus.USAGE
        if error.errno not in FULL:
            return crashed()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        discard_output()
        say(f"Error: Cannot write the whole output:  {os.strerror(error.errno)}.", err=True)
        return ExitStatus.USAGE
    except MemoryError:
        say("Error: Not enough free memory.", err=True)
        return ExitStatus.USAGE
    except Exception:
        return crashed()
    return status if isinstance(status, int) else ExitStatus.GOOD


def discard_output() -> None:
    """Discard what stdout still holds, so that the interpreter's own flush at exit does not report an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def crashed() -> int:
    """The exit status of a bug, which is printed with all details that help to find it."""
    import traceback

    say(traceback.format_exc(), err=True, nl=False)
    say("This is a bug in ptxbench: please report it with the lines above.", err=True)
    return ExitStatus.CRASHED
