"""Kernels in Triton to PTX, without Triton: from its recorded answer. tests/kernels/test_triton.py has the rest."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import CompileError, ToolMissing
from ptxbench.launch import Launch, OwnCta
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import origins, trial, triton

SCALE = """\
import triton
import triton.language as tl


@triton.autotune(configs=[triton.Config({"TILE": 512}, num_warps=4)], key=[])
@triton.jit
def scale(x, y, n, TILE: tl.constexpr):
    i = tl.program_id(0) * TILE + tl.arange(0, TILE)
    value = tl.load(x + i, mask=i < n, other=0)
    tl.store(y + i, value / tl.max(tl.abs(value)), mask=i < n)
"""
RECORDED = (Path(__file__).parent / "triton" / "scale.ptx").read_text()
SIGNATURE = (("x", "float32*"), ("y", "float32*"), ("map_x", "tensor map"), ("n", "uint32"))


@pytest.fixture
def answered(monkeypatch):
    """Puts the recorded answer, or parts of another one, in place of Triton's process."""
    monkeypatch.setattr(triton, "installed", lambda package: "3.9.0")
    monkeypatch.setattr("ptxbench.cache.remember_once", lambda key, make: make())

    def answer(**parts):
        fields = {"ptx": RECORDED, "shared_bytes": 16, "workspace_bytes": 0, **parts}
        monkeypatch.setattr(triton.PROCESS.__class__, "ask", lambda process, request, file: fields)

    answer()
    return answer


def compiled():
    return triton.compiled(SCALE.encode(), "scale.triton.py", "scale", "sm_90", SIGNATURE)


def built(folder):
    path = folder / "scale.triton.py"
    path.write_text(SCALE)
    return toolchain.build(path, language="triton", variant="triton", entry="scale", arch="sm_90", signature=SIGNATURE)


@pytest.mark.usefixtures("answered")
def test_a_build_has_the_threads_the_memory_and_the_target_that_triton_chose(tmp_path):
    build = built(tmp_path)
    assert (build.arch, build.own_cta) == ("sm_90a", OwnCta((128, 1, 1), shared_bytes=16))
    launch = build.launched(Launch(grid=3, block=1))
    assert launch == build.enqueued(launch) == Launch(grid=3, block=(128, 1, 1), shared_bytes=16)
    assert build.report.compiler == "Triton 3.9.0"
    assert build.report.registers
    assert build.report.log == ""


@pytest.mark.usefixtures("answered")
def test_its_kernel_takes_the_arguments_of_its_pair_and_is_right(tmp_path):
    build = built(tmp_path)
    x = np.random.default_rng(1).normal(size=1200).astype(np.float32)
    y = np.zeros_like(x)
    arguments = [x, y, np.uint32(x.size)]
    launch = build.launched(Launch(grid=3, block=1))
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
    emulator.run(build.ptx, "scale", args=arguments, arch=build.arch, **extent)
    tiles = np.split(x.astype(np.float64), (512, 1024))
    expected = np.concatenate([tile / abs(tile).max() for tile in tiles])
    assert np.allclose(y, expected, rtol=2**-22, atol=0)


def test_the_machine_code_is_the_same_without_the_parameters_for_workspaces(answered):
    stripped = compiled().ptx
    assert [len(text.split(".param")) - 1 for text in (RECORDED, stripped)] == [8, 6]  # in the header, and in loads
    identities = [
        elf.identity(elf.read(toolchain.assembled_text(text, "sm_90a")), "scale", 0, 0) for text in (RECORDED, stripped)
    ]
    assert identities[0] == identities[1]


@pytest.mark.usefixtures("answered")
def test_each_line_is_one_of_the_file_also_where_tritons_own_functions_are_inlined():
    ptx = compiled().ptx
    rows = ptx.splitlines()
    places = origins.places(rows, "scale.triton.py")
    lines = {rows[at - 1].split()[0]: line for at, (_, line) in places.items() if rows[at - 1].strip()}
    assert {file for file, _ in places.values()} == {"scale.triton.py"}
    assert (lines["shfl.sync.bfly.b32"], lines["max.f32"], lines["div.full.f32"]) == (10, 10, 10)
    assert "standard.py" not in ptx.replace("// standard.py", "")
    assert ".section" not in ptx


def test_inline_assembly_has_the_line_of_its_first_instruction(answered):
    """Triton counts each line of inline assembly as a further line of the file."""
    counted = RECORDED.replace("\t@%p1 ld.global.b32", "\t.loc\t1 10 13\n\t@%p1 ld.global.b32")
    assert counted != RECORDED
    answered(ptx=counted)
    rows = compiled().ptx.splitlines()
    places = origins.places(rows, "scale.triton.py")
    assert {places[at][1] for at, row in enumerate(rows, 1) if "ld.global" in row} == {9}


REFUSED = [
    ({"workspace_bytes": 512},
     "scale.triton.py: Triton's code of 'scale' needs a workspace of 512 bytes of global memory, such as for tensor "
     "descriptors that a kernel makes. Workspaces are not supported; use pointers."),
    ({"ptx": RECORDED.replace("[scale_param_0]", "[scale_param_3]")},
     "scale.triton.py: Triton's kernel 'scale' reads other parameters than the 3 arguments of its pair: it has 5."),
    ({"ptx": RECORDED.replace("\t.param .u32 scale_param_2,\n", "").replace("_3,\n", "_3\n").replace(
        "\t.param .u64 .ptr .global .align 1 scale_param_4\n", "").replace(
        "\t.param .u64 .ptr .global .align 1 scale_param_3\n", "")},
     "scale.triton.py: Triton's kernel 'scale' reads other parameters than the 3 arguments of its pair: it has 2."),
    ({"ptx": RECORDED.replace(".entry scale(", ".entry scales(")},
     "scale.triton.py: Triton made no kernel of 'scale'."),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "message"), REFUSED)
def test_a_kernel_that_needs_more_than_its_arguments_is_refused(parts, message, answered):
    answered(**parts)
    with pytest.raises(CompileError) as refused:
        compiled()
    assert str(refused.value) == message


@pytest.mark.usefixtures("answered")
def test_a_target_is_tried_with_its_own_code_and_all_its_shared_memory(tmp_path):
    path = tmp_path / "scale.triton.py"
    path.write_text(SCALE)
    attempted = trial.attempt(path, language="triton", entry="scale", target="sm_90", signature=SIGNATURE)
    assert (attempted.status, attempted.target, attempted.ptx_target) == (trial.ASSEMBLES, "sm_90", "sm_90a")
    assert (attempted.threads, attempted.shared_bytes) == (128, 16)
    assert attempted.log == "compiled by Triton 3.9.0"


@pytest.mark.usefixtures("answered")
def test_a_type_that_triton_lacks_is_named():
    with pytest.raises(CompileError, match=r"^k\.py: Triton has no type for the argument 'x', which is complex64\.$"):
        triton.compiled(b"", "k.py", "k", "sm_90", [("x", "complex64*")])


def test_without_triton_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(triton, "installed", lambda package: None)
    with pytest.raises(ToolMissing) as missing:
        compiled()
    assert str(missing.value) == "scale.triton.py: Triton is not installed: pip install 'ptxbench[triton]'."


def test_only_the_process_that_compiles_imports_triton():
    text = "import sys; import ptxbench.toolchain, ptxbench.cli.run; print('triton' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
