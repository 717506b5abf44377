"""The report of ptxas, and the parts that are kept."""

from pathlib import Path

import pytest

from ptxbench import toolchain
from ptxbench.errors import AssembleError
from ptxbench.toolchain import ptxas

from .conftest import CUDA, PTX

MESSAGES = """\
ptxas info    : 302 bytes gmem, 80 bytes cmem[3]
ptxas info    : Compiling entry function 'other' for 'sm_75'
ptxas info    : Function properties for other
    40 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 24 registers, used 3 barriers, 40 bytes cumulative stack size, 1056 bytes smem, 360 bytes cmem[0]
ptxas info    : Compile time = 12.513 ms
ptxas info    : Function properties for __internal_trig_reduction_slowpathd
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register requirements.
ptxas info    : Compiling entry function 'k' for 'sm_75'
ptxas info    : Function properties for k
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 1 registers
ptxas warning : Stack size for entry function 'k' cannot be statically determined"""

PRESSED = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry pressed(
    .param .u64 x
)
.maxntid 64, 1, 1
.maxnreg 24
{{
    .reg .u64  %x;
    .reg .f32  %f<40>;

    ld.param.u64        %x, [x];
    cvta.to.global.u64  %x, %x;
{loads}
    bar.sync            0;
{stores}
    ret;
}}
"""


def test_the_figures_belong_to_the_requested_entry():
    assert ptxas.resources(MESSAGES, "other") == ptxas.Resources(24, 40, 8, 12, 1056, 3)
    assert ptxas.resources(MESSAGES, "k") == ptxas.Resources(1, 0, 0, 0, 0, 0)
    assert ptxas.resources(MESSAGES, "absent") is None


def test_warnings_and_ignored_directives_are_kept_and_statistics_are_not():
    assert ptxas.notable(MESSAGES, PTX, Path("k.ptx"), "ptx") == (
        "ptxas info    : (C7508) Potential Performance Loss: 'setmaxnreg' ignored to maintain minimum register "
        "requirements.\nptxas warning : Stack size for entry function 'k' cannot be statically determined"
    )


def test_a_warning_of_ptxas_has_the_line_of_the_file(build):
    log = build(PTX.replace(".maxntid 64, 1, 1", ".minnctapersm 2"), "twice").report.log
    assert log == (
        "ptxas twice.ptx:30; warning : .minnctapersm is ignored when neither .maxntid nor .reqntid is specified."
    )


def test_a_message_about_the_ptx_of_cuda_c_has_the_line_of_the_cuda_c():
    """.loc names the line; the PTX is not a file of the user."""
    ptx = '.entry k {\n\t.loc\t2 7 5\n\tmov.u32 %r1, 1;\n\t.loc\t1 900 1\n}\n\t.file\t1 "h.cuh"\n\t.file\t2 "k.cu"\n'
    message = "ptxas kernel.ptx, line 3; warning : something"
    assert ptxas.notable(message, ptx, Path("k.cu"), "cuda") == "ptxas k.cu:7; warning : something"


def test_spills_of_a_kernel_that_is_short_of_registers_are_reported(build):
    text = PRESSED.format(
        loads="\n".join(f"    ld.global.f32 %f{i}, [%x+{4 * i}];" for i in range(40)),
        stores="\n".join(f"    st.global.f32 [%x+{4 * i}], %f{39 - i};" for i in range(40)),
    )
    report = build(text, "pressed").report
    assert report.registers == 24
    assert report.spill_store_bytes > 0
    assert report.spill_load_bytes >= report.spill_store_bytes
    assert report.stack_bytes >= report.spill_store_bytes
    assert report.sass["STL"] + report.sass.get("STL.64", 0) + report.sass.get("STL.128", 0) > 0


def test_a_setmaxnreg_that_ptxas_drops_is_in_the_log(build):
    text = PTX.replace("6.3", "8.0").replace("sm_75", "sm_90a")
    text = text.replace(
        "    mov.u32              %thread", "    setmaxnreg.inc.sync.aligned.u32 240;\n    mov.u32 %thread"
    )
    log = build(text, "twice", arch="sm_90a").report.log
    assert "C7508" in log or "setmaxnreg" in log
    assert "kernel.ptx" not in log


def test_each_of_two_kernels_in_a_file_gets_its_own_figures(build):
    two = (
        CUDA + 'extern "C" __global__ void big(double* x) { __shared__ double s[512]; s[threadIdx.x] = *x; *x = s[7]; }'
    )
    assert build(two).report.shared_bytes == 0
    assert build(two, "big").report.shared_bytes == 4096


@pytest.mark.parametrize("type", ["pred", "u16"])
def test_a_parameter_that_no_function_may_have_is_named_with_its_line(tmp_path, type):
    path = tmp_path / "k.ptx"
    path.write_text(
        ".version 8.0\n.target sm_80\n.address_size 64\n"
        f".func f(\n    .reg .u32 %n,\n    .reg .{type} %p)\n{{ ret; }}\n"
        f".visible .entry k()\n{{\n.reg .u32 %n;\n.reg .{type} %p;\ncall f, (%n, %p);\nret;\n}}\n"
    )
    with pytest.raises(AssembleError, match=r"^k\.ptx:6: In ABI compilation, passing predicate, 8-bit and 16-bit "):
        toolchain.build(path, language="ptx", variant="ptx", entry="k", arch="sm_80")
