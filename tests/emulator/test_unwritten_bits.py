"""A register may be unwritten in part: the padding of a structure, or the end of a vector."""

import re

import numpy as np
import pytest

from ptxbench import emulator

KERNEL = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 out)
{
    .reg .u64 %out, %wide, %long;
    .reg .b32 %t, %at, %word, %x, %y, %never, %low, %high;
    .reg .b16 %half, %end;
    .reg .f32 %number;
    .reg .pred %p;
    .shared .align 8 .b8 structures[256];
    .local .align 4 .b8 own[4];
    ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mul.wide.u32 %wide, %t, 4;
    add.u64 %out, %out, %wide;
    mov.u32 %at, structures;
    mad.lo.u32 %at, %t, 8, %at;
    st.shared.u32 [%at], 7;
    setp.lt.u32 %p, %t, 16;
    @%p st.shared.u8 [%at+4], 65;
BODY
    popc.b32 %x, %x;
    st.global.u32 [%out], %x;
    ret;
}
"""
LOAD = "ld.shared.b32 %word, [%at+4];\n"
MERGED = "shl.b32 %x, %never, 8;\nor.b32 %x, %x, 65;\n"
INSERTED = "mov.b32 %y, 65;\nprmt.b32 %never, %never, %y, 0x7604;\n"
FIRST_BYTE = {
    "prmt": LOAD + "prmt.b32 %x, %word, 0, 0x7770;",
    "prmt from the other side": LOAD + "prmt.b32 %x, 0, %word, 0x1114;",
    "a mask": LOAD + "and.b32 %x, %word, 255;",
    "a mask in a register": LOAD + "mov.b32 %y, 255;\nand.b32 %x, %y, %word;",
    "ones": LOAD + "or.b32 %x, %word, 0xffffff00;",
    "two shifts": LOAD + "shl.b32 %x, %word, 24;\nshr.s32 %x, %x, 24;",
    "products with powers of two": LOAD + "mul.lo.u32 %x, %word, 0x1000000;\nshr.u32 %x, %x, 24;\n"
    "cvt.u16.u32 %half, %word;\nand.b16 %half, %half, 255;\nmul.wide.u16 %y, %half, 256;\nadd.u32 %x, %x, %y;",
    "a field": LOAD + "bfe.u32 %x, %word, 0, 7;",
    "the field of another": LOAD + "bfi.b32 %x, %word, 0, 8, 8;",
    "a conversion": LOAD + "cvt.u16.u32 %half, %word;\nand.b16 %half, %half, 255;\ncvt.u32.u16 %x, %half;",
    "a conversion of the low byte": LOAD + "cvt.s32.s8 %x, %word;",
    "halves": LOAD + "mov.b32 {%half, %end}, %word;\nand.b16 %half, %half, 255;\ncvt.u32.u16 %x, %half;",
    "a shift of two words": LOAD + "shf.l.wrap.b32 %x, 0, %word, 24;\nshf.r.wrap.b32 %x, %x, 0, 24;",
    "a wider word": "ld.shared.b64 %long, [%at];\nmov.b64 {%low, %high}, %long;\nand.b32 %x, %high, 255;\n"
    "add.u32 %x, %x, %low;",
    "a shuffle and a choice": LOAD + "shfl.sync.bfly.b32 %y, %word, 1, 31, -1;\nsetp.lt.u32 %p, %t, 9;\n"
    "selp.b32 %x, %y, %word, %p;\nand.b32 %x, %x, 255;",
    "a number": "ld.shared.f32 %number, [%at+4];\nsetp.lt.u32 %p, %t, 9;\nselp.f32 %number, %number, %number, %p;\n"
    "mov.b32 %x, %number;\nand.b32 %x, %x, 255;",
    "a copy": LOAD + "st.shared.b32 [%at], %word;\nld.shared.u8 %x, [%at];",
    "a copy by words": LOAD + "st.local.b32 [own], %word;\nld.local.b32 %x, [own];\nand.b32 %x, %x, 255;",
    "a copy of a rebuilt word": LOAD + "prmt.b32 %x, %word, 0, 0x7770;\nprmt.b32 %y, %word, 0, 0x7771;\n"
    "prmt.b32 %x, %x, %y, 0x1140;\nst.shared.b16 [%at], %x;\nld.shared.u8 %x, [%at];",
    "a store of the low byte": LOAD + "st.global.u8 [%out], %word;\nmov.b32 %x, 65;",
    "a word in global memory": LOAD + "st.global.b32 [%out], %word;\nmov.b32 %x, 65;",
    "a half in global memory": LOAD + "st.global.u16 [%out], %word;\nmov.b32 %x, 65;",
    "two halves in global memory": LOAD + "mov.b32 {%half, %end}, %word;\nst.global.v2.b16 [%out], {%half, %end};\n"
    "mov.b32 %x, 65;",
    "a comparison of the low half": LOAD + "and.b32 %word, %word, 0xffff00ff;\nmov.b32 %x, 65;\n"
    "cvt.u16.u32 %half, %word;\nsetp.eq.u16 %p, %half, 3;\n@%p mov.b32 %x, 1;",
}


def findings(body, **options):
    ptx, out = KERNEL.replace("BODY", body), np.zeros(64, np.uint32)
    execution = emulator.run(ptx, block=32, args=[out], sanitize=True, **{"grid": 1, **options})
    return [
        (finding.kind.partition("-")[0], re.search(r"thread (\d+)", finding.message)[1])
        for finding in execution.findings
    ]


@pytest.mark.parametrize("body", FIRST_BYTE.values(), ids=FIRST_BYTE)
def test_the_first_byte_may_be_used_by_the_threads_that_wrote_it(body):
    assert findings(body) == [("uninitialised", "16")]


@pytest.mark.parametrize("first", [7, None])
def test_the_first_word_of_a_vector_in_global_memory_must_be_written(first):
    load = "mov.b32 %y, 7;\n" if first else "ld.shared.b32 %y, [%at+4];\n"
    store = LOAD + load + "add.u64 %out, %out, %wide;\nst.global.v2.b32 [%out], {%y, %word};\nmov.b32 %x, 7;"
    assert findings(store) == ([] if first else [("uninitialised", "16")])


def test_a_vector_in_global_memory_may_have_padding_without_a_value():
    body = "add.u64 %out, %out, %wide;\nst.global.v2.b32 [%out], {%low, %high};\nmov.b32 %x, 7;"
    assert findings("mov.b32 %low, 7;\n" + body) == []
    assert findings("mov.b32 %high, 7;\n" + body) == [("uninitialised", "0")]


def test_an_inserted_byte_may_be_used():
    assert findings(INSERTED + "and.b32 %x, %never, 255;") == []
    assert findings(MERGED + "and.b32 %x, %x, 255;") == []


USED = {
    "the second byte": LOAD + "prmt.b32 %x, %word, 0, 0x7771;",
    "a mask of one bit more": LOAD + "and.b32 %x, %word, 511;",
    "a sign": LOAD + "prmt.b32 %x, %word, 0, 0x7799;",
    "a shift to the right": LOAD + "shr.u32 %x, %word, 7;",
    "a field of one bit more": LOAD + "bfe.u32 %x, %word, 1, 8;",
    "a mask that has no value": LOAD + "mov.b32 %y, 255;\nand.b32 %x, %word, %word;",
    "a number of bits": LOAD + "and.b32 %y, %word, 0xff1f;\nmov.b32 %x, 4;\nshl.b32 %x, %x, %y;",
    "the upper half": LOAD + "mov.b32 {%half, %end}, %word;\ncvt.u32.u16 %x, %end;",
    "a copy": LOAD + "st.shared.b32 [%at], %word;\nld.shared.u8 %x, [%at+1];",
    "a product with 3": LOAD + "mul.lo.u32 %x, %word, 0x3000000;\nand.b32 %x, %x, 0xff000000;",
    "a product with a power of two": LOAD + "mul.lo.u32 %x, %word, 0x800000;",
    "a wide product with the least number": LOAD + "mul.wide.s32 %long, %word, 0x80000000;\n"
    "shr.u64 %long, %long, 40;\ncvt.u32.u64 %x, %long;",
    "the upper half of a product with the least number": LOAD + "mul.hi.s32 %x, %word, 0x80000000;\n"
    "and.b32 %x, %x, 256;",
    "a sum": LOAD + "add.u32 %x, %word, 1;\nand.b32 %x, %x, 255;",
    "a byte beside a merged one": MERGED + "and.b32 %x, %x, 511;",
    "a byte beside an inserted one": INSERTED + "and.b32 %x, %never, 511;",
    "a volatile store": LOAD + "st.volatile.global.u16 [%out], %word;\nmov.b32 %x, 65;",
    "an extended byte": LOAD
    + "shr.u32 %x, %word, 8;\nand.b32 %x, %x, 255;\nst.global.u32 [%out], %x;\nmov.b32 %x, 65;",
    "an exchange": LOAD + "atom.global.exch.b32 %y, [%out], %word;\nmov.b32 %x, 65;",
}


@pytest.mark.parametrize("body", USED.values(), ids=USED)
def test_an_unwritten_byte_may_not_be_used(body):
    assert findings(body) == [("uninitialised", "0")]


SYNC = "barrier.cluster.arrive;\nbarrier.cluster.wait;\n"
REMOTE = "mapa.shared::cluster.u32 %y, %at, 1;\n"
IN_CLUSTER = {
    "its own byte": (LOAD + "and.b32 %x, %word, 255;", "16"),
    "a byte beside it": (LOAD + "and.b32 %x, %word, 511;", "0"),
    "a copy that another CTA reads": (LOAD + "st.shared.b32 [%at], %word;\n" + SYNC + REMOTE
                                      + "ld.shared::cluster.u8 %x, [%y];\n" + SYNC, "16"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "thread"), IN_CLUSTER.values(), ids=IN_CLUSTER)
def test_so_it_is_in_clusters(body, thread):
    own_results = "mov.u32 %y, %cluster_ctaid.x;\nmul.wide.u32 %wide, %y, 128;\nadd.u64 %out, %out, %wide;\n"
    assert findings(own_results + body, grid=2, cluster=2) == [("uninitialised", thread)]


def test_a_store_from_another_cta_writes_the_bytes():
    """Rank 1 uses what rank 0 stored there; rank 0 drops its own bytes."""
    rank = "mov.u32 %low, %cluster_ctaid.x;\nsetp.eq.u32 %p, %low, 1;\n"
    store = SYNC + REMOTE + rank + "@!%p st.shared::cluster.u32 [%y+4], 9;\n" + SYNC
    result = "selp.b32 %x, %word, 0, %p;\nmul.wide.u32 %wide, %low, 128;\nadd.u64 %out, %out, %wide;"
    assert findings(store + LOAD + result, grid=2, cluster=2) == []
    assert findings(rank + LOAD + result, grid=2, cluster=2) == [("uninitialised", "0")]
