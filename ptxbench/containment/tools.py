"""Runs ptxas, nvdisasm and tileiras so that they can open only their own files and one folder.

Their input can be untrusted. Their environment has only the folder for temporary files; if the kernel has Landlock,
they have no network either. A script in place of the program is not restricted, because the programs that it starts
are not known.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar

from ptxbench.containment import LANDLOCK, mode, restrict
from ptxbench.containment.compiler import bare_environment

if sys.platform == "linux":
    import resource

Result = TypeVar("Result")

START_FILES = (Path("/etc/ld.so.cache"), Path("/sys/kernel/mm/transparent_hugepage"))
"""What each program reads at its start: where the libraries are, and whether there are huge pages."""

SECONDS = 30

LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.M)
"""A line of the loader's list: `libc.so.6 => /lib/libc.so.6 (0x7f..)`, or the loader itself without an arrow."""


def start(
    tool: Path, arguments: Sequence[str], folder: Path, *, read: Sequence[Path] = (), starts: Sequence[Path] = ()
) -> subprocess.Popen[bytes]:
    """Start a tool in `folder`, with its output in pipes. Raises OSError if it does not start.

    `read`: files and folders that it may read too; `starts`: programs that it may start.
    """

    def open_process() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [tool, *arguments],
            cwd=folder,
            env={**bare_environment(), "TMPDIR": str(folder)},  # ptxas copies some texts there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    if mode() != LANDLOCK or is_script(tool):
        return open_process()
    files = [file for program in (tool, *starts) for file in (program, *libraries(program))]

    def open_restricted() -> subprocess.Popen[bytes]:
        restrict(read=(*START_FILES, *read), execute=files, write=(folder, Path(os.devnull)))
        return open_process()

    # A thread restricts itself and its children only. It ends here: this process is as unrestricted as before.
    opened: Future[subprocess.Popen[bytes]] = Future()
    thread = Thread(target=settle, args=(opened, open_restricted))
    thread.start()
    thread.join()
    return opened.result()


def settle(future: Future[Result], function: Callable[[], Result]) -> None:
    """Give a future what the function returns or raises. A ThreadPoolExecutor takes twice as long for one call."""
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)


def run(
    tool: Path,
    arguments: Sequence[str],
    folder: Path,
    seconds: float,
    *,
    memory_bytes: int | None = None,
    read: Sequence[Path] = (),
    starts: Sequence[Path] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool to its end. Raises OSError if it does not start, TimeoutExpired after `seconds`.

    `memory_bytes`: a limit of its address space, on Linux; `read`, `starts`: see `start`.
    """
    with start(tool, arguments, folder, read=read, starts=starts) as process:
        if sys.platform == "linux" and memory_bytes is not None:
            with contextlib.suppress(OSError):  # already ended
                resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess([tool, *arguments], process.returncode, out, err)


def is_script(tool: Path) -> bool:
    with tool.open("rb") as file:
        return file.read(2) == b"#!"


@functools.cache
def libraries(tool: Path) -> tuple[Path, ...]:
    """The loader and the libraries of a program, as its loader lists them; empty for a static program."""
    listed = subprocess.run(
        [tool],
        env={"LD_TRACE_LOADED_OBJECTS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
    ).stdout
    return tuple(Path(path) for path in LIBRARY.findall(listed))
