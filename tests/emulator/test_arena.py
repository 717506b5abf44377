"""The arena between launches: frozen arrays stay in it, and only buffers that a launch stored to are copied back."""

import errno
import os

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.arrays import frozen
from ptxbench.emulator import memory, pointers
from ptxbench.errors import KernelTrap, MachineError, ReadOnlyArray

N = 2048
"""8 KiB an array: more than memory.KEPT_BYTES."""
HEAD = """
    .reg .u64 %x, %y, %at, %bulk;
    .reg .u32 %i, %v, %s;
    .reg .pred %first;
    .shared .align 16 .b8 tile[4096];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mov.u32 %i, %tid.x;
    mad.wide.u32 %at, %i, 4, %x;
    ld.global.u32 %v, [%at];
    setp.eq.u32 %first, %i, 0;
"""
STORE = "mad.wide.u32 %at, %i, 4, {to}; st.global.u32 [%at], %v;"
BODIES = {
    "copy": STORE.format(to="%y"),
    "store": STORE.format(to="%y") + "add.u32 %v, %v, 1;" + STORE.format(to="%x"),
    "update": STORE.format(to="%y") + "mad.wide.u32 %at, %i, 4, %x; red.global.add.u32 [%at], 1;",
    "generic": STORE.format(to="%y") + "add.u32 %v, %v, 1; mad.wide.u32 %at, %i, 4, %x; st.u32 [%at], %v;",
    "bulk": STORE.format(to="%y")  # the load makes CTAs run in order, so that bulk copies are not recorded
    + """
    ld.volatile.global.u32 %s, [%x];
    mov.u32 %s, tile; mad.lo.u32 %s, %i, 4, %s; add.u32 %v, %v, 1; st.shared.u32 [%s], %v;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    mov.u32 %s, tile;
    @%first cp.async.bulk.global.shared::cta.bulk_group [%x], [%s], 4096;
    @%first cp.async.bulk.commit_group;
    @%first cp.async.bulk.wait_group 0;
    """,
    "trap": "add.u32 %v, %v, 1;" + STORE.format(to="%x") + "bar.sync 0; @%first trap;",
}
MODULE = ".version 8.0\n.target sm_90\n.address_size 64\n" + "".join(
    f".visible .entry {name}(.param .u64 x, .param .u64 y)\n{{{HEAD}{body}\n    ret;\n}}\n"
    for name, body in BODIES.items()
)
THREADS = 1024


def launch(entry, x, y, **options):
    return emulator.run(MODULE, entry, grid=1, block=THREADS, args=[x, y], **options)


def counting(start=0):
    return np.arange(start, start + N, dtype=np.uint32)


def output_of(entry, x, **options):
    """The output after a launch of `copy`, or of another kernel with the same output."""
    y = np.zeros(N, np.uint32)
    launch(entry, x, y, **options)
    return y[:THREADS].tolist()


def test_an_array_is_frozen_with_its_own_memory():
    x = counting()
    kept = frozen(x)
    x[0] = 7
    assert kept[0] == 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        kept.flags.writeable = True
    assert frozen(np.zeros((2, 0), np.float16)).shape == (2, 0)
    table = np.array([x, None], object)
    assert frozen(table) is table


def test_a_frozen_array_is_copied_once_for_launches_in_a_row(monkeypatch):
    put = []
    original = memory.Arena.put

    def counted(arena, offset, content):
        there = arena.frozen_at.get(offset)
        put.append(0 if there is not None and memory.is_same(there, content) else content.size)
        return original(arena, offset, content)

    monkeypatch.setattr(memory.Arena, "put", counted)
    x = frozen(counting(5))
    for _ in range(3):
        assert output_of("copy", x) == counting(5)[:THREADS].tolist()
    assert output_of("copy", x.reshape(2, -1)[:, :]) == counting(5)[:THREADS].tolist()
    assert put == [4 * N, 4 * N, *[0, 4 * N] * 3]  # x and y, then y alone


def test_another_array_or_another_placement_is_copied():
    x, other = frozen(counting(5)), frozen(counting(9))
    for array, placement in ((x, None), (other, None), (x, None), (x, 3), (x, None), (other, 3), (x, 4)):
        assert output_of("copy", array, placement=placement) == array[:THREADS].tolist()
    for array in (x, counting(1), x):
        assert output_of("copy", array) == array[:THREADS].tolist()


def test_an_array_that_somebody_can_change_is_copied_each_time():
    plain = counting(1)
    read_only = plain.view()
    read_only.flags.writeable = False
    for _ in range(2):
        for array in (plain, read_only):
            plain += 1
            assert output_of("copy", array) == plain[:THREADS].tolist()
            assert output_of("copy", array) == plain[:THREADS].tolist()


@pytest.mark.parametrize(
    ("entry", "sanitize"),
    [("store", False), ("update", False), ("generic", False), ("bulk", False), ("store", True), ("bulk", True)],
)
def test_a_kernel_that_writes_a_frozen_array_is_found_and_the_next_launch_sees_the_array(entry, sanitize):
    x = frozen(counting(5))
    for _ in range(2):
        with pytest.raises(ReadOnlyArray, match="writes byte 0 of 'x', whose array is read-only") as raised:
            output_of(entry, x, sanitize=sanitize)
        assert raised.value.name == "x"
        assert output_of("copy", x) == counting(5)[:THREADS].tolist()


def test_a_launch_that_fails_leaves_no_changed_bytes_behind():
    x = frozen(counting(5))
    output_of("copy", x)
    with pytest.raises(KernelTrap):
        output_of("trap", x)
    assert output_of("copy", x) == counting(5)[:THREADS].tolist()


def test_only_arrays_in_buffers_that_the_launch_stored_to_are_copied_back(monkeypatch):
    back = []

    def decode(array, encoded, result):
        back.append(int(array.reshape(-1)[0]))
        pointers.decode(array, encoded, result)

    monkeypatch.setattr("ptxbench.emulator.image.decode", decode)
    for entry, expected in (
        ("copy", [1]),
        ("store", [5, 1]),
        ("update", [5, 1]),
        ("generic", [5, 1]),
        ("bulk", [5, 1]),
    ):
        back.clear()
        x, y = counting(5), counting(1)
        launch(entry, x, y)
        assert back == expected, entry
        assert y[:THREADS].tolist() == counting(5)[:THREADS].tolist()
        assert x[0] == (5 if entry == "copy" else 6), entry


def test_arrays_that_overlap_are_copied_back_together():
    x = np.arange(3 * N, dtype=np.uint32)
    view = x[N:]
    launch("copy", x[: 2 * N], view)  # one buffer: the kernel stores the values of its own first elements
    assert view[:THREADS].tolist() == list(range(THREADS))


def test_a_limit_of_the_size_of_files_is_not_a_lack_of_memory(monkeypatch):
    def refuse(handle, size):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(MachineError, match=r"^The shell limits the size of files \(ulimit -f\)"):
        memory.Arena().reserve(1)
