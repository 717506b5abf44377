"""Random copies in a cluster, and random changes of tensor maps, against NumPy."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxbench import emulator
from ptxbench.tensor_map import TensorMap
from tests.emulator.modules import Modules
from tests.emulator.test_tensor_copies import TILE_BYTES, drawn, loaded

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()
    for number in NUMBERS:
        module(replacing(*drawn(number)), ("8.8", "sm_100a"))
    module.assemble()


CTAS, WORDS = 4, 256
LOAD = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
BETWEEN = "shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
KINDS = {
    "multicast": f"{LOAD}.multicast::cluster [%to], [%from], %size, [full], %mask",
    "load": f"{LOAD} [%far], [%from], %size, [%far_bar]",
    "copy": f"cp.async.bulk.{BETWEEN} [%far], [%source], %size, [%far_bar]",
    "add": f"cp.reduce.async.bulk.{BETWEEN}.add.u32 [%far], [%source], %size, [%far_bar]",
    "max": f"cp.reduce.async.bulk.{BETWEEN}.max.s32 [%far], [%source], %size, [%far_bar]",
}  # fmt: skip
ISSUES = "\n".join(
    f"    setp.ne.u32 %other, %kind, {number};\n    @%other bra NOT_{number};\n    {line};\nNOT_{number}:"
    for number, line in enumerate(KINDS.values())
)
TRAFFIC = module(f"""
.visible .entry traffic(.param .u64 x, .param .u64 own, .param .u64 y, .param .u64 steps, .param .u32 count,
                        .param .u64 bytes)
{{
    // Each CTA has 256 words of its own and 256 of a tile. Its thread 0 issues its steps: the issuer, the kind, the CTA
    // or the mask of CTAs, the size, and the bytes at which the source and the target start. Then each CTA waits for
    // as many bytes as come to it, and stores its tile.
    .reg .u64 %x, %own, %y, %steps, %bytes, %at, %from;
    .reg .u32 %t, %rank, %i, %count, %issuer, %kind, %ctas, %size, %start, %end, %to, %far, %far_bar, %source, %v, %n;
    .reg .u16 %mask;
    .reg .pred %leads, %other, %more, %done;
    .shared .align 128 .b8 mine[1024];
    .shared .align 128 .b8 tile[1024];
    .shared .align 8 .b64 full;
    ld.param.u64 %x, [x];
    ld.param.u64 %own, [own];
    ld.param.u64 %y, [y];
    ld.param.u64 %steps, [steps];
    ld.param.u32 %count, [count];
    ld.param.u64 %bytes, [bytes];
    mov.u32 %t, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    mad.lo.u32 %v, %rank, 256, %t;
    mad.wide.u32 %at, %v, 4, %own;
    ld.global.u32 %v, [%at];
    mov.u32 %to, mine;
    mad.lo.u32 %to, %t, 4, %to;
    st.shared.u32 [%to], %v;
    mov.u32 %to, tile;
    mad.lo.u32 %to, %t, 4, %to;
    st.shared.u32 [%to], %t;
    fence.proxy.async;
    setp.eq.u32 %leads, %t, 0;
    mad.wide.u32 %at, %rank, 4, %bytes;
    ld.global.u32 %n, [%at];
    @%leads mbarrier.init.shared::cta.b64 [full], 1;
    @%leads fence.mbarrier_init.release.cluster;
    @%leads mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], %n;
    barrier.cluster.arrive;
    barrier.cluster.wait;
    @!%leads bra ISSUED;
    mov.u32 %i, 0;
STEP:
    setp.ge.u32 %more, %i, %count;
    @%more bra ISSUED;
    ld.global.v2.u32 {{%issuer, %kind}}, [%steps];
    ld.global.v2.u32 {{%ctas, %size}}, [%steps+8];
    ld.global.v2.u32 {{%start, %end}}, [%steps+16];
    add.u64 %steps, %steps, 24;
    add.u32 %i, %i, 1;
    setp.ne.u32 %other, %issuer, %rank;
    @%other bra STEP;
    cvt.u64.u32 %from, %start;
    add.u64 %from, %x, %from;
    mov.u32 %source, mine;
    add.u32 %source, %source, %start;
    mov.u32 %to, tile;
    add.u32 %to, %to, %end;
    cvt.u16.u32 %mask, %ctas;
    mapa.shared::cluster.u32 %far, %to, %ctas;
    mov.u32 %far_bar, full;
    mapa.shared::cluster.u32 %far_bar, %far_bar, %ctas;
{ISSUES}
    bra STEP;
ISSUED:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra ISSUED;
    mad.lo.u32 %v, %rank, 256, %t;
    mad.wide.u32 %at, %v, 4, %y;
    mov.u32 %to, tile;
    mad.lo.u32 %to, %t, 4, %to;
    ld.shared.u32 %v, [%to];
    st.global.u32 [%at], %v;
    barrier.cluster.arrive;
    barrier.cluster.wait;
    ret;
}}
""", ("8.0", "sm_90a"))  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A copy: who issues it, to which CTAs, of how many words, from where to where."""

    issuer: int
    kind: str
    ctas: tuple[int, ...]
    words: int
    start: int
    end: int

    @property
    def packed(self):
        """Its numbers as the kernel reads them."""
        ctas = sum(1 << cta for cta in self.ctas) if self.kind == "multicast" else self.ctas[0]
        kind = list(KINDS).index(self.kind)
        return [self.issuer, kind, ctas, 4 * self.words, 4 * self.start, 4 * self.end]


@st.composite
def traffic(draw):
    """Steps whose targets do not overlap, except of additions and of the same words."""
    steps, end = [], 0
    while end < WORDS and len(steps) < 12:
        issuer, kind = draw(st.integers(0, CTAS - 1)), draw(st.sampled_from(list(KINDS)))
        words = min(4 * draw(st.integers(1, 24)), WORDS - end)
        if kind == "multicast":
            ctas = tuple(sorted(draw(st.sets(st.integers(0, CTAS - 1), min_size=1))))
        else:
            targets = [cta for cta in range(CTAS) if cta != issuer or kind == "load"]
            ctas = (draw(st.sampled_from(targets)),)
        start = 4 * draw(st.integers(0, (WORDS - words) // 4))
        repeats = draw(st.integers(1, 3)) if kind in ("add", "max") else 1
        steps += [Step(issuer, kind, ctas, words, start, end)] * repeats
        end += words
    return steps


X, OWN = (np.random.default_rng(seed).integers(0, 1 << 32, shape, np.uint32) for seed, shape in
          ((1, (WORDS,)), (2, (CTAS, WORDS))))  # fmt: skip


def in_numpy(steps):
    """The tiles at the end, and the bytes that arrive in each CTA."""
    tiles, expected = np.tile(np.arange(WORDS, dtype=np.uint32), (CTAS, 1)), np.zeros(CTAS, np.uint32)
    for step in steps:
        source = X if step.kind in ("multicast", "load") else OWN[step.issuer]
        values = source[step.start : step.start + step.words]
        for cta in step.ctas:
            target = tiles[cta, step.end : step.end + step.words]
            if step.kind == "add":
                target += values
            elif step.kind == "max":
                target[:] = np.maximum(target.view(np.int32), values.view(np.int32)).view(np.uint32)
            else:
                target[:] = values
            expected[cta] += 4 * step.words
    return tiles, expected


@settings(max_examples=60)
@given(traffic(), st.sampled_from(("usual", "last first", "by turns")))
def test_copies_in_a_cluster_are_those_of_numpy(steps, ctas):
    tiles, expected = in_numpy(steps)
    y = np.zeros_like(tiles)
    packed = np.array([step.packed for step in steps], np.uint32)
    emulator.run(TRAFFIC, grid=CTAS, block=WORDS, cluster=CTAS, ctas=ctas,
                 args=[X.copy(), OWN.copy(), y, packed, np.uint32(len(steps)), expected])  # fmt: skip
    assert y.tolist() == tiles.tolist()


# ---- maps of which every field is replaced

NUMBERS = (3, 7, 16, 22, 29, 44)
ELEMENTS = {"u8": 0, "u16": 1, "u32": 2, "s32": 3, "u64": 4, "s64": 5, "f16": 6, "f32": 7, "f64": 9, "bf16": 10}
SWIZZLES, ATOMS = (0, 32, 64, 128), {16: 0, 32: 1, 64: 3}


def replacing(array, tiled, place):
    """The kernel that turns a map of another tensor into `tiled`, and loads a box by it."""
    mapped = emulator.MapOf(array, tiled).tiled
    dims = len(place)
    choices = {
        "elemtype": ELEMENTS[mapped.element], "interleave_layout": 0, "swizzle_mode": SWIZZLES.index(mapped.swizzle),
        "swizzle_atomicity": ATOMS[mapped.atom], "fill_mode": int(mapped.fill == "nan"),
    }  # fmt: skip
    fields = [f"{field}.shared::cta.b1024.b32 [%here], {value}" for field, value in choices.items()]
    fields.append(f"rank.shared::cta.b1024.b32 [%here], {dims - 1}")
    fields.append("global_address.shared::cta.b1024.b64 [%here], %x")
    for i in range(5):
        for field, extents in (("box_dim", mapped.box), ("global_dim", mapped.shape),
                              ("element_stride", mapped.element_strides)):  # fmt: skip
            fields.append(f"{field}.shared::cta.b1024.b32 [%here], {i}, {extents[i] if i < dims else 1}")
    for i, stride in enumerate(mapped.strides):
        fields.append(f"global_stride.shared::cta.b1024.b64 [%here], {i}, {stride}")
    replaces = "\n    ".join(f"@%leads tensormap.replace.tile.{field};" for field in fields)
    coordinates = "{" + ", ".join(f"%c{i}" for i in range(dims)) + "}"
    moves = "\n    ".join(f"mov.u32 %c{i}, {c};" for i, c in enumerate(place))
    size = loaded(array, mapped, place).size
    return f"""
.visible .entry replacing(.param .align 64 .b8 map[128], .param .u64 x, .param .u64 y, .param .u64 maps)
{{
    .reg .u64 %m, %x, %y, %map, %at;
    .reg .u32 %t, %v, %here, %to, %c<5>;
    .reg .pred %leads, %done, %more;
    .shared .align 1024 .b8 tile[{TILE_BYTES}];
    .shared .align 128 .b8 changed[128];
    .shared .align 8 .b64 full;
    mov.b64 %m, map;
    cvta.param.u64 %m, %m;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %map, [maps];
    mov.u32 %t, %tid.x;
    setp.eq.u32 %leads, %t, 0;
    mad.wide.u32 %at, %t, 4, %m;
    ld.param.u32 %v, [%at];
    mov.u32 %here, changed;
    mad.lo.u32 %to, %t, 4, %here;
    st.shared.u32 [%to], %v;
    bar.warp.sync -1;
    {replaces}
    bar.warp.sync -1;
    tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.cta.sync.aligned [%map], [%here], 128;
    fence.proxy.tensormap::generic.acquire.cta [%map], 128;
    @%leads mbarrier.init.shared::cta.b64 [full], 1;
    @%leads mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], {size};
    {moves}
    @%leads cp.async.bulk.tensor.{dims}d.shared::cta.global.mbarrier::complete_tx::bytes
        [tile], [%map, {coordinates}], [full];
    bar.warp.sync -1;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    mov.u32 %v, {size};
    @%leads cp.async.bulk.global.shared::cta.bulk_group [%y], [tile], %v;
    @%leads cp.async.bulk.commit_group;
    @%leads cp.async.bulk.wait_group 0;
    ret;
}}
"""


def test_a_map_with_every_field_replaced_loads_like_the_new_map():
    header = ".version 8.8\n.target sm_100a\n.address_size 64\n"
    for number in NUMBERS:
        array, tiled, place = drawn(number)
        other = np.zeros((4, 6, 64), np.uint16)
        before = emulator.MapOf(other, TensorMap("map", "x", box=(16, 2, 2), swizzle=32, element_strides=(1, 2, 1)))
        expected = loaded(array, emulator.MapOf(array, tiled).tiled, place)
        y = np.zeros(expected.size, np.uint8)
        emulator.run(header + replacing(array, tiled, place), grid=1, block=32,
                     args=[before, array, y, np.zeros(128, np.uint8)])  # fmt: skip
        assert y.tolist() == expected.tolist(), number
