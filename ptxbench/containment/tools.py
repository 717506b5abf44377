"""ptxas and nvdisasm, each started so that it opens its own files and one folder, and nothing else.

Their input can come from anybody. Their environment names the folder for temporary files and nothing else; where the
kernel has Landlock they have no network either. A script in place of the program is not restricted: what it starts is
not known.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ptxbench.containment import LANDLOCK, mode, restrict
from ptxbench.containment.compiler import bare_environment

LOADER_FILES = (Path("/etc/ld.so.cache"),)
SECONDS = 30

LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.M)
"""A line of what the loader lists: `libc.so.6 => /lib/libc.so.6 (0x7f..)`, or itself without an arrow."""


def start(tool: Path, arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a tool in `folder`, its output in pipes. Raises OSError where it does not start."""

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
    files = (tool, *libraries(tool))

    def open_restricted() -> subprocess.Popen[bytes]:
        restrict(read=LOADER_FILES, execute=files, write=(folder, Path(os.devnull)))
        return open_process()

    # A thread restricts itself alone, and what it starts. It ends here: this process is as free as before.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(open_restricted).result()


def run(tool: Path, arguments: Sequence[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run a tool to its end. Raises OSError where it does not start, TimeoutExpired past `seconds`."""
    with start(tool, arguments, folder) as process:
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
    """The loader and the libraries that a program is loaded with, as its loader lists them; none of a static one."""
    listed = subprocess.run(
        [tool],
        env={"LD_TRACE_LOADED_OBJECTS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
    ).stdout
    return tuple(Path(found) for found in LIBRARY.findall(listed))
