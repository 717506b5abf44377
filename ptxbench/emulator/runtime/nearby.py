"""Loads whose lanes read within 128 bytes of shared memory, as those of a tile do: two registers of the host's
processor have all of these bytes, and a permutation gives each lane its elements.

To load the bytes of each lane alone takes three times as long.
"""

from __future__ import annotations

from ptxbench.emulator.runtime.context import ACTIVE, MASK, REQUESTS, SHARED, SHARED_BYTES, V32, bump, slot, splat
from ptxbench.emulator.types import LANES

ELEMENT_BYTES = 4
WIDTH = 16
"""Elements in a register."""
WINDOW = 2 * ELEMENT_BYTES * WIDTH
"""Bytes from lane 0's address on."""
PART = f"<{WIDTH} x i32>"
PERMUTE = "llvm.x86.avx512.vpermi2var.d.512"
"""Lane i of the result is the element `index[i]` of both vectors together: (first vector, index, second vector)."""
DECLARATION = f"declare {PART} @{PERMUTE}({PART}, {PART}, {PART})"


def is_near(size: int) -> str:
    """Lines that set %near: whether each of 32 lanes loads `size` aligned bytes within the window from %a.first on, and
    the window is within shared memory."""
    return f"""{splat("near.first", "i32", "%a.first")}
  %near.distance = sub {V32} %a, %near.first
  %near.beyond = and {V32} %near.distance, splat (i32 {~(WINDOW - size)})
  %near.beyond.some = icmp ne {V32} %near.beyond, zeroinitializer
  %near.beyond.mask = bitcast {MASK} %near.beyond.some to i32
  %near.lanes = icmp eq i32 %near.beyond.mask, 0
  {slot("near.bytes", SHARED_BYTES)}
  %near.start = zext i32 %a.first to i64
  %near.end = add i64 %near.start, {WINDOW}
  %near.inside = icmp ule i64 %near.end, %near.bytes
  %near.ragged = and i32 %a.first, {size - 1}
  %near.aligned = icmp eq i32 %near.ragged, 0
  %near.fits = and i1 %near.inside, %near.aligned
  %near = and i1 %near.lanes, %near.fits"""


def load_near(count: int, counted: str) -> tuple[str, list[str]]:
    """Lines that count such a request and load `count` elements of 4 bytes for each lane, and the names of the vectors.
    `counted`: lines that count the passes of a request by the lanes %mask."""
    lines = [
        "%mask = or i32 %asked, 0",
        bump(REQUESTS, "1"),
        bump(ACTIVE, str(LANES)),
        counted,
        slot("near.base", SHARED),
        "%near.host = add i64 %near.start, %near.base",
        "%near.low.at = inttoptr i64 %near.host to ptr",
        f"%near.high.at = getelementptr i8, ptr %near.low.at, i64 {ELEMENT_BYTES * WIDTH}",
        f"%near.low = load {PART}, ptr %near.low.at, align {ELEMENT_BYTES}",
        f"%near.high = load {PART}, ptr %near.high.at, align {ELEMENT_BYTES}",
        f"%near.index = lshr {V32} %near.distance, splat (i32 {ELEMENT_BYTES.bit_length() - 1})",
    ]
    for half in (0, 1):
        order = ", ".join(f"i32 {half * WIDTH + i}" for i in range(WIDTH))
        lines.append(f"%near.index{half} = shufflevector {V32} %near.index, {V32} poison, {PART} <{order}>")
    everyone = ", ".join(f"i32 {i}" for i in range(LANES))
    names = [f"%near{k}" for k in range(count)]
    for k, name in enumerate(names):
        for half in (0, 1):
            lines.append(f"{name}.index{half} = add {PART} %near.index{half}, splat (i32 {k})")
            arguments = f"{PART} %near.low, {PART} {name}.index{half}, {PART} %near.high"
            lines.append(f"{name}.half{half} = call {PART} @{PERMUTE}({arguments})")
        halves = f"{PART} {name}.half0, {PART} {name}.half1"
        lines.append(f"{name} = shufflevector {halves}, {V32} <{everyone}>")
    return "\n  ".join(lines), names
