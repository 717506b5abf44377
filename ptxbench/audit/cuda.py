"""Ways to make a kernel in CUDA C worse, and neutral edits of it. They edit the text, which NVRTC compiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ptxbench.audit.edits import Edit, one_text, spills
from ptxbench.audit.neutral import any_change
from ptxbench.result import BuildReport
from ptxbench.toolchain.comments import without_comments
from ptxbench.verdict.rules import loads


@dataclass(frozen=True)
class CudaText:
    """A file of CUDA C, and its kernel that runs."""

    text: str
    entry: str

    @property
    def begin(self) -> int | None:
        """Where the body of the kernel begins, after its brace; None if it was not found."""
        match = re.search(
            rf"__global__[^;{{}}]*\b{re.escape(self.entry)}\s*\([^;{{}}]*\)\s*{{", without_comments(self.text)
        )
        return match.end() if match else None


Change = Callable[[CudaText], str | None]


def first(code: str, *entries: str) -> Change:
    """`code` before the first statement of the kernels `entries`."""

    def change(kernel: CudaText) -> str | None:
        begin = kernel.begin
        if begin is None or kernel.entry not in entries:
            return None
        return f"{kernel.text[:begin]}\n    {code}{kernel.text[begin:]}"

    return change


def replaced(pattern: str, new: str, *entries: str) -> Change:
    """A replacement for a pattern in the kernels `entries`; in any kernel if there are none."""

    def change(kernel: CudaText) -> str | None:
        return None if entries and kernel.entry not in entries else re.sub(pattern, new, kernel.text)

    return change


def commented(kernel: CudaText) -> str | None:
    """Other comments, and blank lines between the statements."""
    return re.sub(r";[ \t]*(?://[^\n]*)?\n", ";    // a remark\n\n", kernel.text)


def read_only_loads(build: BuildReport) -> int:
    return loads(build)[0]


FLOAT4 = r"reinterpret_cast<const float4\*>\((\w+)\)\[i\]"

DIVISIONS = """for (unsigned audit_k = 1; audit_k <= blockDim.x / 128; ++audit_k)
        if (1.0f / (audit_k + threadIdx.x) > 2.0f)
            __trap();"""
"""Two rounds of a loop, which no compiler unrolls because it does not know the block. The quotient is at most 1."""

CUDA = (
    Edit("CUDA C: no __restrict__", ("sass.nc",), one_text(replaced(r"\s__restrict__", "")),
         undone="it has no load by the read-only path, or keeps them all.",
         shows=lambda base, head: read_only_loads(base) > read_only_loads(head)),
    Edit("CUDA C: vectors split", ("sass.width", "ptx_global_load_requests"),
         one_text(replaced(FLOAT4, r"make_float4(\1[4 * i], \1[4 * i + 1], \1[4 * i + 2], \1[4 * i + 3])"))),
    Edit("CUDA C: too few registers", ("spills",),
         one_text(replaced(r"__launch_bounds__\((\d+)(?:, *\d+)?\)", r"__launch_bounds__(\1, 2048 / \1)", "sgemm_tiled",
                       "bigint_mul256")), undone="it fits.", shows=spills),
    Edit("CUDA C: swizzle removed", ("ptx_shared_store_conflicts",),
         one_text(replaced(r"\((slow / 4|fast) \^ (?:fast|slow / 4)\)", r"(\1)", "transpose"))),
    Edit("CUDA C: sums in double", ("ptx_float_conversions",),
         one_text(replaced(r"float warp_sums\[", "double warp_sums[", "rmsnorm"))),
    Edit("CUDA C: a root and a division", ("ptx_divisions",),
         one_text(replaced(r"rsqrtf\(", "1.0f / sqrtf(", "rmsnorm"))),
    Edit("CUDA C: a remainder in the loop", ("ptx_divisions", "ptx_weighted_instructions"),
         one_text(replaced(r"\(1024 \* chunk \+ thread\)", "((1024 * chunk + thread) % (n / 4))", "reduce_sum"))),
    Edit("CUDA C: expf", ("ptx_weighted_instructions",),
         one_text(replaced(r"exp2f\((fmaf\(v\.\w, LOG2_E, base\))\)", r"expf(0.6931472f * \1)", "softmax"))),
    Edit("CUDA C: divisions in a loop", ("ptx_loop_functions",), one_text(first(DIVISIONS, "triad", "rmsnorm"))),
    Edit("CUDA C: double arithmetic", ("ptx_warp_instructions_f64",),
         one_text(replaced(r"fmaf\(s, ([\w.]+), ([\w.]+)\)", r"float(double(s) * \1 + \2)", "triad"))),
    Edit("CUDA C: an atomic per warp", ("ptx_atomic_global_serial",),
         one_text(replaced(r"        warp_sums\[thread / 32\] = sum;\n    __syncthreads\(\);\n",
                       "        atomicAdd(total, sum);\n    warp_sums[thread / 32] = sum;\n    return;\n",
                       "reduce_sum"))),
    Edit("CUDA C: an extra barrier", ("ptx_barriers",), one_text(replaced(r"__syncthreads\(\);",
                                                                   "__syncthreads(); __syncthreads();"))),
    Edit("CUDA C: a system fence", ("ptx_sys_fences",),
         one_text(first("__threadfence_system();", "triad", "rmsnorm"))),
    Edit("CUDA C: sleeps", ("ptx_sleeps", "ptx_sleep_ns"), one_text(first("__nanosleep(1000);", "triad", "rmsnorm"))),
    Edit("CUDA C: volatile loads", ("ptx_strong_accesses",),
         one_text(replaced(r"= (w\[256 \* k\]);", r"= make_float4(*(const volatile float*)&\1, \1.y, \1.z, \1.w);",
                       "rmsnorm"))),
    Edit("CUDA C: other comments", (), one_text(commented), shows=any_change),
    Edit("CUDA C: other names", (), one_text(replaced(r"\bthread\b", "audit_thread")), shows=any_change),
    Edit("CUDA C: a shift", (), one_text(replaced(r"distance /= 2\b", "distance >>= 1")), shows=any_change),
)  # fmt: skip
"""Edits of CUDA C, for kernels with the code that they change."""
