"""How often a warp executes each machine instruction: an interpreter of the SASS that decides the branches of a warp.

An oracle for small kernels whose branches depend only on launch parameters and thread numbers. It interprets integer
arithmetic, comparisons and moves of sm_90; other instructions give an unknown value, on which no branch may depend. The
lanes with the lowest address run first, so that a warp whose lanes diverge converges again where the code does.
"""

import re
from collections import Counter

NUMBER = re.compile(r"-?0x[0-9a-f]+|-?\d+")
CONSTANT = re.compile(r"c\[0x0\]\[0x([0-9a-f]+)\]")
PARAMETERS = 0x210
MASK = 0xFFFFFFFF


class UnknownValueError(Exception):
    """A branch depends on a value that the interpreter does not know."""


def signed(value):
    return value - (1 << 32) if value & 0x80000000 else value


class Lane:
    def __init__(self, thread, block, threads, words):
        self.registers = {"RZ": 0, "URZ": 0}
        self.predicates = {"PT": True, "UPT": True}
        self.special = {"SR_TID.X": thread, "SR_CTAID.X": block, "SR_NTID.X": threads, "SR_LANEID": thread % 32}
        self.words = words
        self.place = 0

    def read(self, operand):
        """The value of a source; None if unknown."""
        text = operand.strip().replace(".reuse", "")
        if match := CONSTANT.fullmatch(text.lstrip("-~")):
            value = self.words.get(int(match[1], 16))
        elif NUMBER.fullmatch(text):
            return int(text, 0) & MASK
        else:
            value = self.registers.get(text.lstrip("-~|").rstrip("|"))
        if value is None or "|" in text or "." in text.split("[")[0]:
            return None
        return -value & MASK if text.startswith("-") else ~value & MASK if text.startswith("~") else value

    def test(self, name):
        """A predicate; None if unknown."""
        value = self.predicates.get(name.strip().lstrip("!"))
        return None if value is None else value != name.strip().startswith("!")


def combined(kind, left, right):
    if kind == "AND":
        return False if False in (left, right) else None if None in (left, right) else True
    return True if True in (left, right) else None if None in (left, right) else False


COMPARE = {"GE": lambda a, b: a >= b, "GT": lambda a, b: a > b, "LE": lambda a, b: a <= b, "LT": lambda a, b: a < b,
           "EQ": lambda a, b: a == b, "NE": lambda a, b: a != b}  # fmt: skip


def step(lane, opcode, operands):
    """The effect of a non-branch instruction on a lane."""
    name, *words = (
        opcode.lstrip("U").split(".") if opcode.startswith("U") and opcode != "UNKNOWN" else opcode.split(".")
    )
    parts = [word.strip() for word in operands.split(",")]
    if name == "ISETP":
        a, b = lane.read(parts[2]), lane.read(parts[3])
        if "EX" in words or a is None or b is None:
            compared = None
        else:
            compared = COMPARE[words[0]](*((a, b) if "U32" in words else (signed(a), signed(b))))
        others = lane.test(parts[4])
        for target, value in ((parts[0], compared), (parts[1], None if compared is None else not compared)):
            if target not in ("PT", "UPT"):
                lane.predicates[target] = combined(words[-1], value, others)
        return
    if name == "PLOP3":
        table = int(parts[-2], 0)
        tests = [lane.test(part) for part in parts[2:5]]
        for target, shown in ((parts[0], table), (parts[1], int(parts[-1], 0))):
            if target not in ("PT", "UPT"):
                index = None if None in tests else 4 * tests[0] + 2 * tests[1] + tests[2]
                same = shown & 0xFF in (0, 0xFF)
                lane.predicates[target] = bool(shown) if same else None if index is None else bool(shown >> index & 1)
        return
    value = None
    sources = parts[1:]
    if name == "S2R" or opcode == "S2UR":
        value = lane.special.get(parts[1])
    elif name in ("MOV", "LDC") and words in ([], ["U32"]):
        value = lane.read(sources[0])
    elif name == "IMAD" and words in ([], ["U32"], ["MOV", "U32"], ["IADD"], ["SHL", "U32"]):
        a, b, c = (lane.read(source) for source in sources[:3])
        product = 0 if 0 in (a, b) else None if None in (a, b) else a * b
        value = None if None in (product, c) else (product + c) & MASK
    elif name in ("IADD3", "VIADD", "IADD") and not words and not any(part.startswith("P") for part in parts):
        values = [lane.read(source) for source in sources[:3]]
        value = None if None in values else sum(values) & MASK
    elif name == "LOP3":
        tested = parts[0] if parts[0].startswith(("P", "UP")) else None
        parts = parts[1:] if tested else parts
        values, table = [lane.read(part) for part in parts[1:4]], int(parts[4], 0)
        if None not in values:
            a, b, c = values
            value = sum(
                (table >> (4 * (a >> bit & 1) + 2 * (b >> bit & 1) + (c >> bit & 1)) & 1) << bit for bit in range(32)
            )
        if tested:
            lane.predicates[tested] = None if value is None else value != 0
    elif name == "SHF" and words[:2] == ["R", "U32"] and sources[0] == "RZ":
        value = None if lane.read(sources[2]) is None else lane.read(sources[2]) >> lane.read(sources[1])
    wide = 4 if "128" in words else 2 if {"64", "WIDE"} & set(words) else 1
    if name == "CS2R" and "32" not in words:  # a pair of registers
        wide, value = 2, 0 if sources == ["SRZ"] else None
    if match := re.fullmatch(r"(U?R)(\d+)", parts[0]):
        for further in range(wide):
            known = wide == 1 or name == "CS2R"
            lane.registers[f"{match[1]}{int(match[2]) + further}"] = value if known else None
    for part in parts[:3]:  # carries and the like
        if re.fullmatch(r"U?P\d", part):
            lane.predicates[part] = None


def executions(code, grid, block, words):
    """{address: executions by warps} of this code. `words`: by offset in the constant bank."""
    index_of_label = {label: index for index, instruction in enumerate(code) for label in instruction.labels}
    counts = Counter()
    for cta in range(grid):
        for warp in range(0, block, 32):
            lanes = [Lane(thread, cta, block, words) for thread in range(warp, min(warp + 32, block))]
            while lanes:
                place = min(lane.place for lane in lanes)
                lanes_here = [lane for lane in lanes if lane.place == place]
                counts[code[place].address] += 1
                lanes = [lane for lane in lanes if lane.place != place or run(lane, code, place, index_of_label)]
                assert lanes_here
    return counts


def run(lane, code, place, at):
    """Executes one instruction for a lane; False once it has left."""
    text = code[place].text
    guard, rest = (text.split(" ", 1)[0][1:], text.split(" ", 1)[1]) if text.startswith("@") else ("PT", text)
    opcode, _, operands = rest.partition(" ")
    lane.place = place + 1
    true = lane.test(guard)
    name = opcode.split(".")[0]
    if name in ("BRA", "EXIT"):
        tests = [true, *(lane.test(match) for match in re.findall(r"!?\bU?PT?\d*\b", operands))]
        if ".DIV" in opcode:
            return True
        if None in tests:
            raise UnknownValueError(text)
        if all(tests):
            if name == "EXIT":
                return False
            lane.place = at[re.search(r"\.L_\w+", operands)[0]]
        return True
    if name in ("CALL", "RET", "BRX", "JMP"):
        raise UnknownValueError(text)
    if name in ("BSSY", "BSYNC", "BAR", "NOP", "WARPSYNC", "STG", "STS", "RED", "REDG"):
        return True
    if true is None:
        forget(lane, operands)
    elif true:
        step(lane, opcode, operands)
    return True


def forget(lane, operands):
    first = operands.split(",")[0].strip()
    if re.fullmatch(r"U?R\d+", first):
        for further in range(4):
            lane.registers[re.sub(r"\d+", lambda match, add=further: str(int(match[0]) + add), first)] = None
    for part in operands.split(",")[:2]:
        if re.fullmatch(r"\s*U?P\d", part):
            lane.predicates[part.strip()] = None
