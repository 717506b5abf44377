"""The NumPy interpreter alone: the rows of the manual, messages for missing features, and CUDA C beyond pairs."""

import numpy as np
import pytest

from ptxbench import emulator
from tests.emulator.bits import Imm, encode, show
from tests.emulator.harness import BLOCK, HEADER, by_opcode, module, prepare, register, signature
from tests.emulator.oracle import Counters, Missing, interpret, lacking
from tests.emulator.rows import ROWS
from tests.emulator.snippets import CASES
from tests.emulator.test_snippets import FLAGS, MODULES, alone, compiled

pytestmark = pytest.mark.long

GROUPS = list(by_opcode(ROWS).values())


def differences(rows):
    """Interpret rows that share a kernel; one line for each row with unexpected bits."""
    opcode, columns, results, kinds = prepare(rows)
    arrays = [column for column in columns if not isinstance(column, Imm)]
    out = np.zeros((len(rows), len(results)), np.uint64)
    text = module(opcode, signature(columns, kinds), tuple(results))
    data = np.ascontiguousarray(np.stack(arrays, axis=1).astype(np.uint64))
    grid = (-(-len(rows) // BLOCK), 1, 1)
    interpret(text, None, grid=grid, block=(BLOCK, 1, 1), args=[data, out, np.uint32(len(rows))])
    faults = []
    for (_, sources, expected), actual in zip(rows, out.tolist(), strict=True):
        wanted = expected if isinstance(expected, tuple) else (expected,)
        for kind, value, got in zip(results, wanted, actual, strict=True):
            bits = encode(value, kind)
            if register(kind, result=True) != kind:  # a register wider than the result holds it extended
                bits |= 0xFFFFFF00 if kind[0] == "s" and bits >> 7 else 0
            if got != bits:
                faults.append(f"{opcode} {sources}: {show(got, kind)}, not {show(bits, kind)}")
    return faults


def test_the_interpreter_follows_the_manual():
    assert [line for rows in GROUPS for line in differences(rows)] == []


ENTRY = (
    HEADER + ".visible .entry kernel(.param .u64 x)\n{{\n.reg .f32 %f;\n.reg .b32 %r;\n.reg .b64 %d;\n{}\nret;\n}}\n"
)

LACKS = [
    ("frobnicate.u32 %r, %r;",           "line 9: frobnicate.u32: no rule"),
    ("add.rn.odd.f32 %f, %f, %f;",       "line 9: add.rn.odd.f32: .odd"),
    ("ld.global.L9::x.u32 %r, [%d];",    "line 9: ld.global.L9::x.u32: .L9::x"),
    ("shl.u32 %r, %r, 1;",               ""),
    ("redux.sync.min.f32 %f, %f, -1;",   "line 9: redux.sync.min.f32: f32"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), LACKS)
def test_unsupported_features_are_named_with_their_line_before_anything_runs(line, message):
    missing = lacking(ENTRY.format(line))
    assert missing == ([message] if message else [])
    if message:
        with pytest.raises(Missing, match="line 9"):
            interpret(ENTRY.format(line), None, grid=(1, 1, 1), block=(1, 1, 1), args=[np.zeros(1)])


UNABLE = {
    "double_functions": "calls", "functions": "calls", "printing": "calls", "ragged_copy": "trap",
    "half_pairs": "packed comparisons", "wmma_u8": "wmma of unsigned bytes",
    "wmma_tf32": "wmma of tf32", "wmma_f64": "wmma of f64", "packed_bytes": "video instructions",
}  # fmt: skip
"""Kernels of the snippets that use features which the interpreter lacks."""
APART = {"tiles", "group_reductions", "partitions"}
"""Tiles of a warp that their masks have separated stay separate until the next branch. Only counters show it."""


def disagreement(text, case):
    """The differences between the two in bytes and counters; or the features that the interpreter lacks."""
    if missing := lacking(text, case.kernel):
        return "; ".join(missing)
    (by_interpreter, _), (by_emulator, _) = case.arguments(), case.arguments()
    shared = {"dynamic_shared_bytes": case.shared}
    execution = emulator.run(
        text, case.kernel, grid=case.grid, block=case.block, args=by_emulator, arch="sm_90", **shared
    )
    counters = Counters()
    grid, block = (
        (extent, 1, 1) if isinstance(extent, int) else (*extent, 1, 1)[:3] for extent in (case.grid, case.block)
    )
    interpret(text, case.kernel, grid=grid, block=block, args=by_interpreter, counters=counters, **shared)
    if any(
        np.asarray(a).tobytes() != np.asarray(b).tobytes() for a, b in zip(by_interpreter, by_emulator, strict=True)
    ):
        return "bytes differ"
    return "; ".join(() if case.kernel in APART else counters.differences(execution))


@pytest.mark.parametrize("stem", MODULES)
@pytest.mark.parametrize("flags", FLAGS)
def test_cuda_c_beyond_the_pairs_agrees_with_the_emulator(stem, flags):
    ptx = compiled(stem, "sm_90", flags)
    disagreements = {
        case.kernel: disagreement(alone(ptx, case.kernel), case) for case in CASES[stem] if case.runs_on("sm_90")
    }
    assert {kernel: what for kernel, what in disagreements.items() if what and kernel not in UNABLE} == {}
    assert [kernel for kernel, what in disagreements.items() if kernel in UNABLE and not what] == [], (
        "take them out of UNABLE"
    )
