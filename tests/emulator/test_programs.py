"""Random programs: the emulator and the NumPy interpreter agree in every byte and every counter."""

import re
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from ptxbench import emulator
from ptxbench.toolchain import locate, ptxas
from tests.emulator.opcodes import OPS
from tests.emulator.oracle import Counters, interpret
from tests.emulator.oracle import step as rules
from tests.emulator.programs import HEADER, ROW, SLOTS, inputs, one_of_each, programs, render

pytestmark = pytest.mark.long

DRAWN = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)
"""The same programs on every run."""


def differences(text, options, arguments, interpreted=None):
    """The differences between the emulator and the interpreter; the interpreter may get another text."""
    by_interpreter, by_emulator = ([argument.copy() for argument in arguments.values()] for _ in range(2))
    execution = emulator.run(text, args=by_emulator, **options)
    counters = Counters()
    interpret(interpreted or text, None, args=by_interpreter, counters=counters, **options)
    faults = []
    for name, expected, actual in zip(arguments, by_interpreter, by_emulator, strict=True):
        for row, column in np.argwhere(expected != actual)[:4].tolist():
            faults.append(f"{name}: byte {column} of row {row} is {actual[row, column]}, not {expected[row, column]}")
    return faults + counters.differences(execution)


def launched(program):
    """(text, options, arguments) of a program."""
    threads = program.block * program.grid
    arguments = {
        "inputs": inputs(threads, program.seed),
        "results": np.zeros((threads, ROW), np.uint8),
        "own": np.zeros((threads, SLOTS), np.uint8),
        "words": np.zeros((10, 64), np.uint8),
    }
    return HEADER + render(program), {"grid": (program.grid, 1, 1), "block": (program.block, 1, 1)}, arguments


FAMILIES = [("integer", "bits"), ("compare", "integer"), ("float",), ("convert",), tuple(OPS)]


@pytest.mark.parametrize("families", FAMILIES, ids="+".join)
def test_random_programs_give_the_same_bytes_and_counters(families):
    @settings(DRAWN, max_examples=50)
    @given(programs(families))
    def agree(program):
        text, options, arguments = launched(program)
        assert not differences(text, options, arguments), text

    agree()


BATCH = 60


@pytest.mark.parametrize(
    "ops", [OPS[family][first : first + BATCH] for family in OPS for first in range(0, len(OPS[family]), BATCH)],
    ids=lambda ops: f"{ops[0].opcode}..",
)  # fmt: skip
def test_every_instruction_of_the_programs_gives_the_same_bytes(ops):
    threads = 256
    arguments = {"inputs": inputs(threads, 1), "results": np.zeros((threads, 16 * len(ops)), np.uint8)}
    text = HEADER + one_of_each(ops)
    by_interpreter, by_emulator = ([argument.copy() for argument in arguments.values()] for _ in range(2))
    emulator.run(text, grid=1, block=threads, args=by_emulator)
    interpret(text, None, grid=(1, 1, 1), block=(threads, 1, 1), args=by_interpreter)
    wrong = (by_interpreter[1] != by_emulator[1]).reshape(threads, len(ops), 16)
    faults = {}
    for row, place in np.argwhere(wrong.any(axis=2)).tolist():
        actual, expected = (
            outputs[1][row, 16 * place : 16 * place + 16].tobytes().hex() for outputs in (by_emulator, by_interpreter)
        )
        source = arguments["inputs"][row].tobytes().hex()
        faults.setdefault(ops[place].opcode, f"row {row}: {actual}, not {expected}, of {source}")
    assert not faults, "\n".join(f"{opcode}: {text}" for opcode, text in faults.items())


def assemble(entries):
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    ptxas.assemble(tool, HEADER + "\n".join(entries), "sm_90")


def test_ptxas_accepts_every_instruction_of_the_programs():
    assemble(one_of_each(ops, f"each_{family}") for family, ops in OPS.items())


def test_ptxas_accepts_random_programs():
    texts = []

    @settings(DRAWN, max_examples=60, phases=[Phase.generate])
    @given(programs())
    def collect(program):
        texts.append(render(program, f"program_{len(texts)}"))

    collect()
    assemble(texts)


MUTANTS = [
    # Families; the pattern in the interpreter's text, and its replacement.
    (("bits",),    r"\bshl\.b(..)",                   r"shr.u\1"),
    (("integer",), r"\baddc\.u",                      "add.u"),
    (("integer",), r"\bmul\.hi\.u",                   "mul.hi.s"),
    (("compare",), r"\bsetp\.lt\b",                   "setp.le"),
    (("float",),   r"\.r[zmp]\.",                     ".rn."),
    (("float",),   r"\b(fma|add|mul)\.(..)\.ftz",      r"\1.\2"),
    (("convert",), r"\bcvt\.rni",                     "cvt.rzi"),
    (("convert",), r"\bcvt\.sat\.(...?)\.([us])",      r"cvt.\1.\2"),
    (("bits",),    r"\bld\.(\w+)\.s8",                r"ld.\1.u8"),
    (("bits",),    r"shfl\.sync\.down",               "shfl.sync.up"),
    (("bits",),    r"\bred\.global\.max\.u",          "red.global.max.s"),
    (("bits",),    r"bar\.red\.popc(.*), %p",         r"bar.red.popc\1, !%p"),
    (("bits",),    r"(JOIN|ELSE|END)_0:",             r"\1_0: mov.b32 %index, 0;"),  # only counters show it
    (("bits",),    r"@%p(\d) (\w+\.b32)",             r"@!%p\1 \2"),
]  # fmt: skip


@pytest.mark.parametrize(("families", "pattern", "instead"), MUTANTS, ids=[pattern for _, pattern, _ in MUTANTS])
def test_an_instruction_that_is_different_on_one_side_is_found(families, pattern, instead):
    @settings(DRAWN, max_examples=300, phases=[Phase.generate])
    @given(programs(families))
    def agree(program):
        text, options, arguments = launched(program)
        changed = text.replace(body(text), re.sub(pattern, instead, body(text)))
        if changed != text:
            assert not differences(text, options, arguments, interpreted=changed)

    with pytest.raises(AssertionError):
        agree()


def body(text):
    """The lines of a program that were drawn."""
    return text[text.index("setp.eq.u32 %p2, %thread, 5;") : text.index("selp.b32 %index, 1, 0, %p0;")]


def test_an_interpreter_whose_shifts_do_not_stop_at_the_width_is_found(monkeypatch):
    def wrapped(step):
        kind = step.type(among=("b32",))
        return rules.elementwise(step, [kind, "u32"], lambda a, b: a << (b & np.uint32(31)))

    monkeypatch.setitem(rules.RULES, "shl", [("int", wrapped)])
    assert disagrees([op for op in OPS["bits"] if op.opcode == "shl.b32"])


def disagrees(ops):
    threads = 64
    by_interpreter, by_emulator = ([inputs(threads, 1), np.zeros((threads, 16 * len(ops)), np.uint8)] for _ in range(2))
    text = HEADER + one_of_each(ops)
    emulator.run(text, grid=1, block=threads, args=by_emulator)
    interpret(text, None, grid=(1, 1, 1), block=(threads, 1, 1), args=by_interpreter)
    return (by_interpreter[1] != by_emulator[1]).any()


@pytest.mark.parametrize("what", ["sectors", "wavefronts", "branch", "atomic", "execution"])
def test_an_interpreter_that_does_not_count_is_found(what, monkeypatch):
    monkeypatch.setattr(Counters, what, lambda *_: None)

    @settings(DRAWN, max_examples=100, phases=[Phase.generate])
    @given(programs())
    def agree(program):
        text, options, arguments = launched(program)
        assert not differences(text, options, arguments)

    with pytest.raises(AssertionError):
        agree()


def interpreted(text, options, arguments):
    copies = [argument.copy() for argument in arguments.values()]
    interpret(text, None, args=copies, **options)
    return [array.tobytes() for array in copies]


def test_a_failure_shrinks_to_one_line_that_matters():
    """The lines before it are as simple as possible; Hypothesis would need too long to remove all of them."""

    def differs(program):
        text, options, arguments = launched(program)
        changed = text.replace(body(text), body(text).replace("    xor.b32", "    or.b32"))
        return changed != text and interpreted(text, options, arguments) != interpreted(changed, options, arguments)

    least = find(programs(("bits",)), differs, settings=settings(DRAWN, max_examples=500), random=Random(1))
    *before, last = least.statements
    assert last.text.startswith("xor.b32")
    assert {line.text for line in before} <= {"and.b16 %h0, %h0, %h0;"}
    assert (least.block, least.grid, least.seed) == (64, 1, 0)
