"""`ptxbench exec` through the command line: its output, saved files and exit status."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from ptxbench.cli import _progress
from ptxbench.emulator import native
from tests.folders import CUDA, PTX, changed

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"
ARGS = ("--arg", "f32[1000]=iota", "--arg", "f32[1000]=nan", "--arg", "f32=2.5", "--arg", "u32=1000")
LAUNCH = ("--grid", "8", "--block", "128")

CPP = """\
template <typename T> __global__ void twice(T* x) { x[threadIdx.x] *= 2; }
template __global__ void twice<float>(float*);
struct Point { float x, y; int n; };
__global__ void look(Point point, float* out) { out[0] = point.x; out[1] = point.y; out[2] = point.n; }
"""

RACY = (
    HEADER
    + """\
.visible .entry racy(.param .u64 out)
{
    .reg .u32  %t, %slot, %other, %v;
    .reg .u64  %out;
    .shared .u32 tile[64];
    mov.u32         %t, %tid.x;
    mov.u32         %slot, tile;
    mad.lo.u32      %slot, %t, 4, %slot;
    st.shared.u32   [%slot], %t;
    xor.b32         %other, %slot, 128;
    ld.shared.u32   %v, [%other];
    ld.param.u64    %out, [out];
    mad.wide.u32    %out, %t, 4, %out;
    st.global.u32   [%out], %v;
    ret;
}
"""
)

ENDLESS = HEADER + ".visible .entry spin()\n{\nAGAIN:\n    bra AGAIN;\n}\n"
NOTHING = HEADER + ".visible .entry nothing()\n{\n    ret;\n}\n"
UNKNOWN = (
    HEADER
    + """\
.visible .entry texture(.param .u64 t)
{
    .reg .u64 %t;
    .reg .f32 %a, %b, %c, %d, %x;
    ld.param.u64 %t, [t];
    mov.f32 %x, 0f00000000;
    tex.1d.v4.f32.f32 {%a, %b, %c, %d}, [%t, {%x}];
    ret;
}
"""
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with scale.ptx and scale.cu, which is the current one; output 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scale.ptx").write_text(PTX)
    (tmp_path / "scale.cu").write_text(CUDA)
    return tmp_path


@pytest.fixture
def execute(folder, ptxbench):
    """Runs `ptxbench exec ... --json`: the exit status and the document."""

    def execute(*arguments):
        ran = ptxbench("exec", *arguments, "--json")
        assert ran.err == ""
        return ran.status, json.loads(ran.out)

    return execute


def one(document):
    [kernel] = document["kernels"]
    return kernel


@pytest.mark.parametrize("file", ["scale.ptx", "scale.cu"])
def test_a_kernel_runs_and_its_results_and_counts_are_printed(execute, file):
    status, document = execute(file, *LAUNCH, *ARGS)
    kernel = one(document)
    assert (status, kernel["status"], kernel["error"]) == (0, "clean", None)
    x, y = kernel["arrays"]
    assert (x["changed"], y["changed"]) == (False, True)
    assert (y["type"], y["shape"], y["nan"]) == ("f32", [1000], 0)
    assert (y["min"], y["max"], y["mean"]) == (0.0, 2497.5, 1248.75)
    assert y["first"] == [0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5]
    assert kernel["counters"]["ptx_global_store_sectors"] == 125
    executed = {line["text"]: line["counters"]["ptx_warp_instructions"] for line in kernel["lines"]}
    assert all(count == 32 for count in executed.values())
    assert sum(executed.values()) == kernel["counters"]["ptx_warp_instructions"]
    [store] = [text for text in executed if "st.global" in text]
    assert re.search(r"st\.global\.f32\s+\[%\w+\], %\w+;", store)


def test_arrays_counts_and_lines_are_printed(folder, ptxbench):
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS, "--lines", "2")
    assert (ran.status, ran.err) == (0, "")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert lines[0] == "scale  scale.ptx  sm_75, grid 8, block 128"
    assert lines[2].split() == ["changed", "holds", "min", "max", "mean", "NaN", "first", "values"]
    assert lines[4] == "y        f32[1000]    0  2497.5  1248.75    0  0 2.5 5 7.5 10 12.5 15 17.5"
    assert lines[5] == "unchanged: x"
    assert "  125  ptx_global_store_sectors              32-byte sectors touched by global stores." in "\n".join(lines)
    assert "ptx_shared" not in ran.out, "what is 0 is not shown"
    table = lines[lines.index(next(line for line in lines if line.startswith("line "))) :]
    assert table[0].split() == ["line", "executed", "lanes", "PTX", "cost"]
    assert [row.split()[1:4] for row in table[2:4]] == [["32", "100", "%"]] * 2
    [executed] = [line for line in lines if line.startswith("Warps execute ")]
    assert re.fullmatch(r"Warps execute [\d,]+ machine instructions\.", executed)
    assert re.fullmatch(r"\d+ more executed lines; --lines all shows them\.", table[4])


@pytest.mark.parametrize("columns", [80, 100])
def test_nothing_is_wider_than_the_terminal(folder, ptxbench, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS, "--lines", "all")
    assert max(map(len, ran.out.splitlines())) <= columns
    assert "y        f32[1000]    0  2497.5  1248.75    0  0 2.5" in ran.out, "numbers give way to nothing"


SPLIT = """
.visible .entry split(.param .u64 x, .param .u32 parts)
{
.reg .u64 %x; .reg .u32 %i, %parts, %some; .reg .pred %p;
mov.u32 %i, %tid.x;
ld.param.u32 %parts, [parts];
ld.param.u64 %x, [x];
mad.wide.u32 %x, %i, 4, %x;
setp.ge.u32 %p, %i, %parts;
@%p bra LATER;
st.global.u32 [%x], %i;
LATER: ret;
}
"""


def test_machine_instructions_are_those_that_the_code_has_for_each_warp(folder, ptxbench):
    """Straight-line code: every warp executes all its instructions up to the EXIT."""
    (folder / "all.ptx").write_text(HEADER + SPLIT)
    launch = ("--block", "64", "--arg", "x:u32[64]=zeros", "--arg", "parts:u32=64", "--json")
    [kernel] = json.loads(ptxbench("exec", "all.ptx", *launch).out)["kernels"]
    shown = json.loads(ptxbench("show", "all.ptx", "--json").out)["variants"][0]["sass"]
    code = [entry["text"] for entry in shown]
    last = max(index for index, text in enumerate(code) if text.endswith("EXIT"))
    assert kernel["executed"] == {
        "least": 2 * (last + 1), "most": 2 * (last + 1), "fit": 2 * (last + 1), "whole": True, "anchors_off": 0,
        "reason": None,
    }  # fmt: skip


def test_no_machine_instructions_are_counted_for_a_stopped_kernel(folder, ptxbench):
    [kernel] = json.loads(ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS[:-1], "u32=4000", "--json").out)["kernels"]
    assert (kernel["status"], kernel["executed"]) == ("fault", None)


def test_lines_come_most_executed_first_or_as_in_the_file(folder, ptxbench):
    (folder / "loop.ptx").write_text(
        HEADER + ".visible .entry loop()\n{\n.reg .u32 %i;\n.reg .pred %p;\nmov.u32 %i, 0;\nNEXT:\n"
        "add.u32 %i, %i, 1;\nsetp.lt.u32 %p, %i, 5;\n@%p bra NEXT;\nret;\n}\n"
    )
    counted = {}
    for order in ("count", "file"):
        out = ptxbench("exec", "loop.ptx", "--sort", order, "--lines", "4").out
        table = out[out.index("\nline ") :].splitlines()
        counted[order] = [tuple(map(int, row.split()[:2])) for row in table[3:7]]
    assert counted["count"] == [(10, 5), (11, 5), (12, 5), (8, 1)]
    assert counted["file"] == sorted(counted["count"])


def test_only_terminals_get_colour(folder, ptxbench, monkeypatch):
    plain = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS).out
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;36mscale" in ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "36m" not in ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS).out


def test_an_array_is_saved_by_name_or_index(folder, ptxbench):
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS, "--save", "y=y.npy", "--save", "0=x.npy")
    assert (ran.status, ran.err) == (0, "")
    assert np.load("x.npy").tobytes() == np.arange(1000, dtype=np.float32).tobytes()
    assert np.load("y.npy").tobytes() == (np.arange(1000, dtype=np.float32) * np.float32(2.5)).tobytes()


def test_an_array_for_which_the_disk_has_no_space_is_an_error_with_its_reason(folder, ptxbench, monkeypatch):
    def save(path, array):
        raise OSError("1000 requested and 0 written")  # what NumPy raises; it has no number

    monkeypatch.setattr(np, "save", save)
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS, "--save", "y=y.npy")
    assert (ran.status, ran.err) == (2, "Error: Cannot write y.npy: 1000 requested and 0 written.\n")


def test_a_saved_array_can_be_an_argument(execute, ptxbench):
    ptxbench("exec", "scale.cu", *LAUNCH, "--arg", "x:f32[1000]=iota", "--arg", "y:f32[1000]=0", *ARGS[4:],
             "--save", "y=y.npy")  # fmt: skip
    status, document = execute("scale.ptx", *LAUNCH, "--arg", "y.npy", *ARGS[2:])
    assert status == 0
    assert one(document)["arrays"][1]["max"] == 999 * 2.5 * 2.5


def test_a_fault_names_the_line_and_shows_it(folder, ptxbench):
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS[:2], "--arg", "f32[999]=0", *ARGS[4:])
    assert ran.status == 4
    line = next(n for n, text in enumerate(PTX.splitlines(), 1) if "st.global" in text)
    fault = " ".join(ran.out.split())
    assert f"MemoryFault: scale.ptx:{line}: st.global.f32 by thread 103 of CTA 7 writes byte 3996 of 'y'" in fault
    assert re.search(rf"> {line} \|\s+st\.global\.f32", fault)


def test_of_a_long_line_only_the_beginning_is_shown(folder, ptxbench):
    (folder / "scale.ptx").write_text(re.sub(r"(?=\n.*st\.global)", " /*" + "x" * 50_000 + "*/", PTX))
    for last in ("1000", "999"):  # without a fault, and with one whose line is quoted with those around it
        ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS[:2], "--arg", f"f32[{last}]=0", *ARGS[4:], "--lines", "all")
        assert 300 < ran.out.count("x" * 10) * 10 + 50 < 600
        assert "…" in ran.out


def test_a_stopped_kernel_saves_nothing(folder, ptxbench):
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS[:2], "--arg", "f32[999]=0", *ARGS[4:], "--save", "y=y.npy")
    assert ran.status == 4
    assert not (folder / "y.npy").exists()


def test_an_endless_loop_runs_out_of_fuel(folder, ptxbench):
    (folder / "spin.ptx").write_text(ENDLESS)
    ran = ptxbench("exec", "spin.ptx", "--max-loop-iterations", "1000")
    assert ran.status == 4
    assert "FuelExhausted: spin.ptx:" in ran.out


def test_an_unsupported_instruction_gives_no_verdict(folder, ptxbench):
    (folder / "texture.ptx").write_text(UNKNOWN)
    ran = ptxbench("exec", "texture.ptx", "--arg", "null")
    assert ran.status == 5
    assert "UnsupportedInstruction: texture.ptx:10:" in ran.out


def test_the_sanitizer_finds_a_race(folder, ptxbench, execute):
    (folder / "racy.ptx").write_text(RACY)
    arguments = ("racy.ptx", "--block", "64", "--arg", "u32[64]=zeros", "--sanitize")
    status, document = execute(*arguments)
    assert (status, one(document)["status"]) == (4, "finding")
    finding = next(finding for finding in one(document)["findings"] if finding["kind"] == "race")
    assert finding["line"] == next(n for n, text in enumerate(RACY.splitlines(), 1) if "st.shared" in text), (
        "the other warp has read"
    )
    out = ptxbench("exec", *arguments).out
    assert f"race: racy.ptx:{finding['line']}: st.shared.u32" in " ".join(out.split())
    assert re.search(rf"> {finding['line']} \|\s+st\.shared\.u32", out)
    assert "ptx_shared_load_requests" in out, "a finding leaves the counts standing"


def test_ctas_whose_order_matters_run_by_rank_and_the_reason_is_reported(folder, ptxbench, execute):
    (folder / "racy.ptx").write_text(RACY)
    arguments = ("racy.ptx", "--block", "64", "--arg", "u32[64]=zeros")
    line = next(n for n, text in enumerate(RACY.splitlines(), 1) if "st.global" in text)
    reason = f"racy.ptx:{line}: st.global.u32 of CTA 1 writes byte 0 of 'out', which another CTA has written"
    for grid, threads, order in (("2", "1", "ascending"), ("2", "2", "ascending"), ("1", "2", "any")):
        kernel = one(execute(*arguments, "--grid", grid, "--threads", threads)[1])
        assert (kernel["order"], kernel["order_reason"]) == (order, reason if order == "ascending" else None)
    assert f"order matters: {reason.replace('line ', 'racy.ptx:')}." in " ".join(
        ptxbench("exec", *arguments, "--grid", "2").out.split()
    )
    assert "order matters" not in ptxbench("exec", *arguments, "--grid", "1").out


def test_a_kernel_is_called_clean_only_if_the_sanitizer_checked_it(folder, ptxbench):
    sentence = "The sanitizer found nothing for this input."
    assert sentence in ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS, "--sanitize").out
    assert sentence not in ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS).out


UNORDERED = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry unordered() { .reg .b32 %lanes; activemask.b32 %lanes; ret; }
"""


def test_a_check_that_was_not_made_is_noted_and_the_kernel_not_called_clean(folder, ptxbench, execute):
    (folder / "unordered.ptx").write_text(UNORDERED)
    arguments = ("unordered.ptx", "--block", "64", "--sanitize")
    missing = "second schedule inconclusive: line 5 uses activemask.b32, whose results may depend on the order"
    out = " ".join(ptxbench("exec", *arguments).out.split())
    assert f"No finding, but not every check was made: - {missing}." in out
    assert "found nothing" not in out
    status, document = execute(*arguments)
    assert (status, one(document)["notes"], one(document)["unchecked"]) == (0, [missing], [missing])
    (folder / "scale.cu").unlink()
    (folder / "scale.ptx").unlink()
    out = " ".join(ptxbench("exec", ".", "--block", "64", "--sanitize").out.split())
    assert f"Not every check was made: - unordered: {missing}." in out


PRODUCT = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry product(.param .u64 d)
{
    .reg .b32 %a, %b;
    .reg .f32 %d<4>;
    .reg .b64 %at;
    mov.b32 %a, 0x3c003c00;
    mov.b32 %b, 0x3c003c00;
    mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%d0, %d1, %d2, %d3}, {%a, %a}, {%b}, {%d0, %d1, %d2, %d3};
    ld.param.u64 %at, [d];
    st.global.f32 [%at], %d0;
    ret;
}
"""


def test_matrix_arithmetic_is_reported_as_a_model(folder, ptxbench, execute):
    (folder / "product.ptx").write_text(PRODUCT)
    arguments = ("product.ptx", "--arg", "f32[1]=zeros", "--arch", "sm_80")
    note = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32: adds up by a model of sm_80, which reproduces recorded"
    assert note in " ".join(ptxbench("exec", *arguments).out.split())
    _, document = execute(*arguments)
    assert one(document)["notes"] == [f"{note} hardware results"]


def test_a_cpp_name_finds_its_mangled_kernel_and_a_struct_is_passed_as_bytes(folder, execute):
    (folder / "cpp.cu").write_text(CPP)
    status, document = execute("cpp.cu", "--entry", "twice", "--arg", "f32[32]=iota")
    assert (status, one(document)["arrays"][0]["first"][:3]) == (0, [0.0, 2.0, 4.0])
    point = np.array([(1.5, 2.5, 7)], dtype=[("x", "f4"), ("y", "f4"), ("n", "i4")])
    np.save("point.npy", point)
    status, document = execute("cpp.cu", "--entry", "look", "--block", "1", "--arg", "point.npy", "--arg", "f32[3]=0")
    assert (status, one(document)["arrays"][0]["first"]) == (0, [1.5, 2.5, 7.0])


def test_an_option_of_nvrtc_changes_the_ptx(folder, execute):
    (folder / "exp.cu").write_text(
        'extern "C" __global__ void e(float* x) { x[threadIdx.x] = expf(x[threadIdx.x]); }\n'
    )
    counted = []
    for flags in ((), ("--flag", "--use_fast_math")):
        status, document = execute("exp.cu", "--arg", "f32[32]=iota", *flags)
        assert status == 0
        counted.append(one(document)["counters"]["ptx_warp_instructions"])
    assert counted[1] < counted[0]


def test_the_output_of_printf_is_shown(folder, ptxbench, execute):
    (folder / "hello.cu").write_text(
        'extern "C" __global__ void hello() { printf("hello [b]%d[/b]\\n", threadIdx.x); }\n'
    )
    assert "printed\nhello [b]0[/b]\n" in ptxbench("exec", "hello.cu", "--block", "1").out
    assert one(execute("hello.cu", "--block", "2")[1])["printed"] == "hello [b]0[/b]\nhello [b]1[/b]\n"


def test_bf16_is_shown_as_numbers(folder, execute):
    (folder / "nothing.ptx").write_text(HEADER + ".visible .entry nothing(.param .u64 x)\n{\n    ret;\n}\n")
    array = one(execute("nothing.ptx", "--arg", "bf16[4]=iota")[1])["arrays"][0]
    assert (array["type"], array["first"], array["max"]) == ("bf16", [0.0, 1.0, 2.0, 3.0], 3.0)


def test_numbers_that_json_lacks_are_text(folder, execute):
    (folder / "nothing.ptx").write_text(HEADER + ".visible .entry nothing(.param .u64 x)\n{\n    ret;\n}\n")
    array = one(execute("nothing.ptx", "--arg", "f32[2]=-inf")[1])["arrays"][0]
    assert (array["min"], array["mean"], array["first"]) == ("-inf", "-inf", ["-inf", "-inf"])
    array = one(execute("nothing.ptx", "--arg", "f32[2]=nan")[1])["arrays"][0]
    assert (array["min"], array["mean"], array["nan"], array["first"]) == (None, None, 2, ["nan", "nan"])


def test_no_python_of_the_current_folder_runs(folder):
    for name in ("numpy", "pickle", "selectors", "ptxbench"):
        (folder / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(9)\n")
    script = [sys.executable, "-P", "-c", "import sys; from ptxbench.cli import main; sys.exit(main())"]
    ran = subprocess.run([*script, "exec", "scale.ptx", *LAUNCH, *ARGS], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (folder / "ran").exists()


# ---- folders


def test_a_folder_runs_every_kernel_that_takes_the_arguments(folder, ptxbench, execute):
    (folder / "nothing.ptx").write_text(NOTHING)
    (folder / "broken.cu").write_text("__global__ void x( {}\n")
    (folder / "notes.txt").write_text("not a kernel\n")
    (folder / "wild.ptx").write_text(
        changed(changed(PTX, ".entry scale", ".entry wild"), "[%at], %value", "[0], %value")
    )
    status, document = execute(".", *LAUNCH, *ARGS)
    assert status == 4
    assert {kernel["file"]: kernel["status"] for kernel in document["kernels"]} == {
        "scale.cu": "clean",
        "scale.ptx": "clean",
        "wild.ptx": "fault",
    }
    left_out = {entry["file"]: (entry["reason"], entry["status"]) for entry in document["left_out"]}
    assert left_out["nothing.ptx"] == ("'nothing' has no parameters; leave out --arg.", None)
    assert left_out["broken.cu"][0].startswith("broken.cu:1: ")
    assert left_out["broken.cu"][1] == "fault"
    ran = ptxbench("exec", ".", *LAUNCH, *ARGS)
    assert ran.status == 4
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["scale.ptx", "scale", "✔", "clean", "576", "250", "0", "y"] in rows
    assert ["wild.ptx", "wild", "✘", "fault", "-", "-", "-"] in rows
    assert "- nothing.ptx: 'nothing' has no parameters; leave out --arg." in ran.out


def test_a_folder_without_findings_is_clean(folder, ptxbench):
    assert ptxbench("exec", ".", *LAUNCH, *ARGS).status == 0


def test_a_folder_in_which_nothing_takes_the_arguments_is_a_usage_error(folder, ptxbench):
    assert ptxbench("exec", ".", "--arg", "u32=1").status == 2


# ---- what can be wrong with the command line

# arguments, the sentence
SLIPS = [
    (("absent.ptx",),                    "There is no file absent.ptx."),
    (("notes.txt",),                     "notes.txt is neither a .ptx nor a .cu file."),
    (("empty",),                         "empty has neither .ptx nor .cu files."),
    (("scale.ptx", "--grid", "0"),       "--grid is '0'; write one to three whole numbers of at least 1, such as 64 or "
                                         "16,16."),
    (("scale.ptx", "--grid", "1", "--grid", "2"), "--grid is given 2 times. Give it once."),
    (("scale.ptx", "--block", "1,2,3,4"), "--block is '1,2,3,4'; write one to three whole numbers of at least 1, such "
                                         "as 64 or 16,16."),
    (("scale.ptx", "--arg", "5"),        "'5' is not an argument."),
    (("scale.ptx", "--entry", "scael", *ARGS), "scale.ptx has no kernel 'scael'. Did you mean 'scale'?"),
    (("two.ptx",),                       "two.ptx has 2 kernels: one, two. Name one with --entry."),
    (("none.ptx",),                      "none.ptx has no kernel: no .visible .entry."),
    (("scale.ptx", *ARGS, "--block", "2048"), "The block has 2048 threads; the maximum is 1024."),
    (("scale.ptx", *ARGS, "--block", "256"), "'scale' allows at most 128 threads in a block"),
    (("scale.ptx", *ARGS, "--shared", "1000000"), "'scale' asks for 1000000 bytes of shared memory"),
    (("scale.ptx", *ARGS, "--arch", "90"), "Unknown architecture '90'. Did you mean 'sm_90'?"),
    (("scale.ptx", *ARGS, "--flag=-G"),  "scale.ptx is PTX, and --flag is for CUDA C. Leave it out."),
    (("scale.ptx", *ARGS, "--lines", "x"), "--lines is 'x'; write a number, or all."),
    (("scale.ptx", *ARGS, "--save", "y"), "--save is 'y'; write NAME=FILE.npy, with a parameter's name or index."),
    (("scale.ptx", *ARGS, "--save", "y=y.txt"), "--save is 'y=y.txt'; the file's name must end in .npy."),
    (("scale.ptx", *ARGS, "--save", "y=no/y.npy"), "--save is 'y=no/y.npy'; there is no folder no."),
    (("scale.ptx", *ARGS, "--save", "z=z.npy"), "--save: there is no array 'z'. There are x, y."),
    (("scale.ptx", *ARGS, "--save", "9=z.npy"), "--save: there is no array '9'. There are x, y."),
    (("scale.ptx", *ARGS, "--save", "n=n.npy"), "--save: there is no array 'n'. There are x, y."),
    ((".", *ARGS, "--save", "y=y.npy"),  "--save is for one kernel, and a folder may have many. Name a file."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), SLIPS)
def test_a_wrong_command_line_is_a_usage_error_with_a_sentence(folder, ptxbench, arguments, sentence):
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("not a kernel\n")
    (folder / "none.ptx").write_text(HEADER)
    (folder / "two.ptx").write_text(HEADER + "".join(f".visible .entry {n}()\n{{\nret;\n}}\n" for n in ("one", "two")))
    ran = ptxbench("exec", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: {sentence}")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ".visible .entry x(\n{\n", "Error: bad.ptx:"),
        ("nonsense\n", "Error: bad.ptx:1: "),
        (HEADER + "/**/µ\n", "Error: bad.ptx:4: column 5 is 'µ' (U+00B5, MICRO SIGN), which is not ASCII."),
    ],
)
def test_a_file_that_is_not_ptx_is_a_broken_kernel(folder, ptxbench, text, message):
    (folder / "bad.ptx").write_text(text, encoding="utf-8")
    ran = ptxbench("exec", "bad.ptx")
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.startswith(message)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_terminal_shows_what_a_launch_waits_for(compiled, ptxbench, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(_progress.Bar, "update", lambda bar, done, total, words: shown.append(words))
    monkeypatch.setattr(native, "has_event_function", lambda: compiled)
    path = tmp_path / "racy.ptx"
    path.write_text(RACY)
    assert ptxbench("exec", path, "--block", "64", "--arg", "u32[64]=zeros", "--sanitize").status == 4
    first_use = "" if compiled else ", after the race detector is compiled: once, 10 to 20 seconds"
    assert shown == ["read racy.ptx", f"launch racy{first_use}"]


def test_a_terminal_shows_which_file_of_a_folder_is_launched(ptxbench, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(_progress.Bar, "update", lambda bar, *state: shown.append(state))
    for name in ("a.ptx", "b.ptx"):
        (tmp_path / name).write_text(NOTHING)
    assert ptxbench("exec", tmp_path).status == 0
    assert shown == [(0, 2, "launch a.ptx"), (1, 2, "launch b.ptx")]


def test_ctrl_c_in_the_launch_says_how_to_find_an_endless_loop(folder, ptxbench, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("ptxbench.execution.execute", interrupted)
    ran = ptxbench("exec", "scale.ptx", *LAUNCH, *ARGS)
    assert (ran.status, ran.out) == (130, "")
    assert ran.err.startswith("Interrupted in the launch. If the kernel never ends, --max-loop-iterations ")
