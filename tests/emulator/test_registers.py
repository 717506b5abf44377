"""Predefined registers, addresses of variables and the windows of the generic address space."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from ptxbench.toolchain import locate, ptxas

HEADER = ".version 8.7\n.target sm_90\n.address_size 64\n"
GRID, BLOCK = (3, 2, 2), (8, 4, 2)
BYTES = {"u16": 2, "u32": 4, "b32": 4, "u64": 8, "pred": 4}


def kernel(body, *, variables="", module=""):
    """`body` leaves a 64-bit %value; each thread of each CTA stores its own."""
    return f"""{HEADER}{module}
.visible .entry registers(.param .u64 out)
{{
    {variables}
    .reg .b32 %x, %y, %z, %n, %i, %word;
    .reg .b64 %value, %at;
    .reg .pred %p, %q;
    {body}
    mov.u32 %x, %ctaid.x;
    mov.u32 %y, %ctaid.y;
    mov.u32 %z, %ctaid.z;
    mad.lo.u32 %i, %z, {GRID[1]}, %y;
    mad.lo.u32 %i, %i, {GRID[0]}, %x;
    mov.u32 %x, %tid.x;
    mov.u32 %y, %tid.y;
    mov.u32 %z, %tid.z;
    mad.lo.u32 %i, %i, {BLOCK[2]}, %z;
    mad.lo.u32 %i, %i, {BLOCK[1]}, %y;
    mad.lo.u32 %i, %i, {BLOCK[0]}, %x;
    ld.param.u64 %at, [out];
    mad.wide.u32 %at, %i, 8, %at;
    st.global.u64 [%at], %value;
    ret;
}}
"""


def run(text, **launch):
    """The values, one a thread, in the order of CTAs and of the threads in each; ptxas must take the text too."""
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, text, "sm_90")
    ctas, threads = int(np.prod(GRID)), int(np.prod(BLOCK))
    out = np.zeros((ctas, threads), np.uint64)
    emulator.run(text, grid=GRID, block=BLOCK, args=[out], **launch)
    return out


def read(name, kind):
    if kind == "pred":
        return f"mov.pred %p, {name};\n    selp.u64 %value, 1, 0, %p;"
    if kind == "u64":
        return f"mov.u64 %value, {name};"
    return f"mov.{kind} %word, {name};\n    cvt.u64.u32 %value, %word;"


LANE = np.arange(int(np.prod(BLOCK)), dtype=np.uint64) % 32
ONE = np.uint64(1)
CTA = np.arange(int(np.prod(GRID)))[:, None]
REGISTERS = [
    ("%laneid",                      "u32",  LANE),
    ("%warpid",                      "u32",  np.arange(64) // 32),
    ("%nwarpid",                     "u32",  64),
    ("%lanemask_eq",                 "u32",  ONE << LANE),
    ("%lanemask_lt",                 "u32",  (ONE << LANE) - ONE),
    ("%lanemask_le",                 "u32",  (np.uint64(2) << LANE) - ONE),
    ("%lanemask_gt",                 "u32",  np.uint64(2**32) - (np.uint64(2) << LANE)),
    ("%lanemask_ge",                 "u32",  np.uint64(2**32) - (ONE << LANE)),
    ("%ntid.y",                      "u32",  4),
    ("%nctaid.z",                    "u32",  2),
    ("%ctaid.y",                     "u32",  CTA // 3 % 2),
    ("%tid.z",                       "u32",  np.arange(64) // 32),
    ("%smid",                        "u32",  CTA),                      # the rank, while it is below %nsmid
    ("%nsmid",                       "u32",  132),
    ("%gridid",                      "u64",  1),
    ("%clusterid.x",                 "u32",  CTA % 3),                  # without clusters every CTA is one
    ("%clusterid.z",                 "u32",  CTA // 6),
    ("%nclusterid.y",                "u32",  2),
    ("%cluster_ctaid.x",             "u32",  0),
    ("%cluster_nctaid.y",            "u32",  1),
    ("%cluster_ctarank",             "u32",  0),
    ("%cluster_nctarank",            "u32",  1),
    ("%is_explicit_cluster",         "pred", 0),
    ("%envreg7",                     "b32",  0),
    ("%pm3",                         "u32",  0),
    ("%pm3_64",                      "u64",  0),
    ("%dynamic_smem_size",           "u32",  100),
    ("%total_smem_size",             "u32",  384),                      # 200 + 100, in units of 128
    ("%aggr_smem_size",              "u32",  384 + 1024),               # with the driver's, from sm_80 on
    ("%reserved_smem_offset_begin",  "b32",  0),
    ("%reserved_smem_offset_end",    "b32",  1024),
    ("%reserved_smem_offset_cap",    "b32",  1024),
    ("%current_graph_exec",          "u64",  0),
    ("WARP_SZ",                      "u32",  32),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "expected"), REGISTERS, ids=[row[0] for row in REGISTERS])
def test_a_predefined_register_holds_what_the_manual_says(name, kind, expected):
    out = run(kernel(read(name, kind), variables=".shared .b8 used[200];"), dynamic_shared_bytes=100)
    assert (out == np.broadcast_to(np.asarray(expected, np.uint64), out.shape)).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_ctas_beyond_the_number_of_multiprocessors_start_again_at_the_first(threads):
    out = np.zeros((300, int(np.prod(BLOCK))), np.uint64)
    emulator.run(kernel(read("%smid", "u32")), grid=300, block=BLOCK, args=[out], threads=threads)
    assert (out == np.arange(300)[:, None] % 132).all()


CLOCKS = [("%clock", "u32"), ("%clock64", "u64"), ("%globaltimer", "u64"), ("%globaltimer_lo", "u32")]


@pytest.mark.parametrize(("name", "kind"), CLOCKS)
def test_a_clock_counts_the_instructions_of_its_warp(name, kind):
    """Lane 3 runs a loop of three instructions four times more often than the other lanes of its warp."""
    body = f"""
    mov.u32 %word, %tid.x;
    setp.eq.u32 %p, %word, 3;
    selp.u32 %n, 5, 1, %p;
AGAIN:
    sub.u32 %n, %n, 1;
    setp.ne.u32 %q, %n, 0;
    @%q bra AGAIN;
    {read(name, kind)}"""
    before_loop, in_loop = 3, 3
    warps = [5, 5]  # both warps of a CTA have lanes with tid.x 3, and these run the loop together
    expected = np.repeat([before_loop + in_loop * rounds for rounds in warps], 32)
    out = run(kernel(body), threads=2)
    assert (out == expected.astype(np.uint64)).all()


@pytest.mark.parametrize("name", ["%clock_hi", "%globaltimer_hi"])
def test_the_upper_half_of_a_young_clock_is_zero(name):
    assert not run(kernel(read(name, "u32"))).any()


VARIABLES = ".shared .align 8 .b8 near[64];\n    .local .align 8 .b8 own[64];"
MODULE = ".global .align 8 .b8 far[64];\n.const .align 8 .b8 fixed[64];"
SPACES = ("global", "const", "shared", "shared::cta", "shared::cluster", "local")
HOME = {"global": "far", "const": "fixed", "shared": "near", "local": "own"}
INSIDE = {
    "global": {"global"}, "const": {"global", "const"}, "shared": {"shared", "shared::cta", "shared::cluster"},
    "local": {"local"},
}  # fmt: skip
"""The windows that a variable's generic address lies in: constants are in global memory."""


@pytest.mark.parametrize("asked", SPACES)
@pytest.mark.parametrize("home", HOME)
def test_isspacep_reports_the_window_of_an_address(home, asked):
    body = f"""
    cvta.{home}.u64 %at, {HOME[home]}+60;
    isspacep.{asked} %p, %at;
    selp.u64 %value, 1, 0, %p;"""
    assert (run(kernel(body, variables=VARIABLES, module=MODULE)) == (asked in INSIDE[home])).all()


def test_isspacep_const_ends_with_the_variable():
    body = """
    cvta.const.u64 %at, fixed+64;
    isspacep.const %p, %at;
    selp.u64 %value, 1, 0, %p;"""
    assert not run(kernel(body, variables=VARIABLES, module=MODULE)).any()


@pytest.mark.parametrize("space", SPACES)
def test_cvta_to_generic_and_back_gives_the_address_of_the_space(space):
    name = HOME[space.partition("::")[0]]
    body = f"""
    mov.u64 %value, {name}+8;
    cvta.{space}.u64 %at, %value;
    cvta.to.{space}.u64 %at, %at;
    sub.u64 %value, %at, %value;"""
    assert not run(kernel(body, variables=VARIABLES, module=MODULE)).any()


@pytest.mark.parametrize(("space", "name"), [(space, name) for space, name in HOME.items() if space != "const"])
def test_a_generic_address_reads_data_stored_in_its_space(space, name):
    body = f"""
    mov.u64 %value, 0x1234567887654321;
    st.{space}.u64 [{name}+16], %value;
    cvta.{space}.u64 %at, {name};
    ld.u64 %value, [%at+16];"""
    assert (run(kernel(body, variables=VARIABLES, module=MODULE)) == 0x1234567887654321).all()


STRUCT = np.arange(10, 19, dtype=np.int32)  # nine words, the last of which an index cannot reach
PARAMETER = f"""{HEADER}
.visible .entry parameters(.param .align 4 .b8 given[36], .param .u64 out, .param .align 4 .b8 other[8])
{{
    .reg .b32 %thread, %direct, %generic, %inside, %outside;
    .reg .b64 %given, %at, %any, %out;
    .reg .pred %p;
    mov.u32 %thread, %tid.x;
    mov.b64 %given, given;
    mad.wide.u32 %at, %thread, 4, %given;
    ld.param.u32 %direct, [%at+4];
    cvta.param.u64 %any, %at;
    ld.u32 %generic, [%any];
    isspacep.param::entry %p, %any;
    selp.u32 %inside, 1, 0, %p;
    ld.param.u64 %out, [out];
    isspacep.param %p, %out;
    selp.u32 %outside, 1, 0, %p;
    mad.wide.u32 %out, %thread, 16, %out;
    st.global.v4.u32 [%out], {{%direct, %generic, %inside, %outside}};
    mov.b64 %any, other+4;
    ld.param.u32 %direct, [%any];
    setp.ne.u32 %p, %direct, 77;
    @%p trap;
    ret;
}}
"""


def test_the_address_of_a_parameter_reaches_it():
    out = np.zeros((8, 4), np.uint32)
    other = np.void(np.array([76, 77], np.int32).tobytes())
    emulator.run(PARAMETER, grid=2, block=8, args=[np.void(STRUCT.tobytes()), out, other])
    assert (out == np.stack([STRUCT[1:], STRUCT[:8], [1] * 8, [0] * 8], axis=1)).all()


def test_ptxas_accepts_addresses_of_parameters():
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, PARAMETER, "sm_90")


OWN_SPACE = """.version 7.7
.target sm_75
.address_size 64
.visible .entry parameter(.param .u64 out, .param .u32 number)
{
    .reg .u64 %out, %at;
    .reg .u32 %value;
    mov.u64 %at, number;
    LOAD
    ld.param.u64 %out, [out];
    st.global.u32 [%out], %value;
    ret;
}
"""


@pytest.mark.parametrize("placement", [None, 3])
def test_the_address_of_a_parameter_is_in_its_own_space(placement):
    def load(lines):
        out = np.zeros(1, np.uint32)
        text = OWN_SPACE.replace("LOAD", lines)
        emulator.run(text, grid=1, block=1, args=[out, np.uint32(7)], placement=placement)
        return out.tolist()

    generic, there_and_back = "cvta.param.u64 %at, %at;", "cvta.param.u64 %at, %at; cvta.to.param.u64 %at, %at;"
    assert load("ld.param.u32 %value, [%at];") == [7]
    assert load(f"{generic} ld.u32 %value, [%at];") == [7]
    assert load(f"{there_and_back} ld.param.u32 %value, [%at];") == [7]
    with pytest.raises(MemoryFault, match=r"The address of a parameter needs cvta\.param here"):
        load("ld.u32 %value, [%at];")
