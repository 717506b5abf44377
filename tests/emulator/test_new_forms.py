"""Forms of loads, stores and atomics that sm_80 lacks: wide and hinted accesses, sums of halves."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


# ---- loads and stores: each line moves the same bytes

LOADS = [
    "ld.weak.global.b32", "ld.global.ca.b32", "ld.global.lu.u32", "ld.global.cv.f32", "ld.weak.global.cs.b32",
    "ld.global.L1::evict_last.b32", "ld.global.L1::no_allocate.L2::256B.b32", "ld.global.L2::cache_hint.b32",
    "ld.global.L1::evict_first.L2::cache_hint.L2::64B.b32", "ld.L1::evict_unchanged.b32", "ld.cg.b32",
    "ld.global.nc.b32", "ld.global.ca.nc.b32", "ld.global.nc.L1::evict_normal.L2::128B.b32",
    "ld.global.cg.nc.L2::64B.b32",
    "ld.global.nc.L2::cache_hint.b32", "ld.volatile.global.b32", "ld.volatile.b32", "ld.global.volatile.b32",
    "ld.relaxed.gpu.global.b32", "ld.relaxed.cta.b32", "ld.acquire.sys.global.L1::evict_last.b32",
    "ld.global.acquire.gpu.b32",
    "ld.acquire.cluster.global.L2::cache_hint.L2::64B.b32", "ld.mmio.relaxed.sys.global.b32", "ld.mmio.relaxed.sys.b32",
    "ldu.global.b32", "ldu.b32", "ld.global.b32 unified",
    "ld.global.v2.b32", "ld.v4.f32", "ld.global.nc.L1::no_allocate.L2::256B.v4.f32", "ld.volatile.global.v4.b32",
    "ld.relaxed.gpu.global.v4.b32", "ldu.global.v4.u32", "ld.global.v2.b64", "ld.global.b64", "ld.global.v8.b32",
    "ld.v8.f32", "ld.global.v4.b64", "ld.v4.f64", "ld.global.L1::evict_last.L2::evict_first.v8.b32",
    "ld.global.L2::evict_last.v4.b64", "ld.global.nc.L2::evict_normal.L2::cache_hint.v4.b64", "ld.global.nc.v8.s32",
    "ld.relaxed.gpu.global.L2::evict_last.v8.b32", "ld.acquire.gpu.v4.u64", "ld.global.b128", "ld.b128",
    "ld.relaxed.gpu.global.b128", "ld.global.nc.b128", "ld.global.v4.b8", "ld.global.v2.u16", "ld.global.v4.s16",
    "ld.global.v8.b8", "ld.v8.s8", "ld.global.nc.v8.u8", "ld.relaxed.gpu.global.v8.u8",
    "ld.global.cg.L2::evict_last.v8.b32", "ld.volatile.global.L2::evict_first.v4.b64",
    "ld.v8.global.cs.nc.b32.L2::evict_normal",
]  # fmt: skip
STORES = [
    "st.weak.global.b32", "st.global.wb.b32", "st.global.cg.f32", "st.cs.b32", "st.wt.b32",
    "st.global.L1::evict_last.b32",
    "st.global.L1::no_allocate.L2::cache_hint.b32", "st.L2::cache_hint.b32", "st.volatile.global.b32",
    "st.volatile.b32",
    "st.relaxed.gpu.global.b32", "st.release.sys.global.L1::evict_first.b32", "st.global.release.gpu.b32",
    "st.release.cta.global.L2::cache_hint.b32", "st.mmio.relaxed.sys.global.b32", "st.global.v2.b32", "st.v4.f32",
    "st.global.L1::evict_unchanged.v4.b32", "st.global.v2.b64", "st.global.v8.b32", "st.v4.b64", "st.global.v4.f64",
    "st.global.L1::evict_last.L2::evict_last.v8.b32", "st.L2::evict_first.v4.b64", "st.release.gpu.global.v8.b32",
    "st.global.L2::evict_normal.L2::cache_hint.v4.b64", "st.global.b128", "st.b128", "st.release.gpu.global.b128",
    "st.global.v4.b8", "st.global.v2.u16", "st.volatile.v4.b64",
    "st.global.v8.b8", "st.v8.u8", "st.global.wt.L2::evict_last.v8.b32", "st.volatile.L2::evict_first.v4.b64",
]  # fmt: skip


def width(opcode):
    """Registers and bits of each."""
    parts = opcode.split()[0].split(".")
    count = next((int(part[1:]) for part in parts if part[0] == "v" and part[1:].isdigit()), 1)
    return count, next(int(part[1:]) for part in reversed(parts) if part[0] in "busf" and part[1:].isdigit())


def registers(opcode, prefix):
    """The operand of an access, and the declarations of its registers."""
    count, bits = width(opcode)
    kind = f"b{max(bits, 16)}"
    names = [f"%{prefix}{k}" for k in range(count)]
    declared = f".reg .{kind} {', '.join(names)};"
    return (names[0] if count == 1 else "{" + ", ".join(names) + "}"), declared


def plain(opcode):
    """The access of the same width without any hint."""
    count, bits = width(opcode)
    return f"{'.v' + str(count) if count > 1 else ''}.b{bits}"


def moves(name, pairs):
    """A kernel that moves 32 bytes or fewer a thread from x to its place of y, once for each (load, store)."""
    body = []
    for i, (load, store) in enumerate(pairs):
        load, _, unified = load.partition(" ")
        operand, declared = registers(load, f"m{i}_")
        hints = [", %policy" if "cache_hint" in opcode else "" for opcode in (load, store)]
        body.append(f"""{declared}
    {load} {operand}, [%x]{"." + unified if unified else ""}{hints[0]};
    {store} [%at+{32 * i}], {operand}{hints[1]};""")
    return module(f"""
.visible .entry {name}(.param .u64 x, .param .u64 y)
{{
    .reg .u64 %x, %y, %at, %policy;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param::entry.u64 %x, [x];
    ld.param.u64 %y, [y];
    mad.wide.u32 %x, %thread, 32, %x;
    mad.wide.u32 %at, %thread, {32 * len(pairs)}, %y;
    createpolicy.fractional.L2::evict_last.L2::evict_unchanged.b64 %policy, 0.5;
    {chr(10).join(body)}
    ret;
}}
""")


PAIRS = [
    *((load, f"st.global{plain(load)}") for load in LOADS),
    *((f"ld.global{plain(store)}", store) for store in STORES),
]
MOVES = moves("hinted_moves", PAIRS)


def test_hints_orders_and_widths_move_the_same_bytes():
    x = np.random.default_rng(1).integers(0, 256, (32, 32)).astype(np.uint8)
    y = np.zeros((32, len(PAIRS), 32), np.uint8)
    execution = emulator.run(MOVES, grid=1, block=32, args=[x, y])
    for i, pair in enumerate(PAIRS):
        size = width(pair[0])[0] * width(pair[0])[1] // 8
        assert (y[:, i, :size] == x[:, :size]).all(), pair
        assert not y[:, i, size:].any(), pair
    moved = 32 * sum(width(load)[0] * width(load)[1] // 8 for load, _ in PAIRS)
    assert execution.counters["ptx_global_load_bytes"] == execution.counters["ptx_global_store_bytes"] == moved
    assert execution.order == "ascending"  # some loads may wait for another CTA


WIDE = module("""
.visible .entry wide(.param .u64 x, .param .u64 y, .param .u32 stride, .param .u32 first)
{
    .reg .u64 %x, %y;
    .reg .u32 %thread, %stride, %first;
    .reg .f32 %f<8>;
    .reg .b64 %d<4>;
    mov.u32 %thread, %tid.x;
    ld.param.u32 %stride, [stride];
    ld.param.u32 %first, [first];
    mad.lo.u32 %first, %thread, %stride, %first;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mad.wide.u32 %x, %first, 1, %x;
    mad.wide.u32 %y, %thread, 32, %y;
    ld.global.v8.f32 {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}, [%x];
    ld.global.L1::evict_last.L2::evict_first.v4.b64 {%d0, %d1, %d2, %d3}, [%x];
    st.global.L1::no_allocate.L2::evict_last.v4.b64 [%y], {%d0, %d1, %d2, %d3};
    st.global.v8.f32 [%y], {%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7};
    ret;
}
""")


@pytest.mark.parametrize(
    ("stride", "sectors", "lines"),
    [
        (32,  32, 8),   # in a row: a sector for each lane
        (64,  32, 16),  # every second sector
        (128, 32, 32),
        (0,   1,  1),
    ],
)  # fmt: skip
def test_32_bytes_of_a_lane_are_one_sector(stride, sectors, lines):
    x, y = np.arange(1024, dtype=np.float32), np.zeros((32, 8), np.float32)
    execution = emulator.run(WIDE, grid=1, block=32, args=[x, y, np.uint32(stride), np.uint32(0)])
    assert y.tolist() == [x[lane * stride // 4 :][:8].tolist() for lane in range(32)]
    for number, line in enumerate(WIDE.splitlines(), 1):
        if "[%x]" in line:
            counts = execution.by_line[number]
            assert (counts["ptx_global_load_sectors"], counts["ptx_global_load_lines"]) == (sectors, lines)
            assert counts["ptx_global_load_bytes"] == 1024
        if "[%y]," in line:
            assert execution.by_line[number]["ptx_global_store_sectors"] == 32


def test_32_bytes_start_at_a_multiple_of_32():
    x, y = np.arange(1024, dtype=np.float32), np.zeros((32, 8), np.float32)
    with pytest.raises(MemoryFault, match=r"ld\.global\.v8\.f32 by thread 0 of CTA 0 reads 32 bytes at byte 16 of 'x'"):
        emulator.run(WIDE, grid=1, block=32, args=[x, y, np.uint32(32), np.uint32(16)])


SPACES = module("""
.const .align 16 .b32 table[8] = {11, 12, 13, 14, 15, 16, 17, 18};
.visible .entry other_spaces(.param .u64 y, .param .align 16 .b8 given[16])
{
    .reg .u64 %y, %low, %high;
    .reg .b128 %w;
    .reg .u32 %thread, %a, %b, %c, %d, %slot;
    .shared .align 16 .b8 tile[512];
    .local .align 16 .b8 own[16];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %y, [y];
    mad.wide.u32 %y, %thread, 64, %y;
    ld.param.v4.b32 {%a, %b, %c, %d}, [given];
    mov.u32 %slot, tile;
    mad.lo.u32 %slot, %thread, 16, %slot;
    st.shared::cta.v4.b32 [%slot], {%a, %b, %c, %d};
    add.u32 %a, %a, %thread;
    st.volatile.shared.b32 [%slot], %a;
    st.release.cta.shared.b32 [%slot+4], %thread;
    ld.shared::cluster.b128 %w, [%slot];
    st.local.b128 [own], %w;
    ld.local.ca.v2.b64 {%low, %high}, [own];
    st.global.v2.b64 [%y], {%low, %high};
    ld.acquire.cluster.shared::cta.u32 %a, [%slot+4];
    ld.relaxed.cta.shared.u32 %b, [%slot];
    ld.volatile.shared.v2.u32 {%c, %d}, [%slot+8];
    st.global.v4.b32 [%y+16], {%a, %b, %c, %d};
    ld.const.v4.b32 {%a, %b, %c, %d}, [table];
    st.global.v4.b32 [%y+32], {%a, %b, %c, %d};
    ld.weak.const.ca.b128 %w, [table+16];
    st.global.b128 [%y+48], %w;
    ret;
}
""")


def test_the_other_spaces_have_the_same_forms():
    constants = np.array([100, 200, 300, 400], np.uint32)
    y = np.zeros((32, 16), np.uint32)
    emulator.run(SPACES, grid=1, block=32, args=[y, np.void(constants.tobytes())])
    for lane in range(32):
        assert y[lane].tolist() == [100 + lane, lane, 300, 400, lane, 100 + lane, 300, 400, *range(11, 19)]


QUIET = module("""
.visible .entry nothing_happens(.param .u64 y)
{
    .reg .u64 %y, %policy, %nowhere;
    .reg .u32 %x;
    ld.param.u64 %y, [y];
    add.u64 %nowhere, %y, 1048576;
    prefetch.global.L1 [%nowhere];
    prefetch.local.L2 [%nowhere];
    prefetch.L2 [%nowhere];
    prefetch.global.L2::evict_normal [%nowhere];
    prefetchu.L1 [%nowhere];
    applypriority.global.L2::evict_normal [%y], 128;
    discard.global.L2 [%y+128], 128;
    createpolicy.range.global.L2::evict_last.L2::evict_first.b64 %policy, [%y], 128, 256;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    createpolicy.cvt.L2.b64 %policy, %policy;
    fence.sc.gpu;
    fence.acq_rel.cluster;
    fence.acquire.sys;
    fence.proxy.alias;
    fence.proxy.async.shared::cta;
    fence.mbarrier_init.release.cluster;
    membar.gl;
    griddepcontrol.wait;
    griddepcontrol.launch_dependents;
    nanosleep.u32 100;
    pmevent 3;
    st.global.u32 [%y], 7;
    exit;
}
""")


def test_hints_and_fences_do_nothing_and_count_as_no_access():
    y = np.zeros(64, np.uint32)
    execution = emulator.run(QUIET, grid=1, block=128, args=[y])
    assert y[:32].tolist() == [7, *[0] * 31]
    assert (y[32:] == 0xF5F5F5F5).all()  # discarded memory must not hold its old content
    assert execution.counters["ptx_global_load_requests"] == 0
    assert execution.counters["ptx_global_store_requests"] == 4


# ---- atomics on halves, vectors and 16 bytes


def bf16(values):
    """f32 to bf16 bits, to nearest even; every NaN is the canonical one."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), 0x7FFF, rounded).astype(np.uint16)


def number(bits, kind):
    bits = np.asarray(bits, np.uint16)
    if kind == "f16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def combine(operation, a, b, kind):
    """The bits after an atomic, for bits a (in memory) and b (operand)."""
    x, y = number(a, kind), number(b, kind)
    with np.errstate(all="ignore"):
        if operation == "add":
            total = x + y  # exact, or rounded to 24 bits, which changes nothing
            bits = total.astype(np.float16).view(np.uint16) if kind == "f16" else bf16(total)
            return np.where(np.isnan(total), 0x7FFF, bits).astype(np.uint16)
    sign_x, sign_y = a >> 15, b >> 15
    less = (x < y) | ((x == y) & (sign_x > sign_y))
    best = np.where(less if operation == "min" else ~less & (a != b), a, b)
    best = np.where(np.isnan(y), a, np.where(np.isnan(x), b, best))
    return np.where(np.isnan(x) & np.isnan(y), 0x7FFF, best).astype(np.uint16)


EDGES = {
    "f16": [0, 0x8000, 1, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFE01,
            0x1400],
    "bf16": [0, 0x8000, 1, 0x8001, 0x007F, 0x0080, 0x3F80, 0xBF80, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0, 0xFFC1,
             0x3B80],
}  # fmt: skip


def halves(kind, operation, vec, red):
    """A kernel that combines 16 bytes or fewer of y with those of x, and stores the old ones at z."""
    count = int(vec[1:]) if vec else 1
    register = "b32" if kind.endswith("x2") else "b16"
    olds, news = ([f"%{name}{k}" for k in range(count)] for name in "on")
    both = [names[0] if not vec else "{" + ", ".join(names) + "}" for names in (olds, news)]
    v = f".{vec}" if vec else ""
    size = count * (4 if register == "b32" else 2)
    # The widths that loads have: 16 bytes as four words.
    load = f".{vec}.{register}" if vec and vec != "v8" else f".{register}"
    name = f"{'red' if red else 'atom'}_{operation}_{kind}_{count}"
    access = "" if vec != "v8" else None
    moved = (
        [f"ld.global{load} {both[1]}, [%x];"]
        if access is not None
        else [f"ld.global.b16 {new}, [%x+{2 * k}];" for k, new in enumerate(news)]
    )
    kept = (
        [f"st.global{load} [%z], {both[0]};"]
        if access is not None
        else [f"st.global.b16 [%z+{2 * k}], {old};" for k, old in enumerate(olds)]
    )
    act = (
        f"red.global.{operation}.noftz{v}.{kind} [%y], {both[1]};"
        if red
        else f"atom.{operation}.noftz{v}.{kind} {both[0]}, [%y], {both[1]};"  # by generic address
    )
    return module(f"""
.visible .entry {name}(.param .u64 x, .param .u64 y, .param .u64 z, .param .u32 n)
{{
    .reg .u64 %x, %y, %z;
    .reg .u32 %thread, %cta, %n;
    .reg .pred %past;
    .reg .{register} {", ".join([*olds, *news])};
    mov.u32 %thread, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.lo.u32 %thread, %cta, 64, %thread;
    ld.param.u32 %n, [n];
    setp.ge.u32 %past, %thread, %n;
    @%past exit;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %z, [z];
    mad.wide.u32 %x, %thread, {size}, %x;
    mad.wide.u32 %y, %thread, {size}, %y;
    mad.wide.u32 %z, %thread, {size}, %z;
    {chr(10).join(moved)}
    {act}
    {"" if red else chr(10).join(kept)}
    ret;
}}
""")


HALVES = [
    *((kind, "add", "", red) for kind in ("f16", "bf16", "f16x2", "bf16x2") for red in (False, True)),
    *((kind, op, vec, red) for kind in ("f16", "bf16") for op in ("add", "min", "max") for vec in ("v2", "v4", "v8")
      for red in (False, True)),
    *((kind, op, vec, red) for kind in ("f16x2", "bf16x2") for op in ("add", "min", "max") for vec in ("v2", "v4")
      for red in (False, True)),
]  # fmt: skip
HALF_KERNELS = {halve: halves(*halve) for halve in HALVES}


@pytest.mark.parametrize(("kind", "operation", "vec", "red"), HALVES)
def test_atomics_on_halves_round_once_and_prefer_numbers_to_nans(kind, operation, vec, red):
    element = kind.removesuffix("x2")
    edges = np.array(EDGES[element], np.uint16)
    a, b = (axis.ravel() for axis in np.meshgrid(edges, edges))
    more = np.random.default_rng(2).integers(0, 1 << 16, (2, 8 * 256 - a.size)).astype(np.uint16)
    a, b = np.concatenate([a, more[0]]), np.concatenate([b, more[1]])
    per_thread = (int(vec[1:]) if vec else 1) * (2 if kind.endswith("x2") else 1)
    threads = a.size // per_thread
    y, z = a.copy(), np.zeros_like(a)
    execution = emulator.run(
        HALF_KERNELS[kind, operation, vec, red], grid=-(-threads // 64), block=64, args=[b, y, z, np.uint32(threads)]
    )
    assert y.tolist() == combine(operation, a, b, element).tolist()
    assert red or z.tolist() == a.tolist()
    assert execution.counters["ptx_atomic_global_lanes"] == threads


POLICIES = module("""
.visible .entry policies(.param .u64 y, .param .u32 primary, .param .f32 fraction)
{
    // Thread 1 makes no policy. Thread 0 has the parameters, the others have more bytes and a greater fraction.
    .reg .u64 %y, %policy;
    .reg .u32 %thread, %primary;
    .reg .f32 %fraction, %more;
    .reg .pred %makes;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %y, [y];
    ld.param.u32 %primary, [primary];
    ld.param.f32 %fraction, [fraction];
    setp.ne.u32 %makes, %thread, 1;
    mad.lo.u32 %primary, %thread, 1000, %primary;
    cvt.rn.f32.u32 %more, %thread;
    add.rn.f32 %fraction, %fraction, %more;
    @%makes createpolicy.range.global.L2::evict_last.b64 %policy, [%y], %primary, 256;
    @%makes createpolicy.fractional.L2::evict_last.b64 %policy, %fraction;
    createpolicy.fractional.L2::evict_last.b64 %policy, 1.0;
    st.global.L2::cache_hint.u32 [%y], %thread, %policy;
    ret;
}
""")

RANGE = "createpolicy.range.global.L2::evict_last.b64 by thread {} of CTA 0 has a primary size that is greater than"
FRACTION = "createpolicy.fractional.L2::evict_last.b64 by thread {} of CTA 0 has a fraction that is not greater than 0"


def make_policies(block, primary, fraction):
    emulator.run(POLICIES, grid=1, block=block, args=[np.zeros(1, np.uint32), np.uint32(primary), np.float32(fraction)])


@pytest.mark.parametrize(("primary", "fraction"), [(0, 1e-40), (255, 0.5), (256, 1)])
def test_policies_may_have_the_limits_and_idle_threads_any_operands(primary, fraction):
    make_policies(2, primary, fraction)


@pytest.mark.parametrize(
    ("block", "primary", "fraction", "message"),
    [
        (1, 257, 1, RANGE.format(0)),
        (1, 0xFFFFFFFF, 1, RANGE.format(0)),
        (3, 1, 1, RANGE.format(2)),
        (1, 1, 0, FRACTION.format(0)),
        (1, 1, -0.5, FRACTION.format(0)),
        (1, 1, 1.5, FRACTION.format(0)),
        (1, 1, np.nan, FRACTION.format(0)),
    ],
)
def test_a_policy_beyond_the_limits_is_a_fault(block, primary, fraction, message):
    with pytest.raises(MemoryFault) as caught:
        make_policies(block, primary, fraction)
    assert message in str(caught.value)


FLOATS = module("""
.visible .entry vector_sums(.param .u64 y, .param .u64 z)
{
    .reg .u64 %y, %z, %policy;
    .reg .u32 %thread;
    .reg .f32 %a<4>, %o<4>;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %y, [y];
    ld.param.u64 %z, [z];
    mad.wide.u32 %z, %thread, 16, %z;
    cvt.rn.f32.u32 %a0, %thread;
    mov.f32 %a1, 0f3F800000;
    mov.f32 %a2, 0f00000001;                  // subnormal: the sum on global memory flushes it
    neg.f32 %a3, %a0;
    createpolicy.fractional.L2::evict_first.b64 %policy;
    atom.global.add.v4.f32 {%o0, %o1, %o2, %o3}, [%y], {%a0, %a1, %a2, %a3};
    st.global.v4.f32 [%z], {%o0, %o1, %o2, %o3};
    red.relaxed.gpu.global.add.L2::cache_hint.v2.f32 [%y+16], {%a0, %a1}, %policy;
    ret;
}
""")


def test_vector_sums_of_f32_go_lane_by_lane():
    y, z = np.zeros(8, np.float32), np.zeros((32, 4), np.float32)
    emulator.run(FLOATS, grid=1, block=32, args=[y, z])
    total = sum(range(32))
    assert y.tolist() == [total, 32, 0, -total, total, 32, 0, 0]
    for lane in range(32):
        assert z[lane].tolist() == [sum(range(lane)), lane, 0, -sum(range(lane))]


SIXTEEN = module("""
.visible .entry sixteen_bytes(.param .u64 y, .param .u64 z)
{
    .reg .u64 %y, %z, %low, %high;
    .reg .u32 %thread, %x;
    .reg .b16 %h, %seen, %next;
    .reg .b128 %mine, %old, %zero;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %y, [y];
    ld.param.u64 %z, [z];
    mad.wide.u32 %z, %thread, 48, %z;
    add.u32 %x, %thread, 1;
    cvt.u64.u32 %low, %x;
    not.b64 %high, %low;
    mov.b128 %mine, {%low, %high};
    atom.global.exch.b128 %old, [%y], %mine;
    st.global.b128 [%z], %old;
    mov.u64 %low, 0;
    mov.b128 %zero, {%low, %low};
    atom.acq_rel.gpu.cas.b128 %old, [%y+16], %zero, %mine;   // only the first lane finds zeros
    st.global.b128 [%z+16], %old;
    cvt.u16.u32 %seen, %thread;
    cvt.u16.u32 %next, %x;
    atom.global.cas.b16 %h, [%y+34], %seen, %next;           // each lane finds what the one before left
    st.global.b16 [%z+32], %h;
    ret;
}
""")


def test_exchange_and_compare_of_16_and_2_bytes():
    y, z = np.zeros(6, np.uint64), np.zeros((32, 6), np.uint64)
    emulator.run(SIXTEEN, grid=1, block=32, args=[y, z])
    ones = 2**64 - 1
    assert y.tolist() == [32, ones ^ 32, 1, ones ^ 1, 32 << 16, 0]
    for lane in range(32):
        assert z[lane, :2].tolist() == ([lane, ones ^ lane] if lane else [0, 0])
        assert z[lane, 2:4].tolist() == ([1, ones ^ 1] if lane else [0, 0])
        assert z[lane, 4] == lane
