"""Bounds on the executions of machine instructions, from the executions of PTX lines: bounds on sums over blocks.

An anchor is an instruction that ptxas neither drops nor speculates: accesses to memory, shuffles, votes, barriers,
matrix operations. All other lines are weak: ptxas may move, share or speculate their instructions.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptxbench.emulator.syntax import Instruction as Statement
from ptxbench.executed.graph import ENDS, Graph, Operation
from ptxbench.executed.ptx import PtxLines

INFINITY = math.inf

LOADS = ("LDG", "LD", "LDS")
ATOMICS = ("ATOM", "ATOMG", "RED", "REDG")
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(LOADS, ("load", ("ld", "ldu"))),
    **dict.fromkeys(("STG", "ST", "STS"), ("store", ("st",))),
    **dict.fromkeys(ATOMICS, ("atomic", ("atom", "red"))),
    "ATOMS": ("shared atomic", ("atom", "red")),
    "LDSM": ("ldmatrix", ("ldmatrix",)), "STSM": ("stmatrix", ("stmatrix",)), "LDGSTS": ("copy", ("cp",)),
    "SHFL": ("shuffle", ("shfl",)), "VOTE": ("vote", ("vote",)), "MATCH": ("match", ("match",)),
    "REDUX": ("redux", ("redux",)), "BAR": ("barrier", ("bar", "barrier")),
    **dict.fromkeys(("HMMA", "IMMA", "DMMA", "QMMA", "BMMA", "OMMA"), ("matrix", ("mma", "wmma"))),
    "NANOSLEEP": ("sleep", ("nanosleep",)),
}  # fmt: skip
"""SASS opcodes that are anchors: their family, and the PTX instructions that they come from."""

ACCESS_BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}
TYPE = re.compile(r"[busf](?:16x2|\d+)|bf16x2|bf16|f16x2|e[45]m[23]x2")


@dataclass(frozen=True)
class Term:
    """Bounds on a weighted sum of blocks' executions. `line`: of the PTX; `family`: of an anchor.

    `target`: the most likely sum.
    """

    blocks: Mapping[int, float]
    low: float
    high: float
    target: float
    line: int
    family: str = ""


def anchors(graph: Graph, lines: PtxLines) -> Iterator[Term]:
    """The terms of a kernel's anchors."""
    copies: dict[tuple[int, str], list[tuple[int, Operation]]] = defaultdict(list)
    for block in graph.blocks:
        if block.index in graph.helper_blocks:
            continue
        for operation in block.operations:
            line = lines.begin(operation.line)
            if (
                line is not None
                and not operation.never
                and operation.name in FAMILIES
                and not retries(operation, lines.at(line))
            ):
                copies[line, FAMILIES[operation.name][0]].append((block.index, operation))
    wide = {
        FAMILIES[access.name][0] + access.name
        for (line, _), places in copies.items()
        for _, access in places
        if (statement := lines.only(line, FAMILIES[access.name][1])) and ratio(statement, access) > 1
    }
    for (line, family), places in copies.items():
        first = places[0][1]
        roots = FAMILIES[first.name][1]
        statement = lines.only(line, roots)
        if statement is None:
            if term := foreign_paths(line, family, places, lines):
                yield term
            continue
        yield anchor(line, family, places, statement, lines, any(family + access.name in wide for _, access in places))


def retries(operation: Operation, statements: Sequence[Statement]) -> bool:
    """Whether an atomic belongs to a retry loop, with which ptxas replaces an atomic that the hardware lacks."""
    tries = ".CAS" in operation.opcode and operation.name in (*ATOMICS, "ATOMS")
    return tries and not any(".cas" in statement.opcode for statement in statements)


def foreign_paths(line: int, family: str, places: list[tuple[int, Operation]], lines: PtxLines) -> Term | None:
    """The term for the paths of a generic atomic to memory that no request accessed: they ran 0 times."""
    if family not in ("load", "store") or not any(
        statement.opcode.startswith(("atom", "red")) for statement in lines.at(line)
    ):
        return None
    requests = lines.counter(line, "ptx_atomic_global_requests")
    if requests != lines.executions(line):
        return None
    return Term(Counter(block for block, _ in places), 0, 0, 0, line, family)


def anchor(
    line: int, family: str, places: list[tuple[int, Operation]], statement: Statement, lines: PtxLines, merged: bool
) -> Term:
    """The term of one line's anchors of one family."""
    count = lines.executions(line)
    guarded = statement.guard is not None
    low = high = target = float(count)
    if family == "shared atomic":
        low = high = target = float(lines.counter(line, "ptx_atomic_shared_requests"))
    elif family == "atomic" and any(operation.name in ATOMICS for _, operation in places):
        low = high = target = float(count - lines.counter(line, "ptx_atomic_shared_requests"))
        high = target = count if low and statement.opcode.split(".")[1] not in ("global", "shared") else low
    times = multiple(statement, places)
    weights = Counter[int]()
    most = 1.0
    for block, operation in places:
        weights[block] += 1
        most = max(most, ratio(statement, operation))
    low, high, target = low * times, high * times, target * times
    if merged or most > 1:  # several loads as one, of this line or another
        low, target = (low / most if most > 1 else 0.0), min(target, low / most if most > 1 else target)
    predicated = any(
        operation.guard is not None and not operation.guard.lstrip("!").startswith("UP") for _, operation in places
    )
    if guarded:  # ptxas may branch around it if no lane has a true guard
        on = lines.counter(line, "ptx_thread_instructions_on")
        requests = lines.requests(line)
        least = math.ceil(on / 32) if requests is None else requests
        low = min(low, least * times)
        if requests is not None and not predicated:
            high = min(high, requests * times)
            target = min(target, high)
    if predicated:
        high = INFINITY  # predicated code: it executes where the PTX branches around it
    return Term(weights, low, high, target, line, family)


def multiple(statement: Statement, places: list[tuple[int, Operation]]) -> float:
    """How many machine instructions one PTX execution takes."""
    if FAMILIES[places[0][1].name][0] == "matrix":
        ptx_products, machine_products = shape(statement.opcode), size(places[0][1].opcode)
        return max(1.0, ptx_products / machine_products) if ptx_products and machine_products else 1.0
    return max(1.0, 1 / max(ratio(statement, operation) for _, operation in places))


SHAPE = re.compile(r"\.m(\d+)n(\d+)k(\d+)\b")
SIZES = {"884": 256, "1688": 1024, "16816": 2048, "16832": 4096, "16864": 8192, "8816": 1024, "8832": 2048}


def shape(opcode: str) -> int:
    match = SHAPE.search(opcode)
    return int(match[1]) * int(match[2]) * int(match[3]) if match else 0


def size(opcode: str) -> int:
    """Multiplications of one SASS matrix instruction, from the digits in its name."""
    return next((SIZES[digits] for digits in opcode.split(".") if digits in SIZES), 0)


def ratio(statement: Statement, operation: Operation) -> float:
    """Bytes moved by the machine instruction divided by those of the PTX instruction; 1 if either is unknown."""
    root = statement.opcode.split(".")[0]
    if root not in ("ld", "st", "ldu") or operation.name not in (*LOADS, "STG", "ST", "STS"):
        return 1.0
    words = statement.opcode.split(".")[1:]
    kind = next((word for word in reversed(words) if TYPE.fullmatch(word)), None)
    digits = re.search(r"\d+", kind or "")
    if not digits:
        return 1.0
    vector = next((int(word[1:]) for word in words if re.fullmatch(r"v[248]", word)), 1)
    statement_bytes = int(digits[0]) // 8 * vector * (2 if kind and kind.endswith("x2") else 1)
    operation_bytes = next((ACCESS_BYTES[word] for word in operation.opcode.split(".")[1:] if word in ACCESS_BYTES), 4)
    return operation_bytes / statement_bytes if statement_bytes else 1.0


# ---- everything else


def likely_sums(graph: Graph, lines: PtxLines) -> Iterator[Term]:
    """For every other line: its copies probably sum to its executions. These are not bounds."""
    copies: dict[int, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    anchored = set()
    for block in graph.blocks:
        if block.index in graph.helper_blocks:
            continue
        for operation in block.operations:
            line = lines.begin(operation.line)
            if line is None or operation.never:
                continue
            if operation.name in FAMILIES:
                anchored.add(line)
            if operation.name not in ROUTING:
                copies[line][block.index][operation.opcode] += 1
    for line, places in copies.items():
        if line not in anchored:
            count = float(lines.executions(line))
            yield Term(
                {block: min(by_opcode.values()) for block, by_opcode in places.items()}, 0, INFINITY, count, line
            )


ROUTING = (*ENDS, "BSSY", "BREAK", "WARPSYNC", "NOP", "YIELD", "P2R", "R2P")
"""Opcodes that only route between blocks or save predicates; their lines are those of what they route around."""


def upper_bounds(graph: Graph, lines: PtxLines) -> Iterator[Term]:
    """A block runs at most as often as the most executed line of its instructions."""
    for block in graph.blocks:
        if block.index in graph.helper_blocks:
            continue
        begun = [lines.begin(operation.line) for operation in block.operations if operation.name not in ROUTING]
        counts = [lines.executions(line) for line in begun if line is not None]
        if counts and block.index:
            yield Term({block.index: 1.0}, 0, max(counts), max(counts), 0)
