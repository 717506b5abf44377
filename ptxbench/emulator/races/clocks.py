"""What each thread knows of other threads: vector clocks, joined by synchronization. Compiled by numba.

A thread knows an access of another thread if that access happened before the next access of the first thread. Every
function here works on the current CTA and warp, given by the context (`env`). `r` is the launch's table (layout.py). A
thread's knowledge has five parts: the last barrier of its CTA and the last synchronization of its whole warp (both
times are in the context), and the rows of its CTA, its warp and itself. Any of the three can be row 0.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.pointers import compiled, longs_at, words_at
from ptxbench.emulator.runtime import context

LANES = 32


@compiled
def cluster_of(r: Any, cta: Any) -> Any:
    """The number of a CTA's cluster; without clusters, that of the CTA."""
    return words_at(r[at.PLACES])[2 * cta] if r[at.PLACES] else cta


@compiled
def far_first(env: Any, r: Any, cta: Any) -> Any:
    """Index in a row of the first far entry of `cta`; -1 if rows have none."""
    if r[at.FAR] == 0:
        return -1
    position = cta
    if r[at.FAR_IN_CLUSTER]:
        if cluster_of(r, cta) != cluster_of(r, env[context.CTA]):
            return -1
        position = words_at(r[at.PLACES])[2 * cta + 1]
    return r[at.NEAR] + position * r[at.FAR_STRIDE]


@compiled
def tick(env: Any, r: Any) -> None:
    """Advance the time; the new time belongs to the current CTA."""
    now = env[context.TIME] + 1
    env[context.TIME] = now
    if now < r[at.LOG_SIZE]:
        words_at(r[at.LOG])[now] = env[context.CTA]
    else:
        r[at.OVERFLOW] = 1


@compiled
def cta_slot(env: Any) -> Any:
    """The current CTA's index among the resident CTAs."""
    return (env[context.CTA_STATE] - env[context.CTA_HEADERS]) // context.CTA_BYTES


@compiled
def thread_words(env: Any, r: Any, thread: Any) -> Any:
    """Address of the words of one thread of the current CTA."""
    index = cta_slot(env) * env[context.WARP_COUNT] * LANES + thread
    return r[at.THREADS_AT] + index * 4 * at.THREAD_WORDS


@compiled
def cta_row(env: Any, r: Any) -> Any:
    """Address of the word with the number of the current CTA's row."""
    return r[at.CTA_ROWS] + 4 * cta_slot(env)


@compiled
def cta_pending(env: Any, r: Any) -> Any:
    """Address of the number of the row with what the CTA's threads had read, but not acquired, at its last barriers."""
    return r[at.CTA_PENDING] + 4 * cta_slot(env)


@compiled
def warp_row(env: Any, r: Any, warp: Any) -> Any:
    """Address of the word with the number of a warp's row."""
    return r[at.WARP_ROWS] + 4 * (cta_slot(env) * env[context.WARP_COUNT] + warp)


@compiled
def row(r: Any, number: Any) -> Any:
    """The times of the row with this number, as an array of words."""
    return words_at(r[at.ROWS] + 4 * r[at.WIDTH] * number)


@compiled
def allocated_row(r: Any, holder: Any) -> Any:
    """The row number in the word at address `holder`; if it is 0, a new row of zeros is allocated.

    The free rows are a stack of numbers. A 0 at position p of it stands for row ROW_COUNT - 1 - p, which was never
    used. So the stack takes no memory until rows are freed.
    """
    word = words_at(holder)
    if word[0] == 0:
        free_count = r[at.FREE_COUNT]
        if free_count == 0:
            r[at.OVERFLOW] = 1
            return 1  # the row for everything that does not fit
        r[at.FREE_COUNT] = free_count - 1
        number = words_at(r[at.FREE])[free_count - 1]
        word[0] = number if number else r[at.ROW_COUNT] - free_count
        times = row(r, word[0])
        for i in range(r[at.WIDTH]):
            times[i] = 0
    return word[0]


@compiled
def release_row(r: Any, holder: Any) -> None:
    """Free the row of the word at address `holder`, and set the word to 0."""
    word = words_at(holder)
    if word[0]:
        words_at(r[at.FREE])[r[at.FREE_COUNT]] = word[0]
        r[at.FREE_COUNT] += 1
        word[0] = 0


@compiled
def join(r: Any, target: Any, source: Any, first: Any, last: Any) -> None:
    """Merge row `source` into row `target`, for the words `first` to `last` (exclusive)."""
    target_times, source_times = row(r, target), row(r, source)
    for i in range(first, last):
        target_times[i] = max(target_times[i], source_times[i])


@compiled
def join_all(r: Any, holder: Any, source: Any) -> None:
    """Merge the whole row `source` into the row of `holder`."""
    if source:
        join(r, allocated_row(r, holder), source, 0, r[at.WIDTH])


@compiled
def live_lanes(env: Any, warp: Any) -> Any:
    """The lanes of a warp that exist and have not exited."""
    state = words_at(env[context.WARPS] + warp * context.WARP_BYTES)
    return (state[context.WARP_VALID >> 2] & ~state[context.WARP_EXITED >> 2]) & 0xFFFFFFFF


@compiled
def knows_row(r: Any, number: Any, near: Any, far: Any, time: Any) -> Any:
    """Whether a row has at least `time` at the index `near` or `far`; -1 means no index."""
    times = row(r, number)
    return (near >= 0 and times[near] >= time) or (far >= 0 and times[far] >= time)


@compiled
def knows(env: Any, r: Any, thread: Any, other: Any, cta: Any, copied: Any, time: Any) -> Any:
    """Whether the access of thread `other` of `cta` at `time` happened before the next access of `thread`.

    `thread` is in the current warp. `copied`: an asynchronous copy of the other thread made the access.
    """
    warp, near, far = thread >> 5, -1, -1
    if cta == at.EARLIER:
        far = r[at.WIDTH] - 1
    elif cta == env[context.CTA]:
        if thread == other and not copied:
            return True
        if time <= env[context.TIME_OF_BARRIER]:
            return True
        if warp == other >> 5:
            if time <= env[context.TIME_OF_WARP]:
                return True
            if thread == other and time <= words_at(thread_words(env, r, thread))[at.WAITED]:
                return True
            near = other if r[at.NEAR] > LANES else other & 31
        elif r[at.NEAR] > LANES:
            near = other
    elif time <= r[at.GRID_KNOWN]:
        return True
    if cta != at.EARLIER:
        first = far_first(env, r, cta)
        if first >= 0:
            far = first + (other >> r[at.FAR_SHIFT])
    if near < 0 and far < 0:
        return False
    return (
        knows_row(r, words_at(thread_words(env, r, thread))[at.OWN_ROW], near, far, time)
        or knows_row(r, words_at(warp_row(env, r, warp))[0], near, far, time)
        or knows_row(r, words_at(cta_row(env, r))[0], near, far, time)
    )


@compiled
def any_known(r: Any, number: Any, first: Any, count: Any) -> Any:
    """Whether a row has a time in some of these entries."""
    times, found = row(r, number), False
    for i in range(first, first + count):
        found |= times[i] != 0
    return found


@compiled
def knows_start(env: Any, r: Any, thread: Any, cta: Any) -> Any:
    """Whether a thread of the current warp knows anything that CTA `cta` has done, and so knows that it has started."""
    first, count = far_first(env, r, cta), r[at.FAR_STRIDE]
    return (
        first < 0
        or any_known(r, words_at(cta_row(env, r))[0], first, count)
        or any_known(r, words_at(warp_row(env, r, thread >> 5))[0], first, count)
        or any_known(r, words_at(thread_words(env, r, thread))[at.OWN_ROW], first, count)
    )


@compiled
def may_see(env: Any, r: Any, thread: Any, other: Any, cta: Any, time: Any) -> Any:
    """Whether `thread`, or one that it met at a barrier, has read a value that was released after the access.

    No fence has acquired the value. This is enough for a strong access: in an example of the CUDA C++ Programming
    Guide, the last CTA reads with `volatile` and without a fence.
    """
    far = far_first(env, r, cta) + (other >> r[at.FAR_SHIFT])
    if cta == env[context.CTA] or far_first(env, r, cta) < 0:
        return False
    pending = words_at(thread_words(env, r, thread))[at.PENDING_ROW]
    return knows_row(r, pending, -1, far, time) or knows_row(r, words_at(cta_pending(env, r))[0], -1, far, time)


@compiled
def learn(env: Any, r: Any, warp: Any, lanes: Any, source: Any) -> None:
    """Merge row `source` into the knowledge of `lanes` of a warp."""
    if source == 0 or lanes == 0:
        return
    if lanes == live_lanes(env, warp):
        join_all(r, warp_row(env, r, warp), source)
        return
    for lane in range(LANES):
        if lanes >> lane & 1:
            join_all(r, thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW, source)


@compiled
def publish(env: Any, r: Any, lanes: Any, holder: Any, required_fence: Any, cta_only: Any) -> None:
    """Merge into the row of `holder` what `lanes` of the current warp know, and their own accesses up to now.

    `required_fence`: -1, or the fence (FENCE_CTA, FENCE_CLUSTER, FENCE_GPU) that is needed between an access and its
    publication. The publishing thread executes the fence, or, if a barrier follows, the thread that made the access.
    `cta_only`: whether only threads of the current CTA read the row; if not, it gets only far entries.
    """
    target = allocated_row(r, holder)
    if required_fence < 0:
        publish_all(env, r, lanes, target, cta_only)
    else:
        publish_fenced(env, r, lanes, target, required_fence, cta_only)


@compiled
def publish_all(env: Any, r: Any, lanes: Any, target: Any, cta_only: Any) -> None:
    """`publish` into a row, by its number, without a fence."""
    warp, near_count = env[context.WARP], r[at.NEAR]
    own_far, shift = far_first(env, r, env[context.CTA]), r[at.FAR_SHIFT]
    base = 0 if near_count > LANES else warp * LANES
    merge_for_publication(r, target, words_at(cta_row(env, r))[0], base, own_far, cta_only)
    merge_for_publication(r, target, words_at(warp_row(env, r, warp))[0], base, own_far, cta_only)
    times, barrier, warp_time = row(r, target), env[context.TIME_OF_BARRIER], env[context.TIME_OF_WARP]
    if cta_only:
        for i in range(near_count):
            times[i] = max(times[i], barrier)
    if own_far >= 0:
        for i in range(own_far, own_far + r[at.FAR_STRIDE]):
            times[i] = max(times[i], barrier)
    for lane in range(LANES):
        thread = warp * LANES + lane
        time = warp_time
        if lanes >> lane & 1:
            merge_for_publication(
                r, target, words_at(thread_words(env, r, thread))[at.OWN_ROW], base, own_far, cta_only
            )
            time = env[context.TIME]
        if cta_only:
            times[thread - base] = max(times[thread - base], time)
        if own_far >= 0:
            times[own_far + (thread >> shift)] = max(times[own_far + (thread >> shift)], time)


@compiled
def merge_for_publication(r: Any, target: Any, source: Any, base: Any, own_far: Any, cta_only: Any) -> None:
    """Merge row `source` of the current CTA into row `target`, near entries also into the CTA's own far entries.

    `base`: the thread of the first near entry. `own_far`: the first of the CTA's far entries, or -1.
    """
    if source == 0:
        return
    target_times, source_times = row(r, target), row(r, source)
    for i in range(r[at.NEAR]):
        if cta_only:
            target_times[i] = max(target_times[i], source_times[i])
        if own_far >= 0:
            far = own_far + (base + i >> r[at.FAR_SHIFT])
            target_times[far] = max(target_times[far], source_times[i])
    for i in range(r[at.NEAR], r[at.WIDTH]):
        target_times[i] = max(target_times[i], source_times[i])


@compiled
def publish_fenced(env: Any, r: Any, lanes: Any, target: Any, required_fence: Any, cta_only: Any) -> None:
    """`publish` into a row, by its number: only the accesses before a fence."""
    times = row(r, target)
    now, warp, near_count = env[context.TIME], env[context.WARP], r[at.NEAR]
    barrier, warp_time = env[context.TIME_OF_BARRIER], env[context.TIME_OF_WARP]
    of_cta = row(r, words_at(cta_row(env, r))[0])
    of_warp = row(r, words_at(warp_row(env, r, warp))[0])
    own_far = far_first(env, r, env[context.CTA])
    for lane in range(LANES):
        if not lanes >> lane & 1:
            continue
        thread = warp * LANES + lane
        words = words_at(thread_words(env, r, thread))
        of_thread = row(r, words[at.OWN_ROW])
        fence_time = words[required_fence]
        for i in range(near_count):
            time = max(of_cta[i], of_warp[i], of_thread[i], barrier)
            other = i if near_count > LANES else warp * LANES + i
            if other >> 5 == warp:
                time = max(time, warp_time)
            if other == thread:
                time = now
            time = min(time, max(fence_time, words_at(thread_words(env, r, other))[required_fence]))
            if cta_only:
                times[i] = max(times[i], time)
            if own_far >= 0:
                far = own_far + (other >> r[at.FAR_SHIFT])
                times[far] = max(times[far], time)
        for i in range(near_count, r[at.WIDTH]):
            times[i] = max(times[i], min(max(of_cta[i], of_warp[i], of_thread[i]), fence_time))


@compiled
def join_scope(env: Any, r: Any, holder: Any, source: Any, scope: Any) -> None:
    """Merge row `source` into the row of `holder`, limited to the entries of a scope: OF_CTA, OF_CLUSTER or 0."""
    if source == 0:
        return
    if not scope & (at.OF_CTA | at.OF_CLUSTER):
        join_all(r, holder, source)
        return
    target = allocated_row(r, holder)
    join(r, target, source, 0, r[at.NEAR])
    if r[at.UNFINISHED]:
        join(r, target, source, r[at.WIDTH] - 1, r[at.WIDTH])
    if r[at.FAR] == 0:
        return
    if scope & at.OF_CTA or env[context.CLUSTER_SIZE] == 1:
        first = far_first(env, r, env[context.CTA])
        join(r, target, source, first, first + r[at.FAR_STRIDE])
        return
    for k in range(env[context.CLUSTER_SIZE]):
        header = env[context.CTA_HEADERS] + (env[context.CLUSTER_SLOT] + k) * context.CTA_BYTES
        first = far_first(env, r, longs_at(header + context.CTA_RANK)[0])
        join(r, target, source, first, first + r[at.FAR_STRIDE])


@compiled
def sync_warp(env: Any, r: Any, members: Any) -> None:
    """The lanes of a member mask synchronize."""
    warp, now = env[context.WARP], env[context.TIME]
    alive = live_lanes(env, warp)
    lanes = members & alive
    if lanes == alive:
        for lane in range(LANES):
            if lanes >> lane & 1:
                holder = thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW
                if words_at(holder)[0]:
                    join_all(r, warp_row(env, r, warp), words_at(holder)[0])
                    release_row(r, holder)
        env[context.TIME_OF_WARP] = now
        longs_at(env[context.WARPS] + warp * context.WARP_BYTES + context.WARP_SYNC)[0] = now
    else:
        first = -1
        for lane in range(LANES):
            if lanes >> lane & 1:
                holder = thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW
                if first < 0:
                    first = holder
                    allocated_row(r, first)
                else:
                    join_all(r, first, words_at(holder)[0])
        if first >= 0:
            merged_times = row(r, allocated_row(r, first))
            base = warp * LANES if r[at.NEAR] > LANES else 0
            for lane in range(LANES):
                if lanes >> lane & 1:
                    merged_times[base + lane] = now
            for lane in range(LANES):
                if lanes >> lane & 1:
                    holder = thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW
                    if holder != first:
                        join_all(r, holder, words_at(first)[0])
    tick(env, r)


@compiled
def wait_for_grid(env: Any, r: Any, lanes: Any) -> None:
    """`lanes` have waited for the launch before this one."""
    warp, last = env[context.WARP], r[at.WIDTH] - 1
    if r[at.UNFINISHED] == 0 or lanes == 0:
        return
    if lanes == live_lanes(env, warp):
        row(r, allocated_row(r, warp_row(env, r, warp)))[last] = at.EARLIER_TIME
        return
    for lane in range(LANES):
        if lanes >> lane & 1:
            holder = thread_words(env, r, warp * LANES + lane) + 4 * at.OWN_ROW
            row(r, allocated_row(r, holder))[last] = at.EARLIER_TIME


@compiled
def meet_at_barrier(env: Any, r: Any) -> None:
    """All threads of the CTA have met at a barrier. Its time replaces everything that they know of their own CTA."""
    far = r[at.FAR] or r[at.UNFINISHED]
    for thread in range(env[context.WARP_COUNT] * LANES):
        address = thread_words(env, r, thread)
        move_to_cta_row(env, r, address + 4 * at.OWN_ROW, far)
        join_all(r, cta_pending(env, r), words_at(address)[at.PENDING_ROW])
    for warp in range(env[context.WARP_COUNT]):
        move_to_cta_row(env, r, warp_row(env, r, warp), far)
    if far and words_at(cta_row(env, r))[0] and not r[at.FAR_IN_CLUSTER]:
        times = row(r, words_at(cta_row(env, r))[0])
        own_far = far_first(env, r, env[context.CTA])
        oldest = env[context.TIME]
        for i in range(r[at.NEAR], r[at.WIDTH]):
            if i < own_far or i >= own_far + r[at.FAR_STRIDE]:
                oldest = min(oldest, times[i])
        longs_at(env[context.CTA_STATE] + context.CTA_GRID_KNOWN)[0] = oldest
        r[at.GRID_KNOWN] = oldest
    now = env[context.TIME]
    env[context.TIME_OF_BARRIER] = now
    longs_at(env[context.CTA_STATE] + context.CTA_BARRIER)[0] = now
    tick(env, r)


@compiled
def move_to_cta_row(env: Any, r: Any, holder: Any, far: Any) -> None:
    """Move what a row knows of other CTAs to the CTA's row, and free the row."""
    if words_at(holder)[0]:
        if far:
            join(r, allocated_row(r, cta_row(env, r)), words_at(holder)[0], r[at.NEAR], r[at.WIDTH])
        release_row(r, holder)
