"""The model of one cell: floors of each variant, and the claims that they allow against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ptxbench import opcodes
from ptxbench.floors import NO_CLAIM, Claim, claim, floors
from ptxbench.metrics import REFERENCE
from ptxbench.model.executions import Executions
from ptxbench.result import Cell, Model, VariantResult
from ptxbench.rival import OTHER_GEOMETRY, other_geometry
from ptxbench.specifications import MODELS

LARGEST_L2 = 128 << 20
"""Bytes. Outputs up to this size may stay in an L2 cache; no GPU of the table has a larger one."""

LAUNCH = 5e-6
"""Seconds. A shorter time of a kernel is mostly that of its launch, whatever it executes."""

MAIN_VARIANT = "ptx"
"""The claim about this variant is the claim of its cell."""


def dram_bytes(cell: Cell) -> float:
    """The least bytes between DRAM and the GPU: inputs if the caches are cold, and outputs that fit in no cache."""
    if cell.cache != "cold":
        return 0
    written = cell.work.get("written", cell.work["bytes"])
    return cell.work["bytes"] - written + max(written - LARGEST_L2, 0)


def of_cell(cell: Cell, gpu: str, executions: Mapping[str, Executions | str]) -> Model:
    """The model of a cell. `executions`: by variant its executions, or why there are none."""
    arch, specification = MODELS[gpu]
    counted = {name: known for name, known in executions.items() if isinstance(known, Executions)}
    least_seconds = {name: floors(known.executed, arch, specification) for name, known in counted.items()}
    claims = {
        name: model_verdict(cell, name, executions, least_seconds, ctas_wanted=specification.sms)
        for name in cell.variants
        if name != REFERENCE and name in executions
    }
    cell_claim = claims.get(MAIN_VARIANT) or next(
        iter(claims.values()), Claim(NO_CLAIM, "there is no variant to compare")
    )
    widths = {name: known.width for name, known in counted.items()}
    recorded = {name: asdict(allowed) for name, allowed in claims.items()}
    return Model(gpu, least_seconds, cell_claim.verdict, cell_claim.reason, recorded, widths, notes(cell, executions))


def notes(cell: Cell, executions: Mapping[str, Executions | str]) -> dict[str, str]:
    """What the floors of a variant lack, and why one has none."""
    result = {}
    for name, variant in cell.variants.items():
        own = executions.get(name, f"it is {variant.status}")
        if isinstance(own, str):
            result[name] = f"no floors: {own}"
        elif own.unknown:
            result[name] = f"the floors leave out {', '.join(own.unknown)}, which the model does not have"
        elif own.bulk:
            result[name] = (
                "the floors have no time of bulk copies, clusters and warpgroups beyond issue slots and matrices"
            )
    return result


def model_verdict(
    cell: Cell,
    name: str,
    executions: Mapping[str, Executions | str],
    least_seconds: Mapping[str, Mapping[str, float]],
    *,
    ctas_wanted: int,
) -> Claim:
    """The claim that the floors of a variant allow against the reference."""
    reasons = []
    result, reference_result = cell.variants[name], cell.variants.get(REFERENCE)
    if reference_result is None:
        return Claim(NO_CLAIM, f"there is no {REFERENCE} to compare with")
    if other_geometry(cell, name, REFERENCE):
        return Claim(NO_CLAIM, f"{OTHER_GEOMETRY}: the launches differ")
    if same_code(result, reference_result):
        return Claim(NO_CLAIM, "same machine code")
    for variant in (REFERENCE, name):
        counts = executions.get(variant, "not executed")
        reasons += (
            [f"{variant} has no executed counts: {counts}"] if isinstance(counts, str) else obstacles(variant, counts)
        )
    if any(reasons):
        return Claim(NO_CLAIM, reasons[0])
    if policies(reference_result) != policies(result):
        return Claim(NO_CLAIM, "other cache operators, cache hints or prefetches")
    if cell.launch.launches > 1:
        return Claim(NO_CLAIM, "a chain of launches: the floors have no time between launches")
    sides = [side for side in (executions[REFERENCE], executions[name]) if isinstance(side, Executions)]
    if any(side.executed["ctas"] < ctas_wanted for side in sides):
        return Claim(NO_CLAIM, f"fewer CTAs than the {ctas_wanted} SMs of the GPU")
    if max(max(least_seconds[variant].values(), default=0.0) for variant in (REFERENCE, name)) < LAUNCH:
        return Claim(NO_CLAIM, "too small a launch: its highest floor is under 5 µs")
    return claim(least_seconds[name], least_seconds[REFERENCE], width=max(side.width for side in sides))


def obstacles(variant: str, executions: Executions) -> list[str]:
    """Why a variant allows no claim, the most important reason first."""
    result = []
    if executions.unknown:
        result.append(f"{variant} executes {executions.unknown[0]}, an opcode without a pipe in the table")
    if executions.atomics:
        result.append(f"{variant} executes global atomics ({', '.join(executions.atomics)})")
    if executions.bulk:
        result.append(
            f"{variant} executes bulk copies, or what only clusters or warpgroups do ({', '.join(executions.bulk)})"
        )
    return result


def same_code(result: VariantResult, reference_result: VariantResult) -> bool:
    code = result.build and result.build.sass_sha256
    return bool(code) and reference_result.build is not None and reference_result.build.sass_sha256 == code


CACHE = {"cg", "cs", "cv", "lu", "wt"}
"""Cache operators of loads and stores; `ca` and `wb` are the defaults."""


def policies(result: VariantResult) -> frozenset[tuple[str, ...]]:
    """The cache operators and hints of the global accesses that ran, by instruction."""
    hinted = set()
    for opcode in filter(opcodes.is_hinted, result.opcodes or {}):
        root, *modifiers = opcodes.words(opcode)
        cache_modifiers = [
            modifier for modifier in modifiers if modifier in CACHE or modifier.startswith(("L1::", "L2::"))
        ]
        if cache_modifiers or opcodes.is_hint(opcode):
            hinted.add((root, *cache_modifiers))
    return frozenset(hinted)
