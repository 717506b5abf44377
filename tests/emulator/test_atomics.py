"""Atomics: every operation and type, on global and shared memory and by generic address, lane after lane."""

import math

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator import exact
from tests.emulator.harness import program

KINDS = {"u32": np.uint32, "s32": np.int32, "u64": np.uint64, "s64": np.int64, "b32": np.uint32, "b64": np.uint64}
FORMS = [
    *(("add", kind) for kind in ("u32", "s32", "u64", "f32", "f64")),
    *((operation, kind) for operation in ("min", "max") for kind in ("u32", "s32", "u64", "s64")),
    ("inc", "u32"),
    ("dec", "u32"),
    *((operation, kind) for operation in ("and", "or", "xor", "exch") for kind in ("b32", "b64")),
]
FLOATS = {"f32": np.float32, "f64": np.float64}
SPACES = ("global", "shared", "generic")


def kernel(operation, kind, space):
    """Each thread updates one of `cells`; then the old values, and the new cells, are stored."""
    size = int(kind[1:]) // 8
    name = f"atomic_{operation}_{kind}_{space}"
    base = {
        "global": "mov.u64 %cell, %cells;",
        "generic": "mov.u64 %cell, tile;\n    cvta.shared.u64 %cell, %cell;",
        "shared": "mov.u64 %cell, tile;",
    }[space]
    dot = "" if space == "generic" else f".{space}"
    new = f"%new, {'%swap' if operation == 'cas' else ''}".rstrip(", ")
    return program(
        f"""
.visible .entry {name}(.param .u64 cells, .param .u64 which, .param .u64 values, .param .u64 olds)
{{
    .reg .u64 %cells, %which, %values, %olds, %cell, %tile;
    .reg .u32 %thread, %i;
    .reg .{kind} %new, %old, %swap, %x;
    .reg .pred %first;
    .shared .align 8 .b8 tile[{4 * size}];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %cells, [cells];
    ld.param.u64 %which, [which];
    ld.param.u64 %values, [values];
    ld.param.u64 %olds, [olds];
    mad.wide.u32 %which, %thread, 4, %which;
    mad.wide.u32 %values, %thread, {size}, %values;
    mad.wide.u32 %olds, %thread, {size}, %olds;
    ld.global.u32 %i, [%which];
    ld.global.{kind} %new, [%values];
    xor.b{8 * size} %swap, %new, 5;

    // shared memory starts with what `cells` holds
    setp.lt.u32 %first, %thread, 4;
    mov.u64 %tile, tile;
    mad.wide.u32 %tile, %thread, {size}, %tile;
    mad.wide.u32 %cell, %thread, {size}, %cells;
    @%first ld.global.{kind} %x, [%cell];
    @%first st.shared.{kind} [%tile], %x;
    bar.sync 0;

    {base}
    mad.wide.u32 %cell, %i, {size}, %cell;
    atom{dot}.{operation}.{kind} %old, [%cell], {new};
    st.global.{kind} [%olds], %old;
    bar.sync 0;
    mad.wide.u32 %cell, %thread, {size}, %cells;
    {"" if space == "global" else f"@%first ld.shared.{kind} %x, [%tile];"}
    {"" if space == "global" else f"@%first st.global.{kind} [%cell], %x;"}
    ret;
}}
""".replace("xor.b32 %swap", "xor.b32 %swap" if kind[0] != "f" else "// xor.b32 %swap").replace(
            "xor.b64 %swap", "xor.b64 %swap" if kind[0] != "f" else "// xor.b64 %swap"
        )
    )


CAS = [("cas", "b32"), ("cas", "b64")]
KERNELS = {(*form, space): kernel(*form, space) for form in FORMS + CAS for space in SPACES}


def updated(operation, kind, old, new):
    """The cell's new value; integers as Python numbers. (PTX ISA, "atom".)"""
    bits = int(kind[1:])
    if operation == "cas":
        return new ^ 5 if old == new else old
    result = {
        "add": lambda: old + new,
        "min": lambda: min(old, new),
        "max": lambda: max(old, new),
        "inc": lambda: 0 if old >= new else old + 1,
        "dec": lambda: new if old == 0 or old > new else old - 1,
        "and": lambda: old & new,
        "or": lambda: old | new,
        "xor": lambda: old ^ new,
        "exch": lambda: new,
    }[operation]()
    if kind[0] == "s":
        return (result + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
    return result % (1 << bits)


INTEGERS = [key for key in KERNELS if key[1] not in FLOATS]


@pytest.mark.parametrize(("operation", "kind", "space"), INTEGERS)
def test_lanes_update_one_after_the_other_and_get_the_old_value(operation, kind, space):
    rng = np.random.default_rng(3)
    threads, dtype = 70, KINDS[kind]
    which = rng.integers(0, 4, threads).astype(np.uint32)
    small = rng.integers(0, 6, threads).astype(dtype)
    wild = rng.integers(0, 2**64, threads, np.uint64, endpoint=False).astype(dtype)
    values = np.where(np.arange(threads) % 2, small, wild) if operation not in ("inc", "dec", "cas") else small
    cells = np.array([0, 3, 2**31, 2**63 + 1], np.uint64).astype(dtype)
    if operation == "cas":
        cells[:] = small[:4]
    state, olds = cells.tolist(), []
    for cell, value in zip(which.tolist(), values.tolist(), strict=True):
        olds.append(state[cell])
        state[cell] = updated(operation, kind, state[cell], value)
    result = np.zeros(threads, dtype)
    emulator.run(KERNELS[operation, kind, space], grid=1, block=threads, args=[cells, which, values, result])
    assert result.tolist() == olds
    assert cells.tolist() == state


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", FLOATS)
def test_float_additions_round_each_time_and_flush_only_f32_on_global_memory(kind, space):
    """f32 on global memory flushes subnormal operands and results, on shared memory it does not. (PTX ISA, "atom".)"""
    rng = np.random.default_rng(5)
    threads, dtype, form = 96, FLOATS[kind], exact.F32 if kind == "f32" else exact.F64
    raw = np.uint32 if kind == "f32" else np.uint64
    tiny = dtype(np.finfo(dtype).smallest_subnormal)
    values = (rng.uniform(-1, 1, threads) * 2.0 ** rng.integers(-30, 30, threads)).astype(dtype)
    values[::4] = np.array([tiny, -tiny, 3 * tiny, np.finfo(dtype).tiny] * 6, dtype)
    which = rng.integers(0, 3, threads).astype(np.uint32)
    which[::4] = 3  # one cell sees only tiny numbers
    values[7], values[11] = np.inf, -np.inf  # and another becomes infinite, then perhaps NaN
    which[7] = which[11] = 2
    cells = np.array([0.0, -1.5, 2.0, -0.0], dtype)
    flush = kind == "f32" and space == "global"
    state, olds = cells.view(raw).tolist(), []
    for cell, value in zip(which.tolist(), values.view(raw).tolist(), strict=True):
        olds.append(state[cell])
        terms = [exact.flushed(pattern, form) if flush else pattern for pattern in (state[cell], value)]
        total = exact.add(form, "rn", *terms)
        state[cell] = exact.flushed(total, form) if flush else total
    result = np.zeros(threads, dtype)
    emulator.run(KERNELS["add", kind, space], grid=1, block=threads, args=[cells, which, values, result])
    assert result.view(raw).tolist() == olds
    assert cells.view(raw).tolist() == state
    assert math.isnan(cells[2])


ORDERED = program(
    """
.visible .entry sum_over_ctas(.param .u64 from, .param .u64 to, .param .u64 count)
{
    .reg .u64 %from, %to, %count;
    .reg .u32 %thread, %block, %i;
    .reg .f32 %x;
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %i, %block, 64, %thread;
    ld.param.u64 %from, [from];
    ld.param.u64 %to, [to];
    ld.param.u64 %count, [count];
    mad.wide.u32 %from, %i, 4, %from;
    ld.global.f32 %x, [%from];
    red.global.add.f32 [%to], %x;
    red.relaxed.gpu.global.inc.u32 [%count], 0xffffffff;
    atom.acq_rel.sys.global.max.u32 %i, [%count+4], %i;
    red.shared.add.u32 [tile], 1;
    ret;
}
""".replace("{\n    .reg", "{\n    .shared .u32 tile;\n    .reg", 1)
)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_sums_over_ctas_are_added_in_the_order_of_their_rank(threads):
    values = np.random.default_rng(1).uniform(-1, 1, 64 * 50).astype(np.float32)
    total, count = np.zeros(1, np.float32), np.zeros(2, np.uint32)
    execution = emulator.run(ORDERED, grid=50, block=64, args=[values, total, count], threads=threads)
    expected = np.float32(0)
    for value in values:
        expected += value
    assert total[0] == expected
    assert count.tolist() == [3200, 3199]
    assert execution.order == "ascending"


REDUCTIONS = program("".join([
    """
.visible .entry red_of_everything(.param .u64 to)
{
    .reg .u64 %to, %tile;
    .reg .u32 %x, %thread;
    .reg .u64 %w;
    .reg .f32 %f;
    .reg .f64 %d;
    .shared .align 8 .b64 tile[32];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %to, [to];
    mov.u64 %tile, tile;
    mad.wide.u32 %tile, %thread, 8, %tile;
    st.shared.u64 [%tile], 0;
    bar.sync 0;
    mov.u64 %tile, tile;
    cvta.shared.u64 %tile, %tile;
    cvt.u64.u32 %w, %thread;
    cvt.rn.f32.u32 %f, %thread;
    cvt.rn.f64.u32 %d, %thread;
    mov.u32 %x, %thread;
""",
    *(
        f"    red.global.{operation}.{kind} [%to+{8 * i}], {register};\n"
        f"    red.shared.{operation}.{kind} [tile+{8 * i}], {register};\n"
        f"    red.{operation}.{kind} [%tile+{8 * i}], {register};\n"
        for i, (operation, kind, register) in enumerate([
            *(("add", kind, register) for kind, register in
              (("u32", "%x"), ("s32", "%x"), ("u64", "%w"), ("f32", "%f"), ("f64", "%d"))),
            *((operation, kind, register) for operation in ("min", "max") for kind, register in
              (("u32", "%x"), ("s32", "%x"), ("u64", "%w"), ("s64", "%w"))),
            ("inc", "u32", "%x"), ("dec", "u32", "%x"),
            *((operation, kind, register) for operation in ("and", "or", "xor") for kind, register in
              (("b32", "%x"), ("b64", "%w"))),
        ])
    ),
    """
    bar.sync 0;
    mov.u64 %tile, tile;
    mad.wide.u32 %tile, %thread, 8, %tile;
    ld.shared.u64 %w, [%tile];
    mad.wide.u32 %to, %thread, 8, %to;
    st.global.u64 [%to+256], %w;
    ret;
}
""",
]))  # fmt: skip


def test_red_is_atom_without_the_old_value():
    """Once on global memory, twice on shared memory: sums double, everything else but inc, dec and xor repeats."""
    result = np.zeros((2, 32), np.uint64)
    emulator.run(REDUCTIONS, grid=1, block=32, args=[result])
    once, twice = result.tolist()
    whole = sum(range(32))
    bits = [np.float32(whole).view(np.uint32), np.float64(whole).view(np.uint64)]
    assert once[:5] == [whole] * 3 + bits
    assert twice[:5] == [2 * whole] * 3 + [np.float32(2 * whole).view(np.uint32), np.float64(2 * whole).view(np.uint64)]
    assert once[5:13] == twice[5:13] == [0] * 4 + [31] * 4
    state = 0
    for lane in range(32):
        state = updated("inc", "u32", state, lane)
    assert once[13] == state
    assert once[15:21] == [0, 0, 31, 31, 0, 0]
    assert twice[15:21] == once[15:21]
