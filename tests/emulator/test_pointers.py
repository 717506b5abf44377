"""Addresses inside data: structures, arrays of pointers, descriptors in global memory; arrays that are only read."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import Pointer
from ptxbench.errors import LaunchError, MemoryFault
from tests.emulator.harness import program

VIEW = np.dtype([("data", object), ("count", np.uint32)], align=True)
"""struct View { float* data; unsigned count; }"""

DOUBLE = """
    setp.ge.u32 %outside, %i, %n;
    @%outside exit;
    mad.wide.u32 %data, %i, 4, %data;
    ld.global.f32 %x, [%data];
    add.rn.f32 %x, %x, %x;
    st.global.f32 [%data], %x;
    ret;
"""
REGISTERS = """
    .reg .u64 %data, %at, %next;
    .reg .u32 %i, %n, %row;
    .reg .f32 %x;
    .reg .pred %outside;
    mov.u32 %i, %tid.x;
    mov.u32 %row, %ctaid.x;
"""

BY_VALUE = program(f"""
.visible .entry double_view(.param .align 8 .b8 view[16])
{{{REGISTERS}
    ld.param.u64 %data, [view];
    ld.param.u32 %n, [view+8];
{DOUBLE}}}
""")

BY_TABLE = program(f"""
.visible .entry double_rows(.param .u64 table, .param .u32 n)
{{{REGISTERS}
    ld.param.u64 %at, [table];
    ld.param.u32 %n, [n];
    mad.wide.u32 %at, %row, 8, %at;
    ld.global.u64 %data, [%at];
{DOUBLE}}}
""")

NESTED = program(f"""
.visible .entry double_nested(.param .u64 outer)
{{{REGISTERS}
    ld.param.u64 %at, [outer];
    ld.global.u64 %at, [%at+8];
    ld.global.u64 %data, [%at];
    ld.global.u32 %n, [%at+8];
{DOUBLE}}}
""")

AS_BYTES = program(f"""
.visible .entry double_as_bytes(.param .align 8 .b8 x[8], .param .u32 n)
{{{REGISTERS}
    ld.param.u64 %data, [x];
    ld.param.u32 %n, [n];
{DOUBLE}}}
""")


def view(data, count):
    """A View as a structure that is passed by value."""
    return np.array((data, count), VIEW)[()]


def counting(count=8):
    return np.arange(count, dtype=np.float32)


def run(ptx, *args, grid=1, **options):
    return emulator.run(ptx, grid=grid, block=32, args=list(args), **options)


def table(*targets):
    """An array of pointers; numpy.array alone would take arrays of one length apart."""
    pointers = np.empty(len(targets), object)
    pointers[:] = [Pointer(target) if isinstance(target, np.ndarray) else target for target in targets]
    return pointers


@pytest.mark.parametrize("options", [{}, {"placement": 1}, {"placement": 2, "sanitize": True}, {"kept": {}}])
def test_a_structure_by_value_holds_the_address_of_an_array(options):
    x = counting()
    for launches in (1, 2):
        execution = run(BY_VALUE, view(x, 8), **options)
        assert execution.findings == execution.notes == ()
        np.testing.assert_array_equal(x, 2**launches * counting())


@pytest.mark.parametrize("placement", [None, 1])
def test_an_array_of_pointers_reaches_each_of_its_arrays(placement):
    rows = [counting() + 10 * i for i in range(3)]
    pointers = table(*rows)
    run(BY_TABLE, pointers, np.uint32(8), grid=3, placement=placement, sanitize=True)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row, 2 * (counting() + 10 * i))
        assert pointers[i].array is row


def test_a_descriptor_in_global_memory_holds_the_address_of_another():
    x = counting()
    inner = np.array((x, 6), VIEW)
    outer = np.array((7, inner), np.dtype([("tag", np.int64), ("view", object)]))
    run(NESTED, outer, sanitize=True)
    assert x.tolist() == [0, 2, 4, 6, 8, 10, 6, 7]
    assert outer["view"][()] is inner
    assert outer["tag"] == 7


def test_a_pointer_may_be_to_the_middle_of_an_array():
    x = counting()
    run(BY_VALUE, view(Pointer(x, 8), 3))
    assert x.tolist() == [0, 1, 4, 6, 8, 5, 6, 7]
    with pytest.raises(MemoryFault, match=r"reads byte 32 of 'view\.data', which has 32"):
        run(BY_VALUE, view(Pointer(x, 8), 7))
    run(AS_BYTES, Pointer(x, 28), np.uint32(1))
    assert x[7] == 14


def test_pointers_to_one_array_are_to_the_same_bytes():
    x = counting()
    run(BY_TABLE, table(x, x[4:]), np.uint32(4), grid=2)
    assert x.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    run(BY_TABLE, table(x, x), np.uint32(1), grid=2)


def test_eight_bytes_that_are_a_structure_take_an_array():
    x = counting()
    run(AS_BYTES, x, np.uint32(8))
    np.testing.assert_array_equal(x, 2 * counting())


def test_a_null_pointer_and_a_number_are_addresses_too():
    with pytest.raises(MemoryFault, match="address 0x0, but there are no buffers"):
        run(BY_VALUE, view(None, 8))
    with pytest.raises(MemoryFault, match="address 0x1234, but there are no buffers"):
        run(BY_VALUE, view(0x1234, 8))


SWAP = program("""
.visible .entry swap_pointers(.param .u64 table)
{
    .reg .u64 %at, %a, %b;
    .reg .u32 %calls;
    ld.param.u64 %at, [table];
    ld.global.u64 %a, [%at];
    ld.global.u64 %b, [%at+8];
    st.global.u64 [%at], %b;
    st.global.u64 [%at+8], %a;
    ld.global.u32 %calls, [%at+16];
    add.u32 %calls, %calls, 1;
    st.global.u32 [%at+16], %calls;
    ret;
}
""")


def test_a_descriptor_written_by_a_kernel_comes_back_with_pointers_as_numbers():
    x, y = counting(), counting()
    pair = np.array((x, y, 0), np.dtype([("a", object), ("b", object), ("calls", np.uint32)], align=True))
    emulator.run(SWAP, grid=1, block=1, args=[pair])
    a, b, calls = pair[()]
    assert (type(a), type(b), calls) == (int, int, 1)
    assert a > b
    emulator.run(SWAP, grid=1, block=1, args=[pair])  # a number is used as an address
    assert pair[()].item() == (b, a, 2)


def test_a_ring_of_descriptors_ends():
    node = np.dtype([("next", object), ("value", np.int64)])
    first, second = np.zeros((), node), np.zeros((), node)
    first["next"], second["next"] = Pointer(second), Pointer(first)
    follow = program("""
.visible .entry follow_ring(.param .u64 first)
{
    .reg .u64 %at, %value;
    ld.param.u64 %at, [first];
    ld.global.u64 %at, [%at];
    ld.global.u64 %at, [%at];
    st.global.u64 [%at+8], 5;
    ret;
}
""")
    emulator.run(follow, grid=1, block=1, args=[first])
    assert (first["value"], second["value"]) == (5, 0)


# argument for .b8 view[16], error, the sentence
MISFITS = [
    (counting(), LaunchError, r"'view' is a structure of 16 bytes, which takes an np\.void of that size, not an array\."
                              r" A field of dtype object in it holds the address of an array\."),
    (view("x", 8), TypeError, r"'view\.data' is 'x'; expected an array, a Pointer, an address or None\."),
    (view(-1, 8), TypeError, r"'view\.data' is -1; expected an address from 0 to 2\*\*64 - 1\."),
    (view(counting()[::2], 4), LaunchError, r"The array for 'view\.data' must be C-contiguous\. Pass numpy\.asc"),
    (view(counting().astype(">f4"), 4), LaunchError, r"'view\.data' is >f4, which is not in this machine"),
    (np.zeros((), ">u8,>u8")[()], LaunchError, r"'view' is .*, which is not in this machine.s byte order\. Pass a"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "error", "sentence"), MISFITS)
def test_a_value_that_is_not_a_pointer_is_refused(argument, error, sentence):
    with pytest.raises(error, match=sentence):
        run(BY_VALUE, argument)


def test_a_pointer_is_of_a_numpy_array():
    with pytest.raises(TypeError, match=r"Pointer takes a NumPy array, not \[1, 2\]\."):
        Pointer([1, 2])


# ---- arrays that are only read

COPY = program("""
.visible .entry copy_word(.param .u64 from, .param .u64 to)
{
    .reg .u64 %from, %to;
    .reg .u32 %x;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    ld.global.u32 %x, [%from];
    st.global.u32 [%to], %x;
    ret;
}
""")


def read_only(array):
    array.flags.writeable = False
    return array


def test_an_array_that_is_only_read_may_be_read_only():
    x, y = read_only(np.array([7], np.uint32)), np.zeros(1, np.uint32)
    run(COPY, x, y, sanitize=True)
    assert y[0] == 7
    held = read_only(np.array((y, 1), VIEW).reshape(1))
    run(COPY, held, np.zeros(1, np.uint32))


def test_a_kernel_that_writes_a_read_only_array_changes_nothing():
    x, y, z = np.array([7, 8], np.uint32), read_only(np.zeros(1, np.uint32)), np.zeros(1, np.uint32)
    with pytest.raises(LaunchError, match=r"writes byte 0 of 'to', whose array is read-only\. Pass a writable one\."):
        run(COPY, x, y)
    assert y[0] == 0
    rows = table(z.view(np.float32), read_only(counting(1) + 1))
    z[:] = np.float32(1).view(np.uint32)
    with pytest.raises(LaunchError, match=r"of 'table\[1\]', whose array is read-only"):
        run(BY_TABLE, rows, np.uint32(1), grid=2)
    assert z.view(np.float32)[0] == 1


def test_a_read_only_view_of_an_array_that_is_written_elsewhere_is_accepted():
    x = np.array([1, 2], np.uint32)
    same = read_only(x.view())
    run(COPY, same, x[1:])
    assert x.tolist() == [1, 1]
    with pytest.raises(LaunchError, match="writes byte 0 of 'to', whose array is read-only"):
        run(COPY, x[1:], read_only(np.zeros(1, np.uint32)))


def test_an_array_without_dimensions_is_one_element():
    x, y = np.array(7, np.uint32), np.array(0, np.uint32)
    run(COPY, read_only(x), y)
    assert (y.shape, y) == ((), 7)
