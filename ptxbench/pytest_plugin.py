"""The pytest plugin: the fixture `ptxbench_kernel` and its options. The only module that imports pytest.

pytest loads it wherever ptxbench is installed, so it imports nothing else until a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ptxbench.callable_kernel import CallableKernel

BACKENDS = ("emulator", "gpu", "auto")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ptxbench", "kernels in CUDA C and PTX")
    group.addoption(
        "--ptxbench-backend",
        choices=BACKENDS,
        default="emulator",
        help="Where ptxbench_kernel launches: the CPU emulator, the GPU, or auto: the GPU if there is one. "
        "[default: emulator]",
    )
    group.addoption(
        "--ptxbench-arch",
        metavar="SM",
        help="Build for this architecture. [default: the GPU's; on the emulator the .target of PTX, sm_90 for CUDA C]",
    )


@pytest.fixture(scope="module")
def ptxbench_kernel(request: pytest.FixtureRequest) -> Callable[..., CallableKernel]:
    """Builds a kernel of a .cu or .ptx file; its path is relative to the test's file."""
    folder = request.path.parent
    option: Callable[[str], Any] = request.config.getoption

    def ptxbench_kernel(
        file: str | Path,
        entry: str | None = None,
        *,
        arch: str | None = None,
        backend: str | None = None,
        include: Sequence[str | Path] = (),
        defines: Sequence[str] = (),
        standard: str | None = None,
        flags: Sequence[str] = (),
    ) -> CallableKernel:
        """The kernel `entry` of `file` (None: the only one), ready to be called.

        `arch` and `backend` replace --ptxbench-arch and --ptxbench-backend. For CUDA C: `include` folders, `defines`
        (NAME or NAME=VALUE), the C++ `standard` and further `flags` of NVRTC.
        """
        __tracebackhide__ = True
        from ptxbench.callable_kernel import load_kernel
        from ptxbench.errors import PtxbenchError
        from ptxbench.toolchain.options import SourceOptions

        try:
            where = backend or option("--ptxbench-backend")
            folders = tuple(folder / name for name in include)
            options = SourceOptions(entry, folders, tuple(defines), standard, tuple(flags))
            return load_kernel(folder / file, options, arch or option("--ptxbench-arch"), where)
        except PtxbenchError as error:
            raise error.with_traceback(None) from None

    return ptxbench_kernel
