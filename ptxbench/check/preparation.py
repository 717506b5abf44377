"""Makes everything that judgements need of the pair's own kernels in advance: in memory, for the judgements that are
forked afterwards, and in the user's cache, where the process of a judgement cannot write. Never sees a candidate."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ptxbench import cache, environment, toolchain
from ptxbench.check.launching import CheckKernel, LaunchOptions, launch
from ptxbench.check.pair_files import hash_of_files
from ptxbench.check.reading import CandidateText
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.containment import tools
from ptxbench.discovery import SUFFIXES
from ptxbench.emulator import native
from ptxbench.emulator.process import stop_process
from ptxbench.errors import KernelError
from ptxbench.forks import Fork
from ptxbench.toolchain import encodings, locate

PACKAGE = Path(__file__).parents[1]

MODES = ("plain", "sanitize")
"""The modes in which the emulator translates the kernels of a judgement."""


@functools.cache
def warm_up_parsing(arch: str) -> None:
    """Read a text without a kernel, so that the forked judgements know the tools and their libraries already."""
    CandidateText(Path(f"candidate{SUFFIXES['ptx']}"), b"no kernel\n", arch).parses()
    if (disassembler := locate.program("nvdisasm")) is not None:
        tools.libraries(disassembler)


def warm(suite: CheckSuite, settings: CheckOptions) -> bool:
    """Build, launch and derive in a copy of this process, which leaves the results in the user's cache; whether it did.

    A crash of the copy, for example by the pair's own kernel, does not end this process.
    """
    root = cache.folder()
    if root is None or not cache.usable(root):
        return False
    return Fork(lambda: warm_up(suite, settings), ()).wait() == 0


def prepare(suite: CheckSuite, settings: CheckOptions) -> None:
    """Judge one of the pair's own kernels, which makes every case that a right kernel needs, and all results of the
    pair's kernels; only after `warm`. Errors are left to the judgement, where they happen again and are reported."""
    from ptxbench.executed import program  # noqa: F401  # loaded for the copies: a new kernel's derivation needs it

    encodings.encodings(suite.arch)  # the derivation needs these too
    with contextlib.suppress(Exception):  # the pair's functions may raise anything
        warm_up(suite, settings)
        for kernel in suite.pair_kernels.executable.values():
            load(kernel, suite)
    suite.forget_candidate()


def warm_up(suite: CheckSuite, settings: CheckOptions) -> None:
    """A whole judgement of the first of the pair's kernels that is right, and what judgements compare it with."""
    pair_kernels = suite.pair_kernels
    if settings.targets:
        pair_kernels.assembling(settings.targets)
    for build in pair_kernels.builds.values():
        pair_kernels.report(build)
    _ = pair_kernels.executed, pair_kernels.lint_codes, pair_kernels.keeps_heap
    for kernel in pair_kernels.executable.values():
        for sanitize in (False, True):
            with contextlib.suppress(KernelError):
                launch(kernel, suite.pair, suite.check[0], LaunchOptions(sanitize=sanitize))
    if right := next(iter(pair_kernels.right.values()), None):
        with tempfile.TemporaryDirectory(prefix="ptxbench-check-") as folder:
            path = Path(folder) / f"candidate{SUFFIXES['ptx']}"
            path.write_text(right.ptx)
            Checker(suite, path, CheckOptions(targets=settings.targets)).judge()
        for series in suite.results[:1]:  # where most wrong kernels are wrong: is the pair's own kernel right?
            suite.beyond_contract(next(iter(series)))
    stop_process()


def load(kernel: CheckKernel, suite: CheckSuite) -> None:
    """Load the machine code of a kernel into this process, and compile the kernel as if it were new: then everything
    that the compilation of other kernels shares with it is in this process."""
    clustered = suite.pair_kernels.cluster is not None
    for mode in MODES:
        native.kernel(kernel.ptx, kernel.entry, kernel.arch, mode, clustered)
        native.compile_kernel(kernel.ptx, kernel.entry, kernel.arch, mode, clustered=clustered)
    native.event_function()


def key(pair: str, kernels: Path, arch: str, targets: Sequence[str]) -> tuple[str, ...]:
    """The key of a cache entry that marks a prepared pair: the builds of its kernels are in the cache."""
    task = json.dumps([pair, str(kernels.absolute()), arch, targets])
    return "warm", task, hash_of_files(pair, kernels), package_state(), environment.processor()


def is_warm(pair: str, kernels: Path, arch: str, targets: Sequence[str]) -> bool:
    """Whether the user's cache has what judgements need of the pair's kernels, or there is no usable cache."""
    root = cache.folder()
    unusable = root is None or not cache.usable(root)
    return unusable or cache.known(key(pair, kernels, arch, targets)) is not None


@functools.cache
def package_state() -> str:
    """What the cache's entries depend on apart from the kernels: this package, by its files' times, and the tools."""
    states = [path.stat() for path in sorted(PACKAGE.rglob("*.py"))]
    files = [(state.st_size, state.st_mtime_ns) for state in states]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return json.dumps([digest, toolchain.versions(), platform.python_version()])
