"""The service under load and faults: no verdict is lost or doubled, and memory stays flat.

    python benchmarks/serve.py [--judgements 500] [--clients 16] [--kills 10] [--minutes 10]

Starts `ptxbench serve` on loopback, and clients that submit right and wrong kernels of one pair and compare each
verdict with what is known of the kernel. Meanwhile the process from which judgements are forked is killed at random
times, one client in ten leaves in the middle of its stream, and the memory of the service's processes is read. Prints
the verdicts per second and the growth of memory since the first tenth. The exit status is 1 if a verdict is wrong, lost
or doubled, or if memory has grown by more than 5 % since the first 500 judgements.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
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
KNOWN = {"honest.ptx": "accepted", "races.ptx": "race", "traps.ptx": "trap", "not_ascii.ptx": "not-ascii"}
"""The code, or the verdict, of each kernel."""

LEAVE = 0.1
"""The share of submissions whose client leaves after the first verdict."""

MOST_GROWTH = 1.05
SETTLED = 500
"""Judgements after which memory must stay flat."""


@dataclass
class Tally:
    """What the clients have seen. `asked`: judgements that are yet to be submitted."""

    asked: int
    verdicts: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    refused: int = 0
    left: int = 0
    killed: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)
    """Judgements and bytes."""

    def take(self, judgement: dict) -> None:
        if judgement["id"] in self.ids:
            self.faults.append(f"{judgement['id']} came twice")
        self.ids.add(judgement["id"])
        verdict = judgement["verdict"] or {"verdict": judgement["state"], "code": judgement["error"]}
        found = verdict["code"] or verdict["verdict"]
        self.verdicts[found] += 1
        if found != KNOWN[judgement["file"]]:
            self.faults.append(f"{judgement['file']} is {found}, not {KNOWN[judgement['file']]}")


def texts(number: int) -> list[dict]:
    """A submission of each kernel, in an order of its own and under a comment that makes its text new."""
    names = random.sample(list(KNOWN), len(KNOWN))
    own = f"\n// {number} {random.random()}\n"
    return [{"file": name, "text": (HOSTILE / name).read_text("utf-8", "replace") + own} for name in names]


async def submit(url: str, tally: Tally, numbers: itertools.count[int]) -> None:
    """One client: submissions until all are done."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        while tally.asked > 0:
            document = {"pair": PAIR, "candidates": texts(next(numbers))}
            tally.asked -= len(document["candidates"])
            leaves = random.random() < LEAVE
            async with client.stream("POST", "/verdicts", json=document) as answer:
                if answer.status_code in (429, 503):
                    tally.refused += 1
                    tally.asked += len(document["candidates"])
                    await asyncio.sleep(min(int(answer.headers["Retry-After"]), 2))
                    continue
                got = 0
                async for line in answer.aiter_lines():
                    tally.take(json.loads(line))
                    got += 1
                    if leaves:
                        tally.left += 1
                        break
                if not leaves and got != len(document["candidates"]):
                    tally.faults.append(f"{got} of {len(document['candidates'])} verdicts in a stream")


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):  # of each thread
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # the thread has just ended
    return found


def memory(pid: int) -> int:
    """Bytes that the service and the process from which it forks have alone or share among them."""
    total = 0
    for each in family(pid)[:2]:
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            total += 1024 * int(line.split()[1]) if line.startswith("Pss:") else 0
    return total


async def disturb(pid: int, tally: Tally, kills: int, whole: int) -> None:
    """Kill the process from which judgements are forked, evenly over the run; and read the memory."""
    while True:
        await asyncio.sleep(random.uniform(0.2, 0.6))
        done = sum(tally.verdicts.values())
        servers = family(pid)[1:2]
        if servers and tally.killed < kills and done >= (tally.killed + 1) * whole / (kills + 1):
            os.kill(servers[0], signal.SIGKILL)
            tally.killed += 1
        elif servers:
            try:
                tally.memory.append((done, memory(pid)))
            except OSError:
                continue  # it has just ended


async def load(url: str, pid: int, tally: Tally, options: argparse.Namespace) -> None:
    numbers = itertools.count()
    clients = [submit(url, tally, numbers) for _ in range(options.clients)]
    async with asyncio.timeout(60 * options.minutes):
        disturbance = asyncio.create_task(disturb(pid, tally, options.kills, options.judgements))
        await asyncio.gather(*clients)
        disturbance.cancel()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judgements", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10.0, help="give up after this time")
    options = parser.parse_args()
    command = [sys.executable, "-m", "ptxbench", "serve", "--port", "0", "--client-limit", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[2].rstrip(";")
            tally = Tally(len(KNOWN))  # the pair is prepared, once
            asyncio.run(load(url, process.pid, tally, argparse.Namespace(clients=1, kills=0, judgements=1, minutes=10)))
            tally = Tally(options.judgements)
            started = time.monotonic()
            try:
                asyncio.run(load(url, process.pid, tally, options))
            except TimeoutError:
                tally.faults.append(f"not finished after {options.minutes:g} minutes")
            seconds = time.monotonic() - started
            time.sleep(2)
            health = httpx.get(f"{url}/health").json()
            if health["waiting"] or health["running"]:
                tally.faults.append(f"{health['waiting']} judgements wait and {health['running']} run at the end")
        finally:
            process.send_signal(signal.SIGINT)
    return report(tally, seconds)


def report(tally: Tally, seconds: float) -> int:
    total = sum(tally.verdicts.values())
    print(f"{total} verdicts in {seconds:.0f} s, {total / seconds:.1f} per second: {dict(tally.verdicts)}")
    print(f"{tally.left} clients left early, {tally.refused} submissions were refused")
    print(f"{tally.killed} times the process from which judgements are forked was killed")
    settled = [used for done, used in tally.memory if done >= min(SETTLED, total / 10)]
    if settled:
        tenth = max(1, len(settled) // 10)
        first, last = (sorted(part)[len(part) // 2] for part in (settled[:tenth], settled[-tenth:]))
        print(f"memory: {first / 2**20:.0f} MiB, at the end {last / 2**20:.0f} MiB, {last / first:.2f} times as much")
        if total > SETTLED and last > MOST_GROWTH * first:
            tally.faults.append("memory has grown")
    for fault, count in Counter(tally.faults).most_common(20):
        print(f"FAULT {count} x {fault}")
    return int(bool(tally.faults))


if __name__ == "__main__":
    raise SystemExit(main())
