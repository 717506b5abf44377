"""The emulator's own process: takes launches on standard input, answers on standard output, as pickles.

A crash here costs one launch. `python -m ptxbench.emulator.worker HANDLE PARENT`: HANDLE is the arena's file
descriptor, PARENT the process that starts this one (it may end before this process first checks).
"""

from __future__ import annotations

import ctypes
import functools
import gc
import mmap
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import native, sharing
from ptxbench.emulator.host_thread import CtaQueue, HostThread
from ptxbench.emulator.layout import ADVERSARIAL, PLAIN, SANITIZE, Translation
from ptxbench.emulator.memory import in_small_pages
from ptxbench.emulator.messages import (
    ErrorReply,
    LaunchReply,
    LaunchRequest,
    RetryReply,
    TranslationCache,
)
from ptxbench.emulator.pending_stores import apply_stores
from ptxbench.emulator.runtime import context
from ptxbench.emulator.terms import with_runs
from ptxbench.emulator.thread_team import ThreadTeam, refused_threads
from ptxbench.emulator.variation import conditions
from ptxbench.errors import MachineError, PtxbenchError
from ptxbench.interrupts import end_with_parent

MOST_THREADS = 256
"""The most host threads of a launch."""


class ProcessHost:
    """What the process keeps from launch to launch: the arena, the threads, and the records of each thread."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.arena: mmap.mmap | None = None
        self.team: ThreadTeam[HostThread] = ThreadTeam()
        self.records: list[sharing.Records] = []
        self.tag = 1
        """The next launch's number in the records; a launch takes one number per CTA."""
        self.last: tuple[object, ...] = ()
        """The key of the last launch (`makers`)."""
        self.reusable: dict[int, HostThread] = {}
        """The host threads of the last launch that can be used again, by the id of their records."""

    def prepare(self, request: LaunchRequest, threads: int, shift: int) -> int:
        """Map the arena and make records for each thread. Returns the host address of the arena's first byte."""
        if self.arena is None or len(self.arena) < request.arena_bytes:  # else kept: its pages are mapped
            self.arena = in_small_pages(mmap.mmap(self.handle, 0))  # all of it
        self.records += [sharing.Records() for _ in range(threads - len(self.records))]
        for record in self.records[:threads]:
            record.prepare(request.arena_bytes, shift)
        return ctypes.addressof(ctypes.c_char.from_buffer(self.arena))

    def makers(
        self, request: LaunchRequest, kernel: native.NativeKernel, arena: int, tag: int, marked: set[int],
        queue: CtaQueue, threads: int,
    ) -> list[Callable[[], HostThread]]:  # fmt: skip
        """The functions that make the host threads of a launch. They reuse those of the last launch if it was the
        same."""
        launch_key = (request, kernel, kernel.translation, arena, marked, threads)
        if request.pending_stores or launch_key != self.last:
            self.forget()
            self.last = launch_key
        if self.reusable:
            queue = next(iter(self.reusable.values())).queue
            queue.next[0] = 0
        return [
            functools.partial(self.reusable[id(record)].reset_for, tag) if id(record) in self.reusable
            else functools.partial(HostThread, request, kernel, arena, record, tag, marked, queue)
            for record in self.records[:threads]
        ]  # fmt: skip

    def keep(self, workers: Sequence[HostThread]) -> None:
        """Keep these host threads, which have run a launch without a fault, for the next launch."""
        self.reusable |= {id(worker.records): worker for worker in workers if worker.initial is not None}

    def forget(self) -> None:
        """Let no host thread of the last launch be used again."""
        for worker in self.reusable.values():
            worker.console.close()
        self.reusable = {}

    def run_together(self, first: HostThread, others: Sequence[Callable[[], HostThread]]) -> list[HostThread]:
        """Run `first` on this host thread, and those that `others` make on threads that start before it has ended. Each
        thread makes its own, so that `first` does not wait for it. Returns all that ran.

        Raises MachineError if a thread does not start; others may still run CTAs then."""
        return [first, *self.team.share(first.run, [functools.partial(make_and_run, other) for other in others])]


def make_and_run(make: Callable[[], HostThread]) -> HostThread:
    worker = make()
    worker.run()
    return worker


def launch(request: LaunchRequest, host: ProcessHost) -> LaunchReply | RetryReply:
    """Run every CTA, in parallel unless the kernel or its last launch shows a reason not to.

    Returns `RetryReply` if CTAs that ran in parallel have touched each other's bytes, or if that cannot be known.
    Then the same request must be sent again, with the arena as before, and will be run in another way.
    """
    translated = SANITIZE if request.mode == SANITIZE else PLAIN
    kernel = native.kernel(request.ptx, request.entry, request.arch, translated, request.cluster_size > 1)
    layout = kernel.translation
    count = request.grid[0] * request.grid[1] * request.grid[2]
    recorded = layout.order_reason is None and request.ctas == "usual" and request.mode != ADVERSARIAL
    parallel_allowed = recorded and request.mode == PLAIN and not kernel.shares
    units = count // request.cluster_size if layout.clustered else count
    threads = max(1, min(request.threads, units, MOST_THREADS)) if parallel_allowed else 1
    base = host.prepare(request, threads, layout.granule_shift)
    tag, host.tag = host.tag, host.tag + count
    all_buffers = range(len(request.buffers))
    marked = set(all_buffers)
    if request.mode != SANITIZE:
        marked = kernel.marked & marked | mixed_buffers(request, layout)
    threads_of_block = request.block[0] * request.block[1] * request.block[2]
    native.set_conditions(
        conditions(
            request.variation,
            request.placement,
            request.module_shift,
            request.arch,
            layout.reserved_bytes,
            threads_of_block,
            layout.shared_bytes + request.dynamic_shared_bytes,
            cooperative=request.cooperative,
        )
    )
    makers = host.makers(request, kernel, base, tag, marked, CtaQueue(units, threads), threads)
    workers: list[HostThread] = []
    try:
        workers = [first := makers[0]()]
        began = time.process_time()
        parallel = threads > 1 and (request.all_threads or first.begin())
        if request.pending_stores:  # then there is one worker
            assert host.arena is not None
            apply = functools.partial(apply_stores, request.pending_stores, np.frombuffer(host.arena, np.uint8))
            first.console.apply_pending_stores = functools.partial(apply, ended=False)
        workers = host.run_together(first, makers[1:] if parallel else ())
        if request.pending_stores and first.context[context.UNFINISHED]:
            apply(ended=True)
        kernel.ran_for(time.process_time() - began)
        if recorded and not is_conclusive(workers, kernel, tag, parallel):
            return RetryReply()
        reply = reply_of(workers, kernel, recorded)
        if request.wants_stored and layout.order_reason is None and len(workers) == 1:
            reply = replace(reply, stored=first.records.stored(tag, layout.granule_shift))
        if reply.fault is None:
            host.keep(workers)
        else:
            host.forget()
        return reply
    finally:
        for worker in workers:
            if host.reusable.get(id(worker.records)) is not worker:
                worker.console.close()


def reply_of(workers: Sequence[HostThread], kernel: native.NativeKernel, recorded: bool) -> LaunchReply:
    """The reply for a launch. `recorded`: whether the CTAs' accesses were recorded."""
    conflict = workers[0].conflict() if recorded and len(workers) == 1 else None
    faults = [(fault.cta, index, fault) for index, worker in enumerate(workers) if (fault := worker.fault())]
    first = min(faults, default=None, key=lambda item: item[:2])
    # Stores by bulk copies and by the host are not seen.
    unseen = kernel.translation.queues or kernel.translation.heap or workers[0].console.apply_pending_stores
    blocked = workers[first[1]] if first and first[2].kind == context.DEADLOCK else None
    return LaunchReply(
        counters=with_runs(added([worker.counters for worker in workers]), kernel.translation),
        phases=sum(int(worker.context[context.PHASES]) for worker in workers),
        mbarrier_phases=sum(int(worker.context[context.MBARRIER_PHASES]) for worker in workers),
        fault=first[2] if first else None,
        translation=kernel.translation,
        waiting=blocked.waiting() if blocked else (),
        registers=blocked.registers() if blocked else (),
        printed="".join(text for worker in workers for text in worker.console.printed),
        assertion=workers[first[1]].console.failed if first else "",
        findings=tuple(finding for worker in workers for finding in worker.raw_findings()),
        notes=tuple(note for worker in workers if worker.races for note in worker.races.checks_missed()),
        conflict=conflict,
        blocks=tuple(workers[0].console.heap.allocated),
        unfreed=sum(len(worker.console.heap.blocks) for worker in workers),
        stored_buffers=None if unseen else sharing.stored_buffers([worker.buffer_uses for worker in workers]),
        trips=added([worker.trips for worker in workers]),
    )


def added(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum of the arrays, which the next launch may use again."""
    first, *others = arrays
    total = first.copy()
    for other in others:
        total += other
    return total


def mixed_buffers(request: LaunchRequest, layout: Translation) -> set[int]:
    """Indices of the buffers that the kernel's text seems both to load from and to store to."""
    offsets = [offset for offset in layout.mixed_params if offset + 8 <= len(request.params)]
    addresses = [int.from_bytes(request.params[offset : offset + 8], "little") for offset in offsets]
    addresses += [mixed_address + request.module_shift for mixed_address in layout.mixed_addresses]
    return {
        index
        for index, (low, high) in enumerate(request.buffers)
        if any(low <= address < high for address in addresses)
    }


def is_conclusive(workers: Sequence[HostThread], kernel: native.NativeKernel, tag: int, parallel: bool) -> bool:
    """Whether the launch `tag` gave the result of CTAs run by rank, and it is known whether CTAs shared bytes.
    `parallel`: whether several threads were allowed to run them, even if only one did.

    If not, the kernel remembers what the next launch must do differently. A launch that lacked records it needed counts
    only if it ran by rank and failed: then sharing does not matter.
    """
    unmarked = sharing.unmarked([worker.buffer_uses for worker in workers])
    if unmarked and (parallel or not workers[0].fault()):
        kernel.marked |= unmarked
        return False
    if not parallel:
        kernel.shares = workers[0].conflict() is not None
        return True
    kernel.shares = any(worker.conflict() for worker in workers) or sharing.shared(
        [worker.records for worker in workers], tag
    )
    return not kernel.shares


def serve(handle: int, requests: Any, answers: Any) -> None:
    """Answer requests until the parent closes the pipe."""
    host, translations = ProcessHost(handle), TranslationCache()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        answer: LaunchReply | RetryReply | ErrorReply
        try:
            answer = reply_to(request, host)
        except MemoryError:
            gc.collect()  # free what was made before memory ran out
            answer = ErrorReply("LaunchError", "Not enough memory for this launch. Use a smaller size.")
        translations.dump(answer, answers)


def reply_to(request: LaunchRequest, host: ProcessHost) -> LaunchReply | RetryReply | ErrorReply:
    """The reply to one request. Raises MemoryError."""
    try:
        return launch(request, host)
    except PtxbenchError as error:
        return ErrorReply(type(error).__name__, str(error))
    except OSError as error:  # pages that cannot be mapped
        raise MemoryError(str(error)) from None


def serve_parent(handle: int, parent: int, requests: Any, answers: Any) -> None:
    """`serve` in a process that ends with its parent. Ctrl-C is the parent's: it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with refused_threads():
            threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
    except MachineError as error:
        pickle.load(requests)
        TranslationCache().dump(ErrorReply(type(error).__name__, str(error)), answers)
        return
    serve(handle, requests, answers)


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output printed by a library must not mix with the answers
    serve_parent(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer, output)
