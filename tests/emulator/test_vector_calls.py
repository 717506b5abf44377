"""The code of a kernel without vectors: each operation on 32 lanes is a call with operands in memory."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import native, vector_calls, vector_functions
from ptxbench.emulator.isa import warp
from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.runtime.cta_states import joined
from ptxbench.emulator.translate import translate
from ptxbench.emulator.vector_calls import without_vectors
from ptxbench.emulator.vector_functions import Unknown
from tests import quick
from tests.emulator import pairs
from tests.emulator.harness import HEADER, program

V32 = "<32 x i32>"
LOAD = f"%a = load {V32}, ptr %register.128, align 64"


def calls(*lines):
    """The lines of the rewritten block, with numbers in place of hashes."""
    body, _, _ = without_vectors([lines])
    names = {}
    return [
        re.sub(r"@lanes\.(\w+)\$\w+", lambda match: names.setdefault(match[0], match[1]), line.strip())
        for line in body.splitlines()
    ]


def test_an_operation_becomes_a_call_with_the_offsets_of_its_operands():
    add = f"%b = add {V32} %a, splat (i32 7)"
    assert calls(LOAD, add) == ["call void add(ptr %slot0, ptr %register.128, i32 7)"]
    _, _, functions = without_vectors([[LOAD, add, add.replace("%b", "%c").replace("7", "8")]])
    assert len(functions) == 1  # for every number


def test_a_result_that_is_only_stored_is_computed_in_its_register():
    store = f"store {V32} %b, ptr %register.128, align 64"
    add = f"%b = add {V32} %a, %a"
    assert calls(LOAD, add, store) == ["call void add(ptr %register.128, ptr %register.128, ptr %register.128)"]
    used = f"%c = add {V32} %b, %b"
    assert "call void store(ptr %slot0, ptr %register.128)" in calls(LOAD, add, store, used)


@pytest.mark.parametrize(
    "change",
    [
        f"store {V32} splat (i32 1), ptr %register.128, align 64",
        f"store {V32} splat (i32 1), ptr %elsewhere, align 64",
        "call void @restore_registers(ptr %env)",
        f"%c = call {V32} @atomic_add({V32} splat (i32 1), ptr %env)",
    ],
)
def test_a_register_that_may_change_before_its_last_use_is_copied(change):
    use = f"%b = add {V32} %a, %a"
    assert "call void load(ptr %slot0, ptr %register.128)" in calls(LOAD, change, use)
    assert not any("load" in line for line in calls(LOAD, use, change))


def test_a_register_is_not_copied_if_only_another_one_changes():
    store = f"store {V32} splat (i32 1), ptr %register.256, align 64"
    use = f"%b = add {V32} %a, %a"
    assert not any("load" in line for line in calls(LOAD, store, use))


def test_a_slot_is_free_after_the_last_use():
    lines = [f"%v{k + 1} = add {V32} %v{k}, %v{k}" for k in range(50)]
    _, places, _ = without_vectors([[f"%v0 = freeze {V32} splat (i32 1)", *lines]])
    assert places.count("alloca") == 2


@pytest.mark.parametrize("count", [1, 2])
def test_the_members_of_a_structure_are_written_to_the_slots_where_they_are_used(count):
    structure = "{ " + ", ".join([V32] * count) + " }"
    parts = [f"%p{k} = extractvalue {structure} %both, {k}" for k in range(count)]
    sums = [f"%s{k} = add {V32} %p{k}, splat (i32 {k})" for k in range(count)]
    lines = calls(LOAD, f"%both = call {structure} @load_shared_4({V32} %a, ptr %env)", *parts, *sums)
    places = re.findall(r"ptr (%slot\d+)", lines[0])
    assert lines[0] == f"call void call({', '.join(f'ptr {place}' for place in places)}, ptr %register.128, ptr %env)"
    assert len(set(places)) == count
    adds = [line for line in lines if "add(" in line]
    assert [line.partition(", ")[2] for line in adds] == [f"ptr {place}, i32 {k})" for k, place in enumerate(places)]


@pytest.mark.parametrize("structure", [f"{{ {V32}, i32 }}", f"{{ {V32}, <32 x i1> }}"])
def test_other_structures_are_refused(structure):
    with pytest.raises(Unknown):
        calls(LOAD, f"%both = call {structure} @load_shared_4({V32} %a, ptr %env)")


def test_predicates_are_numbers():
    assert calls(
        LOAD,
        f"%p = icmp eq {V32} %a, splat (i32 3)",
        "%q = xor <32 x i1> %p, splat (i1 true)",
        "%bits = bitcast <32 x i1> %q to i32",
    ) == [
        "%p = call i32 icmp(ptr %register.128, i32 3)",
        "%q = xor i32 %p, -1",
        "%bits = bitcast i32 %q to i32",
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"%b = insertvalue {V32} %a, i32 1, 0",
        f"%b = add {V32} %from.another.block, %from.another.block",
        "%b = bitcast <32 x i32> splat (i32 1) to <64 x i16>",
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises(Unknown):
        calls(LOAD, line)


def own_blocks(kernel, arch):
    """The code of a kernel's blocks."""
    module = parsed(kernel)
    ir = translate(module, choose(module, None), arch=arch, vectors=False).ir
    return ir[ir.index("done:") : ir.index("define void @prepare_warp")]


FILES = sorted((pairs.KERNELS / "ptx").glob("*.ptx"))


@pytest.mark.parametrize("file", quick.every(4, FILES), ids=lambda file: file.stem)
def test_no_shipped_kernel_has_vectors(file):
    text = file.read_text()
    assert "<32 x" not in own_blocks(text, re.search(r"^\.target (\w+)", text, re.M)[1])


SWAP = program("""
.visible .entry swap_and_rotate(.param .u64 x)
{
    .reg .u64 %x, %x_at;
    .reg .u32 %thread, %a, %b, %c, %old, %i;
    .reg .pred %more;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    mad.wide.u32 %x_at, %thread, 12, %x;
    ld.global.u32 %a, [%x_at];
    ld.global.u32 %b, [%x_at + 4];
    ld.global.u32 %c, [%x_at + 8];
    mov.u32 %i, 0;
LOOP:
    mov.u32 %old, %a;
    mov.u32 %a, %b;
    mov.u32 %b, %c;
    mov.u32 %c, %old;
    add.u32 %i, %i, 1;
    setp.le.u32 %more, %i, %thread;
    @%more bra LOOP;
    st.global.u32 [%x_at], %a;
    st.global.u32 [%x_at + 4], %b;
    st.global.u32 [%x_at + 8], %c;
    ret;
}
""")


def test_registers_that_trade_places_keep_their_values():
    x = np.arange(96, dtype=np.uint32).reshape(32, 3)
    expected = [np.roll(row, -1 - thread) for thread, row in enumerate(x)]
    emulator.run(SWAP, grid=1, block=32, args=[x])
    np.testing.assert_array_equal(x, expected)


def test_a_kernel_with_a_line_that_is_not_known_keeps_its_vectors(monkeypatch):
    assert "<32 x" not in own_blocks(SWAP, "sm_90")
    monkeypatch.setattr(vector_functions, "OF_FIRST", ())
    vector_calls.shape.cache_clear()
    assert "<32 x" in own_blocks(SWAP, "sm_90")
    vector_calls.shape.cache_clear()


COMPUTES = program("""
.visible .entry computes(.param .u64 x)
{
    .reg .u64 %x;
    .reg .u32 %a, %b, %c, %d;
    .reg .pred %p;
    ld.param.u64 %x, [x];
    mov.u32 %a, %tid.x;
    mad.lo.u32 %b, %a, 3, %a;
    mad.lo.u32 %b, %b, 5, %a;
    lop3.b32 %c, %a, %b, 7, 0x96;
    lop3.b32 %c, %c, %b, 9, 0x96;
    lop3.b32 %c, %c, %b, 7, 0xe8;
    mad.lo.u32 %d, 2, 3, 4;
    setp.gt.u32 %p, %c, %d;
    @%p add.u32 %c, %c, 1;
    st.global.u32 [%x], %c;
    exit;
}
""")


def test_an_instruction_that_only_computes_is_one_call():
    calls = re.findall(r'@"lanes\.(\w+)\.(\w+)', own_blocks(COMPUTES, "sm_90"))
    opcodes = [opcode for opcode, _ in calls]
    # The last mad is known at translation. The store's address is a scalar that all lanes share.
    assert [opcode for opcode in opcodes if opcode not in ("load", "freeze", "call")] == [
        "mad", "mad", "lop3", "lop3", "lop3", "setp", "add", "select",
    ]  # fmt: skip
    functions = {opcode: {digest for name, digest in calls if name == opcode} for opcode in opcodes}
    assert len(functions["mad"]) == 1  # for every number
    assert len(functions["lop3"]) == 2  # one for each table


@pytest.mark.parametrize("mode", ["plain", "sanitize"])
@pytest.mark.parametrize("file", FILES[::12], ids=lambda file: file.stem)
def test_a_launch_can_continue_with_the_optimised_code(file, mode):
    text = file.read_text()
    module, arch = parsed(text), re.search(r"^\.target (\w+)", text, re.M)[1]
    both = [translate(module, choose(module, None), arch=arch, mode=mode, vectors=vectors) for vectors in (True, False)]
    first, second = ({**vars(translation), "ir": "", "functions": ()} for translation in both)
    assert first == second  # the places of registers, counters and sites, and what is read of them


WRITTEN = """
.visible .entry written(.param .u64 x)
{
    .reg .u64 %x;
    .reg .u32 %a, %i;
    .reg .pred %p;
    ld.param.u64 %x, [x];
    mov.u32 %i, 0;
AGAIN:
    setp.eq.u32 %p, %i, 1;
    WRITES
    st.global.u32 [%x], %a;
    mov.u32 %a, 2;
    add.u32 %i, %i, 1;
    setp.lt.u32 %p, %i, 3;
    @%p bra AGAIN;
    exit;
}
"""


@pytest.mark.parametrize(
    ("writes", "checks", "notes"),
    [
        ("", 1, 2),
        ("@%p mov.u32 %a, 1;", 1, 3),  # some lanes may not have written it
        ("mov.u32 %a, 1;", 0, 2),  # and the write after the read is not noted again
    ],
)
def test_a_register_is_checked_until_all_lanes_of_a_block_have_written_it(writes, checks, notes):
    module = parsed(HEADER + WRITTEN.replace("WRITES", f"@%p mov.u32 %a, 3;\n    {writes}"))
    ir = translate(module, choose(module, None), mode="sanitize", vectors=False).ir
    own = ir[ir.index("done:") :]
    assert (own.count('@"check_written'), own.count('@"note_written')) == (checks, notes)


def test_adjacent_bytes_are_cleared_together():
    assert joined([(128, 4), (0, 64), (64, 32), (132, 4), (100, 4)]) == ((0, 96), (100, 4), (128, 8))


MOVES = {"shuffle_number": "mov.u32 %x, 7;", "shuffle_register": "mov.u32 %x, %laneid;"}
SHUFFLE = """.visible .entry NAME(.param .u64 out)
{
    .reg .u64 %at;
    .reg .u32 %x, %y;
    ld.param.u64 %at, [out];
    MOVE
    shfl.sync.bfly.b32 %y, %x, 13, 31, 0xffffffff;
    st.global.u32 [%at], %y;
    ret;
}
"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["number first", "register first"])
def test_a_number_and_a_register_are_shuffled_by_functions_of_their_own(order, monkeypatch):
    monkeypatch.setattr(warp, "SHUFFLES", {})
    texts = {name: SHUFFLE.replace("NAME", name).replace("MOVE", move) for name, move in MOVES.items()}
    for name in (list(texts)[number] for number in order):
        module = parsed(program(texts[name]))
        translation = translate(module, choose(module, None), vectors=False)
        native.compile_module(translation.ir, native.QUICK, near_calls=True)  # raises for a name that is not defined
