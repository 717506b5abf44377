"""The judgements of a service: those that wait, run, and have ended; limits of their number; and their seeds.

Everything here runs in one event loop, except the judging itself, which runs in threads.
"""

from __future__ import annotations

import dataclasses
import secrets
import sys
import time
import traceback
import zlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from ptxbench.check.contained import CheckTask, judge_candidate
from ptxbench.check.findings import Judgement
from ptxbench.check.inputs import Candidate
from ptxbench.check.judgement_process import JudgementProcess, ServerProcess
from ptxbench.check.request import new_seed
from ptxbench.documents import json_text, parse_json
from ptxbench.errors import PtxbenchError
from ptxbench.exporters.check import verdict
from ptxbench.safe_text import log_text, plain
from ptxbench.service.refusal import Refused
from ptxbench.service.submission import Submission
from ptxbench.toolchain import sha256

SCHEMA = "ptxbench.judgement/1"

WAITING, RUNNING, COMPLETE, FAILED, CANCELLED = "waiting", "running", "complete", "failed", "cancelled"

ID_BYTES = 16
"""The bytes of an identifier. It must not be guessed, because whoever has it can read the judgement."""

MOST_ENDED = 1000
"""The most judgements that are kept after their end; the one that ended longest ago is forgotten first."""

KEEP_SECONDS = 600.0
"""How long a judgement can be read after its end."""

MOST_RETRY_SECONDS = 600


class Cancelled(Exception):
    """Ends the thread of a judgement that was cancelled."""


@dataclass(eq=False)
class JudgementEntry:
    """One judgement. At its end `on_change` is called and `done` is set."""

    client: Hashable
    candidate: Candidate
    task: CheckTask
    on_change: Callable[[JudgementEntry], None]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(ID_BYTES))
    state: str = WAITING
    stage: str | None = None
    judgement: Judgement | None = None
    error: str | None = None
    ended: float = 0.0
    done: anyio.Event = field(default_factory=anyio.Event)
    process: JudgementProcess | None = None
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.sha256 = sha256(self.candidate.content)

    def document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "id": self.id,
            "state": self.state,
            "stage": self.stage if self.state == RUNNING else None,
            "file": self.candidate.file,
            "sha256": self.sha256,
            "pair": self.task.pair,
            "verdict": None if self.judgement is None else verdict(self.judgement),
            "error": self.error,
        }

    def judge(self, server: ServerProcess) -> Judgement:
        """Judge it, in a thread. Raises Cancelled."""
        return judge_candidate(self.candidate, self.task, server, self.begin, self.started)

    def begin(self, stage: str) -> None:
        self.stage = stage
        if self.state == CANCELLED:
            raise Cancelled

    def started(self, process: JudgementProcess) -> None:
        self.process = process  # its identifier is not known yet; `begin` follows


@dataclass(frozen=True)
class EndedJudgement:
    """What is kept of a judgement that has ended. It is small, because many are kept."""

    ended: float
    packed: bytes
    """Its document, as compressed JSON."""

    @classmethod
    def of(cls, entry: JudgementEntry) -> EndedJudgement:
        return cls(entry.ended, zlib.compress(json_text(entry.document(), indent=None).encode()))

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = parse_json(zlib.decompress(self.packed).decode(), "a judgement that is kept")
        return document


class Judgements:
    """Judges submitted candidates, `jobs` at a time, in the order of submission.

    `most_waiting`: how many may wait, of all clients. `most_of_client`: how many of one client may wait or run.
    """

    def __init__(self, *, jobs: int, most_waiting: int, most_of_client: int) -> None:
        self.jobs = jobs
        self.most_waiting = most_waiting
        self.most_of_client = most_of_client
        self.server = ServerProcess()
        self.waiting: deque[JudgementEntry] = deque()
        self.running: set[JudgementEntry] = set()
        self.unfinished: dict[str, JudgementEntry] = {}
        self.ended: OrderedDict[str, EndedJudgement] = OrderedDict()
        self.seeds: dict[tuple[str, str], int] = {}
        self.judged = 0
        self.seconds_each = 1.0
        self.closed = False
        self.arrived = anyio.Event()

    # ---- for clients

    def submit(
        self, client: Hashable, submission: Submission, ended: Callable[[JudgementEntry], None] = lambda entry: None
    ) -> list[JudgementEntry]:
        """Queue all candidates of a submission; `ended` is called with each judgement at its end.

        Raises Refused, and then queues none of them.
        """
        if self.closed:
            raise Refused(503, "The service is ending.")
        added = len(submission.candidates)
        if added > (most := min(self.most_of_client, self.most_waiting)):
            raise Refused(
                413, f"The submission has {added} candidates; this service takes at most {most}. Submit fewer."
            )
        of_client = sum(entry.client == client for entry in (*self.waiting, *self.running))
        if of_client + added > self.most_of_client:
            raise Refused(
                429,
                f"This client has {of_client} judgements that wait or run, and asks for {added} more; "
                f"expected at most {self.most_of_client} in all.",
                self.retry_seconds(of_client),
            )
        if len(self.waiting) + added > self.most_waiting:
            raise Refused(
                503,
                f"The queue has {len(self.waiting)} judgements, and {added} more are asked for; "
                f"expected at most {self.most_waiting} in all.",
                self.retry_seconds(len(self.waiting)),
            )
        task = submission.task if submission.seeded else self.with_seed(submission.task)
        entries = [JudgementEntry(client, candidate, task, ended) for candidate in submission.candidates]
        self.waiting.extend(entries)
        self.unfinished.update({entry.id: entry for entry in entries})
        self.arrived.set()
        return entries

    def find(self, identifier: str) -> JudgementEntry | EndedJudgement:
        """Raises Refused if there is no such judgement, or not any more."""
        self.forget()
        entry = self.unfinished.get(identifier) or self.ended.get(identifier)
        if entry is None:
            raise Refused(
                404,
                f"Unknown judgement. A judgement is kept for {KEEP_SECONDS:.0f} seconds after its end; a restart of "
                "the service removes it. Submit the kernel again.",
            )
        return entry

    def cancel(self, entry: JudgementEntry) -> None:
        """End a judgement, unless it has ended."""
        if entry.state == WAITING:
            self.waiting.remove(entry)
            self.end(entry, CANCELLED)
        elif entry.state == RUNNING:
            self.end(entry, CANCELLED)
            if entry.process is not None:
                entry.process.kill()

    def retry_seconds(self, before: int) -> int:
        """Seconds until so many judgements may have ended."""
        return min(MOST_RETRY_SECONDS, 1 + int(before * self.seconds_each / self.jobs))

    # ---- seeds

    def with_seed(self, task: CheckTask) -> CheckTask:
        """The task with a seed that no verdict has shown, so that no candidate can be fitted to its data.

        Candidates that are submitted until the first of them has its verdict share one, and so the pair's results.
        """
        return dataclasses.replace(task, seed=self.seeds.setdefault((task.pair, task.arch), new_seed()))

    def reveal_seed(self, task: CheckTask) -> None:
        """A verdict shows the seed of this task."""
        if self.seeds.get((task.pair, task.arch)) == task.seed:
            del self.seeds[task.pair, task.arch]

    # ---- judging

    @asynccontextmanager
    async def lifespan(self, server: object) -> AsyncIterator[None]:
        """Judge as long as `server`, which Starlette and MCP pass, runs; then `close`."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.run)
            try:
                yield
            finally:
                self.close()

    async def run(self) -> None:
        """Judge until `close`."""
        limiter = anyio.CapacityLimiter(self.jobs)  # not the default one, which also limits other threads
        async with anyio.create_task_group() as group:
            for _ in range(self.jobs):
                group.start_soon(self.work, limiter)

    async def work(self, limiter: anyio.CapacityLimiter) -> None:
        """Judge one after the other."""
        while not self.closed:
            if not self.waiting:
                self.arrived = anyio.Event() if self.arrived.is_set() else self.arrived
                await self.arrived.wait()
                continue
            entry = self.waiting.popleft()
            entry.state = RUNNING
            self.running.add(entry)
            started = time.monotonic()
            await anyio.to_thread.run_sync(partial(self.judge, entry), limiter=limiter)
            self.running.discard(entry)
            if entry.state != CANCELLED:
                self.seconds_each += 0.1 * (time.monotonic() - started - self.seconds_each)
                self.judged += entry.judgement is not None
                self.reveal_seed(entry.task)
                self.end(entry, FAILED if entry.judgement is None else COMPLETE)

    def judge(self, entry: JudgementEntry) -> None:
        """Judge it, in a thread."""
        try:
            entry.judgement = entry.judge(self.server)
        except Cancelled:
            pass
        except PtxbenchError as error:
            entry.error = str(error)
        except Exception as error:
            sys.stderr.write(log_text(plain(traceback.format_exc())))
            entry.error = f"ptxbench itself failed: {type(error).__name__}. Report a bug, with the candidate."
        if entry.state == CANCELLED:
            entry.judgement = entry.error = None

    def end(self, entry: JudgementEntry, state: str) -> None:
        entry.state, entry.ended = state, time.monotonic()
        entry.candidate = dataclasses.replace(entry.candidate, content=b"")  # it may be large, and is kept for long
        self.ended[entry.id] = EndedJudgement.of(entry)
        del self.unfinished[entry.id]
        entry.done.set()
        entry.on_change(entry)
        self.forget()

    def forget(self) -> None:
        """Forget old judgements that have ended."""
        oldest = time.monotonic() - KEEP_SECONDS
        while self.ended:
            identifier, entry = next(iter(self.ended.items()))
            if entry.ended > oldest and len(self.ended) <= MOST_ENDED:
                return
            del self.ended[identifier]

    def close(self) -> None:
        """Cancel all judgements, end their processes, and let `run` end."""
        self.closed = True
        for entry in (*self.waiting, *self.running):
            self.cancel(entry)
        self.arrived.set()
        self.server.close()
