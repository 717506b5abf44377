"""The memory of a host thread: of how many CTAs it holds the state at once, and the bytes of each part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptxbench.emulator.heap import MOST_CHECKED
from ptxbench.emulator.layout import BINS, SANITIZE, Translation
from ptxbench.emulator.limits import MOST_ALIVE
from ptxbench.emulator.messages import LaunchRequest
from ptxbench.emulator.races.layout import SHADOW_ARRAYS
from ptxbench.emulator.runtime import context, kinds, records
from ptxbench.emulator.runtime.copies import QUEUE_BYTES
from ptxbench.emulator.runtime.messages import LIST_BYTES
from ptxbench.emulator.runtime.turns import ONE_WARP_FIRST
from ptxbench.emulator.types import LANES
from ptxbench.errors import GridTooLarge

ALIVE_BYTES = 1 << 30
"""The most memory for the state of CTAs that may wait for each other, in bytes."""
CONTEXT = -1
"""The number of the part with a thread's context; the other parts have the number of their context slot."""
BY_TURNS = {"by turns": 1, "stores first": -1, "first warps": ONE_WARP_FIRST}
"""The orders in which CTAs take turns, each with a bit mask. A CTA gives way after a store that others may wait for if
its rank, with the lowest bit inverted, has a bit of the mask (runtime/turns.py); no rank has the bit ONE_WARP_FIRST."""


@dataclass(frozen=True)
class CtaMemory:
    """The memory of one CTA in bytes, each with its shadow, which is 0 unless the launch is sanitized.

    `warps`: of the CTA. `shared_stride`: from the shared memory of one CTA to that of the next. `local_shadow_bytes`:
    of all its threads.
    """

    warps: int
    shared_bytes: int
    shared_stride: int
    shadow_bytes: int
    local_shadow_bytes: int

    @staticmethod
    def of(request: LaunchRequest, layout: Translation) -> CtaMemory:
        warps = -(-math.prod(request.block) // LANES)
        shared_bytes = layout.shared_bytes + request.dynamic_shared_bytes
        shadow_bytes = local_shadow_bytes = 0
        if request.mode == SANITIZE:
            shared, local, _ = layout.granules
            shadow_bytes = 8 * SHADOW_ARRAYS * (shared_bytes // shared + 1)
            local_shadow_bytes = 4 * LANES * warps * (layout.local_bytes // local + 1)
        return CtaMemory(warps, shared_bytes, -(-shared_bytes // 64) * 64 + 64, shadow_bytes, local_shadow_bytes)

    def total_bytes(self, layout: Translation) -> int:
        of_warp = layout.register_bytes + context.WARP_BYTES + LANES * layout.local_bytes + QUEUE_BYTES * layout.queues
        return self.warps * of_warp + self.shared_stride + self.shadow_bytes + self.local_shadow_bytes


def turns_mask(request: LaunchRequest, layout: Translation) -> int:
    """The bit mask of the launch's order; 0 if CTAs take no turns. In clusters `first warps` is `by turns`."""
    mask = BY_TURNS.get(request.ctas, 0)
    return BY_TURNS["by turns"] if mask == ONE_WARP_FIRST and layout.clustered else mask


def slots_of(request: LaunchRequest, layout: Translation, cta: CtaMemory) -> int:
    """Of how many CTAs the thread holds the state at once: of one CTA or cluster, or of more if they may wait for each
    other. Raises GridTooLarge if the kernel may wait for the whole grid, and there are more CTAs than that."""
    size = request.cluster_size if layout.clustered else 1
    if request.ctas not in BY_TURNS and (layout.order_reason is None or request.ctas != "usual"):
        return size
    count = math.prod(request.grid)
    slots = max(size, min(count, MOST_ALIVE, ALIVE_BYTES // cta.total_bytes(layout)) // size * size)
    if layout.cooperates and slots < count:
        raise GridTooLarge(
            f"'{layout.name}' may wait for the whole grid (this_grid().sync()): all its {count:,} CTAs must be "
            f"resident at once; the emulator can hold {slots:,} of this size. Use a smaller grid."
        )
    return slots


def part_sizes(request: LaunchRequest, layout: Translation, cta: CtaMemory, slots: int) -> dict[int, int]:
    """The bytes of each part by its number. Memory of CTAs that never start is not touched, and so costs nothing."""
    warps, ranges = slots * cta.warps, len(request.buffers) + (MOST_CHECKED if layout.heap else 0)
    clusters = slots // request.cluster_size if layout.clustered else slots
    sanitized = request.mode == SANITIZE
    return {
        context.FIRST_REGISTERS: warps * layout.register_bytes,
        context.FIRST_WARPS: warps * context.WARP_BYTES,
        context.FIRST_SHARED: slots * cta.shared_stride,
        context.FIRST_LOCAL: LANES * warps * layout.local_bytes,
        context.CTA_HEADERS: slots * context.CTA_BYTES,
        context.FIRST_SHADOW: slots * cta.shadow_bytes,
        context.FIRST_LOCAL_SHADOW: slots * cta.local_shadow_bytes,
        context.FIRST_QUEUES: warps * QUEUE_BYTES if layout.queues else 0,
        context.CLUSTER_HEADERS: clusters * context.CLUSTER_BYTES if layout.clustered else 0,
        context.MESSAGE_LISTS: clusters * LIST_BYTES if layout.sends else 0,
        context.PARAMS: len(request.params) + 64,
        context.COUNTERS: 8 * layout.slots,
        context.PATTERNS: 8 * context.PATTERN_SCALE * layout.slots,
        context.BUFFERS: 16 * ranges,
        context.BUFFER_USES: 8 * records.BUFFER_SLOTS * ranges,
        context.TRIPS: 8 * BINS * len(layout.loops),
        context.FINDINGS: 8 * kinds.FINDING_SLOTS * kinds.MOST_FINDINGS * sanitized,
        context.FLAGS: 8 * layout.slots * sanitized,
        CONTEXT: 8 * context.ENV_SLOTS,
    }
