"""The tables of SASS encodings print what nvdisasm prints, or nothing."""

import functools
import random

import pytest

from ptxbench import discovery, toolchain
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import encodings, lines, locate, sass
from ptxbench.toolchain.encodings import Encodings, Opcode
from ptxbench.toolchain.fields import FIELDS, OPCODE, SCHEDULING, YIELD
from tools.learn_encodings import Learner, Oracle, is_far, words_of

ARCHS = ("sm_75", "sm_80", "sm_89", "sm_90", "sm_100", "sm_120")
UNANSWERED = 0.05
"""The share of kernels without calls that may need a start of nvdisasm."""

FLIPPED = 6_000
"""Instructions with changed bits that are compared with nvdisasm."""

CONTROL = (0x947, 0x945, 0x941, 0x942, 0x94D, 0x547, 0x348, 0x948, 0x946)
"""BRA, BSSY, BSYNC, BREAK, EXIT, BRA.U and WARPSYNC."""


def version():
    return locate.version(lines.require("nvdisasm"))


@pytest.fixture(autouse=True)
def of_this_nvdisasm():
    """The tables serve one version of nvdisasm: any other is started for every kernel."""
    if encodings.encodings("sm_90").version != version():
        pytest.skip(f"the tables are not of nvdisasm {version()}: make them again with tools.learn_encodings")


@functools.cache
def shipped(arch):
    """The machine code of the shipped PTX that ptxas takes for an architecture; of a fifth of it, but for sm_90."""
    result = []
    for path in sorted((discovery.default_kernels() / "ptx").glob("*.ptx"))[:: 1 if arch == "sm_90" else 5]:
        cubin = toolchain.assembled_text(path.read_text(), arch)
        if cubin is not None:
            image = elf.read(cubin)
            result += [elf.code(image, entry) for entry in image.entries]
    return result


def test_the_tables_are_of_one_version_of_nvdisasm():
    assert {encodings.encodings(arch).version for arch in ARCHS} == {version()}


@pytest.mark.parametrize("arch", ARCHS)
def test_every_shipped_kernel_has_the_texts_of_nvdisasm_and_few_need_it(arch):
    near = [code for code in shipped(arch) if not any(map(is_far, words_of(code)))]
    texts_of_codes = [(code, encodings.texts(code, arch, version())) for code in near]
    answered = [(code, texts) for code, texts in texts_of_codes if texts is not None]
    assert len(near) - len(answered) <= max(1, UNANSWERED * len(near))
    printed = sass.texts(lines.require("nvdisasm"), arch, b"".join(code for code, _ in answered))
    start = 0
    for _, texts in answered:
        of_nvdisasm = printed[start : start + len(texts)]
        assert texts == [sass.relocated_text(text, -start * elf.INSTRUCTION_BYTES) for text in of_nvdisasm]
        start += len(texts)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_120"])
def test_an_instruction_with_changed_bits_has_the_text_of_nvdisasm_or_none(arch):
    """Half of them are control instructions, in which a wrong target or predicate would give a wrong count."""
    numbers = random.Random(arch)
    table = encodings.encodings(arch)
    words = sorted({word for code in shipped(arch) for word in words_of(code)})
    control = [word for word in words if word & OPCODE in CONTROL]
    changed = []
    for number in range(FLIPPED):
        word = numbers.choice(control if number % 2 else words)
        for bit in numbers.sample([*range(105), *range(122, 128)], numbers.choice((1, 1, 2, 8))):
            word ^= 1 << bit
        changed.append(word)
    answered = 0
    for number, (word, text) in enumerate(zip(changed, Oracle([arch]).texts(changed), strict=True)):
        opcode = table.opcodes.get(word & OPCODE)
        of_table = opcode.text(word, number * elf.INSTRUCTION_BYTES, 1 << 60) if opcode else None
        if of_table is not None and text is not None:
            assert of_table == text, f"{word:#034x}"
            answered += 1
    assert answered > FLIPPED / 10  # otherwise this test compares nothing


def first(codes, opcode):
    return next(word for code in codes for word in words_of(code) if word & OPCODE == opcode)


def as_code(word, nops=0):
    nop = 0x000FC000000000000000000000007918
    return word.to_bytes(16, "little") + nop.to_bytes(16, "little") * nops


BRA, EXIT = 0x947, 0x94D


def test_a_branch_out_of_the_code_has_no_text():
    distance = FIELDS["K16"]
    ahead = distance.put(first(shipped("sm_90"), BRA), 4)  # in words: over one instruction
    assert encodings.texts(as_code(ahead, nops=2), "sm_90", version()) is not None
    assert encodings.texts(as_code(ahead, nops=1), "sm_90", version()) is None
    back = distance.put(ahead, -8 & (1 << distance.width) - 1)
    assert encodings.texts(as_code(back, nops=2), "sm_90", version()) is None


def test_one_unknown_bit_makes_nvdisasm_read_the_whole_kernel():
    word = first(shipped("sm_90"), EXIT)
    assert encodings.texts(as_code(word), "sm_90", version()) is not None
    assert encodings.texts(as_code(word | 1 << 127), "sm_90", version()) is None


def test_reuse_is_printed_only_of_an_instruction_that_yields():
    with_reuse = sorted({word for code in shipped("sm_90") for word in words_of(code) if word >> 122 & 7})[::10]
    words = [changed for word in with_reuse for changed in (word | YIELD, word & ~YIELD)]
    table = encodings.encodings("sm_90")
    compared = set()
    for number, (word, text) in enumerate(zip(words, Oracle(["sm_90"]).texts(words), strict=True)):
        of_table = table.opcodes[word & OPCODE].text(word, number * elf.INSTRUCTION_BYTES, 1 << 60)
        if of_table is not None and text is not None:
            assert of_table == text
            compared.add((bool(word & YIELD), ".reuse" in of_table))
    assert compared == {(True, True), (False, False)}


@pytest.mark.parametrize(("arch", "tool_version"), [("sm_90", "12.9.86"), ("sm_72", None), ("sm_200", None)])
def test_another_nvdisasm_or_architecture_has_no_table(arch, tool_version):
    code = as_code(first(shipped("sm_90"), EXIT))
    assert encodings.texts(code, "sm_90", version()) is not None
    assert encodings.texts(code, arch, tool_version or version()) is None


def test_a_table_is_read_as_it_was_written():
    table = encodings.encodings("sm_90")
    text = (encodings.FOLDER / "sm_90.txt").read_text()
    heading = "\n".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert encodings.written(table, heading) == text


def test_the_scheduling_does_not_change_a_text():
    word = first(shipped("sm_90"), EXIT)
    texts = {tuple(encodings.texts(as_code(word & ~SCHEDULING | bits), "sm_90", version())) for bits in (0, SCHEDULING)}
    assert len(texts) == 1


R2P = 0x804


def test_a_field_with_a_value_that_nvdisasm_prints_in_another_way_is_not_learnt(capsys):
    """R2P does not print the mask 0xff, which few random values hit."""
    words = {word for code in shipped("sm_90") for word in words_of(code) if word & OPCODE == R2P}
    text = "R2P PR, {R24}, {X32}"
    wrong = Opcode("P", (FIELDS["R24"], FIELDS["X32"]), {FIELDS["X32"].put(0x7000 | R2P, 3): text})
    right = encodings.encodings("sm_90").opcodes[R2P]
    learner = Learner(["sm_90"], words)
    assert learner.swept(Encodings(version(), {R2P: right})).opcodes[R2P] == right
    assert learner.swept(Encodings(version(), {R2P: wrong})).opcodes[R2P].texts == {}
    assert "0x804 X32: R2P PR, R" in capsys.readouterr().out
