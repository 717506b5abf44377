"""The emulator's own process: takes launches on standard input, answers on standard output, as pickles.

A crash here costs one launch. `python -m ptxbench.emulator.worker HANDLE`: the arena's file descriptor.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import native
from ptxbench.emulator.console import Console
from ptxbench.emulator.findings import RawFinding
from ptxbench.emulator.messages import Answer, Failure, Fault, Job, Waiting
from ptxbench.emulator.runtime import context, sanitize
from ptxbench.emulator.runtime.barriers import REDUCES
from ptxbench.emulator.runtime.copies import QUEUE_BYTES
from ptxbench.errors import PtxbenchError

MOST_ALIVE = 4096
ALIVE_BYTES = 1 << 30
"""CTAs that may wait for each other, and the memory for their state, at the most."""


class Thread:
    """One host thread's context, register file, shared memory and counters."""

    def __init__(self, job: Job, kernel: native.Kernel, arena: int, index: int, threads: int) -> None:
        layout = kernel.translation
        warps = -(-(job.block[0] * job.block[1] * job.block[2]) // 32)
        shared_bytes = layout.shared_bytes + job.dynamic_shared_bytes
        shared_stride = -(-shared_bytes // 64) * 64 + 64
        count = job.grid[0] * job.grid[1] * job.grid[2]
        shadow_bytes = local_shadow_bytes = 0
        if job.mode == "sanitize":
            shared, local = layout.granules
            shadow_bytes = 4 * sanitize.SHADOW_WORDS * (shared_bytes // shared + 1)
            local_shadow_bytes = 4 * 32 * warps * (layout.local_bytes // local + 1)
        each = (
            warps * (layout.register_bytes + context.WARP_BYTES + 32 * layout.local_bytes + QUEUE_BYTES * layout.queues)
            + shared_stride
            + shadow_bytes
            + local_shadow_bytes
        )
        at_once = job.ctas == "by turns" or (layout.in_order and job.ctas == "usual")
        slots = max(1, min(count, MOST_ALIVE, ALIVE_BYTES // each)) if at_once else 1
        self.kernel = kernel
        # What CTAs that never start would use stays untouched, and so costs no memory.
        self.registers = aligned(slots * warps * layout.register_bytes)
        self.warps = aligned(slots * warps * context.WARP_BYTES)
        self.shared = aligned(slots * shared_stride)
        self.local = aligned(slots * 32 * warps * layout.local_bytes)
        self.headers = aligned(slots * context.CTA_BYTES)
        self.shadow = aligned(slots * shadow_bytes)
        self.local_shadow = aligned(slots * local_shadow_bytes)
        self.queues = aligned(slots * warps * QUEUE_BYTES if layout.queues else 0)
        self.params = aligned(len(job.params) + 64)
        self.params[: len(job.params)] = np.frombuffer(job.params, np.uint8)
        self.counters = aligned(8 * layout.slots).view(np.int64)
        self.buffers = np.array(job.buffers or [(0, 0)], np.int64).ravel()
        self.context = aligned(8 * context.ENV_SLOTS).view(np.int64)
        settings = {
            context.DELTA: arena - context.GLOBAL_BASE,
            context.FIRST_SHARED: self.shared.ctypes.data,
            context.SHARED_STRIDE: shared_stride,
            context.PARAMS: self.params.ctypes.data,
            context.COUNTERS: self.counters.ctypes.data,
            context.BUFFERS: self.buffers.ctypes.data,
            context.BUFFER_COUNT: len(job.buffers),
            context.SHARED_BYTES: shared_bytes,
            context.FIRST_LOCAL: self.local.ctypes.data,
            context.LOCAL_BYTES: layout.local_bytes,
            context.FIRST_WARPS: self.warps.ctypes.data,
            context.FIRST_REGISTERS: self.registers.ctypes.data,
            context.FUEL_PER_WARP: job.fuel,
            # From the last on, the rank wraps below 0 to more than any count, which ends the loop.
            context.FIRST_CTA: count - 1 - index if job.ctas.startswith("last") else index,
            context.CTA_STEP: {"last first": -threads, "first alone": count, "last alone": count}.get(
                job.ctas, threads
            ),
            context.BY_TURNS: job.ctas == "by turns",
            context.CTA_COUNT: count,
            context.WARP_COUNT: warps,
            context.THREADS: job.block[0] * job.block[1] * job.block[2],
            context.CTA_HEADERS: self.headers.ctypes.data,
            context.CTA_SLOTS: slots,
            context.FIRST_QUEUES: self.queues.ctypes.data,
            context.FIRST_SHADOW: self.shadow.ctypes.data,
            context.SHADOW_STRIDE: shadow_bytes,
            context.FIRST_LOCAL_SHADOW: self.local_shadow.ctypes.data,
            context.LOCAL_SHADOW_STRIDE: local_shadow_bytes,
        }
        settings |= {context.GRID_X + axis: extent for axis, extent in enumerate(job.grid)}
        settings |= {context.BLOCK_X + axis: extent for axis, extent in enumerate(job.block)}
        self.findings = aligned(8 * sanitize.FINDING_SLOTS * sanitize.MOST_FINDINGS).view(np.int64)
        self.flags = aligned(8 * layout.slots).view(np.int64)
        settings[context.FINDINGS] = self.findings.ctypes.data
        settings[context.FLAGS] = self.flags.ctypes.data
        self.patterns = aligned(8 * context.PATTERN_SCALE * layout.slots)
        settings[context.PATTERNS] = self.patterns.ctypes.data
        self.console = Console(self.context, job.buffers)
        settings[context.HOST] = self.console.address
        for slot, value in settings.items():
            self.context[slot] = value

    def run(self) -> None:
        self.kernel.run(self.context.ctypes.data)

    def fault(self) -> Fault | None:
        kind, site, lane, address, cta, warp = (
            int(self.context[slot])
            for slot in (
                context.FAULT_KIND, context.FAULT_SITE, context.FAULT_LANE, context.FAULT_ADDRESS, context.FAULT_CTA,
                context.FAULT_WARP,
            )
        )  # fmt: skip
        return Fault(kind, site // 8, lane, address & (1 << 64) - 1, cta, warp) if kind else None

    def found(self) -> list[RawFinding]:
        """What the watches found."""
        rows = self.findings.reshape(-1, sanitize.FINDING_SLOTS)[: int(self.context[context.FINDING_COUNT])]
        return [
            RawFinding(kind, site // 8, lane, address, cta, warp, other)
            for kind, site, lane, address, cta, warp, other, _ in rows.tolist()
        ]

    def waiting(self) -> tuple[Waiting, ...]:
        """Where the lanes of the CTA wait that cannot go on, one entry a warp and place."""
        warps = int(self.context[context.WARP_COUNT])
        first = int(self.context[context.WARPS]) - self.warps.ctypes.data
        header = int(self.context[context.CTA_STATE]) - self.headers.ctypes.data + context.CTA_BARRIERS
        entries = self.headers[header : header + 16 * context.BARRIER_BYTES].view(np.int32).reshape(16, -1)
        found = []
        for rank in range(warps):
            state = self.warps[first + rank * context.WARP_BYTES :][: context.WARP_BYTES]
            pcs = state[:128].view(np.uint32)
            numbers = state[context.WARP_BARRIERS :][:32]
            masks = (context.WARP_EXITED, context.WARP_VALID, context.WARP_WAITING)
            exited, valid, waiting = (int(state[at : at + 4].view(np.uint32)[0]) for at in masks)
            places: dict[tuple[int, bool, int], int] = {}
            for lane in range(32):
                if valid & ~exited & 1 << lane:
                    barrier = int(numbers[lane]) & 15 if waiting & 1 << lane else -1
                    last = barrier >= 0 and int(numbers[lane]) < REDUCES  # it goes on at the next block
                    place = (int(pcs[lane]) - last, last, barrier)
                    places[place] = places.get(place, 0) | 1 << lane
            for (block, last, barrier), lanes in sorted(places.items()):
                arrived, _, expected = (int(each) for each in entries[barrier][:3]) if barrier >= 0 else (0, 0, 0)
                found.append(Waiting(rank, lanes, block, last, barrier, arrived, expected))
        return tuple(found)


def aligned(size: int) -> NDArray[np.uint8]:
    """Zeroed bytes that start on a cache line."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + max(size, 1)] if size else raw[start : start + 1]


def launch(job: Job, arena: mmap.mmap) -> Answer:
    """Run every CTA; with several threads, thread t takes CTAs t, t + threads, ..."""
    kernel = native.kernel(job.ptx, job.entry, job.arch, job.mode)
    count = job.grid[0] * job.grid[1] * job.grid[2]
    alone = kernel.translation.in_order or job.ctas != "usual"
    threads = 1 if alone else max(1, min(job.threads, count))
    base = ctypes.addressof(ctypes.c_char.from_buffer(arena))
    workers = [Thread(job, kernel, base, index, threads) for index in range(threads)]
    hands = [threading.Thread(target=worker.run) for worker in workers[1:]]
    for hand in hands:
        hand.start()
    workers[0].run()
    for hand in hands:
        hand.join()
    faults = [(fault.cta, index, fault) for index, worker in enumerate(workers) if (fault := worker.fault())]
    first = min(faults, default=None, key=lambda item: item[:2])
    return Answer(
        np.sum([worker.counters for worker in workers], axis=0),
        sum(int(worker.context[context.PHASES]) for worker in workers),
        first[2] if first else None,
        kernel.translation,
        workers[first[1]].waiting() if first and first[2].kind == context.DEADLOCK else (),
        "".join(text for worker in workers for text in worker.console.printed),
        workers[first[1]].console.failed if first else "",
        tuple(found for worker in workers for found in worker.found()),
    )


def serve(handle: int, requests: Any, answers: Any) -> None:
    """Answer jobs until the other side closes the pipe."""
    arena: mmap.mmap | None = None
    while True:
        try:
            job = pickle.load(requests)
        except EOFError:
            return
        try:
            if arena is None or len(arena) < job.arena_bytes:  # kept between jobs: its pages are already mapped
                arena = mmap.mmap(handle, job.arena_bytes)
            answer: Answer | Failure = launch(job, arena)
        except PtxbenchError as error:
            answer = Failure(type(error).__name__, str(error))
        except (MemoryError, OSError):  # of the latter, pages that cannot be mapped
            answer = Failure("LaunchError", "There is not enough memory for this launch. Use a smaller size.")
        pickle.dump(answer, answers)
        answers.flush()


def follow(parent: int) -> None:
    """End this process soon after its parent, even in the middle of a launch."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    serve(int(sys.argv[1]), sys.stdin.buffer, output)
