"""Bugs of a CUDA C kernel: planted in its tokens, whatever the kernel does.

A rule is a function from the tokens and the index `at` of one of them to edits; RULES lists them all. A bug that does
not compile does not count; the caller skips it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ptxbench.bugs.bug import Bug, Change
from ptxbench.bugs.cuda_tokens import Tokens
from ptxbench.bugs.lines import CodeLines, numbered

Edits = Iterator[tuple[str, str, list[Change]]]

OPPOSITE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}


def bugs(text: str) -> list[Bug]:
    """Every bug that can be planted in a CUDA C text, in the order of the text."""
    from ptxbench.bugs.cuda_order import ORDER_RULES
    from ptxbench.bugs.cuda_values import VALUE_RULES

    tokens, lines = Tokens(text), CodeLines(text)
    edits = [
        lines.bug(kind, edit, changes)
        for at in range(len(tokens))
        for rule in (*RULES, *VALUE_RULES, *ORDER_RULES)
        for kind, edit, changes in rule(tokens, at)
    ]
    return list(numbered(edits))


def replaced(tokens: Tokens, first: int, last: int, new: str) -> list[Change]:
    """Replace the tokens from `first` to `last`."""
    return [(tokens.spans[first][0], tokens.spans[last][1], new)]


# ---- comparisons and bounds


def comparisons(tokens: Tokens, at: int) -> Edits:
    word = tokens.words[at]
    if word in OPPOSITE and at not in tokens.partners:
        yield "comparison", f"{word} to {OPPOSITE[word]}", replaced(tokens, at, at, OPPOSITE[word])


def conditions(tokens: Tokens, at: int) -> Edits:
    """A condition that is negated, or never true."""
    if tokens.words[at] not in ("if", "while") or tokens.word(at + 1) != "(":
        return
    end = tokens.partners.get(at + 1)
    if end is None or end <= at + 2:
        return
    inside = tokens.slice(at + 2, end - 1)
    word = tokens.words[at]
    if word == "if":
        yield "comparison", "condition negated", replaced(tokens, at + 2, end - 1, f"!({inside})")
        yield "tail", "if left out", replaced(tokens, at + 2, end - 1, f"false && ({inside})")
    else:
        yield "tail", "while left out or run once", replaced(tokens, at + 2, end - 1, f"false && ({inside})")


def bounds(tokens: Tokens, at: int) -> Edits:
    """The bound of an ordered comparison, one less and one more."""
    if tokens.words[at] not in ("<", "<=", ">", ">=") or at in tokens.partners:
        return
    last = tokens.operand_after(at + 1)
    if last is None:
        return
    operand = tokens.slice(at + 1, last)
    for sign in ("-", "+"):
        if not (operand == "0" and sign == "-"):
            yield "bound", f"{operand} to {operand} {sign} 1", replaced(tokens, at + 1, last, f"({operand} {sign} 1)")


# ---- indices


def is_declaration(tokens: Tokens, at: int) -> bool:
    """Whether the bracket at `at` belongs to the declaration of an array."""
    base = at - 1
    while tokens.word(base) == "]":
        base = tokens.partners.get(base, base) - 1
    before = base - 1
    return before < 0 or (tokens.kinds[before] == "name" and tokens.words[before] not in ("return", "else", "do"))


def indices(tokens: Tokens, at: int) -> Edits:
    """The index of an array, one more and one less."""
    if tokens.words[at] != "[" or tokens.word(at - 1) in ("", "(", ",", "=", "{", ";") or is_declaration(tokens, at):
        return
    end = tokens.partners.get(at)
    if end is None or end == at + 1:
        return
    inside = tokens.slice(at + 1, end - 1)
    for sign in ("+", "-"):
        if not (inside == "0" and sign == "-"):
            words = f"[{inside}] {sign} 1"
            yield "offset", words, replaced(tokens, at + 1, end - 1, f"({inside}) {sign} 1")


def thread_numbers(tokens: Tokens, at: int) -> Edits:
    """The number of a thread or a CTA, or their extent, one more."""
    if tokens.words[at] in ("threadIdx", "blockIdx", "gridDim", "blockDim") and tokens.word(at + 1) == ".":
        number = tokens.slice(at, at + 2)
        yield "offset", f"{number} to {number} + 1", replaced(tokens, at, at + 2, f"({number} + 1)")


def numbers(tokens: Tokens, at: int) -> Edits:
    """A number in the computation of an index, plus one, or halved if it is a mask; the step of a loop."""
    word = tokens.words[at]
    if not re.fullmatch(r"(0[xX][0-9a-fA-F]+|[1-9]\d*|0)[uU]?", word):
        return
    before, after = tokens.word(at - 1), tokens.word(at + 1)
    value = int(word.rstrip("uU"), 0)
    if value and (before in ("%", "&", "*", "/", ">>", "<<", "+=", "-=", "/=", "*=") or after in ("*", "%", "+")):
        new = value // 2 if before in ("%", "&") else value + 1
        if new:
            yield "offset", f"{before} {word} to {new}".strip(), replaced(tokens, at, at, str(new))


# ---- what is skipped, and what is stale


def loops(tokens: Tokens, at: int) -> Edits:
    """A `for` that does not run at all."""
    if tokens.words[at] != "for" or tokens.word(at + 1) != "(":
        return
    end = tokens.partners.get(at + 1, at)
    marks = [index for index in range(at, end) if tokens.words[index] == ";"]
    if len(marks) == 2 and marks[1] > marks[0] + 1:
        inside = tokens.slice(marks[0] + 1, marks[1] - 1)
        yield "tail", "for left out", replaced(tokens, marks[0] + 1, marks[1] - 1, f"false && ({inside})")


ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=", "^=", "|=", "&=", "<<=", ">>=")


def assignments(tokens: Tokens, at: int) -> Edits:
    """A removed assignment; a store that the last lane, or the last CTA, skips."""
    if not tokens.begins_statement(at):
        return
    target = at
    while tokens.word(target) in ("*", "("):
        if tokens.words[target] == "(":
            return
        target += 1
    last = tokens.operand_after(target)
    end = tokens.statement_end(at)
    if last is None or end is None or tokens.word(last + 1) not in ASSIGNMENTS:
        return
    statement = tokens.slice(at, end)
    yield "stale", "assignment dropped", replaced(tokens, at, end, ";")
    if tokens.words[last] == "]" or tokens.words[at] == "*":
        last_lane = "threadIdx.x % 32 != 31 - __clz(__activemask())"
        yield "tail", "not by the last lane", replaced(tokens, at, end, f"if ({last_lane}) {statement}")
        last_cta = "blockIdx.x != gridDim.x - 1"
        yield "tail", "not by the last CTA", replaced(tokens, at, end, f"if ({last_cta}) {statement}")


def initials(tokens: Tokens, at: int) -> Edits:
    """A variable without its initial value: `float sum = 0.0f;` as `float sum;`."""
    if tokens.words[at] != "=" or tokens.kinds[at - 1] != "name" or tokens.kinds[at - 2] != "name":
        return
    end = tokens.statement_end(at)
    if tokens.word(at - 3) in (";", "{", "}") and end is not None and not tokens.in_header(at):
        yield "stale", f"{tokens.words[at - 1]} without its first value", replaced(tokens, at, end, ";")


NEXT = {"x": "y", "y": "x", "z": "w", "w": "z"}


def members(tokens: Tokens, at: int) -> Edits:
    """Another element of a vector read or written."""
    if tokens.word(at - 1) == "." and tokens.words[at] in NEXT and tokens.kinds[at - 2] == "name":
        if tokens.words[at - 2] in ("threadIdx", "blockIdx", "gridDim", "blockDim") and tokens.words[at] not in "xy":
            return
        new = NEXT[tokens.words[at]]
        yield "stale", f"{tokens.words[at - 2]}.{new} for .{tokens.words[at]}", replaced(tokens, at, at, new)


def other_names(tokens: Tokens, at: int) -> Edits:
    """A variable replaced by the one of the same type declared before it."""
    if tokens.kinds[at] != "name" or tokens.word(at - 1) in (".", "->", "::") or tokens.word(at + 1) in ("(", "="):
        return
    types = declared(tokens)
    name = tokens.words[at]
    if name not in types or types[name][1] == at:
        return
    type_, declared_at = types[name]
    others = [
        other for other, (other_type, other_at) in types.items() if other_type == type_ and other_at < declared_at
    ]
    if others:
        yield "stale", f"{others[-1]} for {name}", replaced(tokens, at, at, others[-1])


TYPES = {"unsigned", "int", "float", "double", "size_t", "uint4", "int4", "float4", "float2", "half2", "bool", "u64"}


def declared(tokens: Tokens) -> dict[str, tuple[str, int]]:
    """The variables that a text declares with one of TYPES: the type, and the index of the token."""
    if not hasattr(tokens, "declared"):
        names: dict[str, tuple[str, int]] = {}
        type_ = ""
        for at, word in enumerate(tokens.words):
            if word in TYPES and tokens.kinds[at + 1 : at + 2] == ["name"]:
                type_ = word
            elif word in (";", ")", "{", "("):
                type_ = ""
            is_declared = tokens.words[at - 1] in TYPES or (tokens.words[at - 1] == "," and type_)
            if tokens.kinds[at] == "name" and is_declared and type_ and tokens.word(at + 1) in ("=", ";", ",", ")"):
                names.setdefault(word, (type_, at))
        tokens.declared = names  # type: ignore[attr-defined]
    return tokens.declared  # type: ignore[attr-defined,no-any-return]


Rule = Callable[[Tokens, int], Edits]

RULES: Sequence[Rule] = (
    comparisons,
    conditions,
    bounds,
    indices,
    thread_numbers,
    numbers,
    loops,
    assignments,
    initials,
    members,
    other_names,
)
