"""Puts the pair's own kernels into the user's cache, in a process that never reads a candidate's text.

The process of a judgement cannot write there; without this they would be compiled again for every candidate.
`python -m ptxbench.check.warming`, the task on stdin.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ptxbench import cache, environment, toolchain

PACKAGE = Path(__file__).parents[1]

ONE_AT_A_TIME = threading.Lock()


class ColdError(Exception):
    """The process did not finish; it is tried again next time."""


def warm(
    pair: str, kernels: Path, arch: str, targets: Sequence[str], started: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """Compile the pair's kernels for `arch` into the cache, unless that was done before; `started` as in `judge`.

    A failure here happens again in the judgement, which reports it.
    """
    root = cache.folder()
    if root is None or not cache.usable(root):
        return
    task = json.dumps({"pair": pair, "kernels": str(kernels.absolute()), "arch": arch, "targets": targets})

    def run() -> bytes:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ptxbench.check.warming"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started(process)
        try:
            process.communicate(task.encode())
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0:
            raise ColdError
        return b""

    with ONE_AT_A_TIME, contextlib.suppress(ColdError):
        cache.remember(("warm", task, sources(pair, kernels), package(), environment.processor()), run)


def sources(pair: str, kernels: Path) -> str:
    """A hash of the pair's files."""
    digest = hashlib.sha256()
    for path in sorted(kernels.glob(f"*/{pair.split('.')[0]}*")):
        with contextlib.suppress(OSError):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def package() -> str:
    """What the cache's entries depend on apart from the kernels: this package, by its files' times, and the tools."""
    states = [path.stat() for path in sorted(PACKAGE.rglob("*.py"))]
    files = [(state.st_size, state.st_mtime_ns) for state in states]
    return json.dumps([hash_of(files), toolchain.versions(), platform.python_version()])


def hash_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def main(pair: str, kernels: str, arch: str, targets: list[str]) -> None:
    """Build, assemble, launch and derive everything that judgements need of the pair's own kernels."""
    from ptxbench.check.launching import LaunchOptions, launch
    from ptxbench.check.suite import CheckSuite
    from ptxbench.discovery import load
    from ptxbench.errors import KernelError
    from ptxbench.portability.survey import Subject, survey

    suite = CheckSuite(load(Path(kernels), pair), arch, 0)
    for build in suite.builds.values():
        suite.report(build)
    plain = [source for source in suite.loaded.sources if source.variant == "ptx"]
    for _ in survey([Subject("ptx", tuple(plain), {})], targets):
        pass
    _ = suite.executed  # mostly the same with every seed
    for kernel in suite.kernels.values():
        for options in (LaunchOptions(), LaunchOptions(sanitize=True)):
            with contextlib.suppress(KernelError):
                launch(kernel, suite.pair, suite.check[0], options)


if __name__ == "__main__":
    main(**json.loads(sys.stdin.buffer.read()))
