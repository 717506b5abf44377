"""Sources that the tools refuse: each message names the file and the line, what was found and what to do."""

import re
import sys
from pathlib import Path

import pytest

from ptxbench.containment.nvrtc_library import MOST_CHARACTERS, Library
from ptxbench.errors import AssembleError, CompileError, KernelError, PairError, TargetMismatch, ToolMissing, UsageError
from ptxbench.toolchain import cuda_c, locate, nvrtc, ptxas, unknown_names

from .conftest import CUDA, PTX

BAD_CUDA = [
    (  # an error has the line of the file
        CUDA.replace("a * x[i]", "a * x[j]"),
        'scale.cu:7: identifier "j" is undefined. ',
    ),
    (  # a header's line is the header's
        '#include "none.cuh"\n' + CUDA,
        'scale.cu:1: cannot open source file "none.cuh" (no such file). ',
    ),
    (  # at most three, and how many more
        CUDA.replace("a * x[i]", "p + q + r + s"),
        'scale.cu:7: identifier "p" is undefined; scale.cu:7: identifier "q" is undefined; '
        'scale.cu:7: identifier "r" is undefined and 1 more. ',
    ),
]  # fmt: skip


REMOVED = [
    ("__builtin_ctz(a)", "instead of __builtin_ctz, which kernels cannot call, use __ffs(x) - 1"),
    ("__shfl_down(a, 1)", "CUDA no longer has, use __shfl_down_sync, with a mask of lanes first"),
    ("__ballot(a > 0)",   "use __any_sync, __all_sync or __ballot_sync, with a mask of lanes first"),  # by ptxas
]  # fmt: skip


def test_a_long_line_is_not_quoted_whole_in_the_log():
    source = b"/*" + b"-" * 2 * MOST_CHARACTERS + b"*/ __device__ int a = b;"
    log = Library(nvrtc.find()).compile(source, "a.cu", ())[2]
    assert log.startswith('a.cu(1): error: identifier "b" is undefined\n')
    assert max(map(len, log.splitlines())) == MOST_CHARACTERS


@pytest.mark.parametrize(("expression", "advice"), REMOVED)
def test_a_function_of_cuda_that_was_unknown_names_its_successor(build, expression, advice):
    with pytest.raises(KernelError) as caught:
        build(CUDA.replace("a * x[i]", f"{expression} + {expression}"))
    assert advice in str(caught.value)
    assert len(re.findall(r"scale\.cu:7: ", str(caught.value))) == 1  # the same message twice is shown once


LOGS = [
    ('namespace "cub" has no member "Max"', "instead of cub::Max, which CUDA no longer has, use cuda::maximum<>{}, "
                                            "from <cuda/functional>"),
    ('namespace "thrust" has no member class "unary_function"', "instead of thrust::unary_function, which CUDA no "
                                                                "longer has, use no base class"),
    ("texture is not a template", "instead of texture references, which CUDA no longer has, use a pointer to the "
                                  "array"),
    ('identifier "mine" is undefined\nk.cu(2): error: identifier "CUB_MIN" is undefined',
     "instead of CUB_MIN, which CUDA no longer has, use min"),
    ('identifier "FLT_MAX" is undefined', "add #include <cfloat>, which has FLT_MAX"),
    ('identifier "__float2half_rn" is undefined', "add #include <cuda_fp16.h>, which has __float2half_rn"),
    ('incomplete type "const __nv_bfloat16" is not allowed', "add #include <cuda_bf16.h>, which has __nv_bfloat16"),
    ('namespace "cuda::std" has no member "numeric_limits"', "add #include <cuda/std/limits>, which has "
                                                             "cuda::std::numeric_limits"),
    ('identifier "concept" is undefined', "compile it as C++20, with the option --std=c++20"),
    ("explicit lambda template parameters are a C++20 feature",
     "compile it as C++20, with the option --std=c++20"),
    ('identifier "half_size" is undefined', ""),
    ('identifier "mine" is undefined', ""),
    ('namespace "mine" has no member "Max"', ""),
]  # fmt: skip


@pytest.mark.parametrize(("message", "advice"), LOGS)
def test_a_name_that_is_removed_or_of_a_header_is_found_in_the_log_of_a_compiler(message, advice):
    assert unknown_names.advice(f"k.cu(1): error: {message}\n") == advice


@pytest.mark.parametrize(("source", "message"), BAD_CUDA)
def test_cuda_c_that_does_not_compile_is_reported_by_its_lines(build, source, message):
    with pytest.raises(CompileError) as caught:
        build(source)
    shown = re.sub(
        r"(cannot|could not) open (source file \S+).*?\. (?=NVRTC)",
        r"cannot open \2 (no such file). ",
        str(caught.value),
    )
    todo = "correct the CUDA C there"
    if "none.cuh" in source:
        todo = "name the folder of none.cuh with -I, or move the kernels to a file that does not include it"
    assert re.sub(r"\d+\.\d+\.\d+", "V", shown) == f"{message}NVRTC V cannot compile this for sm_90; {todo}."


def test_asm_in_cuda_c_that_ptxas_refuses_is_reported_by_its_cuda_c_line(build):
    with pytest.raises(AssembleError) as caught:
        build(CUDA.replace("y[i] = a * x[i];", 'asm("fadd.f32 %0, %0, %1;" : "+f"(y[i]) : "f"(a));'))
    assert str(caught.value).startswith("scale.cu:7: Not a name of any known instruction: 'fadd'. ptxas ")


@pytest.mark.parametrize(
    ("instruction", "advice"),
    [("wgmma.fence.sync.aligned", "sm_90a has it: --arch sm_90a"), ("fadd", "correct it there")],
)
def test_an_instruction_of_one_architecture_names_its_target(build, instruction, advice):
    with pytest.raises(AssembleError, match=rf"refuses this for sm_90; {advice}\.$"):
        build(CUDA.replace("y[i] = a * x[i];", f'asm("{instruction};");'))


def test_an_option_that_nvrtc_does_not_know_is_an_error_of_the_pair(build):
    with pytest.raises(
        PairError, match=r"refuses an option: .*--fast_maths.*\. scale\.cu is compiled with --fast_maths\."
    ):
        build(CUDA, flags=["--fast_maths"])


NO_FLAGS = [
    ("--maxrregcount=32",      "It is for ptxas"),
    ("-maxrregcount=32",       "It is for ptxas"),
    ("--ptxas-options=-O1",    "It is for ptxas"),
    ("-arch=compute_80",       "The run sets the architecture"),
    ("-dlto",                  "It makes NVRTC write no PTX"),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "why"), NO_FLAGS)
def test_an_option_that_would_change_nothing_or_the_target_is_refused(build, flag, why):
    with pytest.raises(PairError, match=rf"^scale\.cu cannot be compiled with {flag}\. {why}"):
        build(CUDA, flags=[flag])


@pytest.mark.parametrize(("text", "entry"), [(CUDA, "scale"), (PTX, "twice")])
def test_an_architecture_that_the_tools_do_not_know_is_a_usage_error(build, text, entry):
    with pytest.raises(UsageError, match=r"sm_35.*name another with --arch"):
        build(text, entry, arch="sm_35")


@pytest.mark.parametrize("arch", ["sm_80a", "sm_90f"])
def test_a_suffix_that_an_architecture_does_not_have_is_a_usage_error(tmp_path, arch):
    with pytest.raises(UsageError, match=rf"NVRTC .* cannot compile for '{arch}'; name another with --arch\.$"):
        cuda_c.translate(b"__global__ void k() {}", tmp_path / "k.cu", arch, ())


BAD_PTX = [
    (  # every error has its line
        PTX.replace("bar.sync ", "baz.sync ").replace("%other, [%slot]", "%others, [%slot]"),
        "twice.ptx:25: Not a name of any known instruction: 'baz'; twice.ptx:26: ",
    ),
    (  # PTX newer than ptxas
        PTX.replace("6.3", "99.9"),
        "twice.ptx:3: Unsupported .version 99.9; current version is '",
    ),
    (  # a feature that the .target has not got: assembled for a newer architecture all the same
        PTX.replace("bar.sync             0;", "cp.async.wait_all;"),
        "twice.ptx:25: ",
    ),
    (  # no line, because ptxas gives none
        PTX.replace("values[64]", "values[64000]"),
        "twice.ptx: Entry function 'twice' uses too much shared data (0x3e800 bytes, 0xc000 max). ",
    ),
    (  # the line is in a warning
        PTX.replace("ld.shared.f32 ", "ld.global.f32 "),
        "twice.ptx:26: The address has 32 bits, but .address_size is 64. ptxas ",
    ),
    (
        PTX.replace(".address_size 64", ".address_size 32"),
        "twice.ptx:5: The text has .address_size 32, and ptxas makes code with 64-bit addresses only. Compile its "
        "source for 64 bits, or write .address_size 64 and make all addresses .u64. ptxas ",
    ),
    ("", "twice.ptx:1: Missing .version directive at start of file"),
    ("hello\n", "twice.ptx:1: Missing .version directive at start of file"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), BAD_PTX)
def test_ptx_that_ptxas_refuses_is_reported_by_its_lines(build, source, message):
    with pytest.raises(AssembleError) as caught:
        build(source, "twice", language="ptx")
    assert str(caught.value).startswith(message)
    assert re.search(r"\. ptxas \d+\.\d+\.\d+ refuses this for sm_90; correct it there\.$", str(caught.value))
    assert "kernel.ptx" not in str(caught.value)


NOT_ASCII = [
    ("// twice", "tw\u200bice", "twice.ptx:1: column 3 is U+200B (ZERO WIDTH SPACE), which is not ASCII. "),
    ("%other, [%slot]", "%øther, [%slot]",
     "twice.ptx:26: column 27 is 'ø' (U+00F8, LATIN SMALL LETTER O WITH STROKE), which is not ASCII. "),
    ("ret;", b'.pragma "// \xff"; ret;', "twice.ptx:29: column 17 is byte 0xff, which is not ASCII. "),
]  # fmt: skip


@pytest.mark.parametrize("tools", ["wheels", "none"])
@pytest.mark.parametrize(("old", "new", "message"), NOT_ASCII)
def test_ptx_that_is_not_ascii_is_refused_with_line_and_column_with_or_without_ptxas(
    build, request, tools, old, new, message
):
    if tools == "none":
        request.getfixturevalue("no_wheels")
    text = PTX.encode().replace(old.encode(), new if isinstance(new, bytes) else new.encode())
    with pytest.raises(AssembleError) as caught:
        build(text, "twice", language="ptx")
    assert str(caught.value) == f"{message}PTX may have it in comments only; replace it."


def test_comments_may_have_any_character(build):
    text = PTX.replace("// twice", "// twïce — 2·x").replace("ret;", "ret; /* \u201cdone\u201d\n\u00a0*/ // \x1b")
    assert build(text + "// caf\u00e9", "twice", language="ptx").cubin == build(PTX, "twice", language="ptx").cubin


MISMATCHES = [
    ("8.0", "sm_90a",  "sm_90"),   # more than plain sm_90
    ("8.0", "sm_90a",  "sm_100"),  # the "a" of one architecture is for no other
    ("7.0", "sm_80",   "sm_75"),   # a newer one
    ("8.8", "sm_100f", "sm_120"),  # another family
]  # fmt: skip


@pytest.mark.parametrize(("version", "target", "arch"), MISMATCHES)
def test_a_target_that_the_architecture_cannot_take_is_a_mismatch_and_not_an_error_of_the_kernel(
    build, version, target, arch
):
    text = PTX.replace("6.3", version).replace("sm_75", target)
    with pytest.raises(TargetMismatch) as caught:
        build(text, "twice", arch=arch)
    assert re.fullmatch(
        rf"twice\.ptx:4: needs {target}; ptxas \d+\.\d+\.\d+ cannot assemble it for {arch}\.", str(caught.value)
    )


FITS = [
    ("8.0", "sm_90a",  "sm_90a"),
    ("8.8", "sm_100f", "sm_103"),  # of one family
    ("6.0", "sm_60",   "sm_90"),   # PTX without a suffix goes forward
]  # fmt: skip


@pytest.mark.parametrize(("version", "target", "arch"), FITS)
def test_a_target_that_the_architecture_can_take_is_assembled(build, version, target, arch):
    assert build(PTX.replace("6.3", version).replace("sm_75", target), "twice", arch=arch).cubin


def test_an_nvrtc_newer_than_ptxas_is_an_error_of_the_installation():
    """The message is ptxas 13.0's on the PTX of NVRTC 13.5."""
    messages = (
        "ptxas kernel.ptx, line 9; fatal   : Unsupported .version 9.5; current version is '9.0'\n"
        "ptxas fatal   : Ptx assembly aborted due to errors"
    )
    error = ptxas.explain(messages, ".version 9.5\n.target sm_90\n", Path("scale.cu"), "cuda", "sm_90", "ptxas 13.0.88")
    assert isinstance(error, ToolMissing)
    assert str(error).startswith(
        "NVRTC is newer than ptxas 13.0.88, which cannot read its PTX: "
        "Unsupported .version 9.5; current version is '9.0'. Install both of one CUDA version: "
        "pip install 'ptxbench[cu13]'"
    )


def test_a_ptxas_that_never_ends_is_stopped(build, no_wheels, monkeypatch, tmp_path):
    stuck = tmp_path / "bin" / "ptxas"
    stuck.parent.mkdir()
    stuck.write_text(
        f"#!{sys.executable}\nimport sys, time\n"
        "print('release 13.0, V13.0.88') if '--version' in sys.argv else time.sleep(60)\n"
    )
    stuck.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(ptxas, "SECONDS", 0.2)
    with pytest.raises(
        AssembleError, match=r"^twice\.ptx: ptxas 13\.0\.88 produced no cubin of it for sm_80: stopped after 0\.2 s"
    ):
        build(PTX, "twice", arch="sm_80")


def test_a_ptxas_that_dies_is_reported_with_its_status(build, no_wheels, monkeypatch, tmp_path):
    dying = tmp_path / "bin" / "ptxas"
    dying.parent.mkdir()
    dying.write_text('#!/bin/sh\n[ "$1" = --version ] && echo V13.0.88 || kill -SEGV $$\n')
    dying.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(
        AssembleError, match=r"produced no cubin of it for sm_80: ended with status -11 without a message\.$"
    ):
        build(PTX, "twice", arch="sm_80")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_text_that_exhausts_the_memory_of_ptxas_is_abandoned_immediately():
    declarations = "\n".join(f".reg .u32 r{i}_<100000>;" for i in range(3000))
    text = PTX.replace("{", f"{{\n{declarations}\n", 1)
    with pytest.raises(ptxas.StoppedError, match=r"^needs more than 1,024 MiB of memory for it$"):
        ptxas.assemble(locate.program("ptxas"), text, "sm_80", memory_bytes=1 << 30)


def test_ptxas_is_not_run_on_a_declaration_of_too_many_registers(build, monkeypatch):
    monkeypatch.setattr(ptxas, "run", None)
    text = PTX.replace("{", "{\n    .reg .u32 r<2147483647>;", 1)
    line = text.count("\n", 0, text.index("2147483647")) + 1
    message = rf"produced no cubin of it for sm_80: is not run on 2147483647 registers .*\(line {line}\); expected at"
    with pytest.raises(AssembleError, match=message):
        build(text, "twice", arch="sm_80")


DOT = b'extern "C" __global__ void dot(const int* x, int* y) { *y = __dp4a(x[0], x[1], x[2]); }'
SUM = b'extern "C" __global__ void sum(const int* x, int* y) { for (int i = 0; i < 4; ++i) *y += x[i]; }'


BY_VALUE = b"""
struct Rows { const float* data; int steps[2]; };
extern "C" __global__ void by_value(const __grid_constant__ Rows rows, float* y)
{
    y[threadIdx.x] = rows.data[threadIdx.x * rows.steps[1]];
}
"""


@pytest.mark.parametrize("flag", ["-G", "--device-debug"])
def test_a_text_with_debugging_information_does_not_change_the_code_of_the_next_one(tmp_path, flag):
    """With -G, NVRTC's back end before sm_100 does not know dp4a."""

    def compiled(source, *flags):
        return nvrtc.attempt(nvrtc.find(), source, tmp_path / "k.cu", "sm_90", flags)

    before = compiled(SUM), compiled(BY_VALUE)
    assert "cvta.param" not in before[1].ptx
    assert compiled(BY_VALUE, flag).ptx.count(".section") > 2
    assert compiled(DOT, flag).log == "Error: unsupported operation"
    assert (compiled(SUM), compiled(BY_VALUE)) == before
