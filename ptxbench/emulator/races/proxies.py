"""Fences between the generic and the async proxy, and whether one lies between a write and a use. Compiled by numba.

A thread writes by the generic proxy. The async proxy may use the written bytes only if a proxy fence comes after the
write and before the use: a fence of the writer, followed by a synchronization with the user; a fence of the user, after
a synchronization with the writer; or a fence of a third thread, between two such synchronizations. (PTX ISA, "Proxies",
"Causality Order".)

The fences of each warp form a list. What a thread knew at a fence is kept only for its last fence. So an earlier fence
of a third thread may count although the thread did not yet know the write.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    LANES,
    allocated_row,
    cta_slot,
    join,
    knows,
    release_row,
    row,
    thread_words,
    tick,
    warp_row,
)
from ptxbench.emulator.races.pointers import compiled, words_at
from ptxbench.emulator.runtime import context


@compiled
def last_fence(env: Any, r: Any, warp: Any) -> Any:
    """Address of the word with the number of the warp's last proxy fence."""
    return r[at.WARP_FENCES] + 4 * (cta_slot(env) * env[context.WARP_COUNT] + warp)


@compiled
def fence_at(r: Any, number: Any) -> Any:
    """The words of the proxy fence with this number."""
    return words_at(r[at.FENCE_LOG] + 4 * at.FENCE_WORDS * number)


@compiled
def forget_fences(env: Any, r: Any) -> None:
    """The current CTA starts: there have been no fences. `open_cta` clears what threads knew at fences."""
    last = words_at(last_fence(env, r, 0))
    for warp in range(env[context.WARP_COUNT]):
        last[warp] = 0


@compiled
def fence_proxy(env: Any, r: Any, lanes: Any, orders: Any) -> None:
    """`lanes` of the current warp execute a proxy fence, or a fence of initialised mbarriers."""
    number = r[at.FENCES_LOGGED]
    if number < r[at.FENCE_LOG_SIZE]:
        last, fence = words_at(last_fence(env, r, env[context.WARP])), fence_at(r, number)
        fence[at.FENCE_TIME], fence[at.FENCE_BEFORE] = env[context.TIME], last[0]
        fence[at.FENCE_LANES], fence[at.FENCE_ORDERS] = lanes, orders
        last[0] = number
        r[at.FENCES_LOGGED] = number + 1
    for lane in range(LANES):
        if lanes >> lane & 1:
            if orders & at.OF_START:
                words_at(thread_words(env, r, env[context.WARP] * LANES + lane))[at.FENCE_INIT] = env[context.TIME]
            if orders & at.PROXY_SHARED:
                keep_known(env, r, lane, at.KNOWN_SHARED)
            if orders & at.PROXY_GLOBAL:
                keep_known(env, r, lane, at.KNOWN_GLOBAL)
    tick(env, r)


@compiled
def keep_known(env: Any, r: Any, lane: Any, first: Any) -> None:
    """Keep what a lane knows of its CTA, in its words from `first` on."""
    warp = env[context.WARP]
    address = thread_words(env, r, warp * LANES + lane)
    words, holder = words_at(address), address + 4 * (first + at.KNOWN_ROW)
    words[first + at.KNOWN_TIME] = env[context.TIME]
    words[first + at.KNOWN_BARRIER] = env[context.TIME_OF_BARRIER]
    words[first + at.KNOWN_WARP] = env[context.TIME_OF_WARP]
    release_row(r, holder)
    of_thread, of_warp = words[at.OWN_ROW], words_at(warp_row(env, r, warp))[0]
    if of_thread or of_warp:
        target = allocated_row(r, holder)
        join(r, target, of_thread, 0, r[at.NEAR])
        join(r, target, of_warp, 0, r[at.NEAR])


@compiled
def knew_at_fence(env: Any, r: Any, thread: Any, other: Any, time: Any, first: Any) -> Any:
    """Whether `thread` knew at its last fence what `other` had done up to `time`."""
    words = words_at(thread_words(env, r, thread))
    if time > words[first + at.KNOWN_TIME]:
        return False
    if thread == other or time <= words[first + at.KNOWN_BARRIER]:
        return True
    near = other
    if thread >> 5 == other >> 5:
        if time <= words[first + at.KNOWN_WARP]:
            return True
        if r[at.NEAR] <= LANES:
            near = other & 31
    elif r[at.NEAR] <= LANES:
        return False
    return row(r, words[first + at.KNOWN_ROW])[near] >= time


@compiled
def fenced_by(env: Any, r: Any, thread: Any, other: Any, time: Any, orders: Any) -> Any:
    """Whether `other` has executed a fence that orders one of `orders`, at `time` or later, and `thread` knows it."""
    number = words_at(last_fence(env, r, other >> 5))[0]
    while number:
        fence = fence_at(r, number)
        if fence[at.FENCE_TIME] < time:
            return False
        if fence[at.FENCE_LANES] >> (other & 31) & 1 and fence[at.FENCE_ORDERS] & orders:  # noqa: SIM102  for numba
            if knows(env, r, thread, other, env[context.CTA], False, fence[at.FENCE_TIME]):
                return True
        number = fence[at.FENCE_BEFORE]
    return False


@compiled
def fenced_between(env: Any, r: Any, thread: Any, third: Any, other: Any, time: Any, orders: Any, first: Any) -> Any:
    """Whether a fence of the thread `third` lies between what `other` wrote at `time` and what `thread` does now."""
    return knew_at_fence(env, r, third, other, time, first) and fenced_by(env, r, thread, third, time, orders)


@compiled
def fenced(env: Any, r: Any, thread: Any, other: Any, time: Any, orders: Any) -> Any:
    """Whether a proxy fence lies between what `other` wrote at `time` and what `thread` does now.

    Both are in the current CTA, `thread` in the current warp. `orders`: PROXY_SHARED or PROXY_GLOBAL; OF_START too if
    the writer's fence of initialised mbarriers counts.
    """
    if r[at.OVERFLOW] or r[at.FENCES_LOGGED] == r[at.FENCE_LOG_SIZE]:
        return True
    if fenced_by(env, r, thread, other, time, orders):
        return True
    first = at.KNOWN_SHARED if orders & at.PROXY_SHARED else at.KNOWN_GLOBAL
    if knew_at_fence(env, r, thread, other, time, first):
        return True
    of_proxy = orders & (at.PROXY_SHARED | at.PROXY_GLOBAL)
    if fenced_between(env, r, thread, r[at.FENCER], other, time, of_proxy, first):
        return True
    for third in range(env[context.WARP_COUNT] * LANES):
        if fenced_between(env, r, thread, third, other, time, of_proxy, first):
            r[at.FENCER] = third
            return True
    return False
