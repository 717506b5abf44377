"""Device memory: regions of cudaMalloc, the pool's blocks in them, and their content.

What bytes are is kept as immutable chunks with an identity, so that a launch on data that were seen before is known by
their identities alone. A fill is its byte; all else is named by its hash.
"""

from __future__ import annotations

import ctypes
import hashlib
from bisect import bisect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_gpu.errors import Failure

Bytes = NDArray[np.uint8]

UNIT = 512
"""Bytes to which the pool rounds, as CuPy's does; every address is a multiple."""

FIRST = 0x7F40_0000_0000
GAP = 2 << 20
"""Between regions, so that an access past one hits none."""

GARBAGE = 0xCD
"""The content of unwritten memory."""


@dataclass(frozen=True)
class Chunk:
    """Immutable bytes; `data` is None for a fill, and its key is the byte."""

    key: Any
    data: Bytes | None = None
    size: int = 0
    """The number of bytes; a fill may be longer."""


def fill(value: int) -> Chunk:
    return Chunk(value)


def chunk(content: bytes) -> Chunk:
    """The bytes under their hash; a fill where all are equal."""
    if content and content == content[:1] * len(content):
        return Chunk(content[0], None, len(content))
    return Chunk(hashlib.sha256(content).digest(), np.frombuffer(content, np.uint8), len(content))


@dataclass(frozen=True)
class Piece:
    """`size` bytes of a chunk from its byte `offset` on (0 of a fill), at `start` of a region."""

    start: int
    size: int
    chunk: Chunk
    offset: int = 0

    def part(self, low: int, high: int) -> Piece:
        """The part of it from `low` to `high` of the region."""
        start, end = max(self.start, low), min(self.start + self.size, high)
        return Piece(start, end - start, self.chunk, 0 if self.chunk.data is None else self.offset + start - self.start)

    def continues(self, other: Piece) -> bool:
        """Whether `other`, which lies behind it, is more of the same."""
        if self.chunk.key != other.chunk.key:
            return False
        return self.chunk.data is None or self.offset + self.size == other.offset


@dataclass
class Region:
    """The memory of one cudaMalloc."""

    address: int
    size: int
    pieces: list[Piece] = field(default_factory=list)
    keys: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pieces = [Piece(0, self.size, fill(GARBAGE))]

    def parts(self, start: int, size: int) -> list[Piece]:
        end = start + size
        return [
            piece.part(start, end) for piece in self.pieces if piece.start < end and piece.start + piece.size > start
        ]

    def holds(self, start: int, size: int, content: Chunk, offset: int) -> bool:
        """Whether a write would change nothing, which is usual where a kernel runs again."""
        for piece in self.pieces:
            if piece.start <= start and start + size <= piece.start + piece.size:
                same = piece.chunk.data is None or piece.offset + start - piece.start == offset
                return same and piece.chunk.key == content.key
        return False

    def write(self, start: int, size: int, content: Chunk, offset: int = 0) -> None:
        if self.holds(start, size, content, offset):
            return
        end = start + size
        before, after = self.parts(0, start), self.parts(end, self.size - end)
        joined: list[Piece] = []
        for piece in (*before, Piece(start, size, content, offset), *after):
            if joined and joined[-1].continues(piece):
                last = joined.pop()
                joined.append(Piece(last.start, last.size + piece.size, last.chunk, last.offset))
            elif piece.size:
                joined.append(piece)
        self.pieces = joined
        self.keys.clear()

    def read(self, start: int, size: int) -> Bytes:
        content = np.empty(size, np.uint8)
        for part in self.parts(start, size):
            at = part.start - start
            if part.chunk.data is None:
                content[at : at + part.size] = part.chunk.key
            else:
                content[at : at + part.size] = part.chunk.data[part.offset : part.offset + part.size]
        return content

    def key(self, start: int, size: int) -> tuple[Any, ...]:
        """The identity of the bytes, without reading them."""
        if (start, size) not in self.keys:
            parts = self.parts(start, size)
            self.keys[start, size] = tuple(
                (part.start - start, part.size, part.chunk.key, part.offset) for part in parts
            )
        return self.keys[start, size]


@dataclass(frozen=True, order=True)
class Block:
    """A part of a region that the pool gave out, or the whole of a region."""

    address: int
    size: int


class Memory:
    """All memory of the device. Addresses are never given twice to different regions."""

    def __init__(self, total: int) -> None:
        self.total, self.used, self.next = total, 0, FIRST
        self.regions: dict[int, Region] = {}
        self.blocks: dict[int, Block] = {}
        """The pool's blocks in use, by address."""

    def malloc(self, size: int) -> int:
        if self.used + size > self.total:
            raise Failure(2)
        address, self.next = self.next, self.next + size + GAP & -GAP
        self.regions[address] = Region(address, size)
        self.used += size
        return address

    def free(self, address: int) -> None:
        if address not in self.regions:
            raise Failure(1)
        self.used -= self.regions.pop(address).size

    def find(self, address: int, size: int = 1) -> tuple[Region, int]:
        """The region that holds these bytes, and where in it. Raises Failure if none does."""
        starts = [0, *self.regions]  # lowest first, as `malloc` gives them
        start = starts[bisect(starts, address) - 1]
        if 0 < start <= address and address + size <= start + self.regions[start].size:
            return self.regions[start], address - start
        raise Failure(1)

    def block(self, address: int) -> Block | None:
        """The memory that a kernel can access from this address: the block in use that holds it, else the region."""
        for block in (self.blocks.get(address), *self.blocks.values()):  # first the one that starts there, usually
            if block and block.address <= address < block.address + block.size:
                return block
        holding = (start for start, region in self.regions.items() if start <= address < start + region.size)
        return next((Block(start, self.regions[start].size) for start in holding), None)

    def start(self, address: int) -> int:
        """Where the block begins that holds an address, by which L2 knows it."""
        block = self.block(address)
        return block.address if block else address

    # ---- what operations do

    def upload(self, address: int, host: int, size: int) -> None:
        self.put(address, ctypes.string_at(host, size))

    def put(self, address: int, content: bytes) -> None:
        region, start = self.find(address, len(content))
        region.write(start, len(content), chunk(content))

    def download(self, host: int, address: int, size: int) -> None:
        region, start = self.find(address, size)
        content = region.read(start, size)
        ctypes.memmove(host, content.ctypes.data, size)

    def copy(self, to: int, source: int, size: int) -> None:
        region, start = self.find(source, size)
        pieces = region.parts(start, size)
        target, offset = self.find(to, size)
        for piece in pieces:
            target.write(offset + piece.start - start, piece.size, piece.chunk, piece.offset)

    def fill(self, address: int, value: int, size: int) -> None:
        region, start = self.find(address, size)
        region.write(start, size, fill(value))


class Pool:
    """CuPy's pool over `malloc` and `release`: freed blocks are kept, split and joined."""

    def __init__(self, memory: Memory, malloc: Any, release: Any) -> None:
        self.memory, self.malloc, self.release = memory, malloc, release
        self.free: list[Block] = []
        self.regions: dict[int, int] = {}

    def take(self, size: int) -> Block:
        """A block. Raises Failure(2) if memory is short even after the pool has freed its unused blocks."""
        size = max(-(-size // UNIT), 1) * UNIT
        fitting = sorted((gap.size, gap.address) for gap in self.free if gap.size >= size)
        if fitting:
            gap_size, address = fitting[0]
            self.free.remove(Block(address, gap_size))
            if gap_size > size:
                self.free.append(Block(address + size, gap_size - size))
        else:
            try:
                address = self.malloc(size)
            except Failure as failure:
                if failure.status != 2 or not self.trim():
                    raise
                address = self.malloc(size)
            self.regions[address] = size
        block = self.memory.blocks[address] = Block(address, size)
        return block

    def give(self, block: Block) -> None:
        del self.memory.blocks[block.address]
        for other in list(self.free):
            joins = other.address + other.size == block.address or block.address + block.size == other.address
            if joins and self.memory.find(other.address)[0] is self.memory.find(block.address)[0]:
                self.free.remove(other)
                block = Block(min(other.address, block.address), other.size + block.size)
        self.free.append(block)

    def trim(self) -> int:
        """Give back the regions that are free as a whole; how many."""
        free_regions = [gap for gap in self.free if self.regions.get(gap.address) == gap.size]
        for gap in free_regions:
            self.free.remove(gap)
            del self.regions[gap.address]
            self.release(gap.address)
        return len(free_regions)

    @property
    def kept(self) -> int:
        """Bytes that are free in the pool."""
        return sum(gap.size for gap in self.free)
