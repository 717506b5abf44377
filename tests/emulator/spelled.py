"""Instructions of the table as text, with operands that ptxas accepts, and ptxas's messages for many at once."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptxbench.emulator.isa import find
from ptxbench.emulator.isa.operands import mismatch
from ptxbench.emulator.isa.table import Entry, OperandForm
from ptxbench.emulator.parse import parse
from ptxbench.emulator.types import Type
from ptxbench.toolchain import locate
from tests.emulator.fragments import case
from tests.emulator.narrow_products import Product

REGISTERS = ("b8", "b16", "b32", "b64", "b128", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f16", "f16x2",
             "f32", "f64", "pred")  # fmt: skip
"""The types of registers; a module declares %TYPE_0 to %TYPE_159 of each."""
DECLARED = "\n".join(f".reg .{kind} %{kind}_<160>;" for kind in REGISTERS)
HEADER = ".version 9.3\n.target {arch}\n.address_size 64\n"
START = f""".visible .entry spelled(.param .align 32 .b8 parameter[32])
{{
{DECLARED}
.shared .align 16 .b8 tile[64];
TARGETS: .branchtargets END;
"""
END = "END: ret;\n}\n"
NUMBERS = {
    "immLut": "0x96", "size": "128", "event": "7", "events": "3", "registers": "64", "bytes": "16", "groups": "1",
    "align": "8", "selector": "0", "scale_a": "1", "scale_b": "-1", "transposed_a": "0", "transposed_b": "1",
    "ord": "2", "choice": "1", "zero": "0",
}  # fmt: skip
"""The operands that must be numbers, by name."""


def operands(entry: Entry) -> list[str]:
    """Operands for an entry, each a text; registers are of the types that the entry names."""
    used: Counter[str] = Counter()
    vectors = iter(vector_registers(entry) if entry.counted == "matrix" else ())

    def register(kind: str) -> str:
        kind = {"bf16": "b16", "bf16x2": "b32"}.get(kind, kind)
        used[kind] += 1
        return f"%{kind}_{used[kind] - 1}"

    def text(form: OperandForm) -> str:
        kind = holder(form.type)
        if form.kind == "label":
            return "TARGETS" if entry.flow == "switch" else "END"
        if form.kind == "address":
            return "[parameter]" if ".param" in entry.opcode else f"[{register('b64')}]"
        if form.vector:
            kind, count = next(vectors, None) or parts(entry.opcode, kind)
            return "{" + ", ".join(register(kind) for _ in range(count)) + "}"
        if entry.opcode.startswith("mbarrier.") and form.kind == "target" and "shared::cluster" in entry.opcode:
            return "_"  # there is no state of another CTA's barrier
        if form.name in NUMBERS:
            return NUMBERS[form.name]
        return f"{register(kind)}|{register('pred')}" if form.predicate else register(kind)

    return [text(form) for form in entry.operands]


def instruction(opcode: str, texts: Sequence[str]) -> str:
    """The line with these operands; a tensor copy's coordinates stand with its map, as `[map, {coordinates}]`."""
    return f"{opcode} {together(opcode, texts)};".replace(" ;", ";")


def together(opcode: str, texts: Sequence[str]) -> str:
    """The operands of `instruction`."""
    joined = ", ".join(texts)
    return re.sub(r"\[([^],]+)\], (\{[^}]*\})", r"[\1, \2]", joined) if "tensor" in opcode.split(".") else joined


def holder(type: Type | None) -> str:
    """The type of a register for an operand of `type`."""
    if type is None:
        return "b32"
    return type.name if type.name in (*REGISTERS, "bf16", "bf16x2") else f"b{type.bits}"


def parts(opcode: str, kind: str) -> tuple[str, int]:
    """Type and number of a vector's registers: four for `.v4`; two halves for a mov that packs."""
    if match := re.search(r"\.v([248])\b", opcode):
        return kind, int(match[1])
    if match := re.search(r"\.tensor\.(?:.*\.)?([1-5])d\b", opcode):
        return kind, int(match[1])
    return f"b{int(kind[1:]) // 2}", 2


def vector_registers(entry: Entry) -> list[tuple[str, int]]:
    """Type and number of the registers of a matrix instruction's vectors, in order, by the manual's tables."""
    words = entry.opcode.split(".")
    if words[0] in ("ldmatrix", "stmatrix"):
        count = int(next(word for word in words if word in ("x1", "x2", "x4"))[1:])
        return [("b32", 2 * count if "m16n16" in words else count)]
    if words[0] == "mma" and narrow(entry.opcode):
        product = Product(entry.opcode)
        of_d = "f32" if product.kinds[0] == "f32" else "b32"
        kinds = (of_d, "b32", "b32", of_d)
        return [*zip(kinds, product.registers, strict=True), ("u16", 2), ("u16", 2)]
    if words[0] == "mma":
        mma = case(entry.opcode)
        fragments = zip(mma.kinds, (mma.d, mma.a, mma.b, mma.c), strict=True)
        return [
            (element(kind, at in (0, 3)), operand_fragment.registers)
            for at, (kind, operand_fragment) in enumerate(fragments)
        ]
    if words[0] == "wgmma" and words[1] == "mma_async":
        columns = int(re.search(r"n(\d+)k", entry.opcode)[1])
        kind = next(word for word in words[5:] if word in ("f32", "f16", "s32"))
        return [(kind if kind == "f32" else "b32", columns // (4 if kind == "f16" else 2)), ("b32", 4)]
    if words[0] != "wmma":
        return []
    m, n, k = map(int, re.search(r"m(\d+)n(\d+)k(\d+)", entry.opcode).groups())
    if words[1] in ("load", "store"):
        return [tile(words[2], words[-1], m, n, k)]
    kinds = [word for word in words if word in TILE_BITS]
    if len(kinds) == 2:  # f16: only d and c are said
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    return [tile(use, kind, m, n, k) for use, kind in zip("dabc", kinds, strict=True)]


TILE_BITS = {"f64": 64, "f32": 32, "tf32": 32, "s32": 32, "f16": 16, "bf16": 16, "s8": 8, "u8": 8, "s4": 4, "u4": 4,
             "b1": 1}  # fmt: skip


def element(kind: str, result: bool) -> str:
    return kind if kind == "f64" or (result and kind == "f32") else "b32"


def narrow(opcode: str) -> bool:
    """Whether an mma has sparse A, a .kind or scales."""
    return opcode.startswith("mma.") and (".sp" in opcode or "kind::" in opcode)


def of_narrow_floats(opcode: str) -> bool:
    """Whether only sm_120a and its family have an mma."""
    return opcode.startswith("mma.") and bool(re.search(r"kind::|\.sp.*\.f16\.e\dm\d", opcode))


def tile(use: str, kind: str, m: int, n: int, k: int) -> tuple[str, int]:
    if use in "ab" and kind == "f16":
        return "b32", 8
    size = {"a": m * k, "b": k * n}.get(use, m * n) * TILE_BITS[kind] // 32
    return element(kind, use in "dc"), max(1, size // max(32, TILE_BITS[kind]))


def module(lines: Sequence[str], arch: str) -> str:
    """A kernel of these lines."""
    return HEADER.format(arch=arch) + START + "".join(f"{line}\n" for line in lines) + END


def refusals(lines: Sequence[str], arch: str) -> list[str]:
    """The error message of ptxas for each line in a kernel of these lines, "" if it accepts the line.

    After a syntax error or a fatal error ptxas reads no further, and on some wrong lines it crashes: it is then run
    again on the lines that follow.
    """
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    first = module([], arch).count("\n") - END.count("\n") + 1
    messages = [""] * len(lines)
    start = 0
    while start < len(lines):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "spelled.ptx").write_text(module(lines[start:], arch))
            options = [f"-arch={arch}", "-O0", "spelled.ptx", "-o", "spelled.cubin"]
            ran = subprocess.run([tool, *options], cwd=folder, capture_output=True, text=True, check=False)
        reported = re.findall(r"line (\d+);? *(error|fatal)\s*: (.*)", ran.stdout + ran.stderr)
        end = len(lines)
        if ran.returncode < 0:
            end = start + int(reported[-1][0]) - first + 1 if reported else start + 1
            messages[end - 1] = messages[end - 1] or "crash"
        assert reported or ran.returncode <= 0, ran.stderr
        for line, kind, message in reported:
            at = start + int(line) - first
            messages[at] = message
            if kind == "fatal" or "Parsing error" in message:
                end = at + 1
        start = end
    return messages


AT_ONCE = 20_000
"""Lines that one function of the emulator holds."""


def complaints(lines: Sequence[str], arch: str) -> Iterator[str]:
    """The error message of the emulator for each line, "" if it accepts the line."""
    for start in range(0, len(lines), AT_ONCE):
        chunk = lines[start : start + AT_ONCE]
        function = parse(module(chunk, arch)).functions["spelled"]
        for line in function.instructions[: len(chunk)]:
            entry = find(line)
            yield "unknown" if entry is None else mismatch(entry, line, function.registers) or ""
