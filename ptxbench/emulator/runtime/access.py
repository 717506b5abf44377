"""Loads and stores: one function per (space, bytes, vector)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from ptxbench.emulator.runtime import nearby
from ptxbench.emulator.runtime.context import (
    ACTIVE,
    ALL,
    CLUSTER_OWN,
    CTPOP,
    MASK,
    RANK_BITS,
    RECORDED,
    REQUESTS,
    SITE_SLOTS,
    V32,
    V64,
    RuntimeFunction,
    bump,
    multiples,
    slot,
    splat,
    vector,
)
from ptxbench.emulator.runtime.interleaving import (
    concatenated,
    deinterleaved,
    in_pieces,
    interleaved,
    joined_pieces,
    piece_width,
)
from ptxbench.emulator.runtime.records import LOAD, STORE, planned
from ptxbench.emulator.runtime.spaces import CLUSTER_SPACE, GLOBAL, LOCAL_SPACE, MERGING_SPACE, SHARED_SPACE, Space
from ptxbench.emulator.types import LANES

CACHE_LINE = 64
AHEAD = 2048
"""Bytes; the next warps of a CTA mostly load there. The processor's own prefetching ends at each page of 4 KiB, and
without this, a launch that streams large arrays takes more than twice as long."""
PREFETCH = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


@functools.cache
def load(
    space: Space, element_bytes: int, count: int, *, recorded: bool = False, mergeable: bool = False,
    interleaves: bool = False, ordered: bool = False, permutes: bool = False,
) -> RuntimeFunction:  # fmt: skip
    """`load_SPACE_BYTES_COUNT(addresses, mask, env, site)`: `count` vectors of bits; inactive lanes return 0.

    `recorded`: with the records of global memory (records.py). `interleaves`: the vectors are interleaved. `ordered`:
    the last argument says whether each lane's bytes follow those of the lane before. `permutes`: see HostCpu.
    """
    recorded = recorded and space is GLOBAL
    function = f"load_{space.name}_{element_bytes}_{count}{'_interleaved' * interleaves}"
    if mergeable and element_bytes * count < 16:
        space, function = MERGING_SPACE, f"{function}_mergeable"
    size = element_bytes * count
    element = f"i{8 * element_bytes}"
    full = vector(8 * element_bytes)
    returns = full if count == 1 else "{ " + ", ".join([full] * count) + " }"
    gather = f"llvm.masked.gather.v{LANES}{element}.v{LANES}p0"
    gathers = []
    for k in range(count):
        gathers.append(f"%q{k} = getelementptr i8, <{LANES} x ptr> %pointers, i64 {k * element_bytes}")
        gathers.append(
            f"%g{k} = call {full} @{gather}(<{LANES} x ptr> %q{k}, i32 {element_bytes}, {MASK} %active, "
            f"{full} zeroinitializer)"
        )

    def finish(pieces: list[str], prefix: str) -> list[str]:
        """Return the elements of all lanes, which are in `pieces` in the order of memory, as `count` vectors."""
        if interleaves:
            lines, names = joined_pieces(pieces, count, element)
        else:
            lines, names = deinterleaved(pieces, count, element, prefix)
        return [*lines, pack(names)]

    def pack(names: Sequence[str]) -> str:
        if count == 1:
            return f"ret {full} {names[0]}"
        lines, packed = [], "poison"
        for k, name in enumerate(names):
            lines.append(f"%s{k}{name[1:]} = insertvalue {returns} {packed}, {full} {name}, {k}")
            packed = f"%s{k}{name[1:]}"
        return "\n".join([*lines, f"ret {returns} {packed}"])

    width = piece_width(element_bytes)
    piece = f"<{width} x {element}>"
    everyone = []
    if gathers_slowly(element_bytes, count):
        part = f"<{count} x {element}>"
        everyone = [f"%w{i} = load {part}, ptr %pointer{i}, align {size}" for i in range(LANES)]
        pieces = []
        for i in range(0, LANES, width // count):
            joins, joined = concatenated([f"%w{i + j}" for j in range(width // count)], count, element)
            everyone += joins
            pieces.append(joined)
        everyone += finish(pieces, "h")
    run = []
    for i in range(LANES * count // width):
        run.append(f"%run{i} = getelementptr i8, ptr %first, i64 {i * width * element_bytes}")
        run.append(f"%all{i} = load {piece}, ptr %run{i}, align {element_bytes}")
    before_run, before = record_load(size) if recorded else ("", "")
    gathered = [f"%g{k}" for k in range(count)]
    if interleaves:
        mixed, pieces = interleaved(gathered, element_bytes, "mixed")
        gathers += [*mixed, *finish(pieces, "m")]
    else:
        gathers.append(pack(gathered))
    text = access(
        general_name(function, space),
        returns,
        space,
        size,
        everyone="\n".join(everyone),
        per_lane="\n".join(gathers),
        nothing=f"ret {returns} zeroinitializer",
        before=before,
    )
    gather_declaration = f"declare {full} @{gather}(<{LANES} x ptr>, i32, {MASK}, {full})"
    needs = (*space.needs, *planned(LOAD, size)) if recorded else space.needs
    general = RuntimeFunction(general_name(function, space), text, needs, (gather_declaration, CTPOP))
    run_lines = [
        before_run,
        *(fetched_ahead(size) if space is GLOBAL else ()),
        *run,
        *finish([f"%all{i}" for i in range(LANES * count // width)], "t"),
    ]
    near, in_shared = "", space in (SHARED_SPACE, MERGING_SPACE)
    if permutes and in_shared and element_bytes == nearby.ELEMENT_BYTES and not interleaves:
        near_lines, near_names = nearby.load_near(count, space.count(size))
        near = f"{near_lines}\n  {pack(near_names)}"
    return quick(function, returns, space, size, "\n  ".join(run_lines), general, ordered=ordered, near=near)


def fetched_ahead(size: int, *, stores: bool = False) -> list[str]:
    """Lines that prefetch the bytes that a run AHEAD bytes further on would load or store; they need not exist."""
    lines = []
    for i in range(0, LANES * size, CACHE_LINE):
        lines.append(f"%ahead{i} = getelementptr i8, ptr %first, i64 {AHEAD + i}")
        lines.append(f"call void @llvm.prefetch.p0(ptr %ahead{i}, i32 {int(stores)}, i32 3, i32 1)")
    return lines


def gathers_slowly(element_bytes: int, count: int) -> bool:
    """Whether 32 loads or stores, one a lane, are quicker than a gather or scatter of each element.

    Processors gather 4 and 8 bytes; LLVM branches around each lane for less.
    """
    return count > 1 or element_bytes < 4


@functools.cache
def store(
    space: Space, element_bytes: int, count: int, *, recorded: bool = False, mergeable: bool = False,
    interleaves: bool = False, ordered: bool = False, present: tuple[int, ...] = (),
) -> RuntimeFunction:  # fmt: skip
    """`store_SPACE_BYTES_COUNT(addresses, mask, env, site, v0, ...)`; where lanes overlap, the highest lane wins.

    `interleaves`, `ordered`: as in `load`. `present`: the elements that are stored, if these are not all; then there is
    no quick path. The whole vector must be in bounds.
    """
    recorded = recorded and space is GLOBAL
    function = f"store_{space.name}_{element_bytes}_{count}{'_interleaved' * interleaves}{parts_name(present)}"
    if mergeable and element_bytes * count < 16:
        space, function = MERGING_SPACE, f"{function}_mergeable"
    size = element_bytes * count
    element = f"i{8 * element_bytes}"
    full = vector(8 * element_bytes)
    scatter = f"llvm.masked.scatter.v{LANES}{element}.v{LANES}p0"
    width = piece_width(element_bytes)
    piece = f"<{width} x {element}>"
    in_memory_order = in_pieces if interleaves else interleaved
    inputs = [f"%v{k}" for k in range(count)]
    run_lines, pieces = in_memory_order(inputs, element_bytes, "all")
    for i, name in enumerate(pieces):
        run_lines.append(f"%run{i} = getelementptr i8, ptr %first, i64 {i * width * element_bytes}")
        run_lines.append(f"store {piece} {name}, ptr %run{i}, align {element_bytes}")
    per_lane, of_lanes = [], inputs
    if interleaves:
        split, lane_pieces = in_pieces(inputs, element_bytes, "lanes")
        sorted_, of_lanes = deinterleaved(lane_pieces, count, element, "l")
        per_lane += [*split, *sorted_]
    for k, name in enumerate(of_lanes):
        per_lane.append(f"%q{k} = getelementptr i8, <{LANES} x ptr> %pointers, i64 {k * element_bytes}")
        per_lane.append(
            f"call void @{scatter}({full} {name}, <{LANES} x ptr> %q{k}, i32 {element_bytes}, {MASK} %active)"
        )
    everyone: list[str] = []
    record_lanes = ""
    if gathers_slowly(element_bytes, count):
        everyone, pieces = in_memory_order(inputs, element_bytes, "every")
        for i in range(LANES):
            name, start = pieces[count * i // width], count * i % width
            order = ", ".join(f"i32 {start + k}" for k in range(count))
            everyone.append(f"%w{i} = shufflevector {piece} {name}, {piece} poison, <{count} x i32> <{order}>")
            everyone.append(f"store <{count} x {element}> %w{i}, ptr %pointer{i}, align {size}")
    if recorded:
        run_lines.append(f"call void @record_run_store_{size}(ptr %env, ptr %site, i64 %a.first)")
        record_lanes = f"call void @record_lanes_store({V64} %a, i32 %mask, i32 {size}, ptr %env, ptr %site)"
    values = "".join(f", {full} %v{k}" for k in present or range(count))
    if present:
        per_lane, everyone = [line for k in present for line in per_lane[2 * k : 2 * k + 2]], []
        space = replace(space, unit_stride=None)
    text = access(
        general_name(function, space),
        "void",
        space,
        size,
        everyone="\n".join([*everyone, "ret void"]) if everyone else "",
        per_lane="\n".join([*per_lane, "ret void"]),
        nothing="ret void",
        values=values,
        before=record_lanes,
    )
    scatter_declaration = f"declare void @{scatter}({full}, <{LANES} x ptr>, i32, {MASK})"
    needs = (*space.needs, *planned(STORE, size)) if recorded else space.needs
    general = RuntimeFunction(general_name(function, space), text, needs, (scatter_declaration, CTPOP))
    run_lines = [*(fetched_ahead(size, stores=True) if space is GLOBAL else ()), *run_lines, "ret void"]
    return quick(function, "void", space, size, "\n  ".join(run_lines), general, values, ordered)


def parts_name(present: tuple[int, ...]) -> str:
    """The part of a function's name for the elements that it stores."""
    return "_of_" + "_".join(map(str, present)) if present else ""


def record_load(size: int) -> tuple[str, str]:
    """Lines that record a run of loads of `size` bytes per lane, or other loads, if their buffer is marked."""

    def if_marked(name: str, record: str) -> str:
        return f"""%{name}.recorded.at = getelementptr i64, ptr %site, i64 {RECORDED}
  %{name}.recorded = load i64, ptr %{name}.recorded.at
  %{name}.unrecorded = icmp eq i64 %{name}.recorded, 0
  br i1 %{name}.unrecorded, label %{name}.onward, label %{name}.record
{name}.record:
  {record}
  br label %{name}.onward
{name}.onward:"""

    return (
        if_marked("run", f"call void @record_run_load_{size}(ptr %env, ptr %site, i64 %a.first)"),
        if_marked("lanes", f"call void @record_lanes_load({V64} %a, i32 %mask, i32 {size}, ptr %env, ptr %site)"),
    )


INLINED = " inlinehint {"
"""Ends the head of a function that optimised code inlines."""
MOST_INLINED = 16
"""In a kernel with up to this many calls of loads and stores, optimised code inlines them: without that, triad takes
half as much time again. With more than a hundred inlined calls, sgemm_tiled was slower and took twice as long to
compile."""


def general_name(name: str, space: Space) -> str:
    """The name of the general function: the load or store itself if it has no quick path, else what that calls."""
    return name if space.unit_stride is None else f"{name}_rest"


def quick(
    name: str, returns: str, space: Space, size: int, run_lines: str, general: RuntimeFunction, values: str = "",
    ordered: bool = False, near: str = "",
) -> RuntimeFunction:  # fmt: skip
    """A load or store of `size` bytes per lane by all 32 lanes. A run (spaces.UnitStrideAccess) is done here, by the
    lines `run_lines`, where %first points to lane 0's bytes, and a load of nearby bytes by the lines `near`; any other
    access by the function `general`, with the same arguments. If this space has no runs, the result is `general`
    itself. `ordered`: as in `load`.
    """
    if space.unit_stride is None:
        return general
    parameters = f"{space.vector} %a, i32 %asked, ptr %env, ptr %site{values}"
    called = f"call {returns} @{general.name}({parameters})"
    compare = f"""{splat("first.all", space.element, "%a.first")}
  %expected = add {space.vector} %first.all, {multiples(space.element, size)}
  %consecutive = icmp eq {space.vector} %a, %expected
  %consecutive.mask = bitcast {MASK} %consecutive to i32
  %in.order = icmp eq i32 %consecutive.mask, {ALL}"""
    if ordered:
        name, parameters, compare = f"{name}_ordered", f"{parameters}, i1 %in.order", ""
    otherwise = f"{called}\n  ret void" if returns == "void" else f"%rest = {called}\n  ret {returns} %rest"
    if near:
        near = f"""look.near:
  {nearby.is_near(size)}
  br i1 %near, label %near.by, label %other
near.by:
  {near}
"""
    text = f"""
define internal {returns} @{name}({parameters}){INLINED}
entry:
  %whole = icmp eq i32 %asked, {ALL}
  br i1 %whole, label %look, label %other
look:
  %a.first = extractelement {space.vector} %a, i64 0
  {compare}
  {space.unit_stride.check(size)}
  %is.run = and i1 %in.order, %fits
  br i1 %is.run, label %run, label %{"look.near" if near else "other"}
run:
  {space.unit_stride.count(size)}
  {space.unit_stride.host}
  %first = inttoptr i64 %a.first.host to ptr
  {run_lines}
{near}other:
  {otherwise}
}}
"""
    return RuntimeFunction(name, text, (general,), (PREFETCH, *([nearby.DECLARATION] if near else [])))


def access(
    name: str, returns: str, space: Space, size: int, *, per_lane: str, nothing: str, everyone: str = "",
    values: str = "", before: str = "",
) -> str:  # fmt: skip
    """The common code of a load or store of `size` bytes per lane: checks, counters, then one of two access paths.

    `everyone`: all 32 lanes are active; %pointer0 to %pointer31 point to their bytes. `per_lane`: %pointers, one per
    lane, under %active; without `everyone` it is used for that too. `before`: lines before both.
    """
    pointer_list, branch = "", ""
    if everyone:
        pointer_list = f"%pointer.list = alloca [{LANES} x ptr], align 64"
        loads = "\n  ".join(
            f"%pointer{i}.at = getelementptr ptr, ptr %pointer.list, i64 {i}\n"
            f"  %pointer{i} = load ptr, ptr %pointer{i}.at"
            for i in range(LANES)
        )
        branch = f"""%none.missing = icmp eq i32 %mask, {ALL}
  br i1 %none.missing, label %everyone, label %each
everyone:
  store {V64} %host, ptr %pointer.list, align 64
  {loads}
  {everyone}
each:"""
    return f"""
define internal {returns} @{name}({space.vector} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
entry:
  {pointer_list}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  {nothing}
check:
  {space.check(size)}
  br i1 %needs.resolve, label %slow, label %go
slow:
  %resolved = call i32 @resolve_{space.name}({space.vector} %a, i32 %asked, {space.element} {size}, ptr %env, ptr %site)
  %none.good = icmp eq i32 %resolved, 0
  br i1 %none.good, label %nothing, label %go
go:
  %mask = phi i32 [ %asked, %check ], [ %resolved, %slow ]
  {bump(REQUESTS, "1")}
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes.wide = zext i32 %lanes to i64
  {bump(ACTIVE, "%lanes.wide")}
  {space.count(size)}
  {before}
  {space.host}
  {branch}
  %active = bitcast i32 %mask to {MASK}
  %pointers = inttoptr {V64} %host to <{LANES} x ptr>
  {per_lane}
}}
"""


def generic_spaces(clustered: bool) -> tuple[Space, ...]:
    """The memories of generic addresses; a generic access has one site for each, in this order."""
    return (GLOBAL, SHARED_SPACE, LOCAL_SPACE, *((CLUSTER_SPACE,) if clustered else ()))


def masks_by_window(clustered: bool) -> str:
    """Lines that split %asked by the window of each lane's generic address; the rest is global memory.

    In a cluster, the CTA's own memory is a part of the window of shared memory, and the rest is that of other CTAs.
    """
    lines = []
    remaining = "%asked"
    spaces = generic_spaces(clustered)
    for space in spaces[1:]:
        name = space.name
        assert space.window is not None
        start, limit = f"sub {V64} %a, %{name}.base", 1 << 32
        if space is SHARED_SPACE and clustered:
            lines.append(f"""{slot("cta.base", CLUSTER_OWN)}
  {splat("cta.base.all", "i64", "%cta.base")}
  %cta.offset = sub {V64} %a, %cta.base.all""")
            start, limit = f"sub {V64} %cta.offset, %{name}.base", 1 << RANK_BITS
        lines.append(f"""%{name}.base = {space.window.load}
  %{name}.offset = {start}
  %{name}.inside = icmp ult {V64} %{name}.offset, splat (i64 {limit})
  %{name}.bits = bitcast {MASK} %{name}.inside to i32
  %{name}.mask = and i32 %{name}.bits, {remaining}
  %{name}.rest = xor i32 {remaining}, %{name}.mask
  %{name}.a = trunc {V64} %{name}.offset to {V32}
  %{name}.site = getelementptr i64, ptr %site, i64 {SITE_SLOTS * spaces.index(space)}""")
        remaining = f"%{name}.rest"
    lines.append(f"%global.mask = or i32 {remaining}, 0\n  %global.a = or {V64} %a, zeroinitializer")
    lines.append("%global.site = getelementptr i64, ptr %site, i64 0")
    return "\n  ".join(lines)


def generic(call: Callable[[Space, str], str], function: Callable[[Space], RuntimeFunction], name: str, returns: str,
            values: str, combine: Callable[[list[str]], str], clustered: bool = False) -> RuntimeFunction:  # fmt: skip
    """A function on generic addresses: calls each space's function for the lanes whose addresses are in it.

    `call(space, arguments)` is the call's text; lanes outside a mask return 0, so that `combine` can OR the results.
    """
    spaces = generic_spaces(clustered)
    parts = [function(space) for space in spaces]
    lines = [masks_by_window(clustered)]
    results = []
    name += "_clustered" * clustered
    for space, part in zip(spaces, parts, strict=True):
        arguments = f"{space.vector} %{space.name}.a, i32 %{space.name}.mask, ptr %env, ptr %{space.name}.site"
        text = call(space, f"@{part.name}({arguments}")
        lines.append(text if returns == "void" else f"%{space.name}.result = {text}")
        results.append(f"%{space.name}.result")
    text = f"""
define internal {returns} @{name}({V64} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  {chr(10).join(lines)}
  {combine(results)}
}}
"""
    return RuntimeFunction(name, text, tuple(parts))


@functools.cache
def load_generic(element_bytes: int, count: int, *, recorded: bool = False, clustered: bool = False) -> RuntimeFunction:
    full = vector(8 * element_bytes)
    returns = full if count == 1 else "{ " + ", ".join([full] * count) + " }"

    def combine(results: list[str]) -> str:
        lines = []
        packed = "poison"
        for k in range(count):
            parts = results
            if count > 1:
                parts = []
                for result in results:
                    lines.append(f"{result}.p{k} = extractvalue {returns} {result}, {k}")
                    parts.append(f"{result}.p{k}")
            lines += any_of(full, parts, f"all{k}")
            if count > 1:
                lines.append(f"%whole{k} = insertvalue {returns} {packed}, {full} %all{k}, {k}")
                packed = f"%whole{k}"
        return "\n  ".join([*lines, f"ret {returns} {'%all0' if count == 1 else packed}"])

    return generic(
        lambda space, call: f"call {returns} {call})",
        lambda space: load(space, element_bytes, count, recorded=recorded),
        f"load_generic_{element_bytes}_{count}",
        returns,
        "",
        combine,
        clustered,
    )


def any_of(kind: str, parts: list[str], name: str) -> list[str]:
    """Lines that combine values of type `kind`, all but one of them 0 in each lane, as %NAME."""
    lines, combined = [], parts[0]
    for number, part in enumerate(parts[1:], 1):
        result = f"%{name}" if number == len(parts) - 1 else f"%{name}.{number}"
        lines.append(f"{result} = or {kind} {combined}, {part}")
        combined = result
    return lines


@functools.cache
def store_generic(
    element_bytes: int, count: int, *, recorded: bool = False, clustered: bool = False, present: tuple[int, ...] = ()
) -> RuntimeFunction:
    full = vector(8 * element_bytes)
    values = "".join(f", {full} %v{k}" for k in present or range(count))
    return generic(
        lambda space, call: f"call void {call}{values})",
        lambda space: store(space, element_bytes, count, recorded=recorded, present=present),
        f"store_generic_{element_bytes}_{count}{parts_name(present)}",
        "void",
        values,
        lambda results: "ret void",
        clustered,
    )
