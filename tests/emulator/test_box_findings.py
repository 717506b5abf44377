"""Findings about bulk copies and boxes: stores of the same bytes, and boxes that the edge of the tensor cuts."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.tensor_map import TensorMap
from tests.emulator.modules import Modules

module = Modules()
PARAMETERS = ".param .align 64 .b8 map_x[128], .param .u64 y, .param .u32 c0, .param .u32 c1, .param .u32 n"
START = """
    .reg .u64 %m, %y, %at;
    .reg .u32 %c0, %c1, %n, %t, %tile, %slot, %v;
    .reg .pred %first, %writes, %done;
    .shared .align 1024 .b8 tile[1024];
    .shared .align 8 .b64 full;
    mov.b64 %m, map_x;
    cvta.param.u64 %m, %m;
    ld.param.u64 %y, [y];
    ld.param.u32 %c0, [c0];
    ld.param.u32 %c1, [c1];
    ld.param.u32 %n, [n];
    mov.u32 %t, %tid.x;
    setp.eq.u32 %first, %t, 0;
    mov.u32 %tile, tile;
    mad.lo.u32 %slot, %t, 4, %tile;
"""
STORE = "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%m, {%c0, %c1}], [%tile];"
WAIT = "cp.async.bulk.commit_group;\n    cp.async.bulk.wait_group 0;"
TURN = "shr.b32 %v, %slot, 3;\n    and.b32 %v, %v, 16;\n    xor.b32 %slot, %slot, %v;"


def store(name, lines, value="7", second="99", turn=""):
    """A kernel whose threads below %n write the tile and `second` behind it, and then do `lines`."""
    return module(f"""
.visible .entry {name}({PARAMETERS})
{{{START}
    setp.lt.u32 %writes, %t, %n;
    {turn}
    @%writes st.shared.u32 [%slot], {value};
    @%writes st.shared.u32 [%slot+128], {second};
    fence.proxy.async.shared::cta;
    bar.sync 0;
    {lines}
    {WAIT}
    ret;
}}
""", ("8.6", "sm_90"))  # fmt: skip


TOO = "cp.async.bulk.global.shared::cta.bulk_group [%y], [{}], 64;"
SLOTS = "shl.b32 %v, %t, 7;\n    and.b32 %v, %v, 128;\n    add.u32 %tile, %tile, %v;\n    "
ONE = store("one", f"@%first {STORE}", "%t")
EACH = store("each", STORE, "%t")
EACH_PLAIN = store("each_plain", TOO.format("%tile"), "%t")
OTHERS = store("others", SLOTS + STORE, "%t")
OTHERS_PLAIN = store("others_plain", SLOTS + TOO.format("%tile"), "%t")
ALIKE = store("alike", SLOTS + STORE, second="7")
TURNED = store("turned", f"@%first {STORE}", "%t", turn=TURN)
LOAD = module(f"""
.visible .entry load({PARAMETERS})
{{{START}
    @%first mbarrier.init.shared::cta.b64 [full], 1;
    fence.mbarrier_init.release.cluster;
    bar.sync 0;
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 128;
    @%first cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%tile], [%m, {{%c0, %c1}}], [full];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    mad.lo.u32 %slot, %t, %n, %tile;
    ld.shared.u32 %v, [%slot];
    mad.wide.u32 %at, %t, 4, %y;
    st.global.u32 [%at], %v;
    ret;
}}
""", ("8.6", "sm_90"))  # fmt: skip


def test_ptxas_accepts_these_kernels():
    module.assemble()


@pytest.mark.parametrize(
    ("kernel", "place", "n", "swizzle", "kind", "noted"),
    [
        (ONE,          (0, 0), 32, 0,  "",              False),
        (EACH,         (0, 0), 32, 0,  "",              True),  # each lane stores the same value
        (EACH_PLAIN,   (0, 0), 32, 0,  "",              True),
        (ALIKE,        (0, 0), 32, 0,  "",              True),
        (OTHERS,       (0, 0), 32, 0,  "race",          False),
        (OTHERS_PLAIN, (0, 0), 32, 0,  "race",          False),
        (ONE,          (0, 7), 16, 0,  "",              False),  # the second row lies outside
        (ONE,          (0, 7), 15, 0,  "uninitialised", False),
        (ONE,          (0, 0), 31, 0,  "uninitialised", False),
        (ONE,          (0, 9), 0,  0,  "",              False),  # nothing lies inside
        (TURNED,       (4, 0), 32, 32, "",              False),
        (TURNED,       (4, 3), 28, 32, "",              False),  # byte 112, of the last four threads, lies outside
        (TURNED,       (4, 0), 28, 32, "",              False),
        (TURNED,       (4, 0), 27, 32, "uninitialised", False),
        (LOAD,         (0, 0), 4,  0,  "",              False),
        (LOAD,         (8, 7), 4,  0,  "",              False),  # it fills what lies outside
        (LOAD,         (0, 9), 4,  0,  "",              False),
        (LOAD,         (0, 0), 8,  0,  "uninitialised", False),
    ],
)  # fmt: skip
def test_copies_are_judged_by_the_bytes_that_they_move(kernel, place, n, swizzle, kind, noted):
    x, y = np.zeros((8, 8 if swizzle else 16), np.float32), np.zeros(32, np.uint32)
    box = (8, 4) if swizzle else (16, 2)
    arguments = [emulator.MapOf(x, TensorMap("map_x", "x", box=box, swizzle=swizzle)), y, *map(np.int32, place),
                 np.uint32(n)]  # fmt: skip
    execution = emulator.run(kernel, grid=1, block=32, args=arguments, sanitize=True)
    assert [finding.kind for finding in execution.findings] == ([kind] if kind else [])
    assert [note.split(":")[0] for note in execution.notes if "second" not in note] == (["same value"] if noted else [])
