"""CUDA Tile C++ by NVRTC and tileiras: what is wrong with a file or with the tools is one sentence."""

import pytest

from ptxbench import toolchain
from ptxbench.containment import LANDLOCK, mode, tools
from ptxbench.containment.compiler import Compilation
from ptxbench.containment.nvrtc_library import INVALID_OPTION
from ptxbench.errors import AssembleError, CompileError, SignatureMismatch, ToolMissing
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import cuda_c, locate, tile

TILE = """\
#include <cuda_tile.h>
using namespace cuda::tiles;

extern "C" __tile_global__ void answer(unsigned* x)
{
    const auto thread = iota<tile<unsigned, shape<32>>>();
    store(x + thread, thread + 42u);
}
"""


@pytest.fixture
def build(tmp_path):
    def build(text, entry="answer"):
        path = tmp_path / "answer.tile.cu"
        path.write_text(text)
        return toolchain.build(path, language="tile", variant="tile", entry=entry, arch="sm_90")

    return build


def test_a_kernel_becomes_a_cubin_with_its_ptx(build):
    built = build(TILE)
    assert built.gpu_only is None
    assert elf.read(built.cubin).entries == ("answer",)
    assert built.report.compiler == f"NVRTC {toolchain.versions()['nvrtc']} and tileiras {locate.version(tile.find())}"
    assert built.report.registers
    assert built.report.spill_store_bytes == 0
    assert ".visible .entry answer(" in built.ptx
    assert ".language" not in built.ptx
    assert str(built.source.parent) not in built.ptx


NONE = "answer.tile.cu has no kernel; it needs one called 'answer'."
OTHER = "answer.tile.cu has no kernel 'answer'; it has other."
MANGLED = "answer.tile.cu: 'answer' has a C++ name. Declare it extern \"C\" __tile_global__ void answer(...)."
WRONG = [
    # change of the text                     error               message
    (("thread + 42u", "thread + missing"),    CompileError,      'answer.tile.cu:7: identifier "missing" is undefined'),
    (("__tile_global__", "__global__"),       CompileError,      "answer.tile.cu:"),
    ((TILE, "// nothing\n"),                  SignatureMismatch, NONE),
    (("void answer", "void other"),           SignatureMismatch, OTHER),
    (('extern "C" ', ""),                     SignatureMismatch, MANGLED),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_mistake_in_the_text_is_named(build, change, error, message):
    assert change[0] in TILE
    with pytest.raises(error) as raised:
        build(TILE.replace(*change))
    assert str(raised.value).startswith(message)


def test_a_tile_kernel_in_a_file_of_cuda_c_gets_advice(tmp_path):
    path = tmp_path / "answer.cu"
    path.write_text(TILE)
    with pytest.raises(
        CompileError, match=r"^answer\.cu is CUDA Tile C\+\+, in which only a pair can have a kernel: tile"
    ):
        toolchain.build(path, language="cuda", variant="cuda", entry="answer", arch="sm_90")


def test_an_unreadable_program_is_refused(tmp_path):
    with pytest.raises(AssembleError, match=r"^x\.tile\.cu: input does not correspond to Tile IR bytecode\. tileiras "):
        tile.assemble(tile.find(), b"nonsense", "sm_90", tmp_path / "x.tile.cu")


def test_without_tileiras_the_advice_is_its_extra(build, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    with pytest.raises(ToolMissing, match=r"not installed: pip install 'ptxbench\[tile\]'"):
        build(TILE)


def test_an_nvrtc_that_does_not_know_the_language_is_named(build, monkeypatch):
    def refuse(*arguments):
        return Compilation(INVALID_OPTION, "", "nvrtc: error: unrecognized option --enable-tile", "", {})

    monkeypatch.setattr(cuda_c.Job, "by_nvrtc", refuse)
    with pytest.raises(ToolMissing, match=r"^NVRTC \S+ does not know CUDA Tile C\+\+, which 13\.3 was the first"):
        build(TILE)


@pytest.mark.skipif(mode() != LANDLOCK, reason="no Landlock in this kernel")
def test_tileiras_reads_no_file_of_the_user(tmp_path):
    """Its options name files: with what it needs to read and to start, as `assemble` runs it."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    folder = tmp_path / "own"
    folder.mkdir()
    tool = tile.find()
    for arguments in (["--gpu-name=sm_90", str(secret), "-o", "out"], [f"--output-file={secret}", "--help"]):
        with tools.start(tool, arguments, folder, read=tile.libraries(tool), starts=tile.programs(tool)) as process:
            process.communicate(timeout=60)
    assert secret.read_bytes() == b"secret"
    with tools.start(
        tool, ["--gpu-name=sm_90", str(secret), "-o", "out"], folder, read=tile.libraries(tool)
    ) as process:
        _, message = process.communicate(timeout=60)
    assert b"ermission denied" in message
