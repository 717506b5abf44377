"""Definitions about races shared by the generated code, the compiled functions and the host. Data only.

Logical time counts the synchronization events of the whole launch, which runs on one host thread. A *stamp* (i64)
describes the last access to a granule: the time in the upper half, then from bit 31 down whether an asynchronous copy
made it (1 bit), whether it was strong for all threads that can access the memory (1 bit), the site's counter slot (20
bits) and the thread in its CTA (10 bits). A log has the CTA of each time. The first two bits together are PROXY.

A *row* (i32 words) is a vector clock: for each thread of the CTA ("near"), and for each thread of the cluster or each
warp of the grid ("far"), the time up to which its accesses happened before. If a launch before this one may not have
ended, the last entry is for that launch. Row 0 is all zeros: a thread, warp or CTA with row 0 knows only what the
barriers of the CTA order. The near part has a meaning only within one CTA: rows that CTAs share have only far entries.
(FastTrack: Flanagan and Freund, PLDI 2009, on epochs and vector clocks.)
"""

from __future__ import annotations

# Events, as the generated code reports them.
(
    OPEN_CTA, ENTER_CTA, LOAD, STORE, ATOMIC, COPY, STRONG, FENCE, WARP_SYNC, BARRIER_ARRIVE, BARRIER_WAKE,
    BARRIER_MET, MBARRIER_INIT, MBARRIER_ARRIVE, MBARRIER_BYTES, MBARRIER_WAIT, COPY_DONE, COPIES_WAITED, BULK_SHARED,
    BULK_GLOBAL, BULK_TAKEN, BULK_LOAD, CLUSTER_ARRIVE, CLUSTER_WAIT, CLOSE_CTA, MBARRIER_ARRIVE_REMOTE,
    MESSAGE_SENT, MESSAGE_DONE, PROXY_FENCE, PRODUCT_ISSUED, PRODUCT_DONE, MBARRIER_END, COPY_ANNOUNCED,
    GRID_WAIT, COPY_SENT, COPY_BEGINS, COPY_ENDS, COPY_TAKEN_REMOTE, ROW_SHARED, OLD_VALUES, NEW_VALUES,
    VALUES_REPLACED, READ_ONLY_LOAD, OVERWRITE,
) = range(44)  # fmt: skip

# The description of a memory event, in one i64: kind, bytes of an element, bytes per lane, flags.
ELEMENT_AT, BYTES_AT, FLAGS_AT = 8, 16, 24
ACQUIRES, RELEASES, READS, WRITES, OF_CTA, OF_CLUSTER = 1, 2, 4, 8, 16, 32
"""Flags of a strong access: its order, what it does, its scope."""
IN_CLUSTER = 64
"""A flag of any access: its addresses in shared memory have the rank of a CTA. Without the flag, they are addresses in
the memory of the accessing CTA."""

THREAD_BITS, SITE_BITS = 10, 20
ASYNC, STRONG_BIT = 1 << 31, 1 << 30
PROXY = ASYNC | STRONG_BIT
"""Both bits: the access was made in the async proxy, by a bulk copy or a product of a warpgroup."""
GLOBAL_STORES, GLOBAL_LOADS, GLOBAL_UPDATES, GLOBAL_SIZE_AT = 0, 1, 2, 2
ROW_PAST_AT, ROW_MASK_AT, ROW_SHIFT_AT, ROW_BITS = 16, 32, 48, 0xFFFF
"""A row of a box whose source is in shared memory, in one i64: the first byte inside the tensor, the first one after
it, and the swizzle: the address bits that it changes, and how far above them are the bits that it adds."""
SOURCE_AT = 8
"""In the kind of a bulk copy's event: from this bit on, the host address of the bytes that it will store, or 0."""
ZONE = 0x7FFFFFFE
"""The time of the last write to a granule of a zone (zones.py), which no access may reach."""
PENDING = 0x7FFFFFFF
"""The time of an asynchronous copy's write or read that is not complete yet."""

FENCES_GPU, FENCE_RELEASES, FENCE_ACQUIRES, FENCES_CLUSTER, FENCE_IS_SC = 1, 2, 4, 8, 16
"""Flags of a fence: scope wider than the cluster; what it orders; scope of the cluster or wider; fence.sc."""

PROXY_SHARED, PROXY_GLOBAL, OF_START = 1, 2, 4
"""What a proxy fence orders: accesses to shared and to global memory, and the initialisation of mbarriers."""

WEAK, STRONG_CTA, STRONG_CLUSTER, STRONG_GPU = range(4)
"""Strength of a site: two strong accesses do not race if the scope of each includes the other thread."""

ARRIVAL_RELEASES, COMPLETES, EXPECTS = 1, 2, 4
"""Flags of an event of an mbarrier: it releases, completes the phase, expects more bytes."""
MESSAGE_UPDATES, MESSAGE_COMPLETES, MESSAGE_SIZE_AT, MESSAGE_BARRIER_AT = 1, 2, 2, 32
"""An asynchronous store or a bulk copy to a CTA of the cluster, in one i64: whether it updates, whether it completes
the phase of its mbarrier, its bytes, and the address of the mbarrier."""
MESSAGE_SIZES = (1 << 30) - 1

# The table of a launch: i64 words, by index. The addresses are those of the arrays in tables.py.
(
    LOG, LOG_SIZE, OWN_SINCE, OVERFLOW, NEAR, FAR, WIDTH, ROWS, ROW_COUNT, FREE, FREE_COUNT, CTA_ROWS, CTA_PENDING,
    WARP_ROWS, THREADS_AT, BARRIER_ROWS, OBJECTS, OBJECT_COUNT, OBJECTS_USED, FREE_OBJECTS, FREE_OBJECT_COUNT,
    SHARED_OBJECTS, SHARED_OBJECT_STRIDE, GLOBAL_OBJECTS, GLOBAL_SHADOW, GLOBAL_GRANULES, GLOBAL_BITS, SHARED_GRANULES,
    SHARED_BITS, STRENGTH, STRENGTH_SIZE, BETWEEN_CTAS, GRID_KNOWN, ARENA_BYTES, FENCED, SKIPPED_PAGES,
    SHARED_SEEN, SHARED_BUDGET, SHARED_UP_TO, SHARED_SKIPPED, FAR_STRIDE, FAR_SHIFT, FAR_IN_CLUSTER, PLACES,
    CLUSTER_ROWS, TOUCHED, MESSAGES_OPEN, FENCE_LOG, FENCE_LOG_SIZE, FENCES_LOGGED, WARP_FENCES, FENCER,
    PRODUCT_READS, PRODUCT_PIECES, TARGET, FENCED_STAMP, UNFINISHED, INIT_ROWS, LOOSE_ARRIVALS,
    OLD_SITES, REPLACED, REPLACED_COUNT, REPLACED_INDEX, HIDDEN, HIDDEN_COUNT, SC_ROW, SC_WAITING, OBSERVED_ROWS,
    TABLE_SLOTS,
) = range(69)  # fmt: skip

# One resident cluster's words (i32), by index: the rows of the arrivals at its barrier and of its complete phases; rows
# with the time of each arriving thread's last fence.mbarrier_init, in the same way; the parity of the phase.
CLUSTER_ARRIVED, CLUSTER_MET, CLUSTER_INITS, CLUSTER_INITS_MET, CLUSTER_PARITY, CLUSTER_WORDS = range(6)

# One thread's words (i32), by index: the rows of what it knows and of what it read but did not acquire, the times of
# its last fences by scope, the object it read last with its version, the time up to which it waited for its copies, and
# the time of its last fence.mbarrier_init. Then KNOWN_WORDS for each of its last proxy fences, of shared and of global
# memory: what it knew there (proxies.py).
(
    OWN_ROW, PENDING_ROW, FENCE_CTA, FENCE_CLUSTER, FENCE_GPU, SEEN, SEEN_VERSION, WAITED, FENCE_INIT, KNOWN_SHARED,
) = range(10)  # fmt: skip
KNOWN_TIME, KNOWN_BARRIER, KNOWN_WARP, KNOWN_ROW, KNOWN_WORDS = range(5)
KNOWN_GLOBAL, THREAD_WORDS = KNOWN_SHARED + KNOWN_WORDS, KNOWN_SHARED + 2 * KNOWN_WORDS

# One proxy fence's words (i32), by index: its time, the number of the warp's fence before (0: none), its lanes, what it
# orders.
FENCE_TIME, FENCE_BEFORE, FENCE_LANES, FENCE_ORDERS, FENCE_WORDS = range(5)

# One synchronization object's words (i32), by index. For a memory location: the rows released to the whole GPU, to one
# cluster and to one CTA, and that CTA. For an mbarrier: the rows of its complete phases and of all arrivals; a row with
# the time of each thread's last use; the time of its initialisation and who made it (the lower half of a stamp); the
# bytes of copies that are not complete, and who expected bytes last; rows with the time of each thread's last arrival,
# in the phase and in the phase before.
(
    WIDE_ROW, CLUSTER_ROW, CTA_ROW, HOME, VERSION, USES_ROW, STARTED, STARTER, UNDONE_BYTES, EXPECTER, PHASE_ROW,
    EARLIER_ROW, OBJECT_WORDS,
) = range(13)  # fmt: skip
COMPLETE_ROW, ARRIVED_ROW = WIDE_ROW, CTA_ROW
OBJECT_GRANULE = 4
"""Bytes of memory per synchronization object."""

# One replaced value's words (i32), by index: the time and the thread of the store that replaced it, whether it is an
# atomic that depends on it, its bytes, whether another thread has read the location since, the row of what a load of
# the new value observes (observed.py), and the value. Only in launches whose strong loads may give old values.
(
    REPLACED_AT, REPLACER, REPLACED_BY_ATOMIC, REPLACED_BYTES, REPLACED_READ, REPLACED_OBSERVED, REPLACED_VALUE,
) = range(7)  # fmt: skip
MOST_REPLACED_BYTES = 16
UPDATES, RETURNS, OVERWRITES = 1, 2, 4
"""Flags of what replaces values, or may read old ones: it is an atomic, which changes values; its threads get the old
values; nothing depends on these, as with a store."""
REPLACED_WORDS = REPLACED_VALUE + MOST_REPLACED_BYTES // 4
HIDDEN_ADDRESS, HIDDEN_BYTES, HIDDEN_VALUE, HIDDEN_LONGS = 0, 1, 2, 4
"""One value that is hidden while a load gives the old one, in i64: the host address, its bytes, and the value."""

PAGE_BITS = 12
"""Log2 of a page, 4 KiB. Global memory is tracked in the pages whose number has no bit of SKIPPED_PAGES."""
CTA_STEP = 8
"""Shared memory is tracked in all CTAs until SHARED_SEEN accesses of warps exceed SHARED_BUDGET; then in CTAs up to
rank SHARED_UP_TO, and in one of CTA_STEP of the others."""
PIECE_BITS = 4
"""Log2 of a piece of shared memory, 16 bytes. Of each piece and warp there is the time when the warp's last product
that read it was done; or, below 0, how many such products are pending."""
SHADOW_ARRAYS = 3
"""Stamps of each granule, in three arrays in a row: the last write, and two reads since."""
MOST_WARPS = 4096
"""Messages between CTAs are tracked in grids of up to this many warps."""
EARLIER, EARLIER_TIME = -1, 1
"""The CTA, in the log, and the time of the stores of a launch before this one; no other access has that time."""
NO_SITE = (1 << SITE_BITS) - 1 << THREAD_BITS
"""The site of a stamp whose access has none."""
MOST_THREADS, MOST_THREADS_OF_CTAS = 4096, 2048
"""In clusters, or else grids, of up to this many threads there is a far entry for each thread; else for each warp. In
grids also for each warp if loads may give old values, which are kept of the last of several lanes."""
