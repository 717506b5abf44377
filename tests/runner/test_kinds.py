"""Arguments beyond arrays of f32 through a whole run: Scratch, Sample and bf16, with real builds on the emulator."""

import numpy as np
import pytest

from ptxbench.backends import open_backend
from ptxbench.discovery import load
from ptxbench.errors import PairError
from ptxbench.runner import CellDone, RunPlan, plan_pairs, run
from tests.fakes import FakeBackend
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder


def statuses(kernels, **options):
    """The status of each variant of the one cell, and why it is not verified."""
    pair_plans, _ = plan_pairs(kernels, **options)
    events = run(RunPlan(pair_plans, open_backend("emulator"), "sm_90", kernels))
    (cell,) = [event.cell for event in events if isinstance(event, CellDone)]
    return {name: result.reason or result.status for name, result in cell.variants.items()}


def without_flags(text):
    return changed(text, '    flags={"fast": ["--use_fast_math"]},\n', "")


# ---- Scratch: a ticket that each launch changes

TICKET_PAIR = '''\
"""ticket: y = x + the ticket, which starts at 7 and which the kernel spoils."""

from ptxbench.pair import EXACT, In, InOut, Launch, Out, Pair, Scalar, Scratch, f32, u32

PAIR = Pair(
    purpose="What a kernel keeps for itself.",
    args=[
        In("x", f32, lambda n: (n,)),
        Out("y", f32, lambda n: (n,)),
        Scratch("ticket", u32, lambda n: (1,), 7),
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n: Launch(grid=1, block=128),
    reference=lambda x, n: {"y": x + 7},
    tolerance=EXACT,
    check_sizes=[dict(n=n) for n in (1, 127, 128)],
    bench_sizes=[dict(n=128)],
    flops=lambda n: n,
    exact_on_integers=True,
)
'''

TICKET_CUDA = """\
extern "C" __global__ void ticket(const float* x, float* y, unsigned* ticket, unsigned n)
{
    const float start = *ticket;
    __syncthreads();
    *ticket = 99;
    if (threadIdx.x < n)
        y[threadIdx.x] = x[threadIdx.x] + start;
}
"""

TICKET_PTX = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry ticket(
    .param .u64 x,
    .param .u64 y,
    .param .u64 ticket,
    .param .u32 n
)
.maxntid 128, 1, 1
{
    .reg .u32   %thread, %n, %start;
    .reg .u64   %x, %y, %ticket, %offset;
    .reg .f32   %start_f, %value;
    .reg .pred  %past;

    ld.param.u64        %ticket, [ticket];
    cvta.to.global.u64  %ticket, %ticket;
    ld.global.u32       %start, [%ticket];
    bar.sync            0;
    st.global.u32       [%ticket], 99;
    cvt.rn.f32.u32      %start_f, %start;
    mov.u32             %thread, %tid.x;
    ld.param.u32        %n, [n];
    setp.ge.u32         %past, %thread, %n;
    @%past bra          DONE;
    ld.param.u64        %x, [x];
    ld.param.u64        %y, [y];
    cvta.to.global.u64  %x, %x;
    cvta.to.global.u64  %y, %y;
    mul.wide.u32        %offset, %thread, 4;
    add.u64             %x, %x, %offset;
    add.u64             %y, %y, %offset;
    ld.global.f32       %value, [%x];
    add.rn.f32          %value, %value, %start_f;
    st.global.f32       [%y], %value;
DONE:
    ret;
}
"""


def ticket_folder(folder, pair=TICKET_PAIR, ptx=TICKET_PTX):
    return kernels_folder(folder, name="ticket", pair=pair, cuda=TICKET_CUDA, ptx=ptx)


@pytest.fixture
def ticket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ticket_folder(tmp_path)


def test_scratch_is_restored_before_each_launch_and_never_compared(ticket):
    assert statuses(ticket) == {"cuda": "verified", "ptx": "verified"}


def test_scratch_does_not_affect_the_other_outputs(tmp_path, ticket):
    ticket_folder(tmp_path, ptx=changed(TICKET_PTX, "add.rn.f32          %value, %value, %start_f;", ""))
    assert statuses(ticket)["ptx"].startswith("ticket.ptx, n=1: y[0] is ")


def test_a_write_past_the_end_of_scratch_is_a_fault(tmp_path, ticket):
    ticket_folder(
        tmp_path, ptx=changed(TICKET_PTX, "st.global.u32       [%ticket], 99", "st.global.u32 [%ticket+4], 99")
    )
    assert "writes byte 4 of 'ticket', which has 4" in statuses(ticket)["ptx"]


def test_an_input_may_not_be_overwritten(tmp_path, ticket):
    ticket_folder(
        tmp_path,
        changed(TICKET_PAIR, 'Scratch("ticket", u32, lambda n: (1,), 7)', 'In("ticket", u32, lambda n: (1,))').replace(
            "lambda x, n: {", "lambda x, ticket, n: {"
        ),
    )
    assert "ticket.ptx writes to 'ticket', which is an input." in statuses(ticket)["ptx"]


def test_the_reference_is_not_given_scratch(tmp_path, ticket):
    ticket_folder(tmp_path, changed(TICKET_PAIR, "lambda x, n: {", "lambda x, ticket, n: {"))
    with pytest.raises(
        PairError, match=r"ticket\.py:14: reference must take x, n: missing a required argument: 'ticket'"
    ):
        load(ticket, "ticket")


def test_scratch_alone_is_nothing_to_verify(tmp_path, ticket):
    ticket_folder(tmp_path, changed(TICKET_PAIR, 'Out("y", f32, lambda n: (n,))', 'Scratch("y", f32, lambda n: (n,))'))
    with pytest.raises(PairError, match="no argument is an Out or InOut, so there is nothing to verify"):
        load(ticket, "ticket")


def test_scratch_moves_no_bytes_that_any_implementation_must(ticket):
    assert load(ticket, "ticket").pair.compulsory_bytes({"n": 128}) == 2 * 4 * 128


def test_a_device_knows_that_scratch_may_be_written_and_gets_its_start(ticket):
    seen = []

    def right(build, launch, arguments, outputs):
        seen.append((outputs, arguments["ticket"].tolist()))
        return {"y": arguments["x"] + np.float32(7), "ticket": np.array([99], np.uint32)}

    pair_plans, _ = plan_pairs(ticket, variants=["ptx"])
    (cell,) = [
        event.cell
        for event in run(RunPlan(pair_plans, FakeBackend({}, right), "sm_90", ticket))
        if isinstance(event, CellDone)
    ]
    assert cell.variants["ptx"].status == "verified"
    assert seen == [(("y", "ticket"), [7])] * len(seen)


# ---- Sample: a reference that gives some elements

SAMPLED = [
    # reference, the status of a PTX kernel with a wrong element 100
    ('{"y": Sample([0, n - 1], (a * x)[[0, n - 1]])}',        "verified"),                  # outside the sample
    ('{"y": Sample([0, min(n - 1, 100)], (a * x)[[0, min(n - 1, 100)]])}',
     "scale.ptx, n=127: y[100] is 2, expected "),                                           # inside
    ('{"y": Sample(range(n), a * x)}',                        "scale.ptx, n=127: y[100] is 2, expected "),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "result"), SAMPLED)
def test_of_a_sampled_output_the_elements_of_the_sample_are_judged(tmp_path, kernels, reference, result):
    pair = changed(without_flags(PAIR), '{"y": a * x}', reference).replace("import EXACT", "import Sample, EXACT")
    broken = changed(PTX, "DONE:", "    setp.eq.u32 %past, %i, 100;\n    @%past st.global.f32 [%at], %a;\nDONE:")
    kernels_folder(tmp_path, pair=pair, ptx=broken)
    status_of = statuses(kernels)
    assert status_of["cuda"] == "verified"
    assert status_of["ptx"].startswith(result)


BAD_SAMPLES = [
    ("Sample([0, n], x[[0, 0]])",
     "the Sample of 'y' has the index 1; expected 0 to 0."),
    ("Sample([0, -1], x[[0, 0]])",
     "the Sample of 'y' has the index -1; expected 0 to 0."),
    ("Sample([0], x[[0, 0]])",
     "reference returns 'y' with the shape (2,); expected (1,), as its Sample."),
    ("Sample([[0]], x[[0]])",
     "the Sample of 'y' has indices of shape (1, 1), int64; expected a list of integers."),
    ("Sample([0.0], x[[0]])",
     "the Sample of 'y' has indices of shape (1,), float64; expected a list of integers."),
    ("Sample([], x[:0])",
     "the Sample of 'y' has indices of shape (0,), float64; expected a list of integers."),
    ("Sample([0], x[[0]].astype('f4'))",
     "reference returns 'y' as float32; expected float64 or integers."),
]  # fmt: skip


@pytest.mark.parametrize(("sample", "message"), BAD_SAMPLES)
def test_an_impossible_sample_is_an_error_of_the_pair(tmp_path, kernels, sample, message):
    pair = changed(PAIR, "a * x}", f"{sample}}}").replace("import EXACT", "import Sample, EXACT")
    kernels_folder(tmp_path, pair=pair)
    with pytest.raises(PairError) as caught:
        statuses(kernels)
    assert str(caught.value) == f"kernels/pairs/scale.py:16: at n=1, {message}"


def test_a_tolerance_must_give_a_bound_for_the_sample(tmp_path, kernels):
    pair = changed(PAIR, '{"y": a * x}', '{"y": Sample([0, 0], a * x[[0, 0]])}')
    pair = changed(pair, "tolerance=EXACT", "tolerance=relative(1.0, of=lambda x, a, n: abs(x))")
    kernels_folder(tmp_path, pair=changed(pair, "import EXACT", "import relative, Sample"))
    with pytest.raises(PairError, match=r"tolerance of 'y' has the shape \(1,\); expected \(2,\), as its reference"):
        statuses(kernels)


# ---- bf16: two bytes that NumPy itself does not know

BF16_PAIR = (
    changed(without_flags(PAIR), "f32, u32", "bf16, u32").replace("f32", "bf16").replace("bf16, 2)", "bf16, 0.7)")
)
BF16_CUDA = """\
#include <cuda_bf16.h>

extern "C" __global__ void scale(const __nv_bfloat16* x, __nv_bfloat16* y, __nv_bfloat16 a, unsigned n)
{
    const unsigned i = 128 * blockIdx.x + threadIdx.x;
    if (i < n)
        y[i] = __float2bfloat16(__bfloat162float(a) * __bfloat162float(x[i]));
}
"""
BF16_PTX = (
    PTX.replace(".version 6.3", ".version 7.0")
    .replace("sm_75", "sm_80")
    .replace(".param .f32 a", ".param .b16 a")
    .replace(".reg .f32   %a, %value;", ".reg .f32   %a, %value;\n    .reg .b16   %bits, %zero;")
    .replace(
        "ld.param.f32        %a, [a];",
        "ld.param.b16 %bits, [a];\n    mov.b16 %zero, 0;\n    mov.b32 %a, {%zero, %bits};",
    )
    .replace("%i, 4;", "%i, 2;")
    .replace("ld.global.f32       %value, [%at];", "ld.global.b16 %bits, [%at];\n    mov.b32 %value, {%zero, %bits};")
    .replace("st.global.f32       [%at], %value;", "cvt.rn.bf16.f32 %bits, %value;\n    st.global.b16 [%at], %bits;")
)


def test_bf16_is_verified_on_both_sides(tmp_path, kernels):
    kernels_folder(tmp_path, pair=BF16_PAIR, cuda=BF16_CUDA, ptx=BF16_PTX)
    assert statuses(kernels) == {"cuda": "verified", "ptx": "verified"}


def test_bf16_that_is_rounded_toward_zero_is_wrong(tmp_path, kernels):
    kernels_folder(tmp_path, pair=BF16_PAIR, cuda=BF16_CUDA, ptx=changed(BF16_PTX, "cvt.rn.bf16", "cvt.rz.bf16"))
    reason = statuses(kernels)["ptx"]
    assert reason.startswith("scale.ptx, n=")
    assert reason.endswith(" not equal.")


def test_unwritten_bf16_is_poison(tmp_path, kernels):
    kernels_folder(
        tmp_path, pair=BF16_PAIR, cuda=BF16_CUDA, ptx=changed(BF16_PTX, "    st.global.b16 [%at], %bits;", "")
    )
    assert "y[0] is nan (0xFF bytes, as if never written), expected " in statuses(kernels)["ptx"]


def test_a_parameter_of_another_type_than_bf16_is_refused_with_the_right_type(tmp_path, kernels):
    kernels_folder(tmp_path, pair=BF16_PAIR, cuda=CUDA, ptx=changed(BF16_PTX, ".param .b16 a", ".param .u16 a"))
    reasons = statuses(kernels)
    assert reasons["ptx"].endswith("is .u16, where its pair has Scalar('a', bfloat16) (scale.py:12). It must be .b16.")
    assert reasons["cuda"].endswith("is .f32, where its pair has Scalar('a', bfloat16) (scale.py:12). It must be .b16.")


def test_bf16_gets_the_same_data_as_other_floats(tmp_path):
    pair = load(kernels_folder(tmp_path, pair=BF16_PAIR), "scale").pair
    drawn = pair.make_arguments({"n": 1000}, seed=1)
    assert (drawn["x"].dtype.name, drawn["x"].nbytes, drawn["a"].dtype.name) == ("bfloat16", 2000, "bfloat16")
    assert -1 <= drawn["x"].astype(float).min() < -0.9 < 0.9 < drawn["x"].astype(float).max() <= 1
    assert np.isnan(drawn["y"]).all()
    integers = pair.make_arguments({"n": 1000}, seed=1, integers=True)["x"].astype(float)
    assert set(integers) == set(range(-8, 9))
    assert pair.compulsory_bytes({"n": 1000}) == 4000
