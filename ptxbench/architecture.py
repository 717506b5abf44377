"""The names of GPU architectures, such as sm_90, sm_90a and sm_100f. They are read here and nowhere else."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from ptxbench.errors import UsageError

PATTERN = r"sm_[1-9][0-9]{1,2}[af]?"
"""The name of an architecture, as a part of regular expressions."""


class Architecture(NamedTuple):
    """The parts of a name such as sm_90a."""

    number: int
    """90 of sm_90a."""
    suffix: str
    """`a` of sm_90a: code for this architecture only. `f` of sm_100f: code for its family. Empty for sm_90."""


def find(text: str) -> Architecture | None:
    """The first architecture that `text` names; None if it names none."""
    match = re.search(r"sm_([1-9][0-9]{1,2})([af]?)", text)
    return Architecture(int(match[1]), match[2]) if match else None


def parse(name: str) -> Architecture | None:
    """The parts of a name such as sm_90a; None if `name` is not one."""
    return find(name) if re.fullmatch(PATTERN, name) else None


@functools.lru_cache
def require(name: str) -> Architecture:
    """The parts of a name such as sm_90a; kept, because each launch asks. Raises UsageError if `name` is not one."""
    text = str(name)  # in Python it may be the number 90
    parsed = parse(text)
    if parsed is None:
        close = normalised(text)
        advice = f"Did you mean '{close}'?" if close else "Write it as sm_90 or sm_90a."
        raise UsageError(f"Unknown architecture '{name}'. {advice}")
    return parsed


def normalised(text: str) -> str | None:
    """The name that another notation means, such as sm90, SM_90, compute_90, 90 or 9.0; None if it is not known."""
    match = re.fullmatch(r"(?:sm|compute|cc)?[-_ ]?([1-9][0-9]?)\.?([0-9])([af]?)", text.strip().lower())
    return f"sm_{match[1]}{match[2]}{match[3]}" if match else None


def number(name: str) -> int:
    """90 of sm_90a. Raises ValueError if `name` is not an architecture."""
    parsed = find(name)
    if parsed is None:
        raise ValueError(f"'{name}' is not an architecture such as sm_90")
    return parsed.number


def suffix(name: str) -> str:
    """`a` of sm_90a; empty for a plain architecture, and if `name` is not one."""
    parsed = find(name)
    return parsed.suffix if parsed else ""


def accepts(target: str, declared: str) -> bool | None:
    """Whether PTX with `.target declared` can be assembled for `target`, if it can be for some target: the rule that
    `ptxas --help` has under --gpu-name. None for the code of a family, and if a name is not an architecture."""
    declared_arch, target_arch = parse(declared), parse(target)
    if declared_arch is None or target_arch is None or declared_arch.suffix == "f":
        return None
    return declared_arch == target_arch if declared_arch.suffix else target_arch.number >= declared_arch.number
