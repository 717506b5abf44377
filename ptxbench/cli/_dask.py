"""The option --dask, shared by the commands whose work can be done by a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ptxbench.cli._extras import require_extra
from ptxbench.errors import UsageError

if TYPE_CHECKING:
    from ptxbench.dask_pool import DaskPool

Backend = Literal["auto", "gpu", "emulator"]


def dask_option(tasks: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--dask ADDRESS, as `dask`; `tasks`: what each worker takes one of."""
    return click.option(
        "--dask",
        metavar="ADDRESS",
        help=f"Give the {tasks} to the workers of this Dask cluster, tcp://HOST:8786 for example; local: to new "
        "processes on this machine, one per core. Needs ptxbench[dask]; docs/dask.md.",
    )


@contextmanager
def dask_pool(address: str | None, paths: Sequence[Path] = ()) -> Iterator[DaskPool | None]:
    """The pool of --dask; None without the option. `paths`: files and folders that the workers need."""
    if address is None:
        yield None
        return
    require_extra("dask", "distributed", "cryptography")
    from ptxbench.dask_pool import open_pool

    with open_pool(address, paths) as pool:
        yield pool


def backend_of(address: str | None, backend: Backend) -> Backend:
    """The value of --backend next to --dask: the workers count and do not time.

    Raises UsageError for --backend gpu.
    """
    if address is None:
        return backend
    if backend == "gpu":
        raise UsageError("--dask counts on the emulator and does not time. Leave it out, or leave out --backend gpu.")
    return "emulator"
