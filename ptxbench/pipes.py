"""How fast an SM issues to each of its pipes, by architecture, and which pipe an opcode of SASS needs. Data only.

A cycle count is of one sub-core, of four in an SM: the cycles between two warp instructions that a pipe can take, so
that a pipe of N lanes in the SM takes one every 128 / N cycles. Each number names its source and its state:

- `ptxas`: read off the stall counts that ptxas 13.5 gives to independent instructions; tests/test_pipes.py reads them
  again, and fails if a ptxas disagrees;
- `published`: by NVIDIA, or by an author who quotes NVIDIA;
- `not checked`: no citable source is known. If a floor depends on it, the value is the fastest that any source claims,
  so that the floor is lower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PTXAS, PUBLISHED, UNCHECKED = "ptxas", "published", "not checked"

FMA, IMAD, ALU, FP16, FP64, XU, LSU, SHUFFLE, TENSOR = (
    "FMA", "IMAD", "ALU", "FP16", "FP64", "XU", "LSU", "SHUFFLE", "TENSOR",
)  # fmt: skip

ISSUE = "issue only"
"""Opcodes that need an issue slot, and possibly a unit whose rate this table lacks."""


@dataclass(frozen=True)
class Rate:
    """`cycles` between two warp instructions of a sub-core; for TENSOR: multiply-adds of f16 per cycle of the SM."""

    cycles: float
    state: str
    source: str


# ---- sources

STALLS = "ptxas 13.5, least stall between neighbours"
GUIDE = "CUDA C++ Programming Guide 12.6, table of arithmetic throughput, quoted"
BEST = "CUDA C++ Best Practices Guide 13.4, table of arithmetic throughput, quoted"
FORUM = "NVIDIA forum, thread 273699: the SM dispatches one instruction a cycle to the LSU pipe"
A100_LANES = "NVIDIA forum, thread 296711: 8 load/store units a sub-core of the A100"
H100_LANES = "NVIDIA GTC session on instruction throughput: 32 load/store units an SM of the H100, quoted"
DIAGRAM = (
    "whitepaper's diagram of the SM: 4 load/store units a sub-core; published points lie 1.1 to 1.3 times above it"
)
FASTEST = "the most that any architecture does; nothing published of this one"


def lanes(number: float) -> float:
    """Lanes of an SM as cycles between warp instructions of a sub-core."""
    return 128 / number


def by_ptxas(**cycles: float) -> dict[str, Rate]:
    return {name: Rate(cost, PTXAS, STALLS) for name, cost in cycles.items()}


SHUFFLES = Rate(lanes(32), PUBLISHED, GUIDE)
TWO_LANES = Rate(lanes(2), PUBLISHED, GUIDE)
ONE_A_CYCLE = Rate(lanes(32), UNCHECKED, FORUM)


def matrix(fmas: float, source: str) -> Rate:
    return Rate(fmas, PUBLISHED, source)


RATES: Mapping[str, Mapping[str, Rate]] = {
    "sm_75": {
        **by_ptxas(FMA=2, IMAD=2, ALU=2, FP16=2, XU=8),
        FP64: TWO_LANES,
        LSU: Rate(lanes(16), UNCHECKED, DIAGRAM),
        SHUFFLE: SHUFFLES,
        TENSOR: matrix(512, "NVIDIA T4 datasheet: 65 Tflop/s of 40 SMs at 1590 MHz"),
    },
    "sm_80": {
        **by_ptxas(FMA=2, IMAD=2, ALU=2, FP16=1, FP64=4, XU=8),
        LSU: Rate(lanes(32), PUBLISHED, A100_LANES),
        SHUFFLE: SHUFFLES,
        TENSOR: matrix(1024, "NVIDIA GA100 whitepaper: 256 a tensor core, four an SM"),
    },
    "sm_86": {
        **by_ptxas(FMA=1, IMAD=2, ALU=2, FP16=2, XU=8),
        FP64: TWO_LANES,
        LSU: Rate(lanes(16), UNCHECKED, DIAGRAM),
        SHUFFLE: SHUFFLES,
        TENSOR: matrix(512, "NVIDIA A10 datasheet: 125 Tflop/s of 72 SMs at 1695 MHz"),
    },
    "sm_89": {
        **by_ptxas(FMA=1, IMAD=2, ALU=2, FP16=2, XU=8),
        FP64: TWO_LANES,
        LSU: ONE_A_CYCLE,
        SHUFFLE: SHUFFLES,
        TENSOR: matrix(512, "NVIDIA L4 datasheet: 121 Tflop/s of 58 SMs at 2040 MHz"),
    },
    "sm_90": {
        **by_ptxas(FMA=1, IMAD=2, ALU=2, FP16=1, FP64=2, XU=8),
        LSU: Rate(lanes(32), PUBLISHED, H100_LANES),
        SHUFFLE: SHUFFLES,
        TENSOR: matrix(2048, "NVIDIA GH100 whitepaper: 512 a tensor core, four an SM"),
    },
    "sm_100": {
        **by_ptxas(FMA=1, IMAD=2, ALU=2, FP16=2, FP64=2, XU=8),
        LSU: ONE_A_CYCLE,
        SHUFFLE: Rate(lanes(32), UNCHECKED, FASTEST),
        TENSOR: Rate(4096, UNCHECKED, "NVIDIA HGX B200 datasheet, of tcgen05; the rate of mma.sync is not published"),
    },
    "sm_120": {
        **by_ptxas(FMA=1, IMAD=2, ALU=2, FP16=2),
        FP64: Rate(lanes(2), PUBLISHED, BEST),
        XU: Rate(lanes(32), UNCHECKED, "twice the 16 lanes that the Best Practices Guide has for population counts"),
        LSU: ONE_A_CYCLE,
        SHUFFLE: Rate(lanes(32), PUBLISHED, BEST),
        TENSOR: matrix(512, "NVIDIA RTX Blackwell whitepaper: 419 Tflop/s, added up in f16, of 170 SMs at 2407 MHz"),
    },
}  # fmt: skip
"""By architecture in the notation of `--arch`, without the letter at its end."""

ISSUE_SLOTS = Rate(1, PUBLISHED, "NVIDIA Volta and Turing Tuning Guides: a scheduler issues an instruction every cycle")
"""Cycles between two warp instructions of a sub-core."""
SHARED_WAVEFRONTS = Rate(
    1, PUBLISHED, "NVIDIA forum, thread 77228: L1 and shared memory return 128 bytes a cycle (7.x)"
)
"""Per cycle of an SM, not of a sub-core."""
L1_SECTORS = Rate(16, PUBLISHED, "NVIDIA forum, threads 49571 and 312884: 4 tags of 4 sectors a cycle")
"""Sectors of 32 bytes per cycle of an SM."""


def rates(arch: str) -> Mapping[str, Rate] | None:
    """The rates of an architecture; None if it is not in the table."""
    return RATES.get(arch.rstrip("af"))


# ---- opcodes

PIPES: Mapping[str, str] = {
    FMA: "FFMA FMUL FADD FFMA2 FMUL2 FADD2 FFMA32I FMUL32I FADD32I",
    IMAD: "IMAD IDP IMUL IMAD32I",
    ALU: "LOP3 SHF IADD IADD3 LEA PRMT SEL ISETP IABS IMNMX FMNMX FSETP FSEL PLOP3 P2R MOV I2FP F2FP VABSDIFF4",
    FP16: "HFMA2 HADD2 HMUL2",
    FP64: "DFMA DADD DMUL DSETP",
    XU: "MUFU I2F F2I F2F POPC FLO BREV",
    LSU: "LDG STG LD ST LDS STS LDSM STSM ATOM ATOMG ATOMS RED REDG LDGSTS LDL STL REDUX",
    SHUFFLE: "SHFL",
    TENSOR: "HMMA IMMA DMMA QMMA BMMA OMMA HGMMA QGMMA IGMMA BGMMA",
    ISSUE: "BRA BRX JMP JMX EXIT RET CALL BSSY BSYNC BREAK BMOV WARPSYNC YIELD NANOSLEEP NOP KILL BPT "  # control
           "PREEXIT ENDCOLLECTIVE ELECT LEPC RPCMOV ACQBULK DEPBAR LDGDEPBAR MEMBAR ERRBAR CGAERRBAR FENCE "  # waits
           "CCTL BAR B2R R2B S2R S2UR CS2UR LDC LDCU VOTE VOTEU MATCH QSPC R2P R2UR UCGABAR_ARV UCGABAR_WAIT SYNCS "
           "UIADD3 UIMAD ULDC ULEA ULOP3 UMOV UISETP USEL USHF UPLOP3 UPRMT UFLO UPOPC UBREV UP2UR UR2UP USGXT "
           "UBMSK UVIMNMX UIMNMX UI2FP UFSETP UFMUL UFSEL "
           "UBLKCP UBLKRED UBLKPF UTMALDG UTMASTG UTMAREDG UTMACMDFLUSH UTMACCTL UTMAPF UVIRTCOUNT "
           "STAS REDAS USETMAXREG WARPGROUP "
           "CS2R VIADD VIADDMNMX VIMNMX VIMNMX3 VHMNMX HMNMX2 FMNMX3 SGXT BMSK FSET FRND FCHK PSETP ISCADD LOP "
           "FHFMA FHADD",
}  # fmt: skip
"""By name without modifiers. ALU has the opcodes that ptxas keeps two cycles away from a LOP3 (tests/test_pipes.py).

No source says which pipe the last two lines of ISSUE need. The two lines before them start work of other units, such as
bulk copies, whose time the model does not have, or concern warpgroups.
"""

OF: Mapping[str, str] = {name: pipe for pipe, names in PIPES.items() for name in names.split()}

FREE: Mapping[str, frozenset[str]] = {
    "sm_120": frozenset(["IADD", "ISETP", "FSETP", "FSEL", "SEL", "FMNMX", "IMNMX", "MOV"]),
}
"""Opcodes of ALU that an architecture issues every cycle, so that the issue slots limit them first."""

ELSEWHERE = re.compile(r"(?:I2F|F2I|F2F)\b.*\.F64|HADD2\.F32")
"""Conversions whose pipe or rate differs from what their name suggests; no source of this table has it.

On sm_86 ptxas puts one cycle between HADD2.F32 and a packed HADD2, and two between two of the same kind.
"""


def pipe(opcode: str, arch: str) -> str | None:
    """The pipe of an opcode with its modifiers, such as LDG.E.128; ISSUE, or None if it is not in the table."""
    name = opcode.split(".")[0]
    if name in FREE.get(arch.rstrip("af"), frozenset()) or ELSEWHERE.match(opcode):
        return ISSUE
    return OF.get(name)


# ---- matrices

SHAPES: Mapping[str, int] = {
    "884": 8 * 8 * 4, "1684": 16 * 8 * 4, "1688": 16 * 8 * 8, "16816": 16 * 8 * 16, "16832": 16 * 8 * 32,
    "16864": 16 * 8 * 64, "8816": 8 * 8 * 16, "8832": 8 * 8 * 32,
    "88128": 8 * 8 * 128, "168128": 16 * 8 * 128, "168256": 16 * 8 * 256,
}  # fmt: skip
"""Multiply-adds by the shape in the name of an opcode, 16816 or 16x8x16."""

WARPGROUP = re.compile(r"64x(\d+)x(\d+)")
"""The shape of a product of a warpgroup. Each of its four warps executes the instruction, for 16 of the 64 rows."""

COSTS = (
    (re.compile(r"DMMA"), 16.0),  # 64 and 128 a cycle of the A100 and the H100, 1/16 of f16
    (re.compile(r"HG?MMA.*\.TF32"), 2.0),
    (re.compile(r"HG?MMA"), 1.0),
    (re.compile(r"IMMA.*\.[SU]4|OMMA"), 1 / 4),
    (re.compile(r"[IQ]G?MMA"), 1 / 2),
    (re.compile(r"BG?MMA"), 1 / 16),
)  # fmt: skip
"""The cost of a multiply-add of other types relative to f16: the least that any GPU's datasheet claims."""


def multiply_adds(opcode: str) -> float | None:
    """The cost of a matrix instruction, in multiply-adds of f16; None for an unknown shape or type.

    Those with structured sparsity (.SP) need half of their shape.
    """
    shape = next((worth for word in opcode.split(".") if (worth := of_shape(word)) is not None), None)
    cost = next((cost_of_class for pattern, cost_of_class in COSTS if pattern.match(opcode)), None)
    if shape is None or cost is None:
        return None
    return shape * cost * (0.5 if ".SP" in opcode else 1)


def of_shape(modifier: str) -> int | None:
    """Multiply-adds that a warp executes, by a modifier; None if it is not a shape."""
    if match := WARPGROUP.fullmatch(modifier):
        return 16 * int(match[1]) * int(match[2])
    return SHAPES.get(plain(modifier))


def plain(modifier: str) -> str:
    """16816 for 16x8x16."""
    return modifier.replace("x", "")
