"""wgmma in random sequences of products, groups and waits, with warps that reach them at different times: sums are
exact, and the sanitizer finds nothing."""

from random import Random

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import Variation

HEAD = """\
.version 8.0
.target sm_90a
.address_size 64
.visible .entry sequence(.param .u64 out)
{
    // Three slots: A (64 x 16) and B (16 x 8) of f16 without a swizzle; blocks of 8 rows and 16 bytes are 128 bytes.
    .reg .b32 %t, %at, %v, %pair, %barrier, %ones;
    .reg .b64 %out, %start, %a<3>, %b<3>;
    .reg .f32 %d<16>;
    .reg .pred %fills, %odd;
    .shared .align 128 .b8 slots[6912];
    mov.u32 %t, %tid.x;
    shr.u32 %pair, %t, 6;
    add.u32 %barrier, %pair, 1;
    and.b32 %pair, %pair, 1;
    setp.ne.u32 %odd, %pair, 0;
    ld.param.u64 %out, [out];
    mov.b32 %ones, 0x3c003c00;
    mov.u32 %at, slots;
"""
SLOT_BYTES, B_AT = 2304, 2048
ORDERED = "    fence.proxy.async.shared::cta;\n    bar.sync 0;\n"
WAIT_FOR_ALL = "    wgmma.commit_group.sync.aligned;\n    wgmma.wait_group.sync.aligned 0;\n"


class Sequence:
    """The text of a kernel, and the four sums of each of its four accumulators."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.slots = [(0, 0)] * 3
        self.sums = [0.0] * 4
        self.lines = [HEAD, *(f"    mov.f32 %d{i}, 0f00000000;\n" for i in range(16))]
        for slot in range(3):
            self.lines.append(
                f"    add.u32 %v, %at, {SLOT_BYTES * slot};\n    shr.u32 %v, %v, 4;\n    cvt.u64.u32 %start, %v;\n"
                f"    or.b64 %a{slot}, %start, 0x0000001000080000;\n    add.u64 %b{slot}, %a{slot}, {B_AT // 16};\n"
            )
            self.fill(slot)
        self.lines.append(f"{ORDERED}    wgmma.fence.sync.aligned;\n")

    def fill(self, slot: int, values: tuple[int, int] | None = None) -> None:
        """All elements of A get one value, those of B another."""
        self.slots[slot] = values or (self.random.randint(-4, 4), self.random.randint(-4, 4))
        for value, threads, place in zip(self.slots[slot], (128, 16), (0, B_AT), strict=True):
            word = int(np.float16(value).view(np.uint16)) * 0x10001
            self.lines.append(
                f"    setp.lt.u32 %fills, %t, {threads};\n    mov.b32 %v, {word};\n    mad.lo.u32 %pair, %t, 16, %at;\n"
                f"    @%fills st.shared.v4.b32 [%pair+{SLOT_BYTES * slot + place}], {{%v, %v, %v, %v}};\n"
            )

    def product(self) -> None:
        slot, d, adds, in_registers = (self.random.randrange(count) for count in (3, 4, 2, 2))
        a, b = self.slots[slot]
        self.sums[d] = 16.0 * (1 if in_registers else a) * b + adds * self.sums[d]
        registers = ", ".join(f"%d{4 * d + i}" for i in range(4))
        operand = "{%ones, %ones, %ones, %ones}" if in_registers else f"%a{slot}"
        self.lines.append(
            f"    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {{{registers}}}, {operand}, %b{slot}, {adds}, 1, 1"
            f"{', 0' if in_registers else ', 0, 0'};\n"
        )

    def commit(self) -> None:
        self.lines.append("    wgmma.commit_group.sync.aligned;\n")

    def wait(self) -> None:
        self.lines.append(f"    wgmma.wait_group.sync.aligned {self.random.randint(0, 2)};\n")

    def meet(self) -> None:
        """Two warps of a warpgroup wait for each other; the others go on."""
        label, guard = f"ON{len(self.lines)}", self.random.choice(("@", "@!"))
        self.lines.append(f"    {guard}%odd bra {label};\n    bar.sync %barrier, 64;\n{label}:\n")

    def refill(self) -> None:
        self.lines.append(f"{WAIT_FOR_ALL}    bar.sync 0;\n")
        self.fill(self.random.randrange(3))
        self.lines.append(f"{ORDERED}    wgmma.fence.sync.aligned;\n")

    def text(self) -> str:
        steps = [self.product, self.product, self.commit, self.wait, self.meet, self.refill]
        for _ in range(20):
            self.random.choice(steps)()
        self.lines.append(f"{WAIT_FOR_ALL}    mad.wide.u32 %out, %t, 64, %out;\n")
        for d in range(4):
            registers = ", ".join(f"%d{4 * d + i}" for i in range(4))
            self.lines.append(f"    st.global.v4.f32 [%out+{16 * d}], {{{registers}}};\n")
        return "".join(self.lines) + "    ret;\n}\n"


@pytest.mark.parametrize("seed", range(8))
def test_sums_of_a_random_sequence_are_exact_in_any_order_of_warps(seed):
    sequence = Sequence(Random(seed))
    text = sequence.text()
    expected = np.tile(np.repeat(np.array(sequence.sums, np.float32), 4), (256, 1))
    for options in ({}, {"variation": Variation(lanes=1)}, {"sanitize": True}):
        out = np.full((256, 16), np.nan, np.float32)
        execution = emulator.run(text, grid=1, block=256, args=[out], arch="sm_90a", **options)
        assert np.array_equal(out, expected), options
        assert execution.findings == ()


def first_sums(*steps: str) -> float:
    """The first sum of a kernel in which each product of slot 0 adds 16, and each one of slot 1 adds 32."""
    sequence = Sequence(Random(0))
    sequence.lines.append("    bar.sync 0;\n")
    sequence.fill(0, (1, 1))
    sequence.fill(1, (1, 2))
    sequence.lines += [
        f"{ORDERED}    wgmma.fence.sync.aligned;\n",
        *steps,
        "    mad.wide.u32 %out, %t, 64, %out;\n    st.global.f32 [%out], %d0;\n    ret;\n}\n",
    ]
    out = np.zeros((128, 16), np.float32)
    emulator.run("".join(sequence.lines), grid=1, block=128, args=[out], arch="sm_90a")
    assert np.array_equal(out[:, 0], np.full(128, out[0, 0]), equal_nan=True)
    return float(out[0, 0])


ADD = "    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, %a0, %b0, 1, 1, 1, 0, 0;\n"
COMMIT = "    wgmma.commit_group.sync.aligned;\n"
LEAVE_ONE = "    wgmma.wait_group.sync.aligned 1;\n"


def test_products_beyond_the_capacity_of_the_queue_are_computed_too():
    add_of_slot_1 = ADD.replace("%a0, %b0", "%a1, %b1")
    assert first_sums(ADD * 6, add_of_slot_1 * 64, WAIT_FOR_ALL) == 6 * 16 + 64 * 32


def test_a_register_has_no_value_while_a_later_product_adds_to_it():
    assert first_sums(ADD, COMMIT, ADD, WAIT_FOR_ALL) == 32
    assert np.isnan(first_sums(ADD, COMMIT, ADD, COMMIT, LEAVE_ONE))
