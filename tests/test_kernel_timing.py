"""Two kernels of files as a pair that a device verifies and times; here the device is the emulator, without a clock."""

import pickle
import re
from types import SimpleNamespace

import pytest

from ptxbench.arguments import parse
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import PairError
from ptxbench.exec_program import read_program
from ptxbench.execution import ExecLaunch
from ptxbench.exit_status import ExitStatus
from ptxbench.kernel_comparison import Closeness, Kernel, launch_both
from ptxbench.kernel_timing import OTHER, pair_of, problem_of, time_kernels
from ptxbench.metrics import REFERENCE
from ptxbench.result import VERIFIED, WRONG
from ptxbench.runner.outcome import RunOutcome
from tests import simulated
from tests.cli.test_show_files import FILES
from tests.folders import changed

ARGS = ("x:f32[1000]=random", "y:f32[1000]=random", "a:f32=2.1", "n:u32=1000")
ONE = ExecLaunch((8, 1, 1), (128, 1, 1))

TYPED = """\
.version 7.8
.target sm_90
.address_size 64

.visible .entry typed(.param .u64 x, .param .u64 y, .param .f32 a, .param .b16 h)
{
    .reg .u32  %t;
    .reg .u64  %x, %y, %o;
    .reg .b16  %v, %h;
    .reg .b32  %a;

    mov.u32         %t, %tid.x;
    ld.param.u64    %x, [x];
    ld.param.u64    %y, [y];
    ld.param.b32    %a, [a];
    ld.param.b16    %h, [h];
    mul.wide.u32    %o, %t, 2;
    add.u64         %x, %x, %o;
    ld.global.b16   %v, [%x];
    add.rn.bf16     %v, %v, %h;
    st.global.b16   [%x], %v;
    mul.wide.u32    %o, %t, 4;
    add.u64         %y, %y, %o;
    st.global.b32   [%y], %a;
    ret;
}
"""

STRUCT = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry struct(.param .u64 x, .param .align 8 .b8 s[16], .param .u64 p)
{
    .reg .u64  %x;
    .reg .u32  %t;
    ld.param.u64   %x, [x];
    ld.param.u32   %t, [s];
    st.global.u32  [%x], %t;
    ret;
}
"""


def compared(folder, files, args, launches=(ONE, ONE), closeness=Closeness()):  # noqa: B008  it is frozen
    kernels = []
    for name in files:
        program = read_program(folder / name, "sm_90")
        kernels.append(Kernel(name, program, program.choose(None)))
    return launch_both(tuple(kernels), [parse(text) for text in args], launches, closeness)


@pytest.fixture
def folder(tmp_path):
    for name in ("saxpy.ptx", "twice.ptx", "order.ptx", "mine.ptx", "wrong.ptx"):
        (tmp_path / name).write_text(FILES[name])
    (tmp_path / "typed.ptx").write_text(TYPED)
    (tmp_path / "typed_too.ptx").write_text(TYPED)
    (tmp_path / "struct.ptx").write_text(STRUCT)
    (tmp_path / "struct_too.ptx").write_text(STRUCT)
    return tmp_path


def on_emulator(comparison):
    return time_kernels(comparison, EmulatorBackend("sm_90"), rounds=1)


def test_kernels_with_other_names_and_launches_are_one_pair(folder):
    launches = (ONE, ExecLaunch((16, 1, 1), (128, 1, 1)))
    timed = on_emulator(compared(folder, ("saxpy.ptx", "mine.ptx"), ARGS, launches))
    assert {name: variant.status for name, variant in timed.cell.variants.items()} == {
        REFERENCE: VERIFIED,
        OTHER: VERIFIED,
    }
    assert [variant.counts["ptx_global_store_bytes"] for variant in timed.cell.variants.values()] == [4000, 4000]
    first, other = (variant.counts["ptx_warp_instructions"] for variant in timed.cell.variants.values())
    assert other > first  # of eight further CTAs
    assert timed.problem.endswith(": no sample was taken.")  # the emulator has no clock


def test_the_pair_can_be_sent_to_another_process(folder):
    original = pair_of(compared(folder, ("saxpy.ptx", "mine.ptx"), ARGS))
    sent = pickle.loads(pickle.dumps(original)).loaded()
    assert [type(argument).__name__ for argument in sent.pair.args] == ["In", "InOut", "Scalar", "Scalar"]
    assert sent.pair.make_arguments({"launch": 1}, 1)["x"].tolist() == original.arguments["x"].tolist()
    assert [source.launch.grid for source in sent.sources] == [(8, 1, 1)] * 2


def test_a_kernel_that_is_wrong_on_the_device_gets_no_time(folder):
    comparison = compared(folder, ("saxpy.ptx", "mine.ptx"), ARGS)
    (folder / "mine.ptx").write_text(FILES["wrong.ptx"].replace("saxpy", "mine"))  # as if the device computed it
    timed = on_emulator(comparison)
    assert timed.status == ExitStatus.WRONG_KERNEL
    assert timed.cell.variants[OTHER].status == WRONG
    assert timed.cell.variants[REFERENCE].status == VERIFIED
    assert "mine.ptx, launch=1: y[" in timed.problem
    assert "outside the emulator's result" in timed.problem


def test_the_tolerance_is_used_on_the_device(folder):
    loose = Closeness(0, 3e-7)
    assert on_emulator(compared(folder, ("saxpy.ptx", "twice.ptx"), ARGS, closeness=loose)).status == ExitStatus.GOOD
    comparison = compared(folder, ("saxpy.ptx", "mine.ptx"), ARGS, closeness=loose)
    (folder / "mine.ptx").write_text(FILES["twice.ptx"].replace("saxpy", "mine"))
    assert on_emulator(comparison).status == ExitStatus.GOOD


def test_bf16_reaches_the_kernel(folder):
    args = ("bf16[128]=random", "f32[128]=zeros", "f32=3.5", "bf16=1.5")
    launch = ExecLaunch((1, 1, 1), (128, 1, 1))
    comparison = compared(folder, ("typed.ptx", "typed_too.ptx"), args, (launch, launch))
    assert {variant.status for variant in on_emulator(comparison).cell.variants.values()} == {VERIFIED}
    (folder / "typed_too.ptx").write_text(changed(TYPED, "add.rn.bf16     %v, %v, %h", "add.rn.bf16     %v, %h, %h"))
    assert on_emulator(comparison).cell.variants[OTHER].status == WRONG


SINGLE = ExecLaunch((1, 1, 1), (1, 1, 1))

# the second file, the arguments, why it is not timed
REFUSED = [
    (("saxpy.ptx", "wrong.ptx"), ARGS, "the outputs on the emulator must agree first"),
    (("saxpy.ptx", "order.ptx"), ARGS, "both kernels must have their parameters in the same order"),
    (("struct.ptx", "struct_too.ptx"), ("u32[4]=zeros", "{u64=7, u64=8}", "null"),
     "--arg '{u64=7, u64=8}' is neither a number nor an array of numbers"),
    (("struct.ptx", "struct_too.ptx"), ("u32[4]=zeros", "u32[4]=3", "&0"),
     "--arg 'u32[4]=3' is neither a number nor an array of numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "args", "message"), REFUSED)
def test_kernels_that_cannot_be_a_pair_are_reported(folder, files, args, message):
    launch = ONE if files[0] == "saxpy.ptx" else SINGLE
    comparison = compared(folder, files, args, (launch, launch))
    assert pair_of(comparison) == message
    timed = on_emulator(comparison)
    assert (timed.cell, timed.status) == (None, ExitStatus.NO_VERDICT)
    assert timed.problem.endswith(f": {message}.")


ENDINGS = [
    (KeyboardInterrupt(), ExitStatus.INTERRUPTED, "Not timed on emulator-sm_90: interrupted."),
    (PairError("The pair is gone."), ExitStatus.USAGE, "Not timed on emulator-sm_90: The pair is gone."),
]


@pytest.mark.parametrize(("error", "status", "message"), ENDINGS)
def test_an_error_that_ends_the_timing_is_reported_and_not_raised(folder, error, status, message):
    def carry(plan):
        raise error
        yield

    comparison = compared(folder, ("saxpy.ptx", "mine.ptx"), ARGS)
    timed = time_kernels(comparison, EmulatorBackend("sm_90"), rounds=1, carry=carry)
    assert (timed.cell, timed.status, timed.problem) == (None, status, message)


GOOD, BAD = SimpleNamespace(status=VERIFIED, reason=None), SimpleNamespace(status=WRONG, reason="y[0] is 1.")
PROBLEMS = [
    # variants, rounds, why the device is lost; the sentence
    ({"a": GOOD},           [1], None,       None),
    ({"a": GOOD},           [],  None,       "Not timed on T4: no sample was taken."),
    ({"a": GOOD, "b": BAD}, [1], None,       "Not timed on T4: y[0] is 1."),
    ({"a": GOOD},           [],  "It hung.", "Not timed: T4 cannot be used any more: It hung."),
    (None,                  [],  None,       "Not timed on T4: no sample was taken."),
]  # fmt: skip


@pytest.mark.parametrize(("variants", "rounds", "lost", "sentence"), PROBLEMS)
def test_why_there_is_no_time_is_one_sentence(variants, rounds, lost, sentence):
    cell = None if variants is None else SimpleNamespace(variants=variants, rounds=rounds)
    assert problem_of(cell, RunOutcome(lost=lost), "T4") == sentence


# ---- on the simulated device


@pytest.mark.long
def test_a_kernel_that_fails_on_the_device_gets_no_time_and_the_emulator_is_still_reported(
    folder, monkeypatch, ptxbench
):
    monkeypatch.chdir(folder)
    fault = {"kernel": "mine", "status": 700}
    simulated.install(monkeypatch, folder / "gpu", device="T4", control_n=1 << 16, faults=[fault])
    launch = ("--grid", "8", "--block", "128", *(word for text in ARGS for word in ("--arg", text)), "--rounds", "1")
    ran = ptxbench("show", "saxpy.ptx", "mine.ptx", "--diff", *launch)
    assert (ran.status, ran.err) == (4, "")
    printed = " ".join(ran.out.split())
    assert re.search(r"[x✘] Same outputs, bit by bit: y .* Not timed on Tesla T4: mine\.ptx: cudaErrorIllegal", printed)
    assert "median time" not in printed


def test_a_kernel_with_a_grid_barrier_is_timed_in_cooperative_launches(tmp_path):
    barrier = "cooperative_groups::this_grid().sync();"
    for name, text in (("usual", ""), ("whole", barrier)):
        source = f"#include <cooperative_groups.h>\n__global__ void k(unsigned* x) {{ x[threadIdx.x] = 1; {text} }}\n"
        (tmp_path / f"{name}.cu").write_text(source)
    launch = ExecLaunch((1, 1, 1), (32, 1, 1))
    pair = pair_of(compared(tmp_path, ("usual.cu", "whole.cu"), ["x:u32[32]=zeros"], (launch, launch)))
    assert [source.launch.cooperative for source in pair.sources] == [False, True]
