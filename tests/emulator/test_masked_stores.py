"""Stores of 32 bytes in which elements are `_`: these keep their value. (PTX ISA, "st".)"""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault, PtxSyntaxError

KERNEL = """.version 8.8
.target sm_100
.address_size 64
.visible .entry k(.param .u64 out)
{
    .reg .u32 %t, %v, %r;
    .reg .u64 %out, %at, %q;
    .reg .f32 %f;
    .reg .pred %p;
    ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    add.u32 %v, %t, 100;
    cvt.u64.u32 %q, %v;
    mov.b32 %f, %v;
    mul.wide.u32 %at, %t, 32;
    add.u64 %at, %at, %out;
BODY
    ret;
}
"""
STORES = [
    ("st.global.v8.f32 [%at], {%f, %f, _, %f, %f, %f, %f, _};", 4, (0, 1, 3, 4, 5, 6)),
    ("st.v8.b32 [%at], {_, _, _, %v, _, _, _, _};", 4, (3,)),
    ("st.global.L2::evict_last.v8.u32 [%at], {_, %v, %v, %v, %v, %v, %v, %v};", 4, (1, 2, 3, 4, 5, 6, 7)),
    ("st.weak.L1::no_allocate.v4.b64 [%at], {%q, _, %q, %q};", 8, (0, 2, 3)),
    ("st.relaxed.gpu.global.v4.u64 [%at], {_, %q, _, %q};", 8, (1, 3)),
]


def launched(body, threads=32, words=256, **options):
    out = np.full(words, 7, np.uint32)
    ptx = KERNEL.replace("BODY", body)
    return emulator.run(ptx, grid=1, block=threads, args=[out], arch="sm_100", **options), out


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
@pytest.mark.parametrize(("store", "size", "present"), STORES)
def test_elements_that_are_not_stored_keep_their_value(store, size, present, sanitize):
    execution, out = launched(store, sanitize=sanitize)
    before = np.full(256, 7, np.uint32).view(f"u{size}").reshape(32, -1)
    before[:, present] = 100 + np.arange(32)[:, None]
    assert out.view(f"u{size}").reshape(32, -1).tolist() == before.tolist()
    assert execution.findings == ()
    assert execution.counters["ptx_global_store_requests"] == 1
    assert execution.counters["ptx_global_store_sectors"] == 32


@pytest.mark.parametrize(
    ("others", "found"), [("{_, _, _, _, %v, %v, %v, %v}", []), ("{_, _, _, %v, %v, %v, %v, %v}", ["race"])]
)
def test_threads_may_store_different_elements_of_one_vector(others, found):
    body = f"""
    setp.eq.u32 %p, %t, 0;
    @%p st.global.v8.u32 [%out], {{%v, %v, %v, %v, _, _, _, _}};
    setp.eq.u32 %p, %t, 40;
    @%p st.global.v8.u32 [%out], {others};"""
    execution, _ = launched(body, threads=64, sanitize=True)
    assert [finding.kind for finding in execution.findings] == found


def test_the_whole_vector_is_aligned():
    with pytest.raises(MemoryFault, match="they must start at a multiple of 32"):
        launched("add.u64 %at, %at, 4;\nst.global.v8.u32 [%at], {%v, %v, %v, %v, _, _, _, _};", words=512)


def test_other_stores_have_no_such_elements():
    with pytest.raises(PtxSyntaxError):
        launched("st.global.v4.u32 [%at], {%v, _, %v, %v};")
