"""Loads and stores of every width and vector, in every state space; packed moves; addresses."""

import struct
from functools import partial

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import parse
from ptxbench.emulator.variables import module_variables
from ptxbench.errors import MemoryFault
from tests.emulator.harness import HEADER, program

WIDTHS = {"b8": 1, "b16": 2, "b32": 4, "b64": 8, "f32": 4, "f64": 8, "u8": 1, "s16": 2}
VECTORS = [(2, kind) for kind in ("b8", "b16", "b32", "b64", "f32", "f64")] + [
    (4, kind) for kind in ("b8", "b16", "b32", "f32", "u8", "s16")
]
ORDERS = {"consecutive": ("", 32), "reversed": ("sub.u32 %other, 31, %thread;", 32), "partial": ("", 20)}


def registers(kind):
    return {"b8": "b16", "u8": "u16"}.get(kind, kind)


def through_shared(count, kind, order):
    """A kernel that takes `count` elements a thread from global to shared memory and on, by vectors.

    Thread t writes slot t and reads slot `other`, so that all of the three memory instructions see `order` or its
    opposite.
    """
    size = count * WIDTHS[kind]
    vector = f".v{count}" if count > 1 else ""
    names = [f"%x{i}" for i in range(count)]
    operand = "{" + ", ".join(names) + "}" if count > 1 else names[0]
    change, threads = ORDERS[order]
    return threads, program(
        f""".visible .entry through_shared_{count}_{kind}_{order}(.param .u64 from, .param .u64 to)
{{
    .reg .u32 %thread, %other, %slot, %base;
    .reg .u64 %from, %to;
    .reg .{registers(kind)} {", ".join(names)};
    .shared .align 16 .b8 slots[{32 * size}];
    mov.u32 %thread, %tid.x;
    mov.u32 %other, %thread;
    {change}
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    mad.wide.u32 %from, %other, {size}, %from;
    mad.wide.u32 %to, %other, {size}, %to;
    ld.global{vector}.{kind} {operand}, [%from];
    mov.u32 %base, slots;
    mad.lo.u32 %slot, %other, {size}, %base;
    st.shared{vector}.{kind} [%slot], {operand};
    bar.sync 0;
    ld.shared{vector}.{kind} {operand}, [%slot];
    st.global{vector}.{kind} [%to], {operand};
    ret;
}}
"""
    )


SCALARS = [(1, kind) for kind in WIDTHS]
COPIES = {
    (count, kind, order): through_shared(count, kind, order) for count, kind in SCALARS + VECTORS for order in ORDERS
}


@pytest.mark.parametrize(("count", "kind", "order"), COPIES)
def test_every_width_and_vector_is_copied_without_change(count, kind, order):
    threads, text = COPIES[count, kind, order]
    size = 32 * count * WIDTHS[kind]
    source = np.random.default_rng(1).integers(0, 255, size, np.uint8, endpoint=True)
    result = np.full(size, 0xEE, np.uint8)
    emulator.run(text, grid=1, block=threads, args=[source, result])
    moved = size * threads // 32
    assert result[:moved].tobytes() == source[:moved].tobytes()
    assert (result[moved:] == 0xEE).all()


EXTENDED = program("""
.visible .entry extended(.param .u64 from, .param .u64 to)
{
    .reg .b32 %a, %b, %c, %d, %e, %f;
    .reg .b64 %g, %h, %i;
    .reg .u64 %from, %to;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    ld.global.s8 %a, [%from];
    ld.global.u8 %b, [%from];
    ld.global.b8 %c, [%from];
    ld.global.s16 %d, [%from];
    ld.global.u16 %e, [%from];
    ld.global.b16 %f, [%from];
    ld.global.s32 %g, [%from];
    ld.global.u32 %h, [%from];
    ld.global.s8 %i, [%from];
    st.global.b32 [%to], %a;
    st.global.b32 [%to+4], %b;
    st.global.b32 [%to+8], %c;
    st.global.b32 [%to+12], %d;
    st.global.b32 [%to+16], %e;
    st.global.b32 [%to+20], %f;
    st.global.b64 [%to+24], %g;
    st.global.b64 [%to+32], %h;
    st.global.b64 [%to+40], %i;
    st.global.u8 [%to+48], %d;
    st.global.u16 [%to+50], %g;
    st.global.b8 [%to+52], %h;
    ret;
}
""")


def test_a_load_extends_to_a_wider_register_and_a_store_cuts():
    source = np.array([0xF1, 0xF2, 0xF3, 0xF4], np.uint8)
    result = np.zeros(53, np.uint8)
    emulator.run(EXTENDED, grid=1, block=1, args=[source, result])
    expected = struct.pack(
        "<iIIiIIqQqBxHB", -15, 0xF1, 0xF1, -0xD0F, 0xF2F1, 0xF2F1, -0x0B0C0D0F, 0xF4F3F2F1, -15, 0xF1, 0xF2F1, 0xF1
    )
    assert result.tobytes() == expected


PARAMETERS = program("""
.visible .entry parameters(
    .param .u64 to,
    .param .s8 small,
    .param .u16 half,
    .param .f64 wide,
    .param .align 8 .b8 structure[24],
    .param .f32 single
)
{
    .reg .u64 %to, %whole;
    .reg .s32 %small, %x, %y, %p, %q;
    .reg .u32 %half;
    .reg .f64 %wide;
    .reg .f32 %single;
    ld.param.u64 %to, [to];
    ld.param.s8 %small, [small];
    ld.param.u16 %half, [half];
    ld.param.f64 %wide, [wide];
    ld.param.v2.s32 {%x, %y}, [structure];
    ld.param.u64 %whole, [structure+8];
    ld.param.v2.b32 {%p, %q}, [structure+16];
    ld.param.f32 %single, [single];
    st.global.s32 [%to], %small;
    st.global.u32 [%to+4], %half;
    st.global.f64 [%to+8], %wide;
    st.global.v4.s32 [%to+16], {%x, %y, %p, %q};
    st.global.u64 [%to+32], %whole;
    st.global.f32 [%to+40], %single;
    ret;
}
""")


def test_parameters_of_every_size_are_read_at_the_offsets_of_the_abi():
    result = np.zeros(44, np.uint8)
    structure = np.frombuffer(struct.pack("<iiQii", -1, 2, 1 << 40, 3, -4), np.dtype("V24"))[0]
    arguments = [result, np.int8(-5), np.uint16(60000), np.float64(0.1), structure, np.float32(-0.5)]
    emulator.run(PARAMETERS, grid=1, block=1, args=arguments)
    assert result.tobytes() == struct.pack("<iIdiiiiQf", -5, 60000, 0.1, -1, 2, 3, -4, 1 << 40, -0.5)


NULL = program("""
.visible .entry null_pointer(.param .u64 to, .param .u64 nothing)
{
    .reg .u64 %to, %nothing;
    ld.param.u64 %to, [to];
    ld.param.u64 %nothing, [nothing];
    st.global.u64 [%to], %nothing;
    ret;
}
""")


def test_none_is_a_null_pointer():
    result = np.ones(1, np.uint64)
    emulator.run(NULL, grid=1, block=1, args=[result, None])
    assert result[0] == 0


VARIABLES = program("""
.const .align 4 .s32 primes[4] = {2, 3, 5, -7};
.global .align 8 .f32 halves[4] = {0f3F000000, 1.5, 2.5};
.global .u64 pointer = generic(halves);
.visible .entry module_variables(.param .u64 to)
{
    .reg .u64 %to, %at, %pointer;
    .reg .s32 %prime;
    .reg .f32 %half, %other;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 16, %to;
    mov.u64 %at, primes;
    mad.wide.u32 %at, %thread, 4, %at;
    ld.const.s32 %prime, [%at];
    st.global.s32 [%to], %prime;
    mov.u64 %at, halves+4;
    ld.global.f32 %half, [%at];
    st.global.f32 [%to+4], %half;
    ld.global.u64 %pointer, [pointer];
    mad.wide.u32 %pointer, %thread, 4, %pointer;
    ld.f32 %other, [%pointer];
    st.global.f32 [%to+8], %other;
    add.f32 %other, %other, 0f3F800000;
    st.f32 [%pointer], %other;
    ret;
}
""")


CONSTANT = (
    HEADER
    + """
.const .align 4 .u32 table[4] = {{2, 3, 5, 7}};
.const .u64 own = table;
.global .u64 anywhere = generic(table) + 8;
.global .u32 other;
.visible .entry constants(.param .u64 to)
{{
    .reg .u64 %to, %at;
    .reg .u32 %value;
    ld.param.u64 %to, [to];
    {lines}
    st.global.u32 [%to], %value;
    ret;
}}
"""
)
NEEDS_CVTA = "in no buffer. A variable's address in shared, local or constant memory needs cvta"
ELSEWHERE = "is not in constant memory. Use the space of the address"
IN_CONSTANT_MEMORY = {
    "mov.u64 %at, table; ld.const.u32 %value, [%at + 8];": 5,
    "ld.const.u64 %at, [own]; ld.const.u32 %value, [%at + 8];": 5,
    "ld.global.u64 %at, [anywhere]; ld.u32 %value, [%at];": 5,
    "mov.u64 %at, table; cvta.const.u64 %at, %at; ld.u32 %value, [%at + 8];": 5,
    "ld.global.u64 %at, [anywhere]; cvta.to.const.u64 %at, %at; ld.const.u32 %value, [%at];": 5,
    # addresses in another space, of which ptxas knows nothing
    "mov.u64 %at, table; ld.u32 %value, [%at];": NEEDS_CVTA,
    "mov.u64 %at, table; ld.global.u32 %value, [%at];": NEEDS_CVTA,
    "ld.const.u64 %at, [own]; st.u32 [%at], 1;": NEEDS_CVTA,
    "ld.const.u32 %value, [%to];": ELSEWHERE,
    "mov.u64 %at, other; ld.const.u32 %value, [%at];": ELSEWHERE,
    "ld.global.u64 %at, [anywhere]; ld.const.u32 %value, [%at];": ELSEWHERE,
    "mov.u64 %at, table; ld.const.u32 %value, [%at + 16];": "byte 16 of 'table', which has 16",
}


@pytest.mark.parametrize(("lines", "expected"), IN_CONSTANT_MEMORY.items())
def test_a_constant_has_an_address_in_constant_memory_and_a_generic_one(lines, expected):
    result = np.zeros(1, np.uint32)
    launch = partial(emulator.run, CONSTANT.format(lines=lines), grid=1, block=1, args=[result])
    if isinstance(expected, int):
        launch()
        assert result[0] == expected
    else:
        with pytest.raises(MemoryFault, match=expected):
            launch()


def test_module_variables_hold_their_initial_values_at_every_launch():
    for _ in range(2):  # the kernel writes to `halves`; the next launch has the initial values again
        result = np.zeros((4, 4), np.int32)
        emulator.run(VARIABLES, grid=1, block=4, args=[result])
        assert result[:, 0].tolist() == [2, 3, 5, -7]
        assert result[:, 1].view(np.float32).tolist() == [1.5] * 4
        assert result[:, 2].copy().view(np.float32).tolist() == [0.5, 1.5, 2.5, 0.0]


def test_only_variables_that_code_or_a_used_initialiser_names_get_memory():
    unused = ".global .u32 spare[1024];\n.global .u64 of_spare = generic(spare);\n"
    module = parse(VARIABLES.replace(".const", unused + ".const", 1))
    assert [variable.name for variable in module_variables(module)] == ["primes", "halves", "pointer"]


SPACES = program("""
.visible .entry generic_spaces(.param .u64 to, .param .u64 from)
{
    .reg .u64 %to, %from, %shared, %local, %back;
    .reg .u32 %thread, %slot, %value, %other, %third;
    .shared .u32 tile[32];
    .local .align 8 .u32 own[2];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u64 %from, [from];
    cvta.to.global.u64 %to, %to;
    mad.wide.u32 %to, %thread, 16, %to;
    mad.wide.u32 %from, %thread, 4, %from;

    // shared, through its generic address, and back to an address in its space
    mov.u64 %shared, tile;
    cvta.shared.u64 %shared, %shared;
    mad.wide.u32 %shared, %thread, 4, %shared;
    ld.u32 %value, [%from];
    st.u32 [%shared], %value;
    bar.sync 0;
    cvta.to.shared.u64 %back, %shared;
    ld.shared.u32 %other, [%back];
    st.global.u32 [%to], %other;

    // local: each thread has its own at one address
    mov.u64 %local, own;
    cvta.local.u64 %local, %local;
    st.u32 [%local+4], %thread;
    ld.local.u32 %third, [own+4];
    st.global.u32 [%to+4], %third;
    cvta.to.local.u64 %back, %local;
    st.local.v2.u32 [%back], {%value, %thread};
    ld.v2.u32 {%other, %third}, [%local];
    st.v2.u32 [%to+8], {%other, %third};
    ret;
}
""")


def test_a_generic_address_reaches_the_space_that_it_came_from():
    source = np.arange(100, 132, dtype=np.uint32)
    result = np.zeros((32, 4), np.uint32)
    emulator.run(SPACES, grid=1, block=32, args=[result, source])
    lane = np.arange(32)
    assert (result == np.stack([source, lane, source, lane], axis=1)).all()


MIXED = program("""
.visible .entry lanes_in_different_spaces(.param .u64 to)
{
    .reg .u64 %to, %at;
    .reg .u32 %thread, %odd, %value;
    .reg .pred %p;
    .shared .u32 tile[32];
    .local .u32 own;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    mov.u64 %at, tile;
    cvta.shared.u64 %at, %at;
    mad.wide.u32 %at, %thread, 4, %at;
    and.b32 %odd, %thread, 3;
    setp.eq.u32 %p, %odd, 1;
    @%p mov.u64 %at, own;
    @%p cvta.local.u64 %at, %at;
    setp.eq.u32 %p, %odd, 2;
    @%p mov.u64 %at, %to;
    st.u32 [%at], %thread;
    ld.u32 %value, [%at];
    add.u32 %value, %value, 1000;
    st.global.u32 [%to], %value;
    ret;
}
""")


def test_lanes_of_one_generic_access_may_be_in_different_spaces():
    result = np.zeros(32, np.uint32)
    emulator.run(MIXED, grid=1, block=32, args=[result])
    assert result.tolist() == list(range(1000, 1032))


OVERLAP = program("""
.visible .entry overlapping_stores(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    st.global.u32 [%to], %thread;
    ret;
}
""")


def test_of_lanes_that_store_to_one_address_the_highest_wins():
    result = np.zeros(1, np.uint32)
    emulator.run(OVERLAP, grid=1, block=21, args=[result])
    assert result[0] == 20


OFFSETS = program("""
.visible .entry negative_offsets(.param .u64 to)
{
    .reg .u64 %to, %end;
    .reg .u32 %x, %slot;
    .shared .u32 first[4], second[4];
    ld.param.u64 %to, [to];
    add.u64 %end, %to, 16;
    mov.u32 %x, 7;
    st.global.u32 [%end+-4], %x;
    st.global.u32 [%end+-16], 9;
    st.shared.u32 [second+12], %x;
    mov.u32 %slot, second+8;
    ld.shared.u32 %x, [%slot+4];
    st.global.u32 [%to+4], %x;
    ret;
}
""")


def test_addresses_take_offsets_of_either_sign():
    result = np.zeros(4, np.uint32)
    emulator.run(OFFSETS, grid=1, block=1, args=[result])
    assert result.tolist() == [9, 7, 0, 7]


PACKED = program("""
.visible .entry packed_moves(.param .u64 to)
{
    .reg .u64 %to;
    .reg .b16 %h0, %h1, %h2, %h3;
    .reg .b32 %w0, %w1;
    .reg .b64 %d;
    .reg .f32 %f;
    ld.param.u64 %to, [to];
    mov.b64 {%h0, %h1, %h2, %h3}, 0x4444333322221111;
    mov.b32 %w0, {%h0, %h3};
    st.global.b32 [%to], %w0;
    mov.b64 %d, {%h3, %h2, %h1, %h0};
    st.global.b64 [%to+8], %d;
    mov.b64 {%w0, %w1}, %d;
    st.global.v2.b32 [%to+16], {%w0, %w1};
    mov.b64 {_, %w0}, %d;
    st.global.b32 [%to+24], %w0;
    mov.b32 {%h0, _}, %w1;
    cvt.u32.u16 %w1, %h0;
    st.global.b32 [%to+28], %w1;
    mov.f32 %f, 0fFFA12345;
    mov.b64 %d, {%f, %w0};
    st.global.b64 [%to+32], %d;
    mov.b32 %w0, %f;
    st.global.b32 [%to+40], %w0;
    ret;
}
""")


def test_packed_moves_put_the_first_register_lowest():
    result = np.zeros(44, np.uint8)
    emulator.run(PACKED, grid=1, block=1, args=[result])
    assert result.tobytes() == struct.pack(
        "<I4xQIIIIQI",
        0x44441111,
        0x1111222233334444,
        0x33334444,
        0x11112222,
        0x11112222,
        0x2222,
        0x11112222FFA12345,  # a NaN's payload is moved, not made canonical
        0xFFA12345,
    )


DYNAMIC = program("""
.extern .shared .align 16 .b8 dynamic[];
.visible .entry dynamic_shared(.param .u64 to)
{
    .reg .u64 %to;
    .reg .u32 %thread, %at, %x, %own;
    .shared .u32 fixed[32];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mad.wide.u32 %to, %thread, 4, %to;
    mov.u32 %at, fixed;
    mad.lo.u32 %at, %thread, 4, %at;
    st.shared.u32 [%at], 1;
    mov.u32 %at, dynamic;
    mad.lo.u32 %at, %thread, 4, %at;
    st.shared.u32 [%at], %thread;
    bar.sync 0;
    xor.b32 %at, %at, 124;
    ld.shared.u32 %x, [%at];
    ld.shared.u32 %own, [fixed+124];          // 1 unless the two overlap
    add.u32 %x, %x, %own;
    st.global.u32 [%to], %x;
    ret;
}
""")


def test_dynamic_shared_memory_lies_behind_the_static():
    result = np.zeros(32, np.uint32)
    emulator.run(DYNAMIC, grid=1, block=32, args=[result], dynamic_shared_bytes=128)
    assert result.tolist() == list(range(32, 0, -1))


def test_views_of_one_array_stay_one_buffer():
    """Two arguments that overlap on the host overlap in the kernel too."""
    whole = np.arange(96, dtype=np.uint32)
    threads, text = COPIES[1, "b32", "consecutive"]
    emulator.run(text, grid=1, block=threads, args=[whole[:32], whole[16:48]])
    assert whole.tolist() == [*range(16), *range(32), *range(48, 96)]


def test_an_empty_array_is_a_pointer_to_no_memory():
    result = np.ones(1, np.uint64)
    emulator.run(NULL, grid=1, block=1, args=[result, np.zeros(0, np.float32)])
    assert result[0] != 0


HALVES = (
    HEADER
    + """
.visible .entry halves(.param .u64 to, .param .u64 beside)
{{
    .reg .u64 %to, %offset;
    .reg .u32 %low, %high, %offset_low, %thread;
    ld.param.u64 %to, [{name}];
    mov.u32 %thread, %tid.x;
    mul.wide.u32 %offset, %thread, 4;
    mov.b64 {{%low, %high}}, %to;
    cvt.u32.u64 %offset_low, %offset;
    {addition}
    mov.b64 %to, {{%low, %high}};
    st.global.u32 [%to], %thread;
    ret;
}}
"""
)


def test_an_address_that_is_added_up_in_two_halves_needs_the_carry():
    """Half of one array is behind a multiple of 2^32."""
    faults = 0
    for name in ("to", "beside"):
        for placement in range(1, 5):
            options = {"grid": 1, "block": 256, "placement": placement}
            arrays = [np.zeros(256, np.uint32), np.zeros(256, np.uint32)]
            carried = "add.cc.u32 %low, %low, %offset_low; addc.u32 %high, %high, 0;"
            emulator.run(HALVES.format(name=name, addition=carried), args=arrays, **options)
            assert (sum(arrays) == np.arange(256)).all()
            try:
                lost = HALVES.format(name=name, addition="add.u32 %low, %low, %offset_low;")
                emulator.run(lost, args=arrays, **options)
            except MemoryFault as fault:
                faults += "The address lacks the carry from its lower 32 bits" in str(fault)
    assert faults == 4
