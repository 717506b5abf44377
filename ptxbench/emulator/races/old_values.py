"""Strong loads that give old values. Compiled by numba.

A strong load may give the value before a store of another CTA, unless the store comes before the load in causality
order, or a thread has already read what it stored. (PTX ISA, "Memory Consistency Model": coherence, causality.) In a
launch whose loads vary, the first load of a location by another thread gives the value before the last strong store or
atomic, if it may and the warp has observed the store (observed.py): so the program may rely on the new value.

An atomic is such a load too. It comes before the store in coherence order, so the store must replace the same value as
without it: unless it leaves memory as it is, such as an addition of 0, the store must not be an atomic itself, except
an exchange whose result is not used. In the end memory has the new value. (PTX ISA, "Atomicity".)

Only loads and stores of 4 to 16 bytes in global memory, of the same address and size, in pages that are tracked. An old
value is put in memory before the load, and the new one back after it: sanitized launches use one host thread. Such a
load counts as one that read the new value: so it may acquire too much, and later loads give fewer old values.
"""

from __future__ import annotations

from typing import Any

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.races.clocks import LANES, cta_pending, far_first, knows, knows_row, release_row, tick
from ptxbench.emulator.races.observed import announce, has_observed, observe
from ptxbench.emulator.races.pointers import bytes_at, compiled, longs_at, words_at
from ptxbench.emulator.races.reports import IN_GLOBAL, accessing_cta, report, space_of
from ptxbench.emulator.runtime import context, kinds


@compiled
def lanes_at(addresses: Any, mask: Any, address: Any) -> Any:
    """The lanes of a mask with this address."""
    lanes = 0
    for lane in range(LANES):
        if mask >> lane & 1 and addresses[lane] == address:
            lanes |= 1 << lane
    return lanes


@compiled
def replaced_number(env: Any, r: Any, address: Any, size: Any) -> Any:
    """Address of the word with the number of the value that the last strong store to a location replaced; 0 if no value
    of such a location is kept."""
    if address & 3 or size & 3 or size > at.MOST_REPLACED_BYTES or space_of(env, r, address, size) != IN_GLOBAL:
        return 0
    return r[at.REPLACED_INDEX] + (address - context.GLOBAL_BASE)


@compiled
def replaced_words(r: Any, number: Any) -> Any:
    """The words of a replaced value, by its number."""
    return words_at(r[at.REPLACED] + 4 * at.REPLACED_WORDS * number)


@compiled
def ensure_replaced(r: Any, number_at: Any) -> Any:
    """The number of the replaced value in the word at `number_at`; a new one if it is 0. Returns 0 if none is left."""
    number = words_at(number_at)
    if number[0] == 0 and r[at.REPLACED_COUNT]:
        number[0] = r[at.REPLACED_COUNT]
        r[at.REPLACED_COUNT] -= 1
    return number[0]


@compiled
def keep_replaced(env: Any, r: Any, mask: Any, address_list: Any, size: Any, flags: Any) -> None:
    """Lanes are about to store by a strong store or an atomic: keep the values that it replaces. `flags`: UPDATES,
    RETURNS and OVERWRITES."""
    addresses = longs_at(address_list)
    mask = without_hidden(env, r, mask, addresses)
    for lane in range(LANES):
        number_at = replaced_number(env, r, addresses[lane], size) if mask >> lane & 1 else 0
        if number_at and ensure_replaced(r, number_at):
            first = r[at.REPLACED] + 4 * at.REPLACED_WORDS * words_at(number_at)[0]
            holder = first + 4 * at.REPLACED_OBSERVED
            if flags & at.RETURNS:
                observe(env, r, words_at(holder)[0])
            if not flags & at.UPDATES:
                release_row(r, holder)
            announce(env, r, 1 << lane, holder)
    tick(env, r)  # what is announced came before, and the store comes after
    for lane in range(LANES):
        number_at = replaced_number(env, r, addresses[lane], size) if mask >> lane & 1 else 0
        if number_at and words_at(number_at)[0]:
            # Of several lanes at one address, only the last one is kept. If far entries are those of threads, a load
            # may know what another of these lanes stored.
            alone = r[at.FAR_SHIFT] != 0 or lanes_at(addresses, mask, addresses[lane]) == 1 << lane
            words, memory = replaced_words(r, words_at(number_at)[0]), words_at(addresses[lane] + env[context.DELTA])
            words[at.REPLACED_AT], words[at.REPLACER] = env[context.TIME], env[context.WARP] * LANES + lane
            words[at.REPLACED_BY_ATOMIC] = 0 if flags & at.OVERWRITES else flags & at.UPDATES
            words[at.REPLACED_BYTES], words[at.REPLACED_READ] = size, not alone
            for i in range(size >> 2):
                words[at.REPLACED_VALUE + i] = memory[i]


@compiled
def is_last_store(r: Any, words: Any, address: Any, size: Any) -> Any:
    """Whether the store that replaced a value is still the last write of all bytes of its location."""
    stamps, offset, bits = longs_at(r[at.GLOBAL_SHADOW]), address - context.GLOBAL_BASE, r[at.GLOBAL_BITS]
    for index in range(offset >> bits, (offset + size - 1 >> bits) + 1):
        if stamps[index] >> 32 != words[at.REPLACED_AT]:
            return False
        if stamps[index] & (1 << at.THREAD_BITS) - 1 != words[at.REPLACER]:
            return False
    return True


@compiled
def may_be_old(env: Any, r: Any, thread: Any, words: Any) -> Any:
    """Whether a strong load by `thread` may give this replaced value, although it has observed the store.

    Not if the CTA has met at a barrier since one of its threads read a value that was released after the store: in an
    example of the CUDA C++ Programming Guide, the last CTA then reads with `volatile` and without a fence.
    """
    time, writer = words[at.REPLACED_AT], words[at.REPLACER]
    cta = accessing_cta(env, r, time)
    if cta == env[context.CTA] or cta == at.EARLIER or r[at.OVERFLOW] or not r[at.BETWEEN_CTAS]:
        return False
    if knows(env, r, thread, writer, cta, False, time) or not has_observed(env, r, writer, cta, time):
        return False
    first, met = far_first(env, r, cta), words_at(cta_pending(env, r))[0]
    return first < 0 or not knows_row(r, met, -1, first + (writer >> r[at.FAR_SHIFT]), time)


@compiled
def all_may_be_old(env: Any, r: Any, lanes: Any, words: Any) -> Any:
    """`may_be_old` for all of these lanes."""
    for lane in range(LANES):
        if lanes >> lane & 1 and not may_be_old(env, r, env[context.WARP] * LANES + lane, words):
            return False
    return True


@compiled
def hide(env: Any, r: Any, address: Any, words: Any) -> None:
    """Put a replaced value in memory, and keep the new one."""
    first, host = r[at.HIDDEN] + 8 * at.HIDDEN_LONGS * r[at.HIDDEN_COUNT], address + env[context.DELTA]
    hidden, kept, memory = longs_at(first), words_at(first + 8 * at.HIDDEN_VALUE), words_at(host)
    hidden[at.HIDDEN_ADDRESS], hidden[at.HIDDEN_BYTES] = host, words[at.REPLACED_BYTES]
    r[at.HIDDEN_COUNT] += 1
    for i in range(words[at.REPLACED_BYTES] >> 2):
        kept[i], memory[i] = memory[i], words[at.REPLACED_VALUE + i]


@compiled
def without_hidden(env: Any, r: Any, mask: Any, addresses: Any) -> Any:
    """The lanes of a mask whose value is not hidden: what an atomic gives old values comes before the last store."""
    lanes = mask
    for k in range(r[at.HIDDEN_COUNT]):
        host = longs_at(r[at.HIDDEN] + 8 * at.HIDDEN_LONGS * k)[at.HIDDEN_ADDRESS]
        lanes &= ~lanes_at(addresses, mask, host - env[context.DELTA])
    return lanes


@compiled
def show_old_values(env: Any, r: Any, mask: Any, address_list: Any, size: Any, site: Any, flags: Any) -> None:
    """Lanes are about to load by a strong load or an atomic: put the old values in memory that they may give. `flags`:
    UPDATES, if the lanes may change them."""
    addresses, old_lanes = longs_at(address_list), 0
    r[at.HIDDEN_COUNT] = 0
    if r[at.GLOBAL_SHADOW] == 0:
        return
    for lane in range(LANES):
        if mask >> lane & 1:
            note_partial_reads(env, r, addresses[lane], size)
            number_at = replaced_number(env, r, addresses[lane], size)
            if number_at and words_at(number_at)[0]:
                words = replaced_words(r, words_at(number_at)[0])
                if not flags & words[at.REPLACED_BY_ATOMIC]:
                    old_lanes |= show_old_value(env, r, mask, addresses, lane, size, site, words)
    for lane in range(LANES):
        number_at = replaced_number(env, r, addresses[lane], size) if (mask & ~old_lanes) >> lane & 1 else 0
        if number_at and words_at(number_at)[0]:
            observe(env, r, replaced_words(r, words_at(number_at)[0])[at.REPLACED_OBSERVED])


@compiled
def note_partial_reads(env: Any, r: Any, address: Any, size: Any) -> None:
    """A strong load reads a part of locations of other sizes or addresses: their old values are not given any more."""
    for other in range((address & ~3) - at.MOST_REPLACED_BYTES + 4, address + size, 4):
        number_at = replaced_number(env, r, other, 4)
        if number_at and words_at(number_at)[0]:
            words = replaced_words(r, words_at(number_at)[0])
            bytes_there = words[at.REPLACED_BYTES]
            if other + bytes_there > address and (other != address or bytes_there != size):
                words[at.REPLACED_READ] = 1


@compiled
def show_old_value(env: Any, r: Any, mask: Any, addresses: Any, lane: Any, size: Any, site: Any, words: Any) -> Any:
    """`show_old_values` for one lane and the value that was replaced at its address. Returns the lanes that get it."""
    address, cta = addresses[lane], accessing_cta(env, r, words[at.REPLACED_AT])
    if words[at.REPLACED_READ] or not is_last_store(r, words, address, size):
        return 0
    if cta == env[context.CTA] and words[at.REPLACER] == env[context.WARP] * LANES + lane:
        return 0
    words[at.REPLACED_READ] = 1
    slot, lanes = site - env[context.COUNTERS] >> 3, lanes_at(addresses, mask, address)
    if not bytes_at(r[at.OLD_SITES])[slot] or not all_may_be_old(env, r, lanes, words):
        return 0
    stamp = longs_at(r[at.GLOBAL_SHADOW])[address - context.GLOBAL_BASE >> r[at.GLOBAL_BITS]]
    report(env, kinds.OLD_VALUE, site, lane, address, stamp & 0xFFFFFFFF, cta << 1)
    hide(env, r, address, words)
    return lanes


@compiled
def show_new_values(r: Any) -> None:
    """The load is done: put the new values back."""
    for k in range(r[at.HIDDEN_COUNT]):
        first = r[at.HIDDEN] + 8 * at.HIDDEN_LONGS * k
        hidden, kept = longs_at(first), words_at(first + 8 * at.HIDDEN_VALUE)
        memory = words_at(hidden[at.HIDDEN_ADDRESS])
        for i in range(hidden[at.HIDDEN_BYTES] >> 2):
            memory[i] = kept[i]
    r[at.HIDDEN_COUNT] = 0
