"""Ways to make a PTX kernel worse in what Hopper's units do: the copy engine, warpgroups, mbarriers and clusters.

Each edit is for kernels that use the unit already: they have the target and the launch for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ptxbench.audit.costs import atomics
from ptxbench.audit.edits import Edit, one_text
from ptxbench.audit.kernel import EditedKernel, Span, Statement

BULK_LOAD = re.compile(r"cp\.async\.bulk\.(?P<tensor>tensor\.\dd\.)?shared::\w+\.global\b.*complete_tx::bytes\S*")
"""A bulk or tensor copy into shared memory, which reports its bytes to an mbarrier."""

SHARED_WITH_OTHERS = re.compile(r"st\.async|red\.async|\.multicast::")
"""Instructions that report bytes to mbarriers of other CTAs, so an mbarrier expects more than its CTA's bytes."""


def copied_twice(*, tensors: bool) -> Callable[[EditedKernel], str | None]:
    """Each bulk copy into shared memory twice, and twice as many expected bytes."""

    def edit(kernel: EditedKernel) -> str | None:
        loads = [instruction for instruction in kernel.instructions if BULK_LOAD.fullmatch(instruction.parts[1])]
        opcodes = [instruction.parts[1] for instruction in kernel.instructions]
        if not loads or any(map(SHARED_WITH_OTHERS.search, opcodes)):
            return None
        if any("tensor" in load.parts[1] for load in loads) != tensors:
            return None
        changes: dict[Span, str] = {load.span: f"{load.text}\n    {load.text}" for load in loads}
        for instruction in kernel.instructions:
            if ".expect_tx." in instruction.parts[1]:
                changes[instruction.span] = with_twice_the_bytes(instruction)
        changes[kernel.body, kernel.body] = "\n    .reg .u32 %audit_bytes;"
        return kernel.with_changes(changes)

    return edit


def with_twice_the_bytes(statement: Statement) -> str:
    guard, opcode, (*others, count) = statement.parts
    return f"add.u32 %audit_bytes, {count}, {count};\n    {guard}{opcode} {', '.join([*others, '%audit_bytes'])};"


WGMMA = re.compile(r"(wgmma\.mma_async\.sync\.aligned\.m64n)\d+(k\d+\.f32\.\S+)")


def unused_product(kernel: EditedKernel) -> str | None:
    """Before each product of a warpgroup, another one of only its first eight columns, whose sums nothing reads."""
    changes: dict[Span, str] = {}
    for instruction in kernel.instructions:
        guard, opcode, operands = instruction.parts
        if match := WGMMA.fullmatch(opcode):
            _, a, b, _, *rest = operands
            sums = ", ".join(f"%audit_sum{number}" for number in range(4))
            extra = f"{guard}{match[1]}8{match[2]} {{{sums}}}, {', '.join([a, b, '%audit_no', *rest])};"
            changes[instruction.span] = f"{extra}\n    {instruction.text}"
    if not changes:
        return None
    changes[kernel.body, kernel.body] = "\n    .reg .f32 %audit_sum<4>;\n    .reg .pred %audit_no;"
    changes[kernel.start, kernel.start] = "setp.ne.u32 %audit_no, 0, 0;\n    "
    return kernel.with_changes(changes)


def at_start(opcode: str, lines: str) -> Callable[[EditedKernel], str | None]:
    """`lines` at the start of a kernel that uses the opcode, and whose threads have one dimension."""

    def edit(kernel: EditedKernel) -> str | None:
        threads = kernel.function.directives.get(".maxntid", (0,))
        uses = any(instruction.parts[1].startswith(opcode) for instruction in kernel.instructions)
        return kernel.inserted(lines) if uses and all(extent == 1 for extent in threads[1:]) else None

    return edit


CLUSTER_BARRIER = "    barrier.cluster.arrive;\n    barrier.cluster.wait;"

CLUSTER_WORD = """\
    .shared .align 4 .u32 audit_word;
    .reg .u32 %audit_at, %audit_value;
    mov.u32 %audit_at, audit_word;
    st.shared::cluster.u32 [%audit_at], 1;
    red.shared::cluster.add.u32 [%audit_at], 0;
    ld.volatile.shared::cluster.u32 %audit_value, [%audit_at];"""

PHASE = """\
    .shared .align 8 .b64 audit_mbarrier;
    .reg .u32 %audit_thread, %audit_threads;
    .reg .b64 %audit_state;
    .reg .pred %audit_first, %audit_over;
    mov.u32 %audit_thread, %tid.x;
    mov.u32 %audit_threads, %ntid.x;
    setp.eq.u32 %audit_first, %audit_thread, 0;
    @%audit_first mbarrier.init.shared.b64 [audit_mbarrier], %audit_threads;
    bar.sync 0;
    mbarrier.arrive.shared.b64 %audit_state, [audit_mbarrier];
AUDIT_WAIT:
    mbarrier.test_wait.shared.b64 %audit_over, [audit_mbarrier], %audit_state;
    @!%audit_over bra AUDIT_WAIT;"""

CLUSTER = ("ptx_cluster_load_requests", "ptx_cluster_store_requests", *atomics("cluster"))

HOPPER = (
    Edit("bulk copies repeated", ("ptx_async_bytes", "ptx_async_requests"), one_text(copied_twice(tensors=False))),
    Edit("tensor copies repeated", ("ptx_tma_boxes", "ptx_async_bytes", "ptx_async_requests"),
         one_text(copied_twice(tensors=True))),
    Edit("an extra product of a warpgroup", ("ptx_wgmma_operations", "ptx_wgmma_shared_bytes"),
         one_text(unused_product), undone="ptxas leaves out the product that nothing reads."),
    Edit("an extra barrier of the cluster", ("ptx_barriers",), one_text(at_start("barrier.cluster.", CLUSTER_BARRIER))),
    Edit("a word of the cluster", CLUSTER, one_text(at_start("barrier.cluster.", CLUSTER_WORD))),
    Edit("an extra phase of an mbarrier", ("ptx_mbarrier_phases",), one_text(at_start("mbarrier.init.", PHASE))),
)  # fmt: skip
"""Edits for kernels that use these units."""
