"""Bugs in the synchronisation of a PTX kernel: barriers, fences, scopes and atomics."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ptxbench.bugs.ptx import Edits, InstructionPlace

WAITS = re.compile(
    r"(bar|barrier)\.(cta\.)?sync|bar\.warp\.sync|barrier\.cluster\.wait|membar|fence|cp\.async\.wait|"
    r"cp\.async\.(bulk\.)?commit_group|cp\.async\.bulk\.wait_group|cp\.async\.mbarrier"
)


def barriers(place: InstructionPlace) -> Edits:
    """A removed barrier, fence or wait."""
    if WAITS.match(place.opcode):
        yield "barrier", f"{place.opcode} dropped", ""
    elif re.match(r"mbarrier\.(try|test)_wait", place.opcode):
        predicate = place.operands[0]
        yield "barrier", f"{place.opcode} does not wait", f"{place.guard}setp.eq.u32 {predicate}, 0, 0;"


ORDERS = {"acquire": "relaxed", "release": "relaxed", "acq_rel": "relaxed"}


def scopes(place: InstructionPlace) -> Edits:
    """A smaller scope or a weaker order."""
    words = place.words
    if words[0] not in ("ld", "st", "atom", "red", "fence", "membar"):
        return
    fences = words[0] in ("fence", "membar")
    for number, word in enumerate(words):
        if word in ("gpu", "sys", "gl"):
            yield "scope", f"{word} to cta", place.text(".".join([*words[:number], "cta", *words[number + 1 :]]))
        if word in ORDERS and not fences:
            new = ".".join([*words[:number], ORDERS[word], *words[number + 1 :]])
            yield "scope", f"{word} to {ORDERS[word]}", place.text(new)
        if word == "sc" and fences:
            yield "scope", "sc to acq_rel", place.text(".".join([*words[:number], "acq_rel", *words[number + 1 :]]))
    ordered = {"relaxed", "acquire", "release", "volatile"} & set(words)
    if words[0] in ("ld", "st") and ordered:
        weak = [word for word in words if word not in ordered and word not in ("gpu", "sys", "cta", "cluster")]
        yield "scope", f"{min(ordered)} to weak", place.text(".".join(weak))
    if words[0] in ("atom", "red") and "global" in words and not {"cta", "gpu", "sys", "cluster"} & set(words):
        yield "scope", "atomic of the CTA alone", place.text(".".join([words[0], "relaxed", "cta", *words[1:]]))


OPERATIONS = {"add": "add", "min": "min", "max": "max", "and": "and", "or": "or", "xor": "xor"}


def atomics(place: InstructionPlace) -> Edits:
    """`atom` and `red` replaced by a load, an operation and a store, which are not atomic."""
    words, operands, type_ = place.words, place.operands, place.type
    if words[0] not in ("atom", "red") or not (operation := next((word for word in words if word in OPERATIONS), None)):
        return
    space = next((f".{word}" for word in words if word in ("global", "shared")), "")
    address, source = operands[-2:]
    packed = type_.endswith("x2") or type_ in ("f16", "bf16")
    loaded = f"b{32 if type_.endswith('x2') else 16}" if packed else type_
    opcode = f"{operation}.rn.{type_}" if packed and operation == "add" else f"{operation}.{type_}"
    if type_ in ("f32", "f64") and operation == "add":
        opcode = f"add.rn.{type_}"
    parts = [part.strip() for part in source.strip("{} ").split(",")]
    old = [f"%bug_{number}" for number in range(len(parts))]
    vector = f".v{len(parts)}" if len(parts) > 1 else ""
    loads = "{" + ", ".join(old) + "}" if vector else old[0]
    guard = place.guard
    lines = [f"{guard}ld{space}{vector}.{loaded} {loads}, {address};"]
    new = [f"%bug_new_{number}" for number in range(len(parts))]
    lines += [f"{guard}{opcode} {n}, {o}, {part};" for n, o, part in zip(new, old, parts, strict=True)]
    stores = "{" + ", ".join(new) + "}" if vector else new[0]
    lines.append(f"{guard}st{space}{vector}.{loaded} {address}, {stores};")
    if words[0] == "atom":
        lines.append(f"{guard}mov.{'b32' if packed else type_} {operands[0]}, {old[0]};")
    yield "atomic", "no longer atomic", place.block(f".reg .{loaded} {', '.join([*old, *new])};", *lines)


ORDER_RULES: Sequence[Callable[[InstructionPlace], Edits]] = (barriers, scopes, atomics)
