"""The state spaces: how an address in each is checked, counted and turned into a pointer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ptxbench.emulator.runtime import clusters, conditions
from ptxbench.emulator.runtime.conditions import Field
from ptxbench.emulator.runtime.context import (
    CACHED_LOW,
    CACHED_SPAN,
    DELTA,
    LOCAL,
    LOCAL_BYTES,
    MASK,
    SHARED,
    SHARED_BYTES,
    V32,
    V64,
    RuntimeFunction,
    multiples,
    slot,
    splat,
)
from ptxbench.emulator.runtime.counting import (
    SECTORS_OF,
    WAVEFRONTS_OF,
    WIDE_WAVEFRONTS_OF,
    count_sectors,
    count_sectors_of_run,
    count_wavefronts,
    count_wavefronts_of_run,
)
from ptxbench.emulator.runtime.faults import RESOLVE_GLOBAL, RESOLVE_LOCAL, RESOLVE_SHARED
from ptxbench.emulator.types import LANES


@dataclass(frozen=True)
class UnitStrideAccess:
    """A run: all 32 lanes access `size` bytes each, one lane after the other from %a.first on, as most accesses do.

    `check(size)` sets %fits if all are known to be in bounds and aligned; `count(size)` adds to the site's counters;
    `host` turns %a.first into %a.first.host.
    """

    check: Callable[[int], str]
    count: Callable[[int], str]
    host: str


@dataclass(frozen=True, eq=False)  # equal only to itself, so that it can be a key of functools.cache
class Space:
    """A state space. The texts are IR lines inside an access function; %a are the addresses.

    `check(size)` sets %needs.resolve unless every active lane is known to be in bounds and aligned. `count(size)` adds
    to the site's counters. `host` turns %a into 32 host addresses %host. `unit_stride`: the same for a run.
    """

    name: str
    vector: str
    element: str
    check: Callable[[int], str]
    count: Callable[[int], str]
    host: str
    unit_stride: UnitStrideAccess | None
    needs: tuple[RuntimeFunction, ...]
    window: Field | None = None
    """Its first generic address; None if the space uses generic addresses."""


def check_buffer(size: int) -> str:
    """Set %needs.resolve unless every active lane is aligned and in the buffer that this site hit last."""
    return f"""%low.at = getelementptr i64, ptr %site, i64 {CACHED_LOW}
  %low = load i64, ptr %low.at
  %span.at = getelementptr i64, ptr %site, i64 {CACHED_SPAN}
  %span = load i64, ptr %span.at
  {splat("low.all", "i64", "%low")}
  {splat("span.all", "i64", "%span")}
  %offset = sub {V64} %a, %low.all
  %outside = icmp uge {V64} %offset, %span.all
  %ragged = and {V64} %a, splat (i64 {size - 1})
  %misaligned = icmp ne {V64} %ragged, zeroinitializer
  {needs_resolve()}"""


def check_window(bytes_slot: int) -> Callable[[int], str]:
    """Set %needs.resolve unless every active lane is aligned and below the limit in slot `bytes_slot`."""
    return lambda size: (
        f"""{slot("bytes", bytes_slot)}
  %bytes.short = trunc i64 %bytes to i32
  %short = icmp ult i32 %bytes.short, {size}
  %room = sub i32 %bytes.short, {size - 1}
  %limit = select i1 %short, i32 0, i32 %room
  {splat("limit.all", "i32", "%limit")}
  %outside = icmp uge {V32} %a, %limit.all
  %ragged = and {V32} %a, splat (i32 {size - 1})
  %misaligned = icmp ne {V32} %ragged, zeroinitializer
  {needs_resolve()}"""
    )


def check_buffer_of_run(size: int) -> str:
    """Set %fits if the run is aligned and in the buffer that this site hit last."""
    return f"""%run.low.at = getelementptr i64, ptr %site, i64 {CACHED_LOW}
  %run.low = load i64, ptr %run.low.at
  %run.span.at = getelementptr i64, ptr %site, i64 {CACHED_SPAN}
  %run.span = load i64, ptr %run.span.at
  %run.start = sub i64 %a.first, %run.low
  %run.end = add i64 %run.start, {(LANES - 1) * size}
  %run.starts = icmp ult i64 %run.start, %run.span
  %run.ends = icmp ult i64 %run.end, %run.span
  %run.inside = and i1 %run.starts, %run.ends
  %run.ragged = and i64 %a.first, {size - 1}
  %run.aligned = icmp eq i64 %run.ragged, 0
  %fits = and i1 %run.inside, %run.aligned"""


def check_window_of_run(bytes_slot: int) -> Callable[[int], str]:
    """Set %fits if the run is aligned and below the limit in slot `bytes_slot`."""
    return lambda size: (
        f"""{slot("run.bytes", bytes_slot)}
  %run.start = zext i32 %a.first to i64
  %run.end = add i64 %run.start, {LANES * size}
  %run.inside = icmp ule i64 %run.end, %run.bytes
  %run.ragged = and i32 %a.first, {size - 1}
  %run.aligned = icmp eq i32 %run.ragged, 0
  %fits = and i1 %run.inside, %run.aligned"""
    )


def needs_resolve() -> str:
    return f"""%bad = or {MASK} %outside, %misaligned
  %bad.mask = bitcast {MASK} %bad to i32
  %bad.active = and i32 %bad.mask, %asked
  %needs.resolve = icmp ne i32 %bad.active, 0"""


GLOBAL = Space(
    "global",
    V64,
    "i64",
    check_buffer,
    lambda size: count_sectors(),
    f"""{slot("base", DELTA)}
  {splat("base.all", "i64", "%base")}
  %host = add {V64} %a, %base.all""",
    UnitStrideAccess(
        check_buffer_of_run,
        count_sectors_of_run,
        f"""{slot("first.base", DELTA)}
  %a.first.host = add i64 %a.first, %first.base""",
    ),
    (RESOLVE_GLOBAL, SECTORS_OF),
)
SHARED_UNIT_STRIDE = UnitStrideAccess(
    check_window_of_run(SHARED_BYTES),
    count_wavefronts_of_run,
    f"""{slot("first.base", SHARED)}
  %a.first.host = add i64 %run.start, %first.base""",
)
SHARED_SPACE = Space(
    "shared",
    V32,
    "i32",
    check_window(SHARED_BYTES),
    count_wavefronts,
    f"""{slot("base", SHARED)}
  {splat("base.all", "i64", "%base")}
  %a.wide = zext {V32} %a to {V64}
  %host = add {V64} %a.wide, %base.all""",
    SHARED_UNIT_STRIDE,
    (RESOLVE_SHARED, WAVEFRONTS_OF),
    conditions.SHARED_BASE,
)
MERGING_SPACE = replace(
    SHARED_SPACE,
    count=partial(count_wavefronts, mergeable=True),
    unit_stride=replace(SHARED_UNIT_STRIDE, count=partial(count_wavefronts_of_run, mergeable=True)),
    needs=(RESOLVE_SHARED, WIDE_WAVEFRONTS_OF),
)
"""Shared memory, for accesses that ptxas may merge."""
LOCAL_SPACE = Space(
    "local",
    V32,
    "i32",
    check_window(LOCAL_BYTES),
    lambda size: "br label %counted\ncounted:",
    f"""{slot("base", LOCAL)}
  {slot("stride", LOCAL_BYTES)}
  {splat("base.all", "i64", "%base")}
  {splat("stride.all", "i64", "%stride")}
  %lane.offset = mul {V64} %stride.all, {multiples("i64", 1)}
  %lane.base = add {V64} %base.all, %lane.offset
  %a.wide = zext {V32} %a to {V64}
  %host = add {V64} %a.wide, %lane.base""",
    None,
    (RESOLVE_LOCAL,),
    conditions.LOCAL_BASE,
)
CLUSTER_SPACE = Space(
    "cluster",
    V32,
    "i32",
    clusters.check_cluster,
    lambda size: "br label %counted\ncounted:",
    clusters.HOST,
    None,
    (clusters.RESOLVE_CLUSTER,),
    conditions.SHARED_BASE,
)
"""The shared memory of all CTAs of a cluster."""
SPACES = {space.name: space for space in (GLOBAL, SHARED_SPACE, LOCAL_SPACE, CLUSTER_SPACE)}
