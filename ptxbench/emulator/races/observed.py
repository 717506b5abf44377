"""What warps have observed of other CTAs: what would come before, if each strong access released or acquired.

Only in launches whose strong loads may give old values. A load may rely on a store that it has observed in this sense,
whether or not the two are ordered: such as on that of a value, after a load of the flag that was stored after it. A
store that was not observed may as well come after the load in another schedule. Compiled by numba.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import (
    allocated_row,
    cta_slot,
    far_first,
    join,
    join_all,
    knows_row,
    publish,
    release_row,
)
from ptxbench.emulator.races.pointers import compiled, words_at
from ptxbench.emulator.runtime import context


@compiled
def observed_row(env: Any, r: Any, warp: Any) -> Any:
    """Address of the word with the row of what a warp has observed; with the count of warps as its number, of what all
    warps of the CTA have observed."""
    return r[at.OBSERVED_ROWS] + 4 * (cta_slot(env) * (env[context.WARP_COUNT] + 1) + warp)


@compiled
def forget_observed(env: Any, r: Any) -> None:
    """The current CTA starts: it has observed nothing."""
    for warp in range(env[context.WARP_COUNT] + 1):
        release_row(r, observed_row(env, r, warp))


@compiled
def observe(env: Any, r: Any, source: Any) -> None:
    """The current warp observes what a row has."""
    join_all(r, observed_row(env, r, env[context.WARP]), source)


@compiled
def share_observed(env: Any, r: Any) -> None:
    """All threads of the CTA have met at a barrier: each has observed what any has."""
    count = env[context.WARP_COUNT]
    for warp in range(count):
        join_all(r, observed_row(env, r, count), words_at(observed_row(env, r, warp))[0])
        release_row(r, observed_row(env, r, warp))


@compiled
def announce(env: Any, r: Any, lanes: Any, holder: Any) -> None:
    """Lanes store: who reads it observes what they did before and what they have observed. It is merged into the row of
    `holder`; half of all rows are left for synchronization."""
    if r[at.FREE_COUNT] <= r[at.ROW_COUNT] >> 1:
        return
    publish(env, r, lanes, holder, -1, False)
    target, count = allocated_row(r, holder), env[context.WARP_COUNT]
    join(r, target, words_at(observed_row(env, r, env[context.WARP]))[0], r[at.NEAR], r[at.WIDTH])
    join(r, target, words_at(observed_row(env, r, count))[0], r[at.NEAR], r[at.WIDTH])


@compiled
def has_observed(env: Any, r: Any, other: Any, cta: Any, time: Any) -> Any:
    """Whether the current warp has observed what thread `other` of another CTA stored at `time`."""
    first, count = far_first(env, r, cta), env[context.WARP_COUNT]
    if first < 0:
        return False
    far = first + (other >> r[at.FAR_SHIFT])
    of_warp = words_at(observed_row(env, r, env[context.WARP]))[0]
    return knows_row(r, of_warp, -1, far, time) or knows_row(r, words_at(observed_row(env, r, count))[0], -1, far, time)
