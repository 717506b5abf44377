"""Watches of shared and global memory: the fast path of races/shadow.py's `access`, on vectors of all lanes.

If the lanes' accesses are contiguous, which is the common case, so are their stamps: they are loaded and stored as
rows of 32 granules. Otherwise they are gathered and scattered.

The fast path applies if the comparisons of stamps.py show for each lane that it is ordered after the last write, and a
write after the last reads. The compiled functions handle all other cases, for the whole instruction.
"""

from __future__ import annotations

import functools

from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.runtime.context import (
    CLUSTER_OWN,
    COUNTERS,
    GLOBAL_BASE,
    MASK,
    RACES,
    RANK_BITS,
    SHADOW,
    SHARED_BYTES,
    SITE_SLOTS,
    TIME,
    TIME_OF_BARRIER,
    TIME_OF_START,
    TIME_OF_WARP,
    V32,
    V64,
    WARP,
    RuntimeFunction,
    multiples,
    slot,
    splat,
    vector,
)
from ptxbench.emulator.runtime.stamps import DECLARATIONS, ContiguousStampCheck, StampCheck
from ptxbench.emulator.runtime.watch import EVENT_CALL, EVENT_OF, generic_addresses, ranked


def table(name: str, index: int, kind: str = "i64") -> str:
    """Lines that load a word of the launch's table into %name."""
    return f"%{name}.at = getelementptr i64, ptr %table, i64 {index}\n  %{name} = load {kind}, ptr %{name}.at\n"


def everywhere(name: str) -> str:
    """Lines that broadcast the i64 %name to every lane of %name.all."""
    return splat(f"{name}.all", "i64", f"%{name}")


def rows_head(size: int, granule: int) -> str:
    """Lines that set %in.rows (whether all lanes take part and are contiguous), and the first row's stamps."""
    rows = "".join(
        f"  %row.{k} = getelementptr i64, ptr %from.{k}, i64 %row.index\n" for k in range(layout.SHADOW_ARRAYS)
    )
    return f"""%lane.first = extractelement {V64} %offset, i64 0
  {everywhere("lane.first")}
  %expected = add {V64} %lane.first.all, {multiples("i64", size)}
  %as.expected = icmp eq {V64} %offset, %expected
  %as.expected.mask = bitcast {MASK} %as.expected to i32
  %whole.mask = and i32 %as.expected.mask, %inside
  %whole = icmp eq i32 %whole.mask, -1
  %ragged = and i64 %lane.first, {granule - 1}
  %even = icmp eq i64 %ragged, 0
  %in.rows = and i1 %whole, %even
  %row.index = lshr i64 %lane.first, {granule.bit_length() - 1}
{rows}"""


def head(in_shared: bool, size: int, granule: int, strong: bool, clustered: bool) -> str:
    """Lines that set %active, the stamps' pointers, times and %new.stamps.

    The current CTA made every access whose time is %since or later. Accesses before %start are of an earlier CTA.
    """
    shift = granule.bit_length() - 1
    if in_shared:
        tracked = f"""{table("seen", layout.SHARED_SEEN)}
  %seen.more = add i64 %seen, 1
  store i64 %seen.more, ptr %seen.at
  {table("skipped", layout.SHARED_SKIPPED)}
  {everywhere("skipped")}
  %tracked = icmp eq {V64} %skipped.all, zeroinitializer"""
        where = f"""{slot("bytes", SHARED_BYTES)}
  {slot("base", SHADOW, "ptr")}
  {slot("start", TIME_OF_START)}
  {everywhere("start")}
  {table("since", layout.OWN_SINCE) if clustered else slot("since", TIME_OF_START)}
  {table("stride", layout.SHARED_GRANULES)}
  %offset = zext {V32} %a to {V64}"""
    else:
        tracked = f"""{table("skipped", layout.SKIPPED_PAGES)}
  {everywhere("skipped")}
  %page = lshr {V64} %offset, splat (i64 {layout.PAGE_BITS})
  %page.skipped = and {V64} %page, %skipped.all
  %tracked = icmp eq {V64} %page.skipped, zeroinitializer"""
        where = f"""{table("bytes", layout.ARENA_BYTES)}
  {table("base", layout.GLOBAL_SHADOW, "ptr")}
  {table("since", layout.OWN_SINCE)}
  {table("grid", layout.GRID_KNOWN)}
  {everywhere("grid")}
  {table("stride", layout.GLOBAL_GRANULES)}
  %offset = sub {V64} %a, splat (i64 {GLOBAL_BASE})"""
    stamps = "".join(
        f"  %from.{k} = getelementptr i64, ptr {f'%from.{k - 1}' if k else '%base'}, i64 {'%stride' if k else 0}\n"
        f"  %stamps.{k} = getelementptr i64, ptr %from.{k}, {V64} %index\n"
        for k in range(layout.SHADOW_ARRAYS)
    )
    return f"""{slot("table", RACES, "ptr")}
  {where}
  {everywhere("since")}
  %last = sub i64 %bytes, {size}
  %room = icmp sge i64 %last, 0
  {everywhere("last")}
  %in.bounds = icmp ule {V64} %offset, %last.all
  {tracked}
  %within = and {MASK} %in.bounds, %tracked
  %within.mask = bitcast {MASK} %within to i32
  %asked.within = and i32 %asked, %within.mask
  %inside = select i1 %room, i32 %asked.within, i32 0
  %active = bitcast i32 %inside to {MASK}
  %index = lshr {V64} %offset, splat (i64 {shift})
{stamps}
  {slot("barrier", TIME_OF_BARRIER)}
  {everywhere("barrier")}
  {slot("sync", TIME_OF_WARP)}
  {everywhere("sync")}
  {slot("warp", WARP)}
  %warp.first = shl i64 %warp, 5
  {everywhere("warp.first")}
  %threads = or {V64} %warp.first.all, {multiples("i64", 1)}
  {slot("counters", COUNTERS)}
  %site.number = ptrtoint ptr %site to i64
  %site.offset = sub i64 %site.number, %counters
  %site.slot = lshr i64 %site.offset, 3
  %site.low = and i64 %site.slot, {(1 << layout.SITE_BITS) - 1}
  %site.high = shl i64 %site.low, {layout.THREAD_BITS}
  {slot("time", TIME)}
  %time.high = shl i64 %time, 32
  %time.site = or i64 %time.high, %site.high
  %common = or i64 %time.site, {layout.STRONG_BIT if strong else 0}
  {everywhere("common")}
  %new.stamps = or {V64} %common.all, %threads"""


def stored_values(kind: str, element_bytes: int, count: int) -> tuple[str, str, str, str]:
    """For the values of a store: the parameters, lines that allocate memory for them and that store them there, and the
    name of its address. Empty, and "0", for other kinds."""
    if kind != "store":
        return "", "", "", "0"
    full = vector(8 * element_bytes)
    spill = "".join(
        f"  %v{k}.at = getelementptr {full}, ptr %stored, i64 {k}\n  store {full} %v{k}, ptr %v{k}.at\n"
        for k in range(count)
    )
    values = "".join(f", {full} %v{k}" for k in range(count))
    stored = f"%stored = alloca [{count} x {full}], align 64"
    return values, stored, f"{spill}\n  %values = ptrtoint ptr %stored to i64", "%values"


@functools.cache
def watch(
    kind: str, space: str, element_bytes: int, count: int, strength: int, granule: int, clustered: bool
) -> RuntimeFunction:
    """`watch_KIND_SPACE_BYTES_COUNT_STRENGTH(addresses, mask, env, site, values...)`; kind: load, read_only_load,
    store, atomic, or overwrite: an atomic that depends on no old value.

    Space: shared or global. It is called before a store, and after other accesses.
    """
    in_shared, size = space == "shared", element_bytes * count
    granules = max(1, size // granule)
    by_lane = StampCheck(in_shared, strength, clustered)
    in_rows = ContiguousStampCheck(in_shared, strength, clustered, granules)
    for path in (by_lane, in_rows):
        if kind.endswith("load"):
            path.load(granules, read_only=kind == "read_only_load")
        else:
            path.write(granules, kind)
    values, stored, spill, values_at = stored_values(kind, element_bytes, count)
    event = EVENT_OF[kind] | element_bytes << layout.ELEMENT_AT | size << layout.BYTES_AT
    addresses, lines = generic_addresses(space)
    nowhere = "%nowhere = icmp eq ptr null, %base" if space == "global" else "%nowhere = icmp eq i32 0, 1"
    text = f"""
define internal void @{name_of(kind, space, element_bytes, count, strength)}({addresses} %a, i32 %asked, ptr %env,
                                                                             ptr %site{values}) noinline {{
  %first = alloca {V64}, align 64
  %list = alloca {V64}, align 64
  {stored}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %done, label %look
look:
  {head(in_shared, size, granule, by_lane.strong, clustered)}
  {nowhere}
  %outside = icmp eq i32 %inside, 0
  %unseen = or i1 %nowhere, %outside
  br i1 %unseen, label %done, label %compare
compare:
  {rows_head(size, granule)}
  br i1 %in.rows, label %rows, label %by.lane
rows:
  {chr(10).join(in_rows.lines)}
  br label %done
by.lane:
  {chr(10).join(by_lane.lines)}
  br label %done
unusual:
  {lines}
  store {V64} %all, ptr %list
{spill}
  %mask.all = zext i32 %inside to i64
  %addresses = ptrtoint ptr %list to i64
  call void @event(ptr %env, i64 {event}, i64 %mask.all, i64 %addresses, i64 %site.number, i64 {values_at})
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name_of(kind, space, element_bytes, count, strength), text, (EVENT_CALL,), DECLARATIONS)


@functools.cache
def watch_cluster(kind: str, element_bytes: int, count: int, strength: int) -> RuntimeFunction:
    """The same for the shared memory of the CTAs of a cluster: the compiled functions handle each access."""
    values, stored, spill, values_at = stored_values(kind, element_bytes, count)
    event = EVENT_OF[kind] | element_bytes << layout.ELEMENT_AT | element_bytes * count << layout.BYTES_AT
    addresses, lines = generic_addresses("cluster")
    name = name_of(kind, "cluster", element_bytes, count, strength)
    text = f"""
define internal void @{name}({addresses} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  %list = alloca {V64}, align 64
  {stored}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %done, label %look
look:
  {lines}
  store {V64} %all, ptr %list
{spill}
  %mask = zext i32 %asked to i64
  %addresses = ptrtoint ptr %list to i64
  %site.number = ptrtoint ptr %site to i64
  call void @event(ptr %env, i64 {event | ranked("cluster", True) << layout.FLAGS_AT}, i64 %mask, i64 %addresses,
                   i64 %site.number, i64 {values_at})
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (EVENT_CALL,))


def name_of(kind: str, space: str, element_bytes: int, count: int, strength: int) -> str:
    return f"watch_{kind}_{space}_{element_bytes}_{count}_{strength}"


def masks_by_window(clustered: bool) -> str:
    """Lines that split %asked by the window of each lane's generic address; the rest is global memory."""
    zero = "zeroinitializer"
    windows = [("shared", conditions.SHARED_BASE, 1 << 32, zero), ("local", conditions.LOCAL_BASE, 1 << 32, zero)]
    load_cta_base = ""
    if clustered:  # the CTA's own memory is a part of the cluster's
        windows = [
            ("cluster", conditions.SHARED_BASE, 1 << 32, zero),
            ("shared", conditions.SHARED_BASE, 1 << RANK_BITS, "%cta.base.all"),
            ("local", conditions.LOCAL_BASE, 1 << 32, zero),
        ]
        load_cta_base = f"{slot('cta.base', CLUSTER_OWN)}{splat('cta.base.all', 'i64', '%cta.base')}"
    return load_cta_base + "".join(
        f"""
  %{space}.base = {window.load}
  %{space}.from.base = sub {V64} %a, %{space}.base
  %{space}.offset = sub {V64} %{space}.from.base, {start}
  %{space}.inside = icmp ult {V64} %{space}.offset, splat (i64 {limit})
  %{space}.bits = bitcast {MASK} %{space}.inside to i32
  %{space}.mask = and i32 %{space}.bits, %asked
  %{space}.a = trunc {V64} %{space}.offset to {V32}"""
        for space, window, limit, start in windows
    )


def watch_generic(
    kind: str, element_bytes: int, count: int, strength: int, parts: tuple[RuntimeFunction, ...]
) -> RuntimeFunction:
    """The watches of global memory, of shared memory and, in clusters, of that of other CTAs, each for the lanes whose
    generic address is in that memory."""
    full = vector(8 * element_bytes)
    values = "".join(f", {full} %v{k}" for k in range(count)) if kind == "store" else ""
    name = name_of(kind, "generic", element_bytes, count, strength)
    clustered = len(parts) > 2
    watch_others = ""
    if clustered:
        watch_others = f"""
  %others.mask = xor i32 %cluster.mask, %shared.mask
  %cluster.site = getelementptr i64, ptr %site, i64 {3 * SITE_SLOTS}
  call void @{parts[2].name}({V32} %cluster.a, i32 %others.mask, ptr %env, ptr %cluster.site{values})"""
    text = f"""
define internal void @{name}({V64} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  {masks_by_window(clustered)}
  %not.global = or i32 {"%cluster" if clustered else "%shared"}.mask, %local.mask
  %global.mask = xor i32 %asked, %not.global
  %shared.site = getelementptr i64, ptr %site, i64 {SITE_SLOTS}
  call void @{parts[0].name}({V64} %a, i32 %global.mask, ptr %env, ptr %site{values})
  call void @{parts[1].name}({V32} %shared.a, i32 %shared.mask, ptr %env, ptr %shared.site{values}){watch_others}
  ret void
}}
"""
    return RuntimeFunction(name, text, parts)


def watches(
    kind: str, space: str, element_bytes: int, count: int, strength: int, granules: dict[str, int], clustered: bool
) -> RuntimeFunction:
    """The watch of an access in a space; `granules`: bytes per shadow granule, by space."""
    if space == "cluster":
        return watch_cluster(kind, element_bytes, count, strength)
    if space != "generic":
        return watch(kind, space, element_bytes, count, strength, granules.get(space, 4), clustered)
    parts = [
        watch(kind, part, element_bytes, count, strength, granules.get(part, 4), clustered)
        for part in ("global", "shared")
    ]
    if clustered:
        parts.append(watch_cluster(kind, element_bytes, count, strength))
    return watch_generic(kind, element_bytes, count, strength, tuple(parts))
