"""The option --dask, shared by the commands whose work can be done by a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ptxbench.dask_pool import DaskPool


def dask_option(tasks: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--dask ADDRESS, as `dask`. `tasks`: in words, what is given to the workers, one at a time."""
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
    from ptxbench.dask_pool import open_pool

    with open_pool(address, paths) as pool:
        yield pool
