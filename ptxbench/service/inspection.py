"""Listings, differences and counts of kernels that are not trusted, in a contained process of their own.

`python -m ptxbench.service.inspection`: reads a request as JSON from standard input and prints the answer as JSON. It
limits itself as the process of a judgement does before it looks at a text.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptxbench import cache, toolchain
from ptxbench.check import source as texts
from ptxbench.check import worker
from ptxbench.check.candidate_cache import layer, tidy
from ptxbench.check.inputs import Candidate
from ptxbench.check.judgement_process import MOST_ANSWER, environment
from ptxbench.discovery import SUFFIXES, LoadedPair, Source, load
from ptxbench.emulator.process import stop_process
from ptxbench.errors import KernelError, MachineError, PtxbenchError, UsageError, suggestion
from ptxbench.executed import Counted
from ptxbench.exporters.listing import describe_finding
from ptxbench.listing.difference import compare
from ptxbench.listing.explanation import ExplainedPair, explain
from ptxbench.listing.explanation.counting import count, size_of
from ptxbench.listing.text import Listing, counted_listing
from ptxbench.pair import Size
from ptxbench.service.submission import Limits
from ptxbench.toolchain.lines import annotate

Side = str | Candidate
"""A kernel to inspect: the name of a variant of the pair, or a text."""

# ---- the process that asks


class ContainedProcess:
    """The process of an inspection, which the event loop may end at any time while a thread waits for its answer."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.cancelled = False

    def started(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        if self.cancelled:
            self.end()

    def end(self) -> None:
        """End it if it runs, or once it starts."""
        self.cancelled = True
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def inspect(
    pair: str, kernels: Path, arch: str, sides: Sequence[Side], limits: Limits, contained: ContainedProcess
) -> dict[str, Any]:
    """What the contained process says about one kernel, or about two and how they differ.

    Raises UsageError for what is wrong with the request or a text, MachineError for a process that ended without an
    answer.
    """
    cache_layer = layer(toolchain.sha256(b"\0".join(side.content for side in sides if isinstance(side, Candidate))))
    with tempfile.TemporaryDirectory(prefix="ptxbench-inspect-") as folder:
        request = {
            "pair": pair, "kernels": str(kernels.absolute()), "arch": arch, "folder": folder,
            "layer": str(cache_layer) if cache_layer else None, "seconds": limits.timeout,
            "memory_bytes": int(limits.memory_gib * (1 << 30)),
            "sides": [side if isinstance(side, str) else file_of(side, Path(folder), number)
                      for number, side in enumerate(sides)],
        }  # fmt: skip
        try:
            answer = ask_process(json.dumps(request), limits.timeout, contained)
        finally:
            if cache_layer:
                tidy(cache_layer)
    if "error" in answer:
        raise UsageError(str(answer["error"]))
    return answer


def file_of(candidate: Candidate, folder: Path, number: int) -> dict[str, str]:
    """Write a text into a folder of its own, so that it cannot make a compiler read other files."""
    if problem := next(iter(texts.problems(candidate.content, candidate.language)), None):
        raise UsageError(f"The text is not accepted: {problem.message}")
    path = folder / f"text-{number}" / f"{candidate.file}{SUFFIXES[candidate.language]}"
    path.parent.mkdir()
    path.write_bytes(candidate.content)
    return {"path": str(path), "language": candidate.language, "name": candidate.file}


def ask_process(request: str, seconds: float, contained: ContainedProcess) -> dict[str, Any]:
    """The answer of the contained process. Raises MachineError without one."""
    with tempfile.TemporaryFile() as answers:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ptxbench.service.inspection"],
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        contained.started(process)
        try:
            process.communicate(request.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            raise MachineError(
                f"The kernel was not inspected within {seconds:g} s. Make it smaller, or start ptxbench mcp with "
                "a longer --timeout."
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
            process.wait()
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):  # a part of the request was not read
                    process.stdin.close()
        answers.seek(0)
        content = answers.read(MOST_ANSWER)
    try:
        answer: dict[str, Any] = json.loads(content)
        return answer
    except ValueError:
        raise MachineError(f"The process that inspects the kernel ended early, status {process.returncode}.") from None


# ---- the contained process


def answer_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """What `inspect` returns. Raises PtxbenchError."""
    loaded = load(Path(request["kernels"]), request["pair"])
    size = size_of(loaded)
    sources = [source_of(loaded, side) for side in request["sides"]]
    uncounted: dict[str, str] = {}
    listings = [listing_of(loaded, source, request["arch"], size, uncounted) for source in sources]
    result: dict[str, Any] = {
        "size": dict(size),
        "kernels": [describe(listing, uncounted.get(listing.variant)) for listing in listings],
    }
    if len(listings) == 2:
        difference = compare(*listings)
        launches = [loaded.pair.launch_of(listing.variant)(**loaded.pair.bench_sizes[0]) for listing in listings]
        case = ExplainedPair(difference, launches[0], size=size, uncounted=uncounted, right_launch=launches[1])
        result["same_code"] = difference.same_code
        result["similarity"] = difference.similarity
        result["opcodes"] = {name: list(counts) for name, counts in difference.opcodes.items()}
        result["findings"] = [describe_finding(finding)["text"] for finding in explain(case)]
    return result


def source_of(loaded: LoadedPair, side: str | Mapping[str, str]) -> Source:
    """A variant of the pair by name, or a text as a variant of it."""
    if isinstance(side, str):
        by_name = {source.variant: source for source in loaded.sources}
        if side not in by_name:
            hint = suggestion(side, list(by_name)) or f" Known are {', '.join(by_name)}."
            raise UsageError(f"Unknown variant '{side}' of {loaded.name}.{hint}")
        return by_name[side]
    entry = loaded.name.replace(".", "_")
    return Source(side["name"], side["language"], Path(side["path"]), entry, contained=True)


def listing_of(loaded: LoadedPair, source: Source, arch: str, size: Size, uncounted: dict[str, str]) -> Listing:
    """The listing of a kernel with its counts. If it has none, `uncounted` gets the reason. Raises KernelError."""
    build = toolchain.build_source(source, arch)
    counted: Counted | None = None
    try:
        counted = count(loaded, build, size)
    except KernelError as error:
        uncounted[source.variant] = str(error)
    return counted_listing(build, build.source.read_bytes(), annotate(build), counted)


def describe(listing: Listing, uncounted: str | None) -> dict[str, Any]:
    """The resources of a kernel, and its lines that warps execute, the hottest first."""
    compiled = listing.executed_source is not None and bool(listing.source)
    executed, text = (listing.executed_source, listing.source) if compiled else (listing.executed or {}, listing.ptx)
    hottest = sorted((executed or {}).items(), key=lambda item: (-item[1], item[0]))
    return {
        "name": listing.variant,
        "language": listing.language,
        "registers": listing.report.registers,
        "instructions": len(listing.sass),
        "uncounted": uncounted,
        "lines": [{"line": line, "text": text[line - 1].strip(), "executed": count} for line, count in hottest],
    }


def main() -> int:
    """Answer the request on standard input, in a contained process: JSON on standard output, `error` if it failed."""
    request = json.loads(sys.stdin.read())
    printed = os.dup(1)
    os.dup2(2, 1)  # output of libraries must not mix with the answer
    folder = Path(request["folder"])
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    if request["layer"]:
        os.environ[cache.LAYER] = request["layer"]
    os.chdir(folder)
    worker.limit(request["seconds"], request["memory_bytes"])
    worker.confine([folder, *([Path(request["layer"])] if request["layer"] else [])])
    try:
        result = answer_request(request)
    except PtxbenchError as error:
        result = {"error": str(error).replace(f"{folder}/", "")}
    stop_process()
    with os.fdopen(printed, "w") as out:
        json.dump(result, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
