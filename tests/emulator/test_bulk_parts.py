"""Bulk copies that take only some bytes (.cp_mask, .ignore_oob), and fills of shared memory (st.bulk)."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


BYTES = 64
PARTS = module("""
.visible .entry parts(.param .u64 x, .param .u64 y, .param .u32 left, .param .u32 right, .param .u32 mask)
{
    // 64 bytes from x, without those at both ends, then to y those of the mask, with a policy and without.
    .reg .u64 %x, %y, %policy;
    .reg .u32 %left, %right, %mask;
    .reg .u16 %bytes;
    .reg .pred %done;
    .shared .align 16 .b8 tile[128];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %left, [left];
    ld.param.u32 %right, [right];
    ld.param.u32 %mask, [mask];
    cvt.u16.u32 %bytes, %mask;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    mbarrier.init.shared::cta.b64 [full], 1;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 128;
    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.ignore_oob [tile], [%x], 64, %left, %right, [full];
    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint.ignore_oob
        [tile+64], [%x], 64, %left, %right, [full], %policy;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%y], [tile], 64, %bytes;
    cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint.cp_mask [%y+64], [tile+64], 64, %policy, %bytes;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;
    ret;
}
""", ("9.2", "sm_100a"))  # fmt: skip


def parts(left=0, right=0, mask=0xFFFF, *, bytes=BYTES, skipped=0, **options):
    """The execution, x and y; the kernel gets the address `skipped` bytes before x."""
    random = np.random.default_rng(left + 100 * right)
    x, y = random.integers(0, 255, bytes, np.uint8), np.full(2 * BYTES, 7, np.uint8)
    source = PARTS.replace("ld.param.u64 %x, [x];", f"ld.param.u64 %x, [x];\n    sub.u64 %x, %x, {skipped};")
    arguments = [x, y, *(np.uint32(each) for each in (left, right, mask))]
    return emulator.run(source, grid=1, block=1, args=arguments, **options), x, y


@pytest.mark.parametrize("mask", [0xFFFF, 0, 1, 0x8000, 0xF00F, 0x5555, 0x7FFE])
def test_the_bytes_of_the_mask_are_written_in_each_sixteen(mask):
    _, x, y = parts(mask=mask)
    taken = [bool(mask >> i % 16 & 1) for i in range(BYTES)]
    assert y.tolist() == 2 * np.where(taken, x, 7).tolist()


@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 0), (0, 1), (15, 15), (7, 9), (0, 15)])
def test_ignored_bytes_become_indeterminate_and_those_at_the_end_may_lie_outside(left, right):
    execution, x, y = parts(left, right, bytes=BYTES - right)
    assert y.tolist() == 2 * [*[0xFF] * left, *x[left:].tolist(), *[0xFF] * right]
    assert execution.counters["ptx_async_bytes"] == 4 * BYTES
    assert execution.counters["ptx_global_load_bytes"] == 2 * (BYTES - left - right)
    assert execution.counters["ptx_shared_store_bytes"] == 2 * BYTES


def test_a_store_counts_the_bytes_that_it_writes():
    execution, *_ = parts(mask=0x00FF)
    assert execution.counters["ptx_global_store_bytes"] == BYTES
    assert execution.counters["ptx_shared_load_bytes"] == 2 * BYTES


LOAD = "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.ignore_oob by thread 0 of CTA 0 "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"left": 16}, LOAD + "ignores more than 15 bytes at one end, or all bytes that it copies"),
        ({"right": 300}, LOAD + "ignores more than 15 bytes at one end, or all bytes that it copies"),
        ({"right": 3, "bytes": 60}, LOAD + "reads byte 60 of 'x', which has 60"),
        ({"left": 15, "skipped": 16}, LOAD + "reads byte -1 of 'x'"),
        ({"left": 8, "skipped": 8}, LOAD + "reads 16 bytes at byte -8 of 'x'"),
    ],
)
def test_bytes_that_are_not_ignored_must_lie_inside(options, message):
    with pytest.raises(MemoryFault) as caught:
        parts(**options)
    assert message in str(caught.value)


def test_a_copy_of_parts_has_no_findings():
    assert parts(0, 15, 0xF0F0, bytes=BYTES - 15, sanitize=True)[0].findings == ()
