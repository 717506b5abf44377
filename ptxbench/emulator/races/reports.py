"""Where accesses are, whether two of them race, and the findings. Compiled by numba."""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, cluster_of, cta_slot, knows, knows_start, may_see
from ptxbench.emulator.races.pointers import bytes_at, compiled, longs_at, words_at
from ptxbench.emulator.runtime import context, kinds

ELSEWHERE, IN_GLOBAL, IN_SHARED = -1, 0, 1


@compiled
def space_of(env: Any, r: Any, address: Any, size: Any) -> Any:
    """The space of an access by generic address: IN_SHARED, IN_GLOBAL (in the arena), or ELSEWHERE."""
    offset = address - context.SHARED_WINDOW
    if 0 <= offset < 1 << 32:
        return IN_SHARED if offset + size <= env[context.SHARED_BYTES] else ELSEWHERE
    offset = address - context.GLOBAL_BASE
    return IN_GLOBAL if offset >= 0 and offset + size <= r[at.ARENA_BYTES] else ELSEWHERE


@compiled
def cta_of_address(env: Any, offset: Any) -> Any:
    """The place of the CTA that an address of shared::cluster names; -1 if it has exited or does not exist."""
    rank = offset >> context.RANK_BITS
    if rank >= env[context.CLUSTER_SIZE]:
        return -1
    target = env[context.CLUSTER_SLOT] + rank
    return target if longs_at(env[context.CTA_HEADERS] + target * context.CTA_BYTES + context.CTA_LIVE)[0] else -1


@compiled
def stamp_of(env: Any, site: Any, thread: Any) -> Any:
    """The lower half of the stamp of a thread's access at a site."""
    return (site - env[context.COUNTERS] >> 3 & (1 << at.SITE_BITS) - 1) << at.THREAD_BITS | thread


@compiled
def note_touch(env: Any, r: Any, target: Any, thread: Any, low: Any) -> None:
    """Remember a thread's last access to the shared memory of another CTA of its cluster, at a place. `low`: the lower
    half of the stamp."""
    if r[at.TOUCHED]:
        rank = words_at(r[at.PLACES])[2 * env[context.CTA] + 1]
        if target != env[context.CLUSTER_SLOT] + rank:
            index = (target * env[context.CLUSTER_SIZE] + rank) * r[at.FAR_STRIDE]
            longs_at(r[at.TOUCHED])[index + (thread >> r[at.FAR_SHIFT])] = env[context.TIME] << 32 | low


@compiled
def reported(env: Any, kind: Any, site: Any) -> Any:
    """Whether there is a finding of this kind at this site."""
    return longs_at(env[context.FLAGS] + site - env[context.COUNTERS])[0] >> kind & 1


@compiled
def report(env: Any, kind: Any, site: Any, lane: Any, address: Any, other: Any, last: Any) -> None:
    """Report a finding, if it is the first of its kind at its site. `other`, `last`: the slots 6 and 7 of a finding
    (runtime/kinds.py)."""
    offset = site - env[context.COUNTERS]
    count = env[context.FINDING_COUNT]
    if reported(env, kind, site) or count >= kinds.MOST_FINDINGS:
        return
    longs_at(env[context.FLAGS] + offset)[0] |= 1 << kind
    finding = longs_at(env[context.FINDINGS] + 8 * kinds.FINDING_SLOTS * count)
    finding[0], finding[1], finding[2], finding[3] = kind, offset, lane, address
    finding[4], finding[5], finding[6], finding[7] = env[context.CTA], env[context.WARP], other, last
    env[context.FINDING_COUNT] = count + 1


@compiled
def reaches_zone(env: Any, stamp: Any, site: Any, lane: Any, byte: Any) -> Any:
    """Whether an access reaches a granule of a zone, whose last write has this stamp. If so, it is reported."""
    if stamp >> 32 != at.ZONE:
        return False
    report(env, context.OUT_OF_BOUNDS, site, lane, byte, 0, 0)
    return True


@compiled
def check_zone(env: Any, r: Any, target: Any, lane: Any, address: Any, site: Any) -> None:
    """A lane uses an mbarrier at an address of the cluster, in the CTA at the place `target`."""
    stamps = longs_at(env[context.FIRST_SHADOW] + target * env[context.SHADOW_STRIDE])
    offset = address & (1 << context.RANK_BITS) - 1
    if offset < env[context.SHARED_BYTES]:
        reaches_zone(env, stamps[offset >> r[at.SHARED_BITS]], site, lane, address)


@compiled
def check_start(env: Any, r: Any, target: Any, thread: Any, site: Any, address: Any) -> None:
    """A thread accesses an address of the cluster, in the CTA at the place `target`, which must have started."""
    if target == cta_slot(env) or r[at.OVERFLOW]:
        return
    owner = longs_at(env[context.CTA_HEADERS] + target * context.CTA_BYTES + context.CTA_RANK)[0]
    if not knows_start(env, r, thread, owner):
        report(env, kinds.NOT_STARTED, site, thread & LANES - 1, address, 0, 0)


@compiled
def strength(r: Any, slot: Any) -> Any:
    """The strength of the accesses of a site: WEAK or one of STRONG_CTA, STRONG_CLUSTER, STRONG_GPU."""
    return bytes_at(r[at.STRENGTH])[slot] if slot < r[at.STRENGTH_SIZE] else 0


@compiled
def accessing_cta(env: Any, r: Any, time: Any) -> Any:
    """The CTA that made an access at `time`."""
    if time >= r[at.OWN_SINCE] or time >= r[at.LOG_SIZE]:
        return env[context.CTA]
    return words_at(r[at.LOG])[time]


@compiled
def reaches(env: Any, r: Any, narrower: Any, cta: Any) -> Any:
    """Whether the scopes of two strong accesses, in the current CTA and in `cta`, both include the other CTA.
    `narrower`: the lower of their strengths."""
    if narrower == at.STRONG_GPU or cta == env[context.CTA]:
        return True
    return narrower == at.STRONG_CLUSTER and cluster_of(r, cta) == cluster_of(r, env[context.CTA])


@compiled
def race_kind(env: Any, r: Any, stamp: Any, thread: Any, slot: Any) -> Any:
    """0 if an access is ordered after that of `stamp`, or both are strong; 1 for a race; 2 if a scope is too narrow."""
    time, other_thread = stamp >> 32, stamp & (1 << at.THREAD_BITS) - 1
    if time == 0 or time == at.PENDING or r[at.OVERFLOW]:
        return 0
    cta = accessing_cta(env, r, time)
    copied = stamp & at.ASYNC != 0
    if cta == env[context.CTA]:
        if other_thread == thread and not copied:
            return 0
    elif cta == at.EARLIER:
        return 0 if knows(env, r, thread, other_thread, cta, copied, time) else 1
    elif not r[at.BETWEEN_CTAS] and cluster_of(r, cta) != cluster_of(r, env[context.CTA]):
        return 0
    strength_here, strength_there = strength(r, slot), strength(r, stamp >> at.THREAD_BITS & (1 << at.SITE_BITS) - 1)
    both_strong = strength_here != at.WEAK and strength_there != at.WEAK
    if both_strong and reaches(env, r, min(strength_here, strength_there), cta):
        return 0
    if knows(env, r, thread, other_thread, cta, copied, time):
        return 0
    if strength_here != at.WEAK and may_see(env, r, thread, other_thread, cta, time):
        return 0
    return 2 if both_strong else 1


@compiled
def report_race(env: Any, r: Any, kind: Any, site: Any, lane: Any, address: Any, stamp: Any, race: Any) -> None:
    """Report a race with the access of `stamp`. `race`: the result of `race_kind`."""
    cta_and_scope = accessing_cta(env, r, stamp >> 32) << 1 | (race == 2)
    report(env, kind, site, lane, address, stamp & 0xFFFFFFFF, cta_and_scope)
