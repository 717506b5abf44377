"""Hand-written PTX for some targets only: NAME.sm_90a.ptx replaces NAME.ptx there, and is not a variant.

A target gets its own file; if it has none, the file of its family, and otherwise the plain one. So a plain target, such
as sm_90, always gets the plain file, and PTX and CUDA C for it can use the same instructions.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ptxbench import architecture
from ptxbench.documents import read_bytes
from ptxbench.errors import PairError

TARGET = re.compile(rb"^\s*\.target\s+(\w+)", re.MULTILINE)
NAMED = re.compile(r"(?P<base>.+)\.(?P<target>sm_\d+[a-z]?)")
"""A stem with a target at its end. It matches any letter, so that a wrong one is reported."""


def target(path: Path) -> str | None:
    """The `.target` of a PTX file, the lowest architecture that it runs on; None if it names none.

    Raises PairError if the file cannot be read.
    """
    match = TARGET.search(read_bytes(path, PairError))
    return match[1].decode("ascii") if match else None


def at_least(arch: str, path: Path) -> str:
    """`arch`, or the `.target` of a PTX file if that is newer. Raises PairError if it cannot be read."""
    needed = target(path)
    return needed if needed and order(needed) > order(arch) else arch


def split(stem: str) -> tuple[str, str]:
    """A stem without the target at its end, and that target, or "": ("a.b", "sm_90a") for a.b.sm_90a."""
    match = NAMED.fullmatch(stem)
    return (match["base"], match["target"]) if match else (stem, "")


def order(target: str) -> tuple[int, str]:
    """The key for sorting targets: sm_90a before sm_100f."""
    return architecture.number(target), target


def require_matching_target(path: Path, named: str) -> None:
    """Raise PairError for a file whose name says `named`, unless that is a specialised target and its .target."""
    if named[-1] not in "af":
        plain = named.rstrip("abcdefghijklmnopqrstuvwxyz")
        raise PairError(
            f"{path}: {named} is not a target to specialise for. PTX that every later GPU accepts belongs in the "
            f"plain file; name this one after {plain}a, or {plain}f for a family, or give the variant a name that is "
            "not a target."
        )
    written = target(path)
    if written is None:
        raise PairError(f"{path} has no .target. Write .target {named}, as its name says.")
    if written != named:
        raise PairError(
            f"{path}: its .target is {written}, and its name says {named}. Write .target {named}, or rename the file."
        )


def best_target(targets: Collection[str], arch: str) -> str | None:
    """The one of `targets`, which have specialised files, whose file `arch` gets; None for the plain file.

    A family is part of one generation: its file is used for the target in its name and for later ones. sm_100f is used
    for sm_103a, but not for sm_110a.
    """
    if arch in targets:
        return arch
    parsed = architecture.parse(arch)
    if parsed is None or not parsed.suffix:  # the toolchain reports a name that is not an architecture
        return None
    families = {architecture.number(target): target for target in targets if target.endswith("f")}
    fitting = [number for number in families if number // 10 == parsed.number // 10 and number <= parsed.number]
    return families[max(fitting)] if fitting else None


def other_architecture(targets: Collection[str], usual: str, *, any_gpu: bool) -> str:
    """The architecture for a variant that has only these specialised files: `usual` if one of them is for it.

    Otherwise the form of `usual` that has a file, such as sm_90a for sm_90; if none has, the first of `targets` if
    `any_gpu`.
    """
    if best_target(targets, usual):
        return usual
    plain = usual.rstrip("af")
    forms = (form for form in (f"{plain}a", f"{plain}f") if best_target(targets, form))
    return next(forms, min(targets, key=order) if any_gpu else usual)
