"""What the hint of a finding says, where the message alone does not name the cause or the remedy."""

from pathlib import Path

import pytest

from ptxbench.check.infinities import OVERFLOW_HINT
from ptxbench.check.lint_subject import subjects_of
from ptxbench.check.offsets import definitions
from ptxbench.check.retries import unrepeated_wait
from ptxbench.check.split_carries import split_carry
from ptxbench.check.swizzles import misplaced_tile
from ptxbench.check.values import NOT_FINITE_KINDS
from ptxbench.emulator.parse import parse
from ptxbench.pair import TensorMap
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import changed

HONEST_CU = (Path(__file__).with_name("hostile") / "honest.cu").read_text()
AS_THE_MESSAGE_SAYS = "Correct the line as the message says."


def judgement_of(pair, kernel, right, wrong, stage):
    """The judgement on a kernel of a pair with one change, by one stage after it was read."""
    text = changed((KERNELS / "ptx" / kernel).read_text(), right, wrong)
    return judged(Path("candidate.ptx"), pair, text.encode(), stages=("parses", stage))


def test_a_refused_launch_is_that_of_the_pair_and_not_that_of_a_variant():
    text = changed(HONEST_CU, "__launch_bounds__(256)", "__launch_bounds__(128)")
    judgement = judged(Path("candidate.cu"), "triad", text.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results launch-refused"
    assert judgement.decisive.hint == (
        "A candidate has the pair's launch, Launch(grid=1, block=256) there. The pair's tile and triton "
        "have launches of their own."
    )


@pytest.mark.parametrize(
    ("value", "says_so"),
    [
        ("fmaf(s, c[i], b[i] + (b[i] - b[i]))", True),  # NaN, and an infinity is right
        ("fmaf(s, c[i], fminf(b[i], 3.4028235e38f))", True),  # a finite number, and an infinity is right
        ("fmaf(s, c[i], b[i] + 0.0f * b[i ^ (i + 1 < n)])", False),  # NaN, and a finite number is right
    ],
)
def test_a_result_that_is_wrong_because_inputs_are_infinite_may_be_due_to_another_form_of_the_formula(value, says_so):
    text = changed(HONEST_CU, "fmaf(s, c[i], b[i])", value)
    judgement = judged(Path("candidate.cu"), "triad", text.encode(), stages=("parses", "values"))
    assert outcome(judgement) == "values wrong-result"
    assert judgement.decisive.hint.startswith("Inputs are infinite or NaN there.") == says_so


SOFTMAX = """extern "C" __global__ void softmax(const float* x, float* y, unsigned columns)
{
    __shared__ float total, greatest;
    x += (size_t)blockIdx.x * columns;
    if (threadIdx.x == 0) {
        total = 0, greatest = x[0];
        for (unsigned i = 1; i < columns; i++)
            greatest = fmaxf(greatest, x[i]);
        for (unsigned i = 0; i < columns; i++)
            total += expf(x[i] - greatest);
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        y[(size_t)blockIdx.x * columns + i] = expf(x[i] - greatest) / total;
}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "says_so"),
    [
        ("fmaxf(greatest, x[i])", "0", True),
        ("fmaxf(greatest, x[i])", "fminf(fmaxf(greatest, x[i]), 64.0f)", True),
        ("total = 0", "total = 0.0f / (x[0] != 0.0f)", False),  # NaN where no input is great
        ("/ total", "/ total + (x[i] > 64.0f)", False),  # a finite number
    ],
)
def test_a_step_that_overflows_on_finite_inputs_is_named(right, wrong, says_so):
    text = changed(SOFTMAX, right, wrong)
    judgement = judged(Path("candidate.cu"), "softmax", text.encode(), stages=("parses", "values"))
    assert outcome(judgement) == "values wrong-result"
    assert (judgement.decisive.hint == OVERFLOW_HINT) == says_so, judgement.decisive


def test_what_is_wrong_with_finite_data_too_is_shown_with_them():
    names = [series.name for series in suite("softmax").special]
    last_finite = max(number for number, name in enumerate(names) if name not in NOT_FINITE_KINDS)
    assert NOT_FINITE_KINDS.isdisjoint(names[: last_finite + 1])


SPLIT = """extern "C" __global__ void __launch_bounds__(128)
bigint_mul256(const unsigned* a, const unsigned* b, unsigned* product, unsigned n, unsigned reps)
{
    const unsigned i = 128 * blockIdx.x + threadIdx.x;
    if (i >= n)
        return;
    unsigned low = a[8 * i], high = a[8 * i + 1];
    asm("add.cc.u32 %0, %0, %1;" : "+r"(low) : "r"(b[8 * i]));
    asm("addc.u32 %0, %0, %1;" : "+r"(high) : "r"(b[8 * i + 1]));
    for (unsigned k = 0; k < 16; ++k)
        product[16 * i + k] = k % 2 ? high : low;
}
"""


def test_inline_ptx_that_uses_the_carry_of_another_statement_is_named():
    judgement = judged(Path("candidate.cu"), "bigint_mul256", SPLIT.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith("In line 9, inline PTX uses the carry flag of another asm statement.")


def test_a_chain_of_carries_in_one_statement_uses_no_other_one():
    begin, end = "\t// begin inline asm\n\t", "\n\t// end inline asm\n"
    one = f"{begin}add.cc.u32 %r1, %r1, %r2;\n\taddc.u32 %r3, %r3, 0;{end}"
    other = f"{begin}madc.hi.cc.u32 %r1, %r1, %r2, 0;\n\taddc.u32 %r3, %r3, 0;{end}"
    assert split_carry(one) is None
    assert split_carry(one + one + other) == 10
    assert split_carry(one + "\taddc.u32 %r1, %r1, 0;\n") is None


def test_an_address_in_dynamic_shared_memory_that_is_not_aligned_has_nothing_to_do_with_its_size():
    judgement = judgement_of("int8_gemm_mma", "int8_gemm_mma.ptx", "[%b_write + 6144]", "[%b_write + 6152]", "results")
    assert outcome(judgement) == "results memory-fault"
    assert "they must start at a multiple of 16" in judgement.decisive.message
    assert judgement.decisive.hint == AS_THE_MESSAGE_SAYS


def test_a_cta_that_exits_too_early_may_expect_too_few_bytes():
    judgement = judgement_of("cluster_rmsnorm", "cluster_rmsnorm.ptx", "[%arrived], 32;", "[%arrived], 28;", "results")
    assert outcome(judgement) == "results memory-fault"
    assert "which has exited at line" in judgement.decisive.message
    assert judgement.decisive.hint.startswith("The sanitizer finds mbarrier in line ")
    assert " 4 bytes of copies to it are missing" in judgement.decisive.hint


def test_a_copy_that_fills_a_stage_too_early_waits_for_those_who_use_it():
    arrival = "    mbarrier.arrive.shared::cta.b64  _, [%empty_at];\n"
    loads = "    // ---- x = the tile: 24 vectors per thread, 96 elements\n"
    text = changed((KERNELS / "ptx" / "warp_special.sm_90a.ptx").read_text(), arrival, "")
    text = changed(text, loads, arrival)
    judgement = judged(Path("candidate.ptx"), "warp_special", text.encode(), stages=("parses", "sanitizer"))
    assert outcome(judgement) == "sanitizer race"
    assert judgement.decisive.message.count("cp.async.bulk") == 1
    assert judgement.decisive.hint.startswith("Before a copy fills memory again, wait until each thread that uses it")


TILE = ".shared .align 1024 .f32 tile[4096];"
BYTE_128 = ".shared .b64 first; .shared .align 128 .f32 tile[4096];"


def test_a_tile_that_starts_within_a_pattern_of_its_swizzle_is_named():
    judgement = judgement_of("tma_transpose", "tma_transpose.ptx", TILE, BYTE_128, "results")
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint == (
        "In line 66, a tensor copy with a swizzle of 128 bytes uses 'tile', which starts at byte 128 of shared memory. "
        "The pattern repeats every 1,024 bytes. Align 'tile' to 1,024 bytes, or compute the pattern from the bits of "
        "the address."
    )


COPIES = """.version 8.6
.target sm_90
.address_size 64
.visible .entry k(.param .align 64 .b8 map_x[128], .param .align 64 .b8 map_y[128])
{{
    .reg .u64 %map_x, %map_y;
    .reg .u32 %at, %at2, %sum, %step, %thread;
    .reg .pred %other;
    .shared .align 8 .b64 full;
    .shared .align 128 .b8 first[128];
    .shared .align 128 .b8 tile[4096];
    mov.u32 %at, tile;
    {change}
    mov.u64 %map_x, map_x;
    mov.u64 %map_y, map_y;
    cvta.param.u64 %map_x, %map_x;
    cvta.param.u64 %map_y, %map_y;
    {copy}
    ret;
}}
"""
LOAD = "cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes [%at], [%map_x, {0, 0}], [full];"
STORE = "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%map_x, {0, 0}], [%at];"
REDUCTION = "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%map_x, {0, 0}], [%at];"
PREFETCH = "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%map_x, {0, 0}];"


def misplaced(copy, change="", **options):
    """The hint for a copy by the map of x, which has these options; the map of y has no swizzle."""
    args = [
        TensorMap("map_x", of="x", box=(32, 8), **options), TensorMap("map_y", of="y", box=(32, 8)),
    ]  # fmt: skip
    (subject,) = subjects_of(parse(COPIES.format(change=change, copy=copy)), "k", args)
    return misplaced_tile(subject, {arg.name: arg for arg in args}, subject.function)


@pytest.mark.parametrize("copy", [LOAD, STORE, REDUCTION])
def test_the_tile_of_each_kind_of_tensor_copy_is_found(copy):
    assert "'tile', which starts at byte 256 of shared memory" in misplaced(copy, swizzle=128)
    assert misplaced(copy) == ""
    assert misplaced(copy.replace("%map_x", "%map_y"), swizzle=128) == ""


@pytest.mark.parametrize(
    ("swizzle", "atom", "period"),
    [(128, 16, "1,024"), (128, 32, "512"), (128, 64, ""), (64, 16, "512"), (32, 16, "")],
)
def test_a_pattern_repeats_once_each_place_of_an_atom_has_had_a_row(swizzle, atom, period):
    hint = misplaced(LOAD, swizzle=swizzle, atom=atom)
    assert f"repeats every {period} bytes" in hint if period else hint == ""


def test_a_tile_whose_address_is_rounded_may_start_anywhere():
    assert misplaced(LOAD, "add.u32 %at, %at, 1023; and.b32 %at, %at, -1024;", swizzle=128) == ""
    assert misplaced(PREFETCH, swizzle=128) == ""


WITHIN = [  # `tile` starts at byte 256
    ("add.u32 %at2, %at, 768;",                                 ""),
    ("add.u32 %at2, 768, %at;",                                 ""),
    ("add.u32 %sum, %at, 896; sub.u32 %at2, %sum, 128;",        ""),
    ("mov.u32 %step, 768; add.u32 %at2, %at, %step;",           ""),
    ("add.u32 %at2, %at, 128;",                                 "byte 128 of 'tile', which is byte 384 of shared mem"),
    ("add.u32 %at2, %at, %thread;",                             "'tile', which starts at byte 256 of shared memory"),
    ("@%other add.u32 %at2, %at, 768;",                         "'tile', which starts at byte 256 of shared memory"),
    ("mov.u32 %at2, %at; add.u32 %at2, %at2, 768;",             "'tile', which starts at byte 256 of shared memory"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place"), WITHIN)
def test_a_tile_within_an_array_is_at_a_distance_from_its_start(change, place):
    hint = misplaced(LOAD.replace("%at", "%at2"), change, swizzle=128)
    assert place in hint if place else hint == ""


def test_a_register_that_a_call_may_write_has_no_one_definition():
    module = parse(""".version 8.0
.target sm_90
.address_size 64
.func (.reg .u32 %r) f() { mov.u32 %r, 4; ret; }
.visible .entry k()
{
    .reg .u32 %a, %b;
    .shared .b8 tile[64];
    mov.u32 %a, tile;
    mov.u32 %b, tile;
    call (%b), f, ();
    ret;
}
""")
    assert definitions(module.functions["k"]).keys() == {"%a"}


def test_a_tile_with_an_offset_in_its_address_is_within_an_array():
    assert misplaced(LOAD.replace("[%at]", "[%at+768]"), swizzle=128) == ""
    hint = misplaced(LOAD.replace("[%at]", "[tile+1024]"), swizzle=128)
    assert "byte 1024 of 'tile', which is byte 1280 of shared memory" in hint
    assert "Align that byte to 1,024 bytes, or" in hint


def test_a_deadlock_after_a_wait_that_is_not_repeated_names_that_wait():
    kernel, right, wrong = "cluster_multicast.single.sm_90a.ptx", "@!%done bra      FREE;", "@!%done bra      COPYING;"
    judgement = judgement_of("cluster_multicast", kernel, right, wrong, "results")
    assert outcome(judgement) == "results deadlock"
    assert judgement.decisive.line == 183
    assert judgement.decisive.hint == (
        "In line 156, mbarrier.try_wait.parity.shared::cta.b64 is not repeated when its result is false. Wait in a "
        "loop until it is true."
    )


WAITS = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u32 parity)
{{
    .reg .u32 %parity, %n, %other;
    .reg .pred %done, %more;
    .shared .b64 full;
    .shared .b64 used;
    ld.param.u32 %parity, [parity];
    {body}
OVER:
    st.shared.u32 [full], %n;
    ret;
}}
"""
TRY = "mbarrier.try_wait.parity.shared::cta.b64 %done, [full], %parity;"
LOOPS = [
    f"AGAIN: {TRY} @!%done bra AGAIN;",
    f"AGAIN: {TRY} @%done bra OVER; nanosleep.u32 100; bra AGAIN;",
    f"{TRY} @%done bra OVER; AGAIN: {TRY} @!%done bra AGAIN;",
    f"AGAIN: mov.u32 %other, used; {TRY.replace('full', '%other')} @!%done bra AGAIN;",
    f"AGAIN: {TRY} selp.u32 %n, 1, 0, %done; setp.ne.u32 %more, %n, 1; @%more bra AGAIN;",
    f"{TRY} @%done bra OVER; {TRY} @%done bra OVER; AGAIN: {TRY} @!%done bra AGAIN;",
]
SINGLE = [
    f"{TRY} @!%done bra OVER;",
    f"STEP: {TRY} @!%done bra OVER; ld.shared.u32 %n, [full]; bra STEP;",
    f"STEP: {TRY} @%done bra OVER; xor.b32 %parity, %parity, 1; bra STEP;",
    f"{TRY} @!%done bra OTHER; OTHER: {TRY.replace('full', 'used')} @!%done bra OTHER;",
]


@pytest.mark.parametrize(("body", "repeated"), [*((body, True) for body in LOOPS), *((body, False) for body in SINGLE)])
def test_a_wait_is_repeated_if_the_text_reaches_it_again_before_it_uses_memory(body, repeated):
    wait = unrepeated_wait(parse(WAITS.format(body=body)).functions["k"])
    assert (wait is None) == repeated
