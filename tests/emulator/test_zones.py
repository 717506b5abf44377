"""Accesses beyond a variable, within the memory of the CTA or the thread: zones show them in a sanitized launch."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import parse
from ptxbench.emulator.zones import MOST_ZONE_BYTES, SHARED_ZONE, lay_out_own, zones
from ptxbench.errors import KernelError

KERNEL = """.version 8.0
.target sm_90
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry k(.param .u64 out)
{
    .reg .u32 %t, %v, %four, %a, %b, %c, %d, %row, %at;
    .reg .u64 %out, %wide;
    .reg .pred %first;
    .shared .align 16 .f32 tile[32];
    .shared .align 16 .b8 bytes[300];
    .shared .align 8 .b64 bars[2];
    .shared .u32 last;
    .local .align 16 .u32 own[4];
    .local .align 16 .u32 other[4];
    mov.u32 %t, %tid.x;
    shl.b32 %four, %t, 2;
    ld.param.u64 %out, [out];
    setp.eq.u32 %first, %t, 0;
    mov.u32 %at, tile;
    add.u32 %at, %at, %four;
    cvt.u64.u32 %wide, %at;
    cvta.shared.u64 %wide, %wide;
    and.b32 %row, %t, 7;
    mov.u32 %a, tile;
    mad.lo.u32 %row, %row, 16, %a;
BODY
    ret;
}
"""
TILE, BYTES, LAST = "'tile', which has 128", "'bytes', which has 300", "'last', which has 4"
OWN, OTHER = "'own', which has 16", "'other', which has 16"


def launch(body, *, sanitize=True, **options):
    out = np.zeros(128, np.uint32)
    options = {"grid": 1, "block": 32, "dynamic_shared_bytes": 256, **options}
    return emulator.run(KERNEL.replace("BODY", body), args=[out], sanitize=sanitize, **options), out


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("st.shared.u32 [%at+4], %t;", f"thread 31 of CTA 0 writes byte 128 of {TILE}"),
        ("st.u32 [%wide+4], %t;", f"thread 31 of CTA 0 writes byte 128 of {TILE}"),
        ("ld.shared.u32 %v, [%at+640];", f"thread 0 of CTA 0 reads byte 640 of {TILE}"),
        ("@%first ld.shared.v4.u32 {%a, %b, %c, %d}, [bytes+288];", f"thread 0 of CTA 0 reads byte 300 of {BYTES}"),
        ("@%first ld.shared.u16 %v, [last+-2];", f"thread 0 of CTA 0 reads byte -2 of {LAST}"),
        ("atom.shared.add.u32 %v, [%at+128], 1;", f"thread 0 of CTA 0 updates byte 128 of {TILE}"),
        ("red.shared.add.u32 [%at+128], 1;", f"thread 0 of CTA 0 updates byte 128 of {TILE}"),
        ("@%first st.shared.u32 [last+4], 1;", f"thread 0 of CTA 0 writes byte 4 of {LAST}"),
        ("@%first st.shared.u32 [dynamic+-4], 1;", "thread 0 of CTA 0 writes byte -4 of 'dynamic', which has 256"),
        ("@%first cp.async.ca.shared.global [tile+128], [%out], 16;", f"writes byte 128 of {TILE}"),
        ("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%v}, [%row+16];", f"reads byte 128 of {TILE}"),
        ("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%row+16], {%t};", f"writes byte 128 of {TILE}"),
        ("@%first mbarrier.init.shared.b64 [bars+16], 1;", "uses byte 16 of 'bars', which has 16"),
        ("st.shared::cluster.u32 [%at+4], %t;", f"thread 31 of CTA 0 writes byte 128 of {TILE}"),
        ("st.local.u32 [own+16], %t;", f"thread 0 of CTA 0 writes byte 16 of {OWN}"),
        ("ld.local.u32 %v, [other+-4];", f"thread 0 of CTA 0 reads byte -4 of {OTHER}"),
        (
            """@%first mbarrier.init.shared.b64 [bars], 1;
               fence.proxy.async.shared::cta;
               @%first cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile+64], [%out], 128, [bars];
            """,
            f"writes byte 128 of {TILE}",
        ),
        (
            "st.shared.u32 [%at], %t;\nfence.proxy.async.shared::cta;\nbar.warp.sync 0xffffffff;\n"
            "@%first cp.async.bulk.global.shared::cta.bulk_group [%out], [tile], 144;\n"
            "@%first cp.async.bulk.commit_group;\n@%first cp.async.bulk.wait_group 0;",
            f"reads byte 128 of {TILE}",
        ),
    ],
)  # fmt: skip
def test_an_access_beyond_a_variable_is_a_finding_with_the_variable(body, place):
    execution, _ = launch(body)
    messages = [finding.message for finding in execution.findings if finding.kind == "out-of-bounds"]
    assert len(messages) == 1, execution.findings
    assert messages[0].endswith(f"{place}. Check its guard.")


def test_an_access_to_another_cta_names_its_rank():
    body = (
        "mapa.shared::cluster.u32 %a, %at, 1;\nst.shared::cluster.u32 [%a+4], %t;\nbarrier.cluster.arrive;\n"
        "barrier.cluster.wait;"
    )
    execution, _ = launch(body, grid=2, cluster=2)
    messages = [finding.message for finding in execution.findings if finding.kind == "out-of-bounds"]
    assert [message.partition(" writes ")[2] for message in messages] == [
        f"byte 128 of {TILE}, in the CTA of rank 1 of the cluster. Check its guard."
    ]


@pytest.mark.parametrize(
    "use",
    [
        "@%first mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%b+16];",
        "@%first st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%a], %t, [%b+16];",
    ],
)
def test_an_mbarrier_of_another_cta_beyond_its_variable_is_named(use):
    body = (
        f"mapa.shared::cluster.u32 %a, %at, 1;\nmov.u32 %b, bars;\nmapa.shared::cluster.u32 %b, %b, 1;\n{use}\n"
        "barrier.cluster.arrive;\nbarrier.cluster.wait;"
    )
    try:
        execution, _ = launch(body, grid=2, cluster=2)
        words = " ".join(finding.message for finding in execution.findings)
    except KernelError as error:  # "Found before: ...", if there must be an mbarrier
        words = str(error)
    assert "byte 16 of 'bars', which has 16, in the CTA of rank 1" in words


def test_variables_of_functions_and_of_inner_scopes_have_the_names_of_the_text():
    function = """.func f() {
    .shared .u32 tile[8];
    .local .u32 mine[2], also[2];
    st.shared.u32 [tile+32], 1;
    st.local.u32 [mine+8], 1;
    ret;
}
.visible .entry k"""
    inner = "{ .shared .u32 last[2];\n@%first st.shared.u32 [last+8], 1; }\n@%first call f;"
    ptx = KERNEL.replace(".visible .entry k", function).replace("BODY", inner)
    execution = emulator.run(ptx, "k", grid=1, block=32, args=[np.zeros(128, np.uint32)], sanitize=True)
    places = [finding.message.partition(" writes ")[2] for finding in execution.findings]
    assert places == [
        f"{place}. Check its guard."
        for place in (
            "byte 32 of 'tile', which has 32",
            "byte 8 of 'mine', which has 8",
            "byte 8 of 'last', which has 8",
        )
    ]


def test_every_cta_has_zones():
    execution, _ = launch(
        "mov.u32 %a, %ctaid.x;\nsetp.eq.u32 %first, %a, 5;\n@%first st.shared.u32 [%at+4], %t;", grid=9
    )
    assert [finding.message.partition(" by ")[2] for finding in execution.findings] == [
        f"thread 31 of CTA 5 writes byte 128 of {TILE}. Check its guard."
    ]


SIZES = """
    st.shared.u32 [%at], %t;
    mov.u32 %a, %dynamic_smem_size;
    mov.u32 %b, %total_smem_size;
    mov.u32 %c, dynamic;
    and.b32 %c, %c, 1023;
    mov.u32 %d, last;
    and.b32 %d, %d, 1023;
    st.global.v4.u32 [%out], {%a, %b, %c, %d};
    st.local.u32 [own+12], %t;
    st.local.u32 [other], %t;
    ld.shared.u32 %v, [%at];
"""


def test_zones_change_no_size_no_count_and_no_lower_bits_of_addresses():
    sanitized, out = launch(SIZES)
    plain, expected = launch(SIZES, sanitize=False)
    assert not sanitized.findings
    assert out.tolist() == expected.tolist()
    assert out[0] == 256
    assert sanitized.counters == plain.counters


def test_dynamic_shared_memory_is_one_variable_whatever_its_names_and_parts():
    body = "st.shared.u32 [dynamic+128], %t;\nld.shared.u16 %v, [again+128];\n@%first st.shared.u32 [again+252], 1;"
    ptx = KERNEL.replace(".visible", ".extern .shared .align 4 .u16 again[];\n.visible").replace("BODY", body)
    options = {"grid": 1, "block": 1, "dynamic_shared_bytes": 256}
    assert not emulator.run(ptx, args=[np.zeros(128, np.uint32)], sanitize=True, **options).findings


def test_dynamic_shared_memory_that_the_kernel_does_not_declare_belongs_to_no_variable():
    ptx = """.version 8.0\n.target sm_90\n.address_size 64
.visible .entry k() { .shared .u32 tile[32]; st.shared.u32 [tile+128], 1; ret; }"""
    execution = emulator.run(ptx, args=[], grid=1, block=1, dynamic_shared_bytes=256, sanitize=True)
    places = [finding.message.partition(" writes ")[2] for finding in execution.findings]
    assert places == ["byte 128 of shared memory, which has 128. Check its guard."]


def test_zones_do_not_count_as_memory_of_the_kernel():
    most = 227 * 1024
    ptx = KERNEL.replace("tile[32]", f"tile[{(most - 8 * 1024) // 4}]").replace(
        "own[4]", f"own[{(512 * 1024 - 32) // 4}]"
    )
    out = np.zeros(128, np.uint32)
    ptx = ptx.replace("BODY", "st.shared.u32 [dynamic+4], 1;\n" + SIZES)
    execution = emulator.run(ptx, grid=1, block=32, args=[out], sanitize=True, dynamic_shared_bytes=4096)
    assert not execution.findings


@pytest.mark.parametrize(("align", "step"), [(16, SHARED_ZONE), (4096, 4096)])
def test_more_variables_than_zones_keep_within_the_reach_of_a_descriptor(align, step):
    most = MOST_ZONE_BYTES // step
    variables = "\n".join(f".shared .align {align >> i % 3} .b8 v{i}[100];" for i in range(most + 9))
    module = parse(KERNEL.replace("BODY", variables))
    function = module.entries["k"]
    plain, zoned = (lay_out_own(module, function, reserved=0, zoned=wanted) for wanted in (False, True))
    assert zoned.shared_bytes - plain.shared_bytes == zoned.shared_zones == MOST_ZONE_BYTES
    assert all((zoned.shared[name] - offset) % step == 0 for name, offset in plain.shared.items())
    ranges = list(zones(zoned.variables, "shared"))
    assert len(ranges) == most
    assert all(end - start >= step for start, end in ranges)
