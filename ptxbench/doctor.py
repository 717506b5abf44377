"""The findings of `ptxbench doctor`: each part that ptxbench uses is used once.

Everything is imported where it is examined, so that a part that cannot be imported affects only its own line.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ptxbench import cache
from ptxbench.backends import DEFAULT_ARCH
from ptxbench.checklist import ChecklistLine
from ptxbench.discovery import KERNELS_VARIABLE
from ptxbench.errors import PtxbenchError, ToolMissing
from ptxbench.pool import usable_cores
from ptxbench.units import plural

if TYPE_CHECKING:
    from ptxbench.backends.base import Backend
    from ptxbench.toolchain import Build

WORKS, ABSENT, BROKEN = "works", "absent", "broken"

EMULATOR = "emulator"
"""The one required part: without it nothing can be verified."""

FAILURES = (PtxbenchError, ImportError, OSError)
"""Errors of a part that is missing or incomplete; any other error is a bug of ptxbench."""

REINSTALL = "Reinstall ptxbench in a new virtual environment: it includes {}."
CUPY = "Only a GPU needs it: pip install 'ptxbench[cu13]' (cu12 if the driver supports only CUDA 12)."

CUDA = 'extern "C" __global__ void answer(unsigned* x) { x[threadIdx.x] = threadIdx.x + 42; }\n'
TILE = """\
#include <cuda_tile.h>
extern "C" __tile_global__ void answer(unsigned* x)
{
    const auto thread = cuda::tiles::iota<cuda::tiles::tile<unsigned, cuda::tiles::shape<32>>>();
    cuda::tiles::store(x + thread, thread + 42u);
}
"""
WITH_HEADERS = f"#include <cuda_fp16.h>\n#include <mma.h>\n{CUDA}"
TRITON = """\
import triton
import triton.language as tl


@triton.jit
def answer(x):
    thread = tl.arange(0, 32)
    tl.store(x + thread, thread + 42)
"""
"""The same in Triton."""

PTX = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry answer(
    .param .u64 x
)
{
    .reg .u32  %thread, %value;
    .reg .u64  %x, %x_at;

    mov.u32             %thread, %tid.x;
    ld.param.u64        %x, [x];
    cvta.to.global.u64  %x, %x;
    mad.wide.u32        %x_at, %thread, 4, %x;
    add.u32             %value, %thread, 42;
    st.global.u32       [%x_at], %value;
    ret;
}
"""
"""The same kernel, for a machine without NVRTC."""


class PartStatus(ChecklistLine):
    """One part of the machine, which is WORKS, ABSENT or BROKEN."""


def examine(kernels: Path) -> Iterator[PartStatus]:
    """Every part; first those that others need."""
    yield PartStatus("Python", WORKS, f"{platform.python_version()}  {display_path(sys.executable)}")
    for name, purpose in PACKAGES.items():
        yield examine_package(name, purpose)
    yield from examine_tools()
    yield examine_emulator()
    yield from examine_gpu()
    yield examine_kernels(kernels)
    yield examine_containment()
    yield examine_cache()


PACKAGES = {
    "numpy": "arrays and references",
    "llvmlite": "machine code of the emulator",
    "numba": "machine code of the race detector, for sanitized launches",
}
"""The packages that ptxbench always needs, and what each is for."""


def examine_package(name: str, purpose: str) -> PartStatus:
    """A package that ptxbench depends on."""
    try:
        importlib.import_module(name)
        return PartStatus(name, WORKS, f"{importlib.metadata.version(name)}  {purpose}")
    except FAILURES as error:
        return PartStatus(name, BROKEN, str(error), REINSTALL.format(name))


def examine_tools() -> Iterator[PartStatus]:
    """NVRTC, CUDA's headers, ptxas and nvdisasm, with one kernel and without the cache; then those of other rows."""
    finding, ptx = examine_nvrtc()
    yield finding
    if finding.status == WORKS:
        yield examine_headers()
    finding, cubin = examine_ptxas(ptx)
    yield finding
    yield examine_nvdisasm(cubin)
    yield examine_tileiras()
    yield examine_triton()


def examine_nvrtc() -> tuple[PartStatus, str]:
    """NVRTC, and the PTX that it makes of the kernel; the kernel in PTX if that fails."""
    from ptxbench.toolchain import nvrtc

    try:
        library = nvrtc.find()
    except ToolMissing as missing:
        return PartStatus("NVRTC", ABSENT, "-", f"{missing} Until then the CUDA C sides are skipped."), PTX
    try:
        version = nvrtc.version(library)
        ptx = nvrtc.translate(library, CUDA.encode(), Path("answer.cu"), DEFAULT_ARCH, ()).ptx
    except FAILURES as error:
        return PartStatus("NVRTC", BROKEN, display_path(library), str(error)), PTX
    return PartStatus("NVRTC", WORKS, f"{version}  {display_path(library)}"), ptx


def examine_headers() -> PartStatus:
    """CUDA's headers, as a kernel includes them. NVRTC works."""
    from ptxbench.toolchain import locate, nvrtc

    folders = ", ".join(display_path(folder) for folder in locate.headers())
    try:
        nvrtc.translate(nvrtc.find(), WITH_HEADERS.encode(), Path("answer.cu"), DEFAULT_ARCH, ())
    except FAILURES as error:
        return PartStatus("CUDA headers", BROKEN if folders else ABSENT, folders or "-", str(error))
    return PartStatus("CUDA headers", WORKS, folders)


def examine_ptxas(ptx: str) -> tuple[PartStatus, bytes | None]:
    """ptxas, and the cubin that it makes from `ptx`."""
    from ptxbench.toolchain import locate, ptxas

    tool = locate.program("ptxas")
    if tool is None:
        return PartStatus("ptxas", ABSENT, "-", f"No registers, no spills, no SASS: {locate.INSTALL}."), None
    try:
        version = locate.version(tool)
        cubin, _ = ptxas.assemble(tool, ptx, DEFAULT_ARCH)
    except ptxas.RefusedError as refused:
        why = ptxas.explain(str(refused), ptx, Path("answer.cu"), "cuda", DEFAULT_ARCH, f"ptxas {version}")
        return PartStatus("ptxas", BROKEN, f"{version}  {display_path(tool)}", str(why)), None
    except FAILURES as error:
        return PartStatus("ptxas", BROKEN, display_path(tool), str(error)), None
    return PartStatus("ptxas", WORKS, f"{version}  {display_path(tool)}"), cubin


def examine_nvdisasm(cubin: bytes | None) -> PartStatus:
    """nvdisasm, on `cubin` if there is one."""
    from ptxbench.toolchain import cubin as elf
    from ptxbench.toolchain import locate, sass

    tool = locate.program("nvdisasm")
    if tool is None:
        return PartStatus("nvdisasm", ABSENT, "-", f"SASS instructions are not counted: {locate.INSTALL}.")
    try:
        version = locate.version(tool)
        if cubin:
            sass.texts(tool, DEFAULT_ARCH, elf.code(elf.read(cubin), "answer") or b"")
    except FAILURES as error:
        return PartStatus("nvdisasm", BROKEN, display_path(tool), f"{error} {locate.INSTALL}.")
    return PartStatus("nvdisasm", WORKS, f"{version}  {display_path(tool)}")


def examine_tileiras() -> PartStatus:
    """tileiras, on a tile kernel."""
    from ptxbench.toolchain import locate, tile

    try:
        tool = tile.find()
    except ToolMissing as missing:
        return PartStatus("tileiras", ABSENT, "-", f"{missing} Until then the rows in CUDA Tile C++ are skipped.")
    try:
        version = locate.version(tool)
        tile.compiled(TILE.encode(), Path("answer.tile.cu"), DEFAULT_ARCH, "answer")
    except FAILURES as error:
        return PartStatus("tileiras", BROKEN, display_path(tool), str(error))
    return PartStatus("tileiras", WORKS, f"{version}  {display_path(tool)}")


def examine_triton() -> PartStatus:
    """Triton, on a kernel."""
    from ptxbench.toolchain import python_source, triton

    version = python_source.installed("triton")
    try:
        triton.compiled(TRITON.encode(), "answer.triton.py", "answer", DEFAULT_ARCH, [("x", "uint32*")])
    except ToolMissing as missing:
        if version is None:
            return PartStatus(
                "Triton", ABSENT, "-", f"Rows in Triton are skipped until it is installed: {triton.INSTALL}."
            )
        return PartStatus("Triton", BROKEN, version, str(missing))
    except FAILURES as error:
        return PartStatus("Triton", BROKEN, version or "-", str(error))
    return PartStatus("Triton", WORKS, version or "-")


def examine_emulator() -> PartStatus:
    """The emulator, on the kernel in PTX."""
    try:
        from ptxbench.backends import open_emulator

        wrong = run_answer(open_emulator(None), DEFAULT_ARCH)
    except FAILURES as error:
        return PartStatus(EMULATOR, BROKEN, "-", f"{error} {REINSTALL.format('what the emulator needs')}")
    if wrong:
        return PartStatus(EMULATOR, BROKEN, wrong, REINSTALL.format("what the emulator needs"))
    cores = usable_cores()
    many = "1 core" if cores == 1 else f"{cores} cores"
    return PartStatus(EMULATOR, WORKS, f"{many}; it verifies and counts, and has no times")


def examine_gpu() -> Iterator[PartStatus]:
    """CuPy, the driver and the GPU, on the kernel in PTX."""
    installed = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("cupy-cuda13x", "cupy-cuda12x", "cupy")
        if is_installed(name)
    )
    yield PartStatus("CuPy", WORKS if installed else ABSENT, installed or "-", "" if installed else CUPY)
    try:
        from ptxbench.backends import gpu

        driver = gpu.find_driver()
        if driver is None:
            yield PartStatus(
                "NVIDIA driver", ABSENT, "-", "Times need a GPU and its driver; the emulator needs neither."
            )
            yield PartStatus("GPU", ABSENT, "-", "Without a GPU ptxbench counts instead of timing.")
            return
        yield PartStatus("NVIDIA driver", WORKS, f"{driver_version()}, supports CUDA {gpu.driver_cuda_version(driver)}")
        backend = gpu.GpuBackend()
        if reason := backend.unavailable():
            yield PartStatus("GPU", ABSENT, "-", reason)
            return
        device = backend.device()
        wrong = run_answer(backend, device.sm)
    except FAILURES as error:
        yield PartStatus("GPU", BROKEN, "-", str(error))
    else:
        if wrong:
            yield PartStatus(
                "GPU", BROKEN, f"{device.name} {wrong}", "Do not trust runs on it; check it with nvidia-smi."
            )
        else:
            yield PartStatus("GPU", WORKS, f"{device.name}, {device.sm}")


def driver_version() -> str:
    """The driver's version, from NVML."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            version: str = pynvml.nvmlSystemGetDriverVersion()
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return f"of unknown version ({error})"
    return version


def run_answer(backend: Backend, arch: str) -> str | None:
    """Run the kernel on 32 threads; what is wrong with its output, or None."""
    import numpy as np

    from ptxbench.arrays import poison
    from ptxbench.pair import Launch, u32

    arguments = {"x": poison((32,), u32)}
    written = backend.run(build_answer(arch), Launch(1, 32), arguments, ("x",)).outputs["x"]
    expected = np.arange(32, dtype=u32) + 42
    return None if np.array_equal(written, expected) else f"expected {expected[:4]}..., found {written[:4]}..."


def build_answer(arch: str) -> Build:
    """The kernel in PTX, with a cubin if ptxas is available."""
    from ptxbench import toolchain

    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        source = Path(folder) / "answer.ptx"
        source.write_text(PTX, encoding="ascii")
        try:
            return toolchain.build(source, language="ptx", variant="ptx", entry="answer", arch=arch)
        except ToolMissing:  # a broken ptxas has its own line
            return toolchain.build(source, language="ptx", variant="ptx", entry="answer", arch=arch, assembler="driver")


def examine_kernels(folder: Path) -> PartStatus:
    """The folder of pairs: that of ptxbench unless the user names another."""
    from ptxbench.discovery import find_pairs, require_files

    try:
        names = find_pairs(folder)
        for name in names:
            require_files(folder, name)
        count = len(names)
        return PartStatus("kernels", WORKS, f"{count} pair{'' if count == 1 else 's'} in {display_path(folder)}")
    except FAILURES as error:
        return PartStatus("kernels", BROKEN, display_path(folder), f"{error} See --kernels and {KERNELS_VARIABLE}.")


def examine_containment() -> PartStatus:
    """What prevents the compilers from reading other files while `check` judges a candidate."""
    from ptxbench import containment

    if containment.mode() == containment.LANDLOCK:
        text = f"{containment.LANDLOCK} {containment.version()}: NVRTC and ptxas see CUDA's headers and one folder"
        return PartStatus("containment", WORKS, text)
    text = f"{containment.HEADERS}: candidates may include only headers that take no file name from a macro"
    advice = "To judge untrusted candidates, use Linux 5.13 or later with Landlock."
    return PartStatus("containment", ABSENT, text, advice)


def examine_cache() -> PartStatus:
    """The folder of earlier builds."""
    folder = cache.folder()
    if folder is None:
        return PartStatus(
            "cache", ABSENT, "-", "This user has no home folder. Set PTXBENCH_CACHE to a folder, for speed."
        )
    if reason := cache.refusal(folder):
        return PartStatus("cache", BROKEN, f"{display_path(folder)} is not used", cache.advice(folder, reason))
    probe = folder / f"doctor-{os.getpid()}"
    try:
        cache.write(probe, b"")
        probe.unlink()
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    except OSError as error:
        advice = "Nothing is cached. Set PTXBENCH_CACHE to a writable folder."
        return PartStatus("cache", BROKEN, f"{display_path(folder)}: {error.strerror}", advice)
    words = f"{plural(len(sizes), 'file')}, {sum(sizes) / 1e6:.1f} MB in {display_path(folder)}"
    return PartStatus("cache", WORKS, words)


def is_installed(name: str) -> bool:
    """True if a distribution with that name is installed."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def display_path(path: str | Path) -> str:
    """A path with ~ for the user's home, so that it can be shown to others."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path.home raises for a user without one
    return f"~{str(path).removeprefix(home)}" if str(path).startswith(home + os.sep) else str(path)
