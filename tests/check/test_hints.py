"""What the hint of a finding says, where the message alone does not name the cause or the remedy."""

from pathlib import Path

from ptxbench.check.split_carries import split_carry
from tests.check.judging import KERNELS, judged, outcome
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
