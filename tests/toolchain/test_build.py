"""From a source file to machine code and its report, with the real tools."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ptxbench import toolchain
from ptxbench.errors import PairError, SignatureMismatch, ToolMissing, UsageError
from ptxbench.toolchain import locate, nvrtc

from .conftest import CUDA, PTX


def test_cuda_c_becomes_ptx_and_machine_code_with_figures(build):
    built = build(CUDA)
    assert (built.variant, built.language, built.entry, built.arch) == ("cuda", "cuda", "scale", "sm_90")
    assert ".target sm_90" in built.ptx
    assert built.cubin[:4] == b"\x7fELF"
    assert built.report.source_sha256 == hashlib.sha256(CUDA.encode()).hexdigest()
    assert built.report.ptx_sha256 == hashlib.sha256(built.ptx.encode()).hexdigest()
    assert 0 < built.report.registers < 64
    assert (built.report.spill_store_bytes, built.report.spill_load_bytes, built.report.stack_bytes) == (0, 0, 0)
    assert built.report.shared_bytes == 0
    assert built.report.sass["LDG"] == built.report.sass["STG"] == 1
    assert built.report.occupancy is None
    assert built.report.log == ""


def test_ptx_is_assembled_unchanged(build):
    built = build(PTX, "twice")
    assert built.ptx == PTX
    assert built.report.shared_bytes == 256  # of the kernel alone: the driver's own kilobyte is not counted
    assert built.report.sass["BAR"] == built.report.sass["LDS"] == built.report.sass["STS"] == 1


def test_nvrtc_options_reach_nvrtc(build):
    divide = CUDA.replace("a * x[i]", "a / x[i]")
    assert "div.rn.f32" in build(divide).ptx
    assert "div.approx.ftz.f32" in build(divide, flags=["--use_fast_math"]).ptx


def test_a_variant_may_have_another_standard_of_cpp(build):
    standard = 'extern "C" __global__ void scale(long* x) { *x = __cplusplus; }'
    assert "201703" in build(standard).ptx
    newer = build(standard, flags=["--std=c++20"])
    assert "202002" in newer.ptx
    assert newer.report.log == ""


def test_libcudacxx_writes_out_as_many_parameters_for_nvrtc_as_for_nvcc():
    """With its 16, NVRTC takes a second longer for each file with a header of it."""
    text = b"#include <cuda/std/__type_traits/type_list.h>\nstatic_assert(_CCCL_META_UNROLL_LIMIT == 10);"
    assert nvrtc.attempt(nvrtc.find(), text, Path("lists.cu"), "sm_90", ()).log == ""


def test_the_driver_as_assembler_leaves_no_figures_of_machine_code(build):
    built = build(PTX, "twice", assembler="driver")
    assert built.ptx == PTX
    assert built.cubin is None
    assert built.report.sass_sha256 is built.report.registers is built.report.shared_bytes is None
    assert built.report.sass == {}


def test_the_ptx_is_the_same_in_every_folder(build, tmp_path):
    in_this_folder = build(CUDA).ptx
    elsewhere = tmp_path / "naïve"
    elsewhere.mkdir()
    for name, shown in (("scale.cu", "scale.cu"), ("scalé.cu", "scal\\303\\251.cu")):
        (elsewhere / name).write_text(CUDA)
        built = toolchain.build(elsewhere / name, language="cuda", variant="cuda", entry="scale", arch="sm_90")
        assert built.cubin
        assert built.ptx == in_this_folder.replace("scale.cu", shown)
    assert '.file\t1 "scale.cu"' in in_this_folder


def test_line_information_leaves_the_machine_code_as_it_is(build, monkeypatch):
    with_lines = build(CUDA)
    monkeypatch.setattr("ptxbench.toolchain.nvrtc.FLAGS", ("--std=c++17",))
    without = build(CUDA)
    assert ".loc" in with_lines.ptx
    assert ".loc" not in without.ptx
    assert with_lines.report.sass_sha256 == without.report.sass_sha256


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120"])
def test_builds_work_for_every_architecture(build, arch):
    built = build(CUDA, arch=arch)
    assert f".target {arch}" in built.ptx
    assert built.report.sass["total"] > 8


def test_the_halves_headers_are_found(build):
    built = build(
        '#include <cuda_fp16.h>\n#include <mma.h>\nextern "C" __global__ void scale(half2* x) { *x = h2exp(*x); }'
    )
    assert built.report.sass["MUFU.EX2"] == 2


def test_a_header_next_to_the_source_is_included_and_its_changes_are_noticed(build, tmp_path):
    source = '#include "steps.cuh"\nextern "C" __global__ void scale(int* x) { *x = STEP; }'
    (tmp_path / "steps.cuh").write_text('# include "step.cuh"\n')
    for step in (3, 5):
        (tmp_path / "step.cuh").write_text(f"#define STEP {step}\n")
        assert f"mov.b32 \t%r1, {step};" in build(source).ptx.replace("mov.u32", "mov.b32")


@pytest.mark.parametrize(
    "include",
    [
        '/* the step */ #include "step.cuh"',
        '/* the\n   step */ #include "step.cuh"',
        '# /**/ include /**/ "step.cuh"',
        '#inc\\\nlude "step.cuh"',
        '#include \\\n    "step.cuh"',
        '%:include "step.cuh"',
        '\f#include "step.cuh"',
        'const char* sign = "/*";\n#include "step.cuh"',
    ],
)
def test_a_header_is_found_however_its_include_is_written(build, tmp_path, include):
    source = f'{include}\nextern "C" __global__ void scale(int* x) {{ *x = STEP; }}'
    for step in (3, 5):
        (tmp_path / "step.cuh").write_text(f"#define STEP {step}\n")
        assert f"mov.b32 \t%r1, {step};" in build(source).ptx.replace("mov.u32", "mov.b32")


def test_a_header_that_is_only_asked_for_counts(build, tmp_path):
    source = """#if __has_include("steps.cuh")
#define STEP 5
#else
#define STEP 3
#endif
extern "C" __global__ void scale(int* x) { *x = STEP; }"""
    for step in (3, 5):
        assert f"mov.b32 \t%r1, {step};" in build(source).ptx.replace("mov.u32", "mov.b32")
        (tmp_path / "steps.cuh").touch()


def test_a_header_named_by_a_macro_is_never_taken_from_the_cache(build, tmp_path):
    source = '#define STEPS "step.cuh"\n#include STEPS\nextern "C" __global__ void scale(int* x) { *x = STEP; }'
    for step in (3, 5):
        (tmp_path / "step.cuh").write_text(f"#define STEP {step}\n")
        assert f"mov.b32 \t%r1, {step};" in build(source).ptx.replace("mov.u32", "mov.b32")


def test_a_warning_of_nvrtc_is_kept(build):
    log = build(CUDA.replace("const unsigned i", "int unused;\n    const unsigned i")).report.log
    assert log.startswith('scale.cu(5): warning #177-D: variable "unused" was declared but never referenced')


MISSING = [
    (CUDA.replace("scale(", "scaled("), "scale.cu has no kernel 'scale'; it has scaled. Name it 'scale'."),
    (
        CUDA.replace('extern "C" ', "").replace("scale(", "scaled("),
        "scale.cu has no kernel 'scale'; it has scaled. Declare it extern \"C\" __global__ void scale(...).",
    ),
    (
        CUDA.replace('extern "C" ', ""),
        "scale.cu: 'scale' has a C++ name. Declare it extern \"C\" __global__ void scale(...).",
    ),
    ("__device__ int x;", "scale.cu has no kernel; it needs one called 'scale'."),
    (
        CUDA.replace('extern "C"', "template <int N>"),
        "scale.cu: expected an entry 'scale', the pair's name; found only templates: 'scale'. Make one a __device__ "
        "function, and call it from a kernel 'scale' that is extern \"C\".",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), MISSING)
def test_a_file_without_the_kernel_of_its_name_is_refused_with_its_kernels(build, source, message):
    with pytest.raises(SignatureMismatch) as caught:
        build(source)
    assert str(caught.value) == message


MEANT, FORM = "Did you mean 'sm_90'?", "Write it as sm_90 or sm_90a."
UNKNOWN = [("90", MEANT), ("compute_90", MEANT), ("sm_90 -o x", FORM), ("sm_9", FORM), ("", FORM)]


@pytest.mark.parametrize(("arch", "advice"), UNKNOWN)
def test_an_unknown_architecture_is_refused(build, arch, advice):
    with pytest.raises(UsageError) as caught:
        build(PTX, "twice", arch=arch)
    assert str(caught.value) == f"Unknown architecture '{arch}'. {advice}"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PairError, match=r"^Cannot read .*gone\.ptx: No such file or directory\.$"):
        toolchain.build(tmp_path / "gone.ptx", language="ptx", variant="ptx", entry="gone", arch="sm_90")


def test_an_installed_toolkit_is_used_if_there_is_no_wheel(toolkit, tmp_path):
    """In a separate process, so that no library is loaded yet."""
    (tmp_path / "scale.cu").write_text("#include <cuda_fp16.h>\n" + CUDA)
    script = (
        "import sys; sys.modules['cuda'] = sys.modules['cuda.pathfinder'] = None\n"
        "from pathlib import Path; from ptxbench import toolchain\n"
        "made = toolchain.build(Path('scale.cu'), language='cuda', variant='cuda', entry='scale', arch='sm_90')\n"
        "print(made.report.sass['LDG'], *toolchain.versions().values())\n"
        "from ptxbench.toolchain import locate\n"
        "print(locate.nvrtc().parent.parent, *[locate.program(name).parent.parent for name in ('ptxas', 'nvdisasm')])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"CUDA_HOME": str(toolkit), "PTXBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"1 {' '.join(toolchain.versions().values())}\n{toolkit} {toolkit} {toolkit}\n"


def test_without_any_tool_cuda_c_gets_advice_and_ptx_still_works(build, no_wheels):
    with pytest.raises(
        ToolMissing, match=r"^NVRTC, which compiles CUDA C, is not installed: pip install 'ptxbench\[cu13\]'"
    ):
        build(CUDA)
    built = build(PTX, "twice")
    assert built.ptx == PTX
    assert built.cubin is None
    assert built.report.registers is None
    assert toolchain.versions() == {"nvrtc": None, "ptxas": None, "nvdisasm": None}


def test_without_nvdisasm_only_the_instructions_are_missing(build, no_wheels, monkeypatch, tmp_path, toolkit):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ptxas").symlink_to(toolkit / "bin" / "ptxas")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    built = build(PTX, "twice")
    assert built.report.registers > 0
    assert built.report.sass == {}


def test_macos_has_no_nvrtc_and_the_message_says_so(build, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert locate.nvrtc() is None
    with pytest.raises(ToolMissing, match=r"^NVIDIA makes no NVRTC for macOS"):
        build(CUDA)


def test_an_nvrtc_that_does_not_load_is_reported_without_a_traceback(build, no_wheels, monkeypatch, tmp_path):
    library = tmp_path / "lib64" / "libnvrtc.so.13"
    library.parent.mkdir()
    library.write_bytes(b"cut short")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"^NVRTC does not load: .*libnvrtc\.so\.13: file too short\."):
        build(CUDA)


def test_an_nvrtc_that_cuda_pathfinder_cannot_load_is_reported_without_a_traceback(build, monkeypatch):
    def load(name):
        raise RuntimeError(f"Failed to dlopen {name}: file too short")

    monkeypatch.setattr("cuda.pathfinder.load_nvidia_dynamic_lib", load)
    with pytest.raises(ToolMissing, match=r"^NVRTC does not load: Failed to dlopen nvrtc: file too short\. Reinstall"):
        build(CUDA)


def test_a_tool_that_does_not_start_is_named(build, no_wheels, monkeypatch, tmp_path):
    broken = tmp_path / "bin" / "ptxas"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"ptxas does not run: .*Exec format error"):
        build(PTX, "twice")
