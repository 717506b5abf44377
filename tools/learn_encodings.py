"""Makes the tables of ptxbench/toolchain/encodings from the machine code in a build cache, by means of nvdisasm.

    make test LONG=1 && python -m tools.learn_encodings .venv/builds

Every instruction of every kernel in the cache is changed in each field that its opcode may have. The table gets a field
if nvdisasm prints its value and nothing else changes. Each row is then compared with nvdisasm, for every
architecture of its family, on instructions with random values in all fields; one difference removes the row. Run it
with a new nvdisasm, or if the last lines say that many kernels have an instruction that the table lacks.
"""

from __future__ import annotations

import argparse
import base64
import collections
import json
import random
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ptxbench import architecture
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import encodings, lines, locate
from ptxbench.toolchain.encodings import FAMILIES, FOLDER, PRINTED, Encodings, Opcode
from ptxbench.toolchain.fields import (
    DISTANCES,
    FIELDS,
    GUARD,
    GUARD_LOW,
    OPCODE,
    REUSE,
    SCHEDULING,
    UNGUARDED,
    YIELD,
    Field,
    has_one_bit,
)
from ptxbench.toolchain.sass import ROW

SAMPLES = 64
"""The most instructions of an opcode that are changed to find its fields."""

COMPARED = 64
"""Random instructions of each row that are compared with nvdisasm."""

SWEPT = 2
"""The most rows of each opcode for which the values of a field are compared."""

ENOUGH = 8
"""The fewest random instructions of a row that nvdisasm must accept."""

NOP = 0x000FC000000000000000000000007918
REFUSED = re.compile(r"at address 0x([0-9a-f]+)")
RANDOM = random.Random(1)

SPECIAL = {"R": 255, "U": 63, "V": 255, "P": 7, "I": 7, "O": 0, "N": 0, "C": 0}
"""By kind of field, a value that is not plain, for rows that the cache does not have."""

TOKENS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys("XSYZ", (0x5A5B5, 0xF7F6E5D4)), "F": (0x449A5000, 0xC5123400), "D": (0x40934A45, 0xC0F12344),
    "H": (0x3E003F00, 0xC1004200), "B": (0x3E503FA0, 0xC1104230), "O": (0x123450, 0xFEDCB0), "C": (0x123, 0x2B4),
    "N": (0x12340, 0x567A0), "G": (3, 4), "W": (11, 12), "A": (2, 1), "T": (0x123454, -16),
    "J": (0x123454, -16), "K": (0x123454, -16),
}  # fmt: skip
"""Two values of each kind of field whose texts occur nowhere else in an instruction."""

SMALL = {4: (0xB, 0x9), 5: (0x13, 0x1B), 8: (0x9D, 0xB7)}
"""Two values of small numbers, by the width of the field."""

PREDICATES = (68, 77, 81, 84, 87)
REGISTERS = (16, 24, 32, 64)
"""The lowest bits of fields of predicates, and of registers."""

MARKS_AFTER_RZ = re.compile(r"(?<!\})(?<!\}\|)(\{[abc]\})+")
"""Marks of reuse after RZ: ptxas does not reuse it, and the bits then change some opcodes."""


def tokens(field: Field) -> tuple[int, int]:
    """Two values of a field that no other field of an instruction has."""
    if field.letter in "LM":
        return SMALL[field.width]
    if field.letter in "PI":
        number = PREDICATES.index(field.low)
        return number + 1, (number + 2) % 7 + 8 * (field.letter == "I")
    if field.letter in "RUV":
        start = 4 * REGISTERS.index(field.low)
        return (start + 120, start + 136) if field.letter == "R" else (start + 16, start + 32)
    first, second = TOKENS[field.letter]
    return first, second & (1 << field.width) - 1


def pattern(field: Field, text: str) -> str:
    """A pattern for the text of a field in that of an instruction."""
    if field.letter == "P":  # of both kinds
        return rf"(?<![\w.])(U?){text}(?!\w)"
    if field.letter == "I":
        return rf"(?<![\w.!])(){text}(?!\w)"
    if field.letter in "GWA":
        return rf"(?<=\.)(){text}(?=[. ])"
    return rf"(?<![\w.])(){re.escape(text)}" + (r"(?!\w)" if field.letter in "RUV" else r"(?!\w|\.\d)")


DIFFERENT = "?"
"""The text of an instruction that nvdisasm prints differently for some architectures."""


class Oracle:
    """nvdisasm for some architectures."""

    def __init__(self, archs: Sequence[str]) -> None:
        self.archs = archs
        self.tool = lines.require("nvdisasm")

    def texts(self, words: Sequence[int]) -> list[str | None]:
        """The text of each instruction, with addresses as in a row of all; None if nvdisasm refuses it for every
        architecture, DIFFERENT if it prints different texts."""
        result = []
        for printed in zip(*(self.printed(arch, words) for arch in self.archs), strict=True):
            texts_of_word = {text for text in printed if text is not None}
            result.append(DIFFERENT if len(texts_of_word) > 1 else next(iter(texts_of_word), None))
        return result

    def printed(self, arch: str, words: Sequence[int]) -> list[str | None]:
        """The text of each instruction for one architecture."""
        refused: set[int] = set()
        while True:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "code")
                path.write_bytes(
                    b"".join((NOP if i in refused else w).to_bytes(16, "little") for i, w in enumerate(words))
                )
                ran = subprocess.run(
                    [self.tool, "-b", f"SM{arch.removeprefix('sm_')}", path], capture_output=True, text=True
                )
            if ran.returncode == 0:
                break
            found = {int(address, 16) // 16 for address in REFUSED.findall(ran.stderr)} - refused
            assert found, ran.stderr[:1000]
            refused |= found
        rows = {int(m[0].split("*")[1], 16) // 16: " ".join(m["text"].split()) for m in ROW.finditer(ran.stdout)}
        return [None if number in refused else rows.get(number) for number in range(len(words))]


class Learner:
    """Learns the table of a family from the instructions of its architectures."""

    def __init__(self, archs: Sequence[str], words: Iterable[int]) -> None:
        self.oracle = Oracle(archs)
        new, current = architecture.number(archs[0]) >= 100, architecture.number(archs[0]) >= 90
        absent = ("U" if new else "V") + ("J" if current else "K") + "YZ"
        self.usable = [field for field in FIELDS.values() if field.letter not in absent and field.letter != "M"]
        self.by_opcode: dict[int, dict[int, int]] = collections.defaultdict(dict)
        for word in words:
            self.by_opcode[word & OPCODE].setdefault(word & ~SCHEDULING, word)

    def fields(self) -> dict[int, list[Field]]:
        """The fields of each opcode: nvdisasm prints their values, and nothing else changes."""
        batch, asked = [], []
        for opcode, words in self.by_opcode.items():
            for word in RANDOM.sample(sorted(words.values()), min(SAMPLES, len(words))):
                word &= ~sum(REUSE.values())
                for field in self.usable:
                    batch += [field.put(word, value) for value in tokens(field)]
                    asked.append((opcode, field))
        printed = self.oracle.texts(batch)
        votes: dict[int, collections.Counter[Field]] = collections.defaultdict(collections.Counter)
        against: dict[int, collections.Counter[Field]] = collections.defaultdict(collections.Counter)
        for number, (opcode, field) in enumerate(asked):
            pair = printed[2 * number : 2 * number + 2]
            if pair[0] == pair[1]:
                continue
            forms = {
                re.sub(pattern(field, field.show(value, 16 * index)), r"\1\0", text or str(index))
                for index, value, text in zip((2 * number, 2 * number + 1), tokens(field), pair, strict=True)
            }
            (votes if len(forms) == 1 else against)[opcode][field] += 1
        result: dict[int, list[Field]] = {}
        for opcode in self.by_opcode:
            chosen: list[Field] = []
            for field, count in votes[opcode].most_common():
                if count >= against[opcode][field] and not any(field.mask & other.mask for other in chosen):
                    chosen.append(field)
            result[opcode] = [FIELDS["M32"] if opcode in MASKS and field.low == 32 else field for field in chosen]
        return result

    def rows(self, fields: Mapping[int, Sequence[Field]]) -> dict[int, str]:
        """The text of each form of the opcodes, with names of fields and marks of reuse."""
        forms: dict[int, list[int]] = collections.defaultdict(list)
        for opcode, words in self.by_opcode.items():
            for word in words.values():
                forms[normal(word, fields[opcode])].append(word & SCHEDULING)
        for form, schedulings in list(forms.items()):
            for field in fields[form & OPCODE]:
                if field.letter in SPECIAL:
                    value = SPECIAL[field.letter] if field.plain(field.value(form)) else field.canonical
                    forms.setdefault(field.put(form, value), schedulings)
        self.schedulings = forms
        result: dict[int, str] = {}
        for which in (0, 1):
            missing = [form for form in sorted(forms) if form not in result]
            batch = []
            for form in missing:
                word = form | forms[form][0]
                for field in plain_fields(form, fields[form & OPCODE]):
                    word = field.put(word, tokens(field)[which])
                with_scheduling = word & ~SCHEDULING | yielding(forms[form])
                batch += [word, *(with_scheduling | bit for bit in REUSE.values())]
            printed = self.oracle.texts(batch)
            step = 1 + len(REUSE)
            found = {}
            for number, form in enumerate(missing):
                if text := printed[step * number]:
                    text = marked(text, printed[step * number + 1 : step * (number + 1)])
                    for field in plain_fields(form, fields[form & OPCODE]):
                        value = field.show(tokens(field)[which], 16 * step * number)
                        text = re.sub(pattern(field, value), rf"\1{{{field.name}}}", text)
                    found[form] = MARKS_AFTER_RZ.sub("", text)
            result |= self.right(found, fields)
        return result

    def guards(self) -> dict[int, str]:
        """The kind of the predicate before the instructions of each opcode."""
        words = [next(iter(words.values())) & ~GUARD | 3 << GUARD_LOW for words in self.by_opcode.values()]
        printed = self.oracle.texts(words)
        return {
            opcode: "UP" if text and text.startswith("@UP3 ") else "P"
            for opcode, text in zip(self.by_opcode, printed, strict=True)
        }

    def right(self, rows: Mapping[int, str], fields: Mapping[int, Sequence[Field]]) -> dict[int, str]:
        """The rows that print what nvdisasm prints, for random values of all fields."""
        guards = self.guards()
        by_opcode: dict[int, dict[int, str]] = collections.defaultdict(dict)
        for form, row in rows.items():
            by_opcode[form & OPCODE][form] = row
        table = {opcode: Opcode(guards[opcode], tuple(chosen), by_opcode[opcode]) for opcode, chosen in fields.items()}
        batch = [self.sample(form, fields[form & OPCODE], row) for form, row in rows.items() for _ in range(COMPARED)]
        printed = self.oracle.texts(batch)
        forms = [*rows]
        agreed: collections.Counter[int] = collections.Counter()
        self.wrong: dict[int, list[tuple[int, str | None, str]]] = collections.defaultdict(list)
        for number, (word, text) in enumerate(zip(batch, printed, strict=True)):
            if text is not None:
                form = forms[number // COMPARED]
                text_of_table = table[word & OPCODE].text(word, 16 * number, 1 << 60)
                if text_of_table == text:
                    agreed[form] += 1
                elif text_of_table is not None or "-0x" not in text:  # -0x: a target before the code
                    self.wrong[form].append((word, text_of_table, text))
        return {form: row for form, row in rows.items() if form not in self.wrong and agreed[form] >= ENOUGH}

    def swept(self, table: Encodings) -> Encodings:
        """The table without the rows of a field of which nvdisasm prints some value in another way.

        All values of a small field are compared, and those of a large one that are likely to be special.
        """
        schedulings = {
            normal(word, table.opcodes[opcode].fields): word & SCHEDULING
            for opcode, words in self.by_opcode.items() if opcode in table.opcodes for word in words.values()
        }  # fmt: skip
        batch: list[int] = []
        asked: list[tuple[int, Field]] = []
        for number, opcode in table.opcodes.items():
            forms = [form for form in opcode.texts if form in schedulings]
            for field in opcode.fields:
                with_field = [form for form in forms if field.plain(field.value(form))]
                for form in RANDOM.sample(with_field, min(SWEPT, len(with_field))):
                    values = [value for value in edges(field) if field.plain(value)]
                    batch += [field.put(form | schedulings[form], value) for value in values]
                    asked += [(number, field)] * len(values)
        wrong: dict[int, set[Field]] = collections.defaultdict(set)
        for index, (word, text, (number, field)) in enumerate(zip(batch, self.oracle.texts(batch), asked, strict=True)):
            text_of_table = table.opcodes[number].text(word, 16 * index, 1 << 60)
            if None not in (text_of_table, text) and text_of_table != text and field not in wrong[number]:
                wrong[number].add(field)
                print(f"  {number:#x} {field.name}: {text}, not {text_of_table}", flush=True)
        opcodes = {
            number: Opcode(opcode.guard, opcode.fields, {
                form: text for form, text in opcode.texts.items()
                if not any(field.plain(field.value(form)) for field in wrong[number])
            })
            for number, opcode in table.opcodes.items()
        }  # fmt: skip
        return Encodings(table.version, opcodes)

    def sample(self, form: int, fields: Sequence[Field], row: str) -> int:
        """An instruction of this form with random values."""
        word = form | RANDOM.choice(self.schedulings[form])
        for field in plain_fields(form, fields):
            word = field.put(word, random_value(field))
        for mark, bit in REUSE.items():
            if f"{{{mark}}}" in row and RANDOM.random() < 0.3:
                word |= bit
        return word & ~GUARD | RANDOM.randrange(16) << GUARD_LOW


def normal(word: int, fields: Sequence[Field]) -> int:
    """The form of an instruction: the key of its row."""
    form = word & ~PRINTED | UNGUARDED
    for field in fields:
        if field.plain(field.value(word)):
            form = field.put(form, field.canonical)
    return form


def plain_fields(form: int, fields: Sequence[Field]) -> list[Field]:
    return [field for field in fields if field.plain(field.value(form))]


def yielding(schedulings: Iterable[int]) -> int:
    """One of these schedulings that yields; without one, a usual scheduling."""
    return next((scheduling for scheduling in schedulings if scheduling & YIELD), (0b111_111_1 << 4 | 2) << 105)


def marked(text: str, texts_with_reuse: Sequence[str | None]) -> str:
    """The text with a mark of REUSE wherever nvdisasm prints `.reuse` for its bit."""
    marks_at = {}
    for mark, with_reuse in zip(REUSE, texts_with_reuse, strict=True):
        if with_reuse and with_reuse.count(".reuse") == 1 and with_reuse.replace(".reuse", "") == text:
            marks_at[with_reuse.index(".reuse")] = marks_at.get(with_reuse.index(".reuse"), "") + f"{{{mark}}}"
    for position in sorted(marks_at, reverse=True):
        text = text[:position] + marks_at[position] + text[position:]
    return text


def random_value(field: Field) -> int:
    """A plain value, often one that may be special."""
    width = field.width
    usual = {
        "R": lambda: 4 * RANDOM.randrange(63), "O": lambda: 16 * RANDOM.randrange(-256, 256),
        "C": lambda: RANDOM.randrange(0x100), "F": lambda: single(10 ** RANDOM.uniform(-40, 38)),
        "D": lambda: RANDOM.getrandbits(32), **dict.fromkeys("TJK", lambda: 4 * RANDOM.randrange(-1000, 1000)),
    }.get(field.letter, lambda: RANDOM.randrange(64))  # fmt: skip
    power = 1 << RANDOM.randrange(width)
    anything = RANDOM.getrandbits(width)
    if field.letter in DISTANCES:
        anything = 4 * RANDOM.randrange(-(1 << 24), 1 << 24)
    edge = RANDOM.choice((0, 1, 2, 3, -1, -2, 1 << width - 1, (1 << width - 1) - 1, power, power - 1, -power))
    value = RANDOM.choice((anything, usual(), edge)) & (1 << width) - 1
    return value if field.plain(value) else random_value(field)


def single(number: float) -> int:
    return int.from_bytes(struct.pack("<f", RANDOM.choice([number, -number, float(round(number)) % 1e6])), "little")


def edges(field: Field) -> list[int]:
    """All values of a small field; of a large one those that are likely to be special."""
    if field.width <= 8:
        return [*range(1 << field.width)]
    powers = [1 << bit for bit in range(field.width)]
    near = range(-70, 300)
    values = {*near, *powers, *(power - 1 for power in powers), *(power + 1 for power in powers), *(-p for p in powers)}
    values |= {0x7F800000, 0xFF800000, 0x7FF00000, 0xFFF00000}  # infinite, as float and as double
    if field.letter in DISTANCES:
        values = {4 * value for value in near}
    return sorted({value & (1 << field.width) - 1 for value in values})


def learn(family: str, codes: Mapping[str, set[bytes]], version: str) -> Encodings:
    """The table of a family, right for each of its architectures."""
    archs_of_family = [arch for arch in codes if FAMILIES.get(arch.rstrip("af")) == family]
    all_words = sorted({word for arch in archs_of_family for code in codes[arch] for word in words_of(code)})
    learner = Learner(
        [arch for arch, name in FAMILIES.items() if name == family], [word for word in all_words if not is_far(word)]
    )
    fields = learner.fields()
    rows = learner.rows(fields)
    for opcode, chosen in fields.items():
        wrong = [word for form, cases in learner.wrong.items() if form & OPCODE == opcode for word, _, _ in cases]
        for number, field in enumerate(chosen):
            if field.letter in "XS" and wrong and all(has_one_bit(field.value(word)) for word in wrong):
                chosen[number] = FIELDS[{"X": "Y32", "S": "Z32"}[field.letter]]
    rows = learner.rows(fields)
    guards = learner.guards()
    opcodes = {
        opcode: Opcode(guards[opcode], tuple(chosen), texts)
        for opcode, chosen in fields.items()
        if (texts := {form: row for form, row in rows.items() if form & OPCODE == opcode})
    }
    return learner.swept(Encodings(version, opcodes))


MASKS = frozenset((0x803, 0x804))
"""P2R and R2P, whose number has 8 bits."""

FAR = frozenset((0x343, 0x344, 0x349, 0x34A, 0x352, 0x353, 0x943, 0x944, 0x949, 0x94A, 0x94C, 0x94E, 0x950, 0x95C))
"""Calls, returns and jumps to other functions or by tables, which nvdisasm prints fully only for a whole cubin."""


def is_far(word: int) -> bool:
    return word & OPCODE in FAR


def words_of(code: bytes) -> Iterator[int]:
    for low, high in struct.iter_unpack("<QQ", code):
        yield high << 64 | low


def cached_code(folder: Path) -> dict[str, set[bytes]]:
    """The machine code of every kernel in a build cache, by architecture."""
    result: dict[str, set[bytes]] = collections.defaultdict(set)
    for path in folder.rglob("*"):
        if not path.is_file() or path.stat().st_size < 100:
            continue
        with path.open("rb") as file:
            content = file.read(100)
            if (start := content.find(b'["f0VMRg')) < 0:  # an ELF file in base64
                continue
            content += file.read()
        text, messages = json.loads(content[start:])
        if target := re.search(r"for '(sm_\w+)'", messages):
            cubin = elf.read(base64.b64decode(text))
            result[target[1]] |= {elf.code(cubin, entry) or b"" for entry in cubin.entries}
    return result


def report(family: str, table: Encodings, codes: Mapping[str, set[bytes]]) -> Iterator[str]:
    """What share of the kernels the table has texts for, and which opcodes it lacks most."""
    for arch, kernels in codes.items():
        if FAMILIES.get(arch.rstrip("af")) == family:
            without_calls = [code for code in kernels if not any(map(is_far, words_of(code)))]
            lacking = [code for code in without_calls if table.texts(code) is None]
            missing = collections.Counter(
                opcode for code in lacking for opcode in {
                    word & OPCODE for number, word in enumerate(words_of(code))
                    if word & OPCODE not in table.opcodes
                    or table.opcodes[word & OPCODE].text(word, 16 * number, len(code)) is None
                }
            )  # fmt: skip
            yield (
                f"{arch}: {len(without_calls) - len(lacking)} of {len(without_calls)} kernels, "
                f"and {len(kernels) - len(without_calls)} with calls; "
                f"lacks {', '.join(f'{opcode:#x} in {count}' for opcode, count in missing.most_common(12))}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path, help="the folder of a build cache")
    parser.add_argument("families", nargs="*", help="such as sm_90; all without")
    parser.add_argument("--held-out", action="store_true", help="learn from two thirds, report on the rest, write none")
    options = parser.parse_args()
    codes = cached_code(options.cache)
    version = locate.version(lines.require("nvdisasm"))
    for family in options.families or sorted(set(FAMILIES.values())):
        training, test_codes = dict(codes), codes
        if options.held_out:
            training = {arch: {code for code in kernels if hash(code) % 3} for arch, kernels in codes.items()}
            test_codes = {arch: kernels - training[arch] for arch, kernels in codes.items()}
        table = learn(family, training, version)
        print(f"{family}: {sum(len(opcode.texts) for opcode in table.opcodes.values())} rows")
        for line in report(family, table, test_codes):
            print(" ", line, flush=True)
        if not options.held_out:
            count = sum(len(kernels) for arch, kernels in training.items() if FAMILIES.get(arch.rstrip("af")) == family)
            heading = f"The SASS of {family}, learnt by tools/learn_encodings.py from {count:,} kernels."
            (FOLDER / f"{family}.txt").write_text(encodings.written(table, heading), encoding="ascii")


if __name__ == "__main__":
    main()
