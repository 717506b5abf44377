"""The service under load and faults: no verdict is lost, doubled or wrong, and memory stays flat.

    python benchmarks/serve.py [--judgements 500] [--clients 16] [--kills 10] [--restarts 1] [--minutes 10]

Starts `ptxbench serve` on loopback with a queue that is too small for all clients. They submit right and wrong kernels
of one pair, and compare each verdict with what is known of the kernel. Meanwhile, at random times,

- a process that judges is killed: the one from which judgements are forked, or one judgement's own;
- a client leaves its stream, before the first verdict or after it;
- the queue refuses a submission; the client tries again after the time that the refusal names;
- the service itself is killed and started again, and clients submit again what they have no verdict on;
- the memory of the service and of the process from which it forks is read. Nothing is killed in the second half of
  the judgements, and the service in the first tenth only, so this is the memory of processes that go on.

Prints how often each was done, the verdicts per second, and the memory: 500 judgements after the last kill, and at the
end.
The exit status is 1 if a verdict is wrong, lost or doubled, if anything but a clear refusal is answered, if a process
is left at the end, or if memory has grown by more than 5 %.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
HOSTILE = ROOT / "tests" / "check" / "hostile"

PAIR = "triad"
EXPECTED = {"honest.ptx": "accepted", "races.ptx": "race", "traps.ptx": "trap", "not_ascii.ptx": "not-ascii"}
"""The code of each kernel, or its verdict if it has no code."""

LEAVE = 0.1
"""The share of submissions whose client leaves, half of them before the first verdict."""

MOST_GROWTH = 1.05
SETTLED = 500
"""The number of judgements after which memory must stay flat."""

PART = 1 / 3
"""The share of the readings of memory, at the beginning and at the end, whose median counts. Each part has many seeds,
because the data of some need more memory than those of others."""

KILLING, RESTARTING = 0.5, 0.1
"""The shares of the judgements after which no process that judges, and no service, is killed any more, so that memory
is read of processes that go on."""

APART = 8
"""The fewest verdicts between two kills. A kernel whose process ends twice is rejected, because it may be the cause."""

QUEUED = 0.6
"""The share of the clients' kernels that the queue has room for."""


@dataclass
class Tally:
    """What the clients have seen. `asked`: how many judgements are still to be submitted."""

    asked: int
    submitted: int = 0
    abandoned: int = 0
    """Without a verdict, because their client left."""
    verdicts: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    refused: int = 0
    left: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    restarted: int = 0
    submitted_again: int = 0
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    """Judgements since a process was killed, and bytes of the service and of the process from which it forks."""
    before: int = 0
    """Judgements before that."""

    @property
    def done(self) -> int:
        return sum(self.verdicts.values())

    def forget_memory(self) -> None:
        """A process was killed; another one needs memory of its own first."""
        self.before = self.done
        self.memory.clear()

    def take(self, judgement: dict) -> str:
        """The name of a kernel that has its verdict."""
        name = judgement["file"]
        if name in self.seen:
            self.faults.append("a verdict came twice")
        self.seen.add(name)
        verdict = judgement["verdict"] or {"verdict": judgement["state"], "code": judgement["error"]}
        outcome, expected = verdict["code"] or verdict["verdict"], EXPECTED[name.partition(" ")[2]]
        self.verdicts[outcome] += 1
        if outcome != expected:
            self.faults.append(f"a verdict is {outcome}, expected {expected}")
        return name


def texts(number: int) -> list[dict]:
    """A submission of each kernel, in an order of its own and under a comment that makes its text new."""
    names = random.sample(list(EXPECTED), len(EXPECTED))
    ending = f"\n// {number} {random.random()}\n"
    return [
        {"file": f"{number} {name}", "text": (HOSTILE / name).read_text("utf-8", "replace") + ending} for name in names
    ]


async def client(service: Service, tally: Tally, numbers: itertools.count[int]) -> None:
    """One client: submissions until all are done."""
    async with httpx.AsyncClient(base_url=service.url, timeout=600) as connection:
        while tally.asked > 0:
            waiting = {text["file"]: text for text in texts(next(numbers))}
            tally.asked -= len(waiting)
            tally.submitted += len(waiting)
            after = random.choice([0, 1]) if random.random() < LEAVE else None
            while waiting:
                try:
                    if await stream(connection, tally, waiting, after):
                        break
                except httpx.TransportError:  # the service was killed
                    if not service.restarts:
                        raise
                    tally.submitted_again += len(waiting)
                    await asyncio.sleep(0.5)
                    continue
                if waiting:
                    tally.faults += ["a verdict is missing in a stream"] * len(waiting)
                    break


async def stream(connection: httpx.AsyncClient, tally: Tally, waiting: dict[str, dict], after: int | None) -> bool:
    """Submit what waits for a verdict, and remove what gets one. Returns whether the client left, `after` so many."""
    async with connection.stream(
        "POST", "/verdicts", json={"pair": PAIR, "candidates": list(waiting.values())}
    ) as answer:
        if answer.status_code != 200:
            refusal = json.loads(await answer.aread())
            if answer.status_code not in (429, 503) or not refusal["error"] or "Retry-After" not in answer.headers:
                tally.faults.append(f"answered {answer.status_code}: {refusal}")
                return True
            tally.refused += 1
            await asyncio.sleep(min(int(answer.headers["Retry-After"]), 2))
            return await stream(connection, tally, waiting, after)
        lines = answer.aiter_lines()
        for number in itertools.count():
            if number == after:
                tally.left += 1
                tally.abandoned += len(waiting)
                return True
            if (line := await anext(lines, None)) is None:
                return False
            del waiting[tally.take(json.loads(line))]
    return False


# ---- the service, and what is done to it


@dataclass
class Service:
    """A running `ptxbench serve`. `restarts`: how often it is to be killed and started again."""

    options: list[str]
    restarts: int = 0
    port: int = 0
    process: subprocess.Popen[str] = field(init=False)
    orphans: list[int] = field(default_factory=list)
    """The processes of the services that were killed."""

    def start(self) -> None:
        command = [sys.executable, "-m", "ptxbench", "serve", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline().split()[2].rstrip(";").rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill the service, as a crash would."""
        self.orphans += [pid for server in children(self.process.pid) for pid in (server, *children(server))]
        self.process.kill()
        self.process.communicate()


def children(pid: int) -> list[int]:
    """The processes that a process has started, from any of its threads."""
    pids: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += map(int, listing.read_text().split())
        except OSError:
            continue  # the thread has just ended
    return pids


def memory(pid: int) -> int:
    """The bytes of a process, without files, which other programs may share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def kill_one(servers: list[int], tally: Tally) -> bool:
    """Kill the process from which judgements are forked, or one judgement's. Returns whether there was one."""
    kind = random.choice(["forks judgements", "judges"])
    victims = servers if kind == "forks judgements" else [pid for server in servers for pid in children(server)]
    if not victims:
        return False
    try:
        os.kill(random.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return False
    tally.killed[kind] += 1
    return True


async def disturb(service: Service, tally: Tally, kills: int, total: int) -> None:
    """Kill processes after random numbers of verdicts, and read the memory."""
    until = max(2, int(KILLING * total))
    apart = min(APART, until // (2 * max(1, kills)))
    drawn = sorted(random.sample(range(1, until - apart * kills), min(kills, until // 3)))
    kill_at = [seconds + number * apart for number, seconds in enumerate(drawn)]
    restart_at = [(restart + 1) * int(RESTARTING * total) // service.restarts for restart in range(service.restarts)]
    while True:
        await asyncio.sleep(random.uniform(0.2, 0.6))
        if restart_at and tally.done >= restart_at[0]:
            restart_at.pop(0)
            service.kill()
            service.start()
            tally.restarted += 1
            tally.forget_memory()
            continue
        servers = children(service.process.pid)[:1]
        if kill_at and tally.done >= kill_at[0]:
            if kill_one(servers, tally):
                kill_at.pop(0)
                tally.forget_memory()
        elif servers:
            try:
                used = memory(service.process.pid), memory(servers[0])
                tally.memory.append((tally.done - tally.before, *used))
            except OSError:
                continue  # it has just ended


async def load(service: Service, tally: Tally, clients: int, kills: int, minutes: float) -> None:
    numbers = itertools.count()
    total = tally.asked
    async with asyncio.timeout(60 * minutes):
        disturbance = asyncio.create_task(disturb(service, tally, kills, total))
        await asyncio.gather(*(client(service, tally, numbers) for _ in range(clients)))
        disturbance.cancel()


def require_idle(service: Service, tally: Tally) -> None:
    """Report a fault if anything waits or runs after all clients have left, or a judgement's process is left."""
    deadline = time.monotonic() + 10
    while True:
        health = httpx.get(f"{service.url}/health", timeout=60).json()
        left = [pid for server in children(service.process.pid) for pid in children(server)]
        left += [pid for pid in service.orphans if Path(f"/proc/{pid}").exists()]
        if not (health["waiting"] or health["running"] or left):
            return
        if time.monotonic() > deadline:
            states = f"{health['waiting']} judgements wait, {health['running']} run, {len(left)} processes are left"
            tally.faults.append(f"{states} at the end")
            return
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judgements", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kills", type=int, default=10, help="of processes that judge")
    parser.add_argument("--restarts", type=int, default=1, help="of the service, after it was killed")
    parser.add_argument("--minutes", type=float, default=10.0, help="give up after this time")
    options = parser.parse_args()
    room = max(len(EXPECTED), int(QUEUED * options.clients * len(EXPECTED)))
    service = Service(["--client-limit", "1000", "--queue", str(room)])
    service.start()
    try:
        asyncio.run(load(service, Tally(len(EXPECTED)), 1, 0, 10))  # the pair is prepared, once
        tally = Tally(options.judgements)
        service.restarts = options.restarts
        started = time.monotonic()
        try:
            asyncio.run(load(service, tally, options.clients, options.kills, options.minutes))
        except TimeoutError:
            tally.faults.append(f"not finished after {options.minutes:g} minutes")
        seconds = time.monotonic() - started
        require_idle(service, tally)
    finally:
        service.process.send_signal(signal.SIGINT)
        service.process.communicate()
    return report(tally, seconds, options)


def report(tally: Tally, seconds: float, options: argparse.Namespace) -> int:
    lost = tally.submitted - tally.abandoned - len(tally.seen)
    doubled = tally.done - len(tally.seen)
    if lost:
        tally.faults.append(f"{lost} verdicts are lost")
    if not tally.refused and options.clients > 1:
        tally.faults.append("the queue refused nothing")
    print(f"{tally.done} verdicts in {seconds:.0f} s, {tally.done / seconds:.1f} per second: {dict(tally.verdicts)}")
    print(f"{lost} verdicts were lost, {doubled} came twice")
    print(f"{tally.left} clients left early, with {tally.abandoned} kernels; {tally.refused} submissions were refused")
    killed = ", ".join(f"{count} of one that {kind}" for kind, count in sorted(tally.killed.items()))
    print(f"{tally.killed.total()} processes were killed: {killed or 'none'}")
    print(
        f"{tally.restarted} times the service was killed and started again; {tally.submitted_again} kernels resubmitted"
    )
    print_memory(tally)
    for fault, count in Counter(tally.faults).most_common(20):
        print(f"FAULT {count} x {fault}")
    return int(bool(tally.faults))


def print_memory(tally: Tally) -> None:
    after = min(SETTLED, (tally.done - tally.before) // 2)
    settled = [used for done, *used in tally.memory if done >= after]
    part = int(PART * len(settled))
    if not part:
        print("memory: too few readings")
        return
    for number, what in enumerate(("the service", "the process from which it forks")):
        bytes_used = [used[number] for used in settled]
        first, last = statistics.median(bytes_used[:part]), statistics.median(bytes_used[-part:])
        print(
            f"memory of {what}, {after} judgements after the last kill: {first / 2**20:.0f} MiB, "
            f"at the end {last / 2**20:.0f} MiB, {last / first:.3f} times as much"
        )
    both = [sum(used) for used in settled]
    growth = statistics.median(both[-part:]) / statistics.median(both[:part])
    print(f"memory of both: {growth:.3f} times as much")
    if after == SETTLED and growth > MOST_GROWTH:
        tally.faults.append(f"memory has grown by more than {MOST_GROWTH - 1:.0%}")


if __name__ == "__main__":
    raise SystemExit(main())
