"""Where a run was made and how, in words: what somebody needs who repeats it, or doubts it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from ptxbench import units
from ptxbench.result import Run


def provenance(run: Run) -> Iterator[tuple[str, str]]:
    """Where a run was made and how, as term and description; what is not recorded is left out."""
    frame, device, tools = run.run, run.device, run.toolchain
    told: dict[str, object] = {
        "run": f"{frame['id']}, {frame.get('status', 'status unknown')}",
        "started": frame.get("started"),
        "finished": frame.get("finished"),
        "ptxbench": joined(run.tool.get("version"), ("protocol", run.tool.get("protocol"))),
        "sources": source_words(run.source),
        "device": joined(
            device.get("name"), ("", device.get("sm")), ("SMs", device.get("sms")),
            ("memory", device.get("memory_bytes") and units.si(device["memory_bytes"], "B")),
            ("L2", device.get("l2_bytes") and units.si(device["l2_bytes"], "B")),
            ("power limit", device.get("power_limit_w") and f"{device['power_limit_w']} W"),
            ("driver", device.get("driver")), ("MIG", device.get("mig")),
        ),
        "toolchain": ", ".join(f"{name} {value}" for name, value in tools.items() if isinstance(value, str)),
        "options": "; ".join(
            f"{name} {shlex.join(map(str, flags))}" for name, flags in (tools.get("flags") or {}).items() if flags
        ),
        "assembler": frame.get("assembler"),
        "seed": frame.get("seed"),
        "rounds": frame.get("rounds") or None,  # an emulator times none
        "settings": pairs_of(run.settings),
        "calibration": pairs_of(run.calibration),
        "host": joined(run.host.get("os"), ("", run.host.get("cpu")), ("Python", run.host.get("python"))),
    }  # fmt: skip
    for term, value in told.items():
        if value not in (None, ""):
            yield term, str(value)


def joined(first: object, *others: tuple[str, object]) -> str:
    """`H100, sm_90, driver 580.65`: what there is, behind its name."""
    parts = [str(first)] if first else []
    parts += [f"{name} {value}".strip() for name, value in others if value is not None]
    return ", ".join(parts)


def pairs_of(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def source_words(source: Mapping[str, object]) -> str:
    commit = source.get("commit")
    if not commit:
        return "of no known commit"
    states = {True: "with changes that are not in it", False: "unchanged", None: "perhaps changed"}
    dirty = source.get("dirty")
    return f"commit {commit}, {states[dirty if isinstance(dirty, bool) else None]}"
