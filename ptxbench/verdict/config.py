"""ptxbench.toml, or [tool.ptxbench] of pyproject.toml: the rules of the gate, read and checked. Knows no run.

An unknown key is an error, because a misspelt rule would gate nothing without notice.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast

from ptxbench import architecture
from ptxbench.documents import display_value, parse_toml, read_text, toml_text
from ptxbench.errors import UsageError, suggestion
from ptxbench.metrics import BY_NAME
from ptxbench.verdict.rows import COUNTERS, Mode
from ptxbench.verdict.rules import RULES
from ptxbench.verdict.verdicts import LEAST_ROUNDS

NAME = "ptxbench.toml"
PROJECT = "pyproject.toml"
"""The file that may have the rules instead, in the tables below [tool.ptxbench]."""
VERSION = 1
BASELINES = Path("baselines")
"""The folder of the baselines, if the command line names no other."""

Policy = Literal["warn", "fail"]

MODES: tuple[Mode, ...] = ("ratio", "time", "counters")


@dataclass(frozen=True)
class GateLimits:
    """The limits of a pair; None for each that is not set."""

    budget: float | None = None
    time_budget: float | None = None
    ptx_over_cuda_max: float | None = None
    """The maximum of the PTX side's time over that of `cuda`."""
    min_speedup: float | None = None
    """The inverse: the minimum of the time of `cuda` over the PTX side's time."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """`max_METRIC` or `min_METRIC`, by name."""

    def replaced_by(self, later: GateLimits) -> GateLimits:
        """These limits, replaced by those that `later` sets."""
        changed = {
            limit.name: value
            for limit in dataclasses.fields(GateLimits)
            if limit.name != "counters" and (value := getattr(later, limit.name)) is not None
        }
        return dataclasses.replace(self, **changed, counters={**self.counters, **later.counters})


@dataclass(frozen=True)
class PairRules:
    """One [[pair]]: limits of every pair and variant that it matches, with more for single architectures."""

    match: str
    variant: str = "*"
    limits: GateLimits = field(default_factory=GateLimits)
    by_arch: Mapping[str, GateLimits] = field(default_factory=dict)

    def covers(self, pair: str, variant: str) -> bool:
        return fnmatchcase(pair, self.match) and fnmatchcase(variant, self.variant)


@dataclass(frozen=True)
class Waiver:
    """One [[waive]]: rows that may be worse, or missing, until a date."""

    pair: str
    metric: str
    until: date
    reason: str
    variant: str = "*"
    max: float | None = None
    """The greatest change that is waived, as a share; None waives any change."""

    def covers(self, pair: str, variant: str, metric: str) -> bool:
        names = ((pair, self.pair), (variant, self.variant), (metric, self.metric))
        return all(fnmatchcase(text, pattern) for text, pattern in names)


@dataclass(frozen=True)
class GateConfig:
    """The rules of the gate, with the defaults that apply without a file."""

    modes: tuple[Mode, ...] | None = None
    """None: counters, and ratios if the run has times."""
    budget: float = 0.05
    time_budget: float = 0.15
    alpha: float = 0.05
    min_rounds: int = LEAST_ROUNDS
    """The fewest rounds of each run for a verdict on its times."""
    abs_floor_us: float = 0.5
    inconclusive: Policy = "warn"
    missing: Policy = "fail"
    not_comparable: Policy = "fail"
    first_run: Policy = "warn"
    toolchain: Mapping[str, str] = field(default_factory=dict)
    """Versions of `ptxas` and `nvrtc` that the counters gate requires."""
    pairs: Sequence[PairRules] = ()
    waivers: Sequence[Waiver] = ()
    file: str = field(default=NAME, compare=False)
    """Where the rules are, or where they would be written."""
    baselines: Path = field(default=BASELINES, compare=False)
    """The folder of the baselines, for messages and for the commands in them."""

    def heading(self, key: str) -> str:
        """The line above an entry of an array of the file: [[waive]], or [[tool.ptxbench.waive]]."""
        return f"[[{section(self.file)}{key}]]"

    def limits(self, pair: str, variant: str, arch: str) -> GateLimits:
        """The limits of a variant: later tables override earlier ones; in a table, those of the architecture override
        the others."""
        limits = GateLimits()
        for rules in self.pairs:
            if rules.covers(pair, variant):
                limits = limits.replaced_by(rules.limits).replaced_by(rules.by_arch.get(arch, GateLimits()))
        return limits

    def of_pairs(self, names: Set[str]) -> GateConfig:
        """The config without the rules and waivers that match none of these pairs."""
        return dataclasses.replace(
            self,
            pairs=[pair for pair in self.pairs if any(fnmatchcase(name, pair.match) for name in names)],
            waivers=[entry for entry in self.waivers if any(fnmatchcase(name, entry.pair) for name in names)],
        )

    def require_live(self, today: date) -> None:
        """Raise UsageError for expired waivers."""
        for entry in self.waivers:
            if entry.until < today:
                raise UsageError(
                    f"{self.file}: the waiver of '{entry.pair}' ({entry.metric}: {entry.reason}) ended on "
                    f"{entry.until}. Fix the kernel, remove the waiver, or give it a new date."
                )


# ---- reading

Check = Callable[[Any, str], Any]
"""A value and its location -> the checked value. Raises UsageError."""


def wrong(where: str, wanted: str, actual: Any) -> UsageError:
    return UsageError(f"{where}: expected {wanted}, found {display_value(actual)}.")


def share(value: Any, where: str) -> float:
    if not is_number(value) or not 0 < value < 1:
        raise wrong(where, "a share between 0 and 1, such as 0.05", value)
    return float(value)


def above_zero(value: Any, where: str) -> float:
    if not is_number(value) or value <= 0:
        raise wrong(where, "a number above 0", value)
    return float(value)


def at_least_zero(value: Any, where: str) -> float:
    if not is_number(value) or value < 0:
        raise wrong(where, "a number of at least 0", value)
    return float(value)


def enough_rounds(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < LEAST_ROUNDS:
        raise wrong(
            where, f"a whole number of at least {LEAST_ROUNDS} (fewer rounds cannot show how they differ)", value
        )
    return value


def is_number(value: Any) -> bool:
    """Whether it is a finite number that fits into a float: an integer of TOML can have any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise wrong(where, "a non-empty string", value)
    return value


def day(value: Any, where: str) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong(where, "a date, such as 2027-01-31 without quotes", value)
    return value


def policy(value: Any, where: str) -> Policy:
    if value not in ("warn", "fail"):
        raise wrong(where, "'warn' or 'fail'", value)
    return cast(Policy, value)


def modes(value: Any, where: str) -> tuple[Mode, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or any(mode not in MODES for mode in names):
        raise wrong(where, f"one or more of {', '.join(MODES)}", value)
    return tuple(dict.fromkeys(names))


def versions(value: Any, where: str) -> Mapping[str, str]:
    return dict(read_table(value, where, {"ptxas": text, "nvrtc": text}))


def counter_limits(value: Any, where: str) -> Mapping[str, float]:
    checks = {f"{end}_{metric.name}": at_least_zero for metric in COUNTERS for end in ("max", "min")}
    return dict(read_table(value, where, checks))


def metric_name(value: Any, where: str) -> str:
    """The metric of a row of the gate: one of METRICS, the name of a limit, or a glob."""
    name = text(value, where)
    known = [*BY_NAME, "ptx_over_cuda_max", "min_speedup", "verified", *RULES]
    known += [f"{end}_{metric.name}" for metric in COUNTERS for end in ("max", "min")]
    if not any(fnmatchcase(candidate, name) for candidate in known):
        raise UsageError(f"{where}: unknown metric '{name}'.{suggestion(name, known)}")
    return name


GATE: Mapping[str, Check] = {
    "mode": modes,
    "budget": share,
    "time_budget": share,
    "alpha": share,
    "min_rounds": enough_rounds,
    "abs_floor_us": at_least_zero,
    "inconclusive": policy,
    "missing": policy,
    "not_comparable": policy,
    "first_run": policy,
    "toolchain": versions,
}
LIMITS: Mapping[str, Check] = {
    "budget": share,
    "time_budget": share,
    "ptx_over_cuda_max": above_zero,
    "min_speedup": above_zero,
    "counters": counter_limits,
}
WAIVE: Mapping[str, Check] = {
    "pair": text, "variant": text, "metric": metric_name, "until": day, "reason": text, "max": above_zero,
}  # fmt: skip


def load_config(path: Path | None = None) -> GateConfig:
    """The rules of the file, else of the one that `default_file` finds, else the defaults. Raises UsageError."""
    path = path or default_file()
    return parse(read_text(path, UsageError), str(path)) if path else GateConfig()


def default_file() -> Path | None:
    """The file of the current folder that has rules. Raises UsageError if both have, because one would be ignored."""
    own_file, project = Path(NAME), Path(PROJECT)
    # lexists: a broken link may have had rules, and the defaults might be less strict
    has_own = os.path.lexists(own_file)
    in_project = os.path.lexists(project) and "ptxbench" in tool_tables(read_text(project, UsageError), PROJECT)
    if has_own and in_project:
        raise UsageError(
            f"{NAME} and {PROJECT} (its [tool.ptxbench]) both have rules. Keep one of them, or name one with --config."
        )
    return own_file if has_own else project if in_project else None


def tool_tables(document: str, name: str) -> dict[str, Any]:
    """The [tool] tables of a pyproject.toml, which other programs check."""
    tools = parse_toml(document, name).get("tool", {})
    return tools if isinstance(tools, dict) else {}


def section(file: str) -> str:
    """What precedes the name of a table in this file."""
    return "tool.ptxbench." if Path(file).name == PROJECT else ""


def parse(document: str, name: str = NAME) -> GateConfig:
    """The rules in a ptxbench.toml, or below [tool.ptxbench] in a pyproject.toml.

    Raises UsageError with `name`, the key and the expected value.
    """
    prefix = section(name)
    where = f"{name}: [tool.ptxbench]" if prefix else name
    if prefix and "ptxbench" not in tool_tables(document, name):
        raise UsageError(f"{name} has no [tool.ptxbench]. Write the rules there, or name another file with --config.")
    raw = tool_tables(document, name)["ptxbench"] if prefix else parse_toml(document, name)
    top = read_table(raw, where, {"version": unchecked, "gate": unchecked, "pair": unchecked, "waive": unchecked})
    if top.get("version") != VERSION or isinstance(top["version"], bool):
        version = repr(top["version"]) if "version" in top else "no version"
        raise UsageError(f"{where}: expected 'version = {VERSION}', found {version}.")
    gate = read_table(top.get("gate", {}), f"{name}: [{prefix}gate]", GATE)
    settings = {"modes" if key == "mode" else key: value for key, value in gate.items()}
    return GateConfig(
        **settings,
        pairs=[pair_rules(entry, where) for entry, where in tables(top.get("pair", []), name, "pair")],
        waivers=[waiver(entry, where) for entry, where in tables(top.get("waive", []), name, "waive")],
        file=name,
    )


def unchecked(value: Any, where: str) -> Any:
    return value


def tables(value: Any, name: str, key: str) -> list[tuple[Any, str]]:
    """The tables of an array, each with its location."""
    heading = f"[[{section(name)}{key}]]"
    if not isinstance(value, list):
        raise UsageError(f"{name}: '{key}' must be an array of tables. Write it as {heading}.")
    return [(table, f"{name}: {heading} {i}") for i, table in enumerate(value, 1)]


def pair_rules(raw: Any, where: str) -> PairRules:
    if not isinstance(raw, dict):
        raise wrong(where, "a table", raw)
    architectures = {key: value for key, value in raw.items() if architecture.parse(key)}
    plain = {key: value for key, value in raw.items() if key not in architectures}
    read = read_table(plain, where, {"match": text, "variant": text, **LIMITS}, ["match"], "sm_XX")
    match, variant = read.pop("match"), read.pop("variant", "*")
    by_arch = {
        arch: limits(read_table(value, f"{where}: {arch}", LIMITS), f"{where}: {arch}")
        for arch, value in architectures.items()
    }
    return PairRules(match, variant, limits(read, where), by_arch)


def limits(read: Mapping[str, Any], where: str) -> GateLimits:
    limits_of_table = GateLimits(**read)
    if limits_of_table.ptx_over_cuda_max is not None and limits_of_table.min_speedup is not None:
        raise UsageError(f"{where}: ptx_over_cuda_max and min_speedup are the same limit. Remove one of them.")
    return limits_of_table


def waiver(raw: Any, where: str) -> Waiver:
    return Waiver(**read_table(raw, where, WAIVE, ["pair", "metric", "until", "reason"]))


def read_table(
    raw: Any, where: str, checks: Mapping[str, Check], needed: Sequence[str] = (), further: str = ""
) -> dict[str, Any]:
    """The values of a table, each checked. Raises UsageError for an unknown key, and for a required key that is
    missing.

    `further`: the form of keys that are read elsewhere.
    """
    if not isinstance(raw, dict):
        raise wrong(where, "a table", raw)
    for key in raw:
        if key not in checks:
            names = [*checks, further] if further else list(checks)
            few = len(names) <= 16  # counters has a hundred
            others = f" The keys are {', '.join(names)}." if few else " Write max_METRIC or min_METRIC."
            raise UsageError(f"{where}: unknown key '{key}'.{suggestion(key, names) or others}")
    for key in needed:
        if key not in raw:
            raise UsageError(f"{where}: '{key}' is missing.")
    return {key: checks[key](value, f"{where}: {key}") for key, value in raw.items()}


# ---- writing


def dump(config: GateConfig) -> str:
    """The rules in effect, defaults included, as a ptxbench.toml that reads the same."""
    mode_key = [("mode", list(config.modes))] if config.modes else []
    lines = [f"version = {VERSION}", "", "[gate]", *assignments(mode_key)]
    if not config.modes:
        lines.append("# mode is not set: counters, and ratios if the run has times")
    lines += assignments((key, getattr(config, key)) for key in GATE if key != "mode")
    for rules in config.pairs:
        lines += ["", "[[pair]]", *assignments([("match", rules.match), ("variant", rules.variant)])]
        lines += assignments(own_limits(rules.limits))
        lines += assignments((arch, dict(own_limits(limits))) for arch, limits in rules.by_arch.items())
    for entry in config.waivers:
        lines += ["", "[[waive]]"]
        lines += assignments((key, value) for key in WAIVE if (value := getattr(entry, key)) is not None)
    return "\n".join(lines) + "\n"


def own_limits(limits: GateLimits) -> list[tuple[str, Any]]:
    return [(key, value) for key in LIMITS if (value := getattr(limits, key)) not in (None, {})]


def assignments(values: Any) -> list[str]:
    return [f"{key} = {toml(value)}" for key, value in values]


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(assignments(value.items()))} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    return str(value)
