"""Ways to make a shipped kernel worse that depend on how it is written; a table lists the kernels without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ptxbench.audit.edits import Edit, one_text
from ptxbench.audit.kernel import EditedKernel, Span, registers
from ptxbench.emulator.syntax import Special

Rewrite = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern in a statement, with single blanks, and its replacement."""


def rewritten(entry: str, rewrites: Sequence[Rewrite]) -> Callable[[EditedKernel], str | None]:
    """The kernel `entry` with replaced statements; None for another kernel, and if a pattern is not found."""

    def edit(kernel: EditedKernel) -> str | None:
        if kernel.function.name != entry:
            return None
        changes: dict[Span, str] = {}
        for pattern, new in rewrites:
            changes_before = len(changes)
            for statement in kernel.statements:
                with_single_blanks = " ".join(statement.text.split())
                if (text := re.sub(pattern, new, with_single_blanks)) != with_single_blanks:
                    changes[statement.span] = text
            if len(changes) == changes_before:
                return None
        return kernel.with_changes(changes)

    return edit


# ---- the layout of shared memory

UNPADDED = (
    (r"tile\[1056\]", "tile[1024]"),
    (r", 132,", ", 128,"),
    (r"%along_row \+ (\d+)\]", lambda match: f"%along_row + {int(match[1]) // 33 * 32}]"),
)  # fmt: skip
"""transpose: rows of 32 floats, not 33, so that a column of the tile is in one bank."""

UNPADDED_SLAB = (
    (r"%a_column, 528,", "%a_column, 512,"),
    (r"(%a_(?:write|read)) \+ (\d+)\]", lambda match: f"{match[1]} + {int(match[2]) - 16 * (int(match[2]) // 528)}]"),
)
"""sgemm_tiled: rows of 128 floats in a's slab, not 132, so that the halves of a warp's store conflict."""

UNSWIZZLED = (
    (r"xor\.b32 (%[ab]_(?:out_)?place), (%\w+), %\w+_turn;", r"mov.b32 \1, \2;"),
    (r"xor\.b32 %b_out_place, %b_out_place, %b_row;", ""),
)
"""hgemm_mma: every piece of a row at its plain position, so that the pieces that ldmatrix reads at once conflict."""


ROLLED_PASSES = ((r"^(SQUARE|SCALE):$", r'\1: .pragma "nounroll";'),)
"""rmsnorm in two passes: loops without unrolling, so that ptxas makes no copies of their bodies."""


# ---- which thread does what

SCATTERED: Mapping[str, tuple[str, ...]] = {
    "cluster_rmsnorm": ("%lane", "%others", "%sum_out", "%sum_in", "%sum_there", "%arrived_there"),
    "cluster_rmsnorm_s32": ("%lane", "%others"),
    "copy_hints": (),
    "copy_hints_beside": (),
    "copy_hints_gather": (),
    "fp8_mma_sync": ("%warp", "%lane"),
    "hgemm_mma": ("%warp", "%lane"),
    "histogram256": (),
    "int8_gemm_mma": ("%warp", "%lane"),
    "l2_policy": (),
    "reduce_sum": ("%lane", "%slot", "%past_sums", "%own", "%is_first"),
    "reduce_sum_s32": ("%lane", "%slot", "%past_sums", "%own", "%is_first"),
    "rmsnorm": ("%lane", "%sum_out", "%sum_in"),
    "scatter_add_bf16": (),
    "scatter_add_bf16_f16": (),
    "scatter_add_bf16_f32": (),
    "sgemm_tiled": (),
    "sgemm_tiled_packed": (),
    "sm_partition": (),
    "softmax": ("%lane", "%warp_offset", "%lane_offset", "%leaves"),
    "tma_reduce": ("%warp",),
    "tma_reduce_bf16": ("%warp",),
    "triad": (),
}
"""Kernels whose threads may exchange elements, by entry; and the registers that must still be computed from
the thread's own number, because they are its warp and lane."""

UNSCATTERED: Mapping[str, str] = {
    "bigint_mul256": "each lane's 32 bytes are one sector, wherever its neighbours are",
    "cluster_multicast": "one thread lets the copy engine read boxes, and mma.sync says which lane has which sum",
    "copy_hints_v8": "each lane's 32 bytes are one sector, wherever its neighbours are",
    "fp8_gemm_promoted": "one thread lets the copy engine read and write boxes",
    "hgemm_wgmma": "one thread lets the copy engine read boxes, and wgmma says which lane has which sum",
    "pdl_chain": "a warp shares a row, so its lanes can only be permuted, which moves no sector",
    "reduce_sum_v8": "each lane's 32 bytes are one sector, wherever its neighbours are",
    "scan": "the lane of an element decides its position in the sum",
    "scan_s32": "the lane of an element decides its position in the sum",
    "softmax_warp": "a warp shares a row, so its lanes can only be permuted, which moves no sector",
    "tma_transpose": "one thread lets the copy engine read and write boxes",
    "triad_v8": "each lane's 32 bytes are one sector, wherever its neighbours are",
    "q4q8_gemv": "a warp shares its rows, so its lanes can only be permuted, which moves no sector",
    "q4q8_gemv_aos": "a warp shares a row, so its lanes can only be permuted, which moves no sector",
    "w4a16_dequant": "a warp shares its rows, so its lanes can only be permuted, which moves no sector",
    "w4a16_dequant_mixed": "as w4a16_dequant",
    "warp_special": "the number of a thread decides its role",
}
"""Kernels where that would be wrong, or not worse, and why."""

TURNED = (
    (
        r"mov\.u32 %warp, %tid\.y;",
        "mov.u32 %warp, %tid.y;\n    mad.lo.u32 %lane, %lane, 8, %warp;\n"
        "    shr.u32 %warp, %lane, 5;\n    and.b32 %lane, %lane, 31;",
    ),
)
"""transpose and its copy: threads numbered across the warps, so that neighbouring lanes are eight apart."""

NEIGHBOURS = 32
"""The distance between neighbouring lanes: the threads of a CTA divided by this number."""


def scattered(kernel: EditedKernel) -> str | None:
    """The threads of a CTA with exchanged numbers, so that neighbouring lanes do not access neighbouring elements."""
    kept_registers = SCATTERED.get(kernel.function.name)
    threads = kernel.function.directives.get(".maxntid", (0,))[0]
    number = next(
        (instruction for instruction in kernel.instructions if is_thread_number(instruction.instruction)), None
    )
    if kept_registers is None or number is None or threads % NEIGHBOURS:
        return None
    name = number.parts[2][0]
    changes: dict[Span, str] = {
        (kernel.body, kernel.body): "\n    .reg .u32 %audit_thread, %audit_part;",
        number.span: f"{number.text}\n"
        f"    and.b32 %audit_part, {name}, {NEIGHBOURS - 1};\n"
        f"    shr.u32 %audit_thread, {name}, {NEIGHBOURS.bit_length() - 1};\n"
        f"    mad.lo.u32 %audit_thread, %audit_part, {threads // NEIGHBOURS}, %audit_thread;",
    }
    for instruction in kernel.instructions:
        assert instruction.instruction
        guard, opcode, operands = instruction.parts
        if name in registers(instruction.instruction.operands[1:]) and operands[0] not in kept_registers:
            sources = [re.sub(rf"{re.escape(name)}(?![\w$])", "%audit_thread", operand) for operand in operands[1:]]
            changes[instruction.span] = f"{guard}{opcode} {', '.join([operands[0], *sources])};"
    return kernel.with_changes(changes)


def is_thread_number(instruction: object) -> bool:
    return getattr(instruction, "opcode", "") == "mov.u32" and Special("%tid.x") in getattr(instruction, "operands", ())


LOAD_CONFLICTS, STORE_CONFLICTS = "ptx_shared_load_conflicts", "ptx_shared_store_conflicts"

OF_PAIRS = (
    Edit("padding removed", (LOAD_CONFLICTS,), one_text(rewritten("transpose", UNPADDED))),
    Edit("padding removed", (STORE_CONFLICTS,), one_text(rewritten("sgemm_tiled", UNPADDED_SLAB))),
    Edit("swizzle removed", (LOAD_CONFLICTS,), one_text(rewritten("hgemm_mma", UNSWIZZLED))),
    Edit("lanes scattered", ("ptx_global_load_sectors",), one_text(scattered)),
    Edit("loops not unrolled", ("sass_executed",), one_text(rewritten("rmsnorm", ROLLED_PASSES))),
    Edit("lanes scattered", ("ptx_global_load_sectors",), one_text(rewritten("transpose", TURNED))),
    Edit("lanes scattered", ("ptx_global_load_sectors",), one_text(rewritten("transpose_copy", TURNED))),
)
"""Edits of particular kernels, known by their entry."""
