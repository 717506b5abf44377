"""Small kernels, and the tools seen in different places: the wheels', an installed toolkit's, nowhere."""

import sys
from pathlib import Path

import pytest

from ptxbench import toolchain
from ptxbench.errors import ToolMissing
from ptxbench.toolchain import cuda_c, locate, nvcc

CUDA = """\
// scale: y = a * x, one element a thread.

extern "C" __global__ void scale(const float* x, float* y, float a, unsigned n)
{
    const unsigned i = 128 * blockIdx.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i];
}
"""

PTX = """\
// twice: x[t] = 2 * x[t] for one CTA, and what the neighbour holds, through shared memory.

.version 6.3
.target sm_75
.address_size 64

.visible .entry twice(
    .param .u64 x
)
.maxntid 64, 1, 1
{
    .reg .u32     %thread, %slot;
    .reg .u64     %x, %x_at;
    .reg .f32     %value, %other;
    .shared .f32  values[64];

    mov.u32              %thread, %tid.x;
    ld.param.u64         %x, [x];
    cvta.to.global.u64   %x, %x;
    mad.wide.u32         %x_at, %thread, 4, %x;
    ld.global.f32        %value, [%x_at];
    mov.u32              %slot, values;
    mad.lo.u32           %slot, %thread, 4, %slot;
    st.shared.f32        [%slot], %value;
    bar.sync             0;
    ld.shared.f32        %other, [%slot];
    fma.rn.f32           %value, %value, 0f40000000, %other;
    st.global.f32        [%x_at], %value;
    ret;
}
"""


@pytest.fixture
def build(tmp_path):
    """Builds a text as a file named after its entry; returns the Build."""

    def build(text, entry="scale", *, arch="sm_90", language=None, suffix="", **options):
        language = language or ("ptx" if ".version" in text else "cuda")
        path = tmp_path / f"{entry}{suffix}{'.cu' if language == 'cuda' else '.ptx'}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return toolchain.build(path, language=language, variant=language, entry=entry, arch=arch, **options)

    return build


@pytest.fixture(scope="session")
def toolkit(tmp_path_factory):
    """The tools and headers at hand, laid out as an installed toolkit is."""
    root = tmp_path_factory.mktemp("toolkit")
    for folder in ("bin", "lib64"):
        (root / folder).mkdir()
    for name in ("ptxas", "nvdisasm"):
        (root / "bin" / name).symlink_to(locate.program(name))
    for path in locate.nvrtc().parent.glob("libnvrtc*"):  # libnvrtc-builtins too
        (root / "lib64" / path.name).symlink_to(path)
    include = root / "include"
    include.mkdir()
    for headers in locate.headers():
        for path in headers.iterdir():
            if not (include / path.name).exists():
                (include / path.name).symlink_to(path)
    return root


@pytest.fixture
def no_wheels(monkeypatch):
    """As on a machine without NVIDIA's wheels and without a toolkit."""
    for module in ("cuda", "cuda.pathfinder"):
        monkeypatch.setitem(sys.modules, module, None)
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr(locate, "USUAL_FOLDERS", ())
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)


@pytest.fixture
def compiled(tmp_path):
    def compiled(text, *flags):
        path = tmp_path / "k.cu"
        path.write_text(text)
        return cuda_c.translate(text.encode(), path, "sm_90", flags)

    return compiled


@pytest.fixture
def without_nvcc(monkeypatch):
    def find():
        raise ToolMissing("nvcc is not installed")

    monkeypatch.setattr(nvcc, "find", find)
