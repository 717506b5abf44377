"""Bugs in the synchronisation of a CUDA C kernel: barriers, fences, scopes, atomics and lanes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptxbench.bugs.cuda import Edits, Rule, replaced
from ptxbench.bugs.cuda_tokens import Tokens

BARRIERS = re.compile(r"__syncthreads\w*|__syncwarp|__threadfence\w*|__pipeline_wait_prior|__pipeline_commit")


def barriers(tokens: Tokens, at: int) -> Edits:
    """A removed barrier, fence or wait."""
    if BARRIERS.fullmatch(tokens.words[at]) and tokens.word(at + 1) == "(":
        end = tokens.partners.get(at + 1)
        if end is not None and tokens.word(end + 1) == ";":
            yield "barrier", f"{tokens.words[at]} dropped", replaced(tokens, at, end, "")


WEAKER = {
    "__NV_ATOMIC_ACQUIRE": "__NV_ATOMIC_RELAXED",
    "__NV_ATOMIC_RELEASE": "__NV_ATOMIC_RELAXED",
    "__NV_ATOMIC_ACQ_REL": "__NV_ATOMIC_RELAXED",
    "__NV_THREAD_SCOPE_DEVICE": "__NV_THREAD_SCOPE_BLOCK",
    "__NV_THREAD_SCOPE_SYSTEM": "__NV_THREAD_SCOPE_BLOCK",
    "memory_order_acquire": "memory_order_relaxed",
    "memory_order_release": "memory_order_relaxed",
    "memory_order_acq_rel": "memory_order_relaxed",
    "thread_scope_device": "thread_scope_block",
    "thread_scope_system": "thread_scope_block",
    "__threadfence": "__threadfence_block",
    "__threadfence_system": "__threadfence_block",
}


def scopes(tokens: Tokens, at: int) -> Edits:
    """A smaller scope or a weaker order."""
    word = tokens.words[at]
    if word in WEAKER:
        yield "scope", f"{word} to {WEAKER[word]}", replaced(tokens, at, at, WEAKER[word])
    elif re.fullmatch(r"atomic[A-Z]\w*", word) and not word.endswith(("_block", "_system")):
        yield "scope", f"{word} to {word}_block", replaced(tokens, at, at, f"{word}_block")
    elif word == "volatile" and tokens.kinds[at + 1 : at + 2] == ["name"]:
        yield "scope", "volatile dropped", replaced(tokens, at, at, "")


PLAIN = {
    "atomicAdd": "was + value", "atomicSub": "was - value", "atomicOr": "was | value", "atomicAnd": "was & value",
    "atomicXor": "was ^ value", "atomicMax": "was < value ? value : was", "atomicMin": "was < value ? was : value",
    "atomicExch": "value",
}  # fmt: skip


def atomics(tokens: Tokens, at: int) -> Edits:
    """An atomic replaced by a load, an operation and a store, which is not atomic."""
    word = tokens.words[at]
    arguments = tokens.arguments(at + 1) if tokens.word(at + 1) == "(" else []
    end = tokens.partners.get(at + 1, at)
    texts = [tokens.slice(*argument) for argument in arguments]
    if word in PLAIN and len(texts) == 2:
        body = f"auto* to = {texts[0]}; auto was = *to; decltype(was) value = {texts[1]}; *to = {PLAIN[word]};"
        yield "atomic", f"{word} no longer atomic", replaced(tokens, at, end, f"[&] {{ {body} return was; }}()")
    elif word == "__nv_atomic_load_n" and texts:
        yield "atomic", f"{word} as a plain load", replaced(tokens, at, end, f"(*({texts[0]}))")
    elif word == "__nv_atomic_store_n" and len(texts) > 1:
        yield "atomic", f"{word} as a plain store", replaced(tokens, at, end, f"(*({texts[0]}) = {texts[1]})")


OTHER_SHUFFLE = {
    "__shfl_xor_sync": "__shfl_down_sync", "__shfl_up_sync": "__shfl_down_sync",
    "__shfl_down_sync": "__shfl_up_sync", "__shfl_sync": "__shfl_xor_sync",
    "__any_sync": "__all_sync", "__all_sync": "__any_sync",
}  # fmt: skip


def lanes(tokens: Tokens, at: int) -> Edits:
    """Masks, distances and widths of functions of a warp."""
    word = tokens.words[at]
    if not re.fullmatch(r"__(shfl|ballot|any|all|match|reduce)\w*_sync|__syncwarp", word) or tokens.word(at + 1) != "(":
        return
    arguments = tokens.arguments(at + 1)
    if word in OTHER_SHUFFLE:
        yield "lanes", f"{word} to {OTHER_SHUFFLE[word]}", replaced(tokens, at, at, OTHER_SHUFFLE[word])
    if arguments:
        mask = tokens.slice(*arguments[0])
        for new in (f"({mask} >> 1)", f"({mask} & 0xfu)"):
            yield "lanes", f"mask {mask} to {new}", replaced(tokens, *arguments[0], new)
    if "shfl" in word and len(arguments) == 3:
        distance = tokens.slice(*arguments[2])
        # Not the next number for a butterfly: 17, 9, 5, 3 and 2 reach all lanes, as 16, 8, 4, 2 and 1 do.
        other = f"({distance} / 2)" if "xor" in word else f"({distance} + 1)"
        yield "lanes", f"distance {distance} to {other}", replaced(tokens, *arguments[2], other)
        yield "lanes", "width 16", replaced(tokens, *arguments[2], f"{distance}, 16")


ORDER_RULES: Sequence[Rule] = (barriers, scopes, atomics, lanes)
