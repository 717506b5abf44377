"""SASS, the machine code, as nvdisasm prints it: counts of instructions by opcode and by class."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from ptxbench.containment import tools
from ptxbench.errors import ToolMissing
from ptxbench.toolchain import locate
from ptxbench.toolchain.cubin import INSTRUCTION_BYTES

SECONDS = 300

ROW = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?P<text>[^;]*?)\s*;", re.M)
"""An instruction as nvdisasm prints it."""

OPCODE = re.compile(r"(?:@!?\w+ )?(?P<opcode>[\w.]+)")
"""The start of an instruction's text; its predicate is not part of the opcode."""

TARGET = re.compile(r"(?P<before>(?:@!?\w+ )?(?:BRA|BSSY|WARPSYNC\.COLLECTIVE)\b.*)\b0x(?P<address>[0-9a-f]+)")
"""An instruction with the address of another: nvdisasm adds its own address to the distance in the code."""

MEMORY = re.compile(r"U?(?:LD|ST|ATOM|RED)")
"""Opcodes that access memory, and REDUX, which has no width."""

WIDTH = re.compile(r"U8|S8|U16|S16|64|128|256|B?F(?:16|32)x\d")
"""Modifiers that give the size of one thread's access; without any, 4 bytes."""


def output(tool: Path, options: Sequence[str], content: bytes, noun: str) -> bytes:
    """What nvdisasm prints for a file with this content. Raises ToolMissing if it cannot read the `noun`."""
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        (Path(folder) / "code").write_bytes(content)
        try:
            ran = tools.run(tool, [*options, "code"], Path(folder), SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(f"nvdisasm does not run: {error}. Reinstall it: {locate.INSTALL}.") from None
    if ran.returncode != 0:
        message = ran.stderr.decode(errors="replace").strip()
        raise ToolMissing(f"nvdisasm cannot read the {noun}: {message or ran.returncode}.")
    return ran.stdout


def texts(tool: Path, arch: str, code: bytes) -> list[str]:
    """The text of each instruction of machine code for `arch`, as nvdisasm writes it.

    Raises ToolMissing if nvdisasm does not know the architecture.
    """
    content = output(tool, ["-b", f"SM{arch.removeprefix('sm_')}"], code, "machine code")
    rows = [" ".join(row["text"].split()) for row in ROW.finditer(content.decode(errors="replace"))]
    if len(rows) != len(code) // INSTRUCTION_BYTES:
        raise ToolMissing(f"nvdisasm prints {len(rows)} of {len(code) // INSTRUCTION_BYTES} instructions.")
    return rows


def opcode(text: str) -> str:
    """The opcode of an instruction, with all modifiers."""
    match = OPCODE.match(text)
    return match["opcode"] if match else ""


def relocated_text(text: str, distance: int) -> str:
    """The text of an instruction if its code starts `distance` bytes later than where nvdisasm saw it."""
    match = TARGET.fullmatch(text)
    return f"{match['before']}{int(match['address'], 16) + distance:#x}" if match else text


class Disassembler:
    """nvdisasm for one architecture. Threads that ask while it runs share its next run.

    It takes ten times as long to start as ptxas takes for a small kernel.
    """

    def __init__(self, tool: Path, arch: str) -> None:
        self.tool = tool
        self.arch = arch
        self.requests: SimpleQueue[tuple[bytes, Future[list[str]]]] = SimpleQueue()
        self.running = threading.Lock()

    def texts(self, code: bytes) -> list[str]:
        """The text of each instruction; see the function `texts`."""
        answer: Future[list[str]] = Future()
        self.requests.put((code, answer))
        with self.running:
            if not answer.done():
                self.run([self.requests.get() for _ in range(self.requests.qsize())])
        return answer.result()

    def run(self, requests: Sequence[tuple[bytes, Future[list[str]]]]) -> None:
        """Answer all requests by one run."""
        try:
            rows = iter(texts(self.tool, self.arch, b"".join(code for code, _ in requests)))
        except BaseException as error:  # Ctrl-C too: the other threads must not wait forever
            if len(requests) > 1 and isinstance(error, ToolMissing):
                for request in requests:
                    self.run([request])
                return
            for _, answer in requests:
                answer.set_exception(error)
            return
        start = 0
        for code, answer in requests:
            of_request = islice(rows, len(code) // INSTRUCTION_BYTES)
            answer.set_result([relocated_text(text, -start) for text in of_request])
            start += len(code)


disassembler = functools.cache(Disassembler)


def counts(names: Iterable[str]) -> dict[str, int]:
    """How many instructions have each opcode, the most frequent first."""
    return by_frequency(Counter(names))


def classes(opcodes: Mapping[str, int]) -> dict[str, int]:
    """Counts of opcodes as `total`, then by class, the most frequent first."""
    by_class: Counter[str] = Counter()
    for opcode, count in opcodes.items():
        by_class[class_of(opcode)] += count
    return {"total": by_class.total(), **by_frequency(by_class)}


def by_frequency(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def class_of(opcode: str) -> str:
    """The class of an opcode with its modifiers: the name, with only the modifiers that affect its cost.

    A memory access keeps its width (`LDG.E.128.CONSTANT` is `LDG.128`), MUFU its function (`MUFU.EX2`).
    """
    name, *modifiers = opcode.split(".")
    if name == "MUFU":
        return ".".join([name, *modifiers[:1]])
    if MEMORY.match(name):
        return ".".join([name, *(modifier for modifier in modifiers if WIDTH.fullmatch(modifier))])
    return name
