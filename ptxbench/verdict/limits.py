"""Limits of the config: rows for hand-written PTX that need no baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from math import exp, expm1, log, log1p
from statistics import median

from ptxbench import stats
from ptxbench.metrics import BY_NAME, REFERENCE
from ptxbench.result import UNJUDGED, VERIFIED, Round, RunDocument
from ptxbench.stats import Interval
from ptxbench.verdict.comparable import ComparedKind
from ptxbench.verdict.comparison import agreed
from ptxbench.verdict.config import GateConfig, GateLimits
from ptxbench.verdict.rows import CellMatch, Mode, Row, cycles_rounds, exact_change, log_rounds, match_cells
from ptxbench.verdict.run_control import untrusted_reason
from ptxbench.verdict.verdicts import (
    IMPROVED,
    INCONCLUSIVE,
    MISSING,
    NO_REGRESSION,
    REGRESSED,
    Rule,
    adjust,
    judge_effect,
)

MAX_RATIO, MIN_SPEEDUP = "ptx_over_cuda_max", "min_speedup"


def rule_for(config: GateConfig, mode: Mode, limits: GateLimits | None = None) -> Rule:
    """How a change is judged, by the config and by the limits of one variant."""
    budget = config.time_budget if mode == "time" else config.budget
    own_budget = limits and (limits.time_budget if mode == "time" else limits.budget)
    return Rule(
        budget=own_budget or budget,
        alpha=config.alpha,
        floor_seconds=config.abs_floor_us * 1e-6,
        least_rounds=config.min_rounds,
    )


def row_rule(config: GateConfig, mode: Mode) -> Callable[[Row], Rule]:
    """The rule of each row, by the limits of its variant."""
    return lambda row: rule_for(config, mode, config.limits(row.pair, row.variant, row.arch))


def hand_written(head: RunDocument) -> Iterator[tuple[Row, CellMatch]]:
    """A row for every verified PTX variant of the run, because limits apply to hand-written kernels."""
    for match in match_cells(dataclasses.replace(head, cells=()), head):
        cell = match.either
        for variant, result in cell.variants.items():
            if result.language == "ptx" and result.status == VERIFIED:
                yield Row(cell.pair, cell.point, cell.arch, cell.cache, variant, "", ""), match


def ratio_limits(head: RunDocument, config: GateConfig) -> list[Row]:
    """Rows of ptx_over_cuda_max and min_speedup. A verdict that the clock cycles contradict is INCONCLUSIVE."""
    rows = rows_of_ratio(head, config, log_rounds)
    by_cycles = rows_of_ratio(head, config, cycles_rounds)  # without rounds if a clock is unknown
    return [agreed(row, other) if other.head_rounds else row for row, other in zip(rows, by_cycles, strict=True)]


def rows_of_ratio(
    head: RunDocument, config: GateConfig, logs_of: Callable[[ComparedKind, Sequence[Round], str], list[float]]
) -> list[Row]:
    """The rows, judged as if the limits were baselines without noise.

    A limit M is the baseline M / (1 + budget), so that a ratio fails at M, once half the budget is proven.
    """
    drafts = []
    for row, match in hand_written(head):
        limits = config.limits(row.pair, row.variant, row.arch)
        if limits.ptx_over_cuda_max:
            drafts.append((row, match, MAX_RATIO, limits.ptx_over_cuda_max, limits))
        if limits.min_speedup:
            drafts.append((row, match, MIN_SPEEDUP, 1 / limits.min_speedup, limits))
    rules = [rule_for(config, "ratio", limits) for *_, limits in drafts]
    rounds = [logs_of("ratio", match.either.rounds, row.variant) for row, match, *_ in drafts]
    effects = {
        i: stats.paired_effect(
            [value_log - (log(most) - rule.big) for value_log in logs], guard=rule.guard, level=rule.level
        )
        for i, (logs, (_, _, _, most, _), rule) in enumerate(zip(rounds, drafts, rules, strict=True))
        if len(logs) >= 2
    }
    adjusted = dict(zip(effects, adjust(list(effects.values())), strict=True))
    rows, untrusted = [], untrusted_reason(head)
    for i, (row, match, name, most, _) in enumerate(drafts):
        logs, rule, labels = rounds[i], rules[i], match.either.labels
        ratio = exp(median(logs)) if logs else None
        value = None if ratio is None else ratio if name == MAX_RATIO else 1 / ratio
        row = dataclasses.replace(
            row, metric=name, base=most if name == MAX_RATIO else 1 / most, head=value, verdict=INCONCLUSIVE
        )
        untrusted_because = next((label for label in labels if label in UNJUDGED), untrusted)
        if not logs:
            rows.append(dataclasses.replace(row, verdict=MISSING, reason="not_measured", detail="has no times."))
        elif untrusted_because or i not in effects:
            needed = None if untrusted_because else rule.least_rounds
            rows.append(dataclasses.replace(row, reason=untrusted_because or "few_rounds", rounds_needed=needed))
        else:
            effect = effects[i]
            cuda = (stats.median_ns(match.either.rounds, REFERENCE) or 0.0) / 1e9
            slower = cuda * most / (1 + rule.budget) * expm1(effect.value)
            verdict = judge_effect(rule, effect, adjusted=adjusted[i], slower_by=slower, rounds=len(logs))
            budget_log = log1p(rule.budget)  # relative to the limit itself
            change = Interval(effect.low - budget_log, effect.value - budget_log, effect.high - budget_log).exp()
            if name == MIN_SPEEDUP:  # relative to the speedup: lower is worse
                change = Interval(1 / change.high, 1 / change.value, 1 / change.low)
            row = dataclasses.replace(
                row, change=change, p=adjusted[i], head_rounds=[exp(value_log) for value_log in logs]
            )
            # a ratio far inside the limit is not an improvement, because there is no earlier value
            verdict_name = NO_REGRESSION if verdict.verdict == IMPROVED else verdict.verdict
            needed = verdict.rounds_needed if verdict_name == INCONCLUSIVE else None
            rows.append(dataclasses.replace(row, verdict=verdict_name, reason=verdict.reason, rounds_needed=needed))
    return rows


def counter_limits(head: RunDocument, config: GateConfig) -> list[Row]:
    """Rows of `max_METRIC` and `min_METRIC`: a count on the wrong side of its limit is REGRESSED."""
    rows = []
    for row, match in hand_written(head):
        for name, limit in config.limits(row.pair, row.variant, row.arch).counters.items():
            end, _, metric = name.partition("_")
            value = BY_NAME[metric].of(match.either, row.variant)
            row = dataclasses.replace(row, metric=name, base=limit, head=value)
            if value is None:
                rows.append(dataclasses.replace(row, verdict=MISSING, reason="not_measured", detail="has no value."))
                continue
            exceeded = value > limit if end == "max" else value < limit
            verdict = REGRESSED if exceeded else NO_REGRESSION
            rows.append(dataclasses.replace(row, verdict=verdict, change=exact_change(limit, value)))
    return rows
