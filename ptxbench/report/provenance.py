"""Where and how a run was made, in words: for readers who repeat or check it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from ptxbench import units
from ptxbench.result import RunDocument
from ptxbench.run_info import SourceInfo


def provenance(run: RunDocument) -> Iterator[tuple[str, str]]:
    """Where and how a run was made, as terms and descriptions; unrecorded facts are left out."""
    frame, device, tools = run.run, run.device, run.toolchain
    facts: dict[str, object] = {
        "run": f"{frame.id}, {frame.status}",
        "started": frame.started,
        "finished": frame.finished,
        "ptxbench": joined(run.tool.version, ("protocol", run.tool.protocol)),
        "sources": source_words(run.source),
        "device": joined(
            device.name, ("", device.sm), ("SMs", device.sms),
            ("memory", device.memory_bytes and units.si(device.memory_bytes, "B")),
            ("L2", device.l2_bytes and units.si(device.l2_bytes, "B")),
            ("power limit", device.power_limit_w and f"{device.power_limit_w} W"),
            ("driver", device.driver), ("MIG", device.mig),
        ),
        "timed on": frame.timed_on and (
            f"{units.plural(frame.timed_on.gpus, 'GPU')} of {units.plural(frame.timed_on.hosts, 'host')}"
        ),
        "toolchain": ", ".join(f"{name} {version}" for name, version in tools.versions.items()),
        "options": "; ".join(
            f"{name} {shlex.join(map(str, flags))}" for name, flags in tools.flags.items() if flags
        ),
        "assembler": frame.assembler,
        "seed": frame.seed,
        "rounds": frame.rounds or None,  # an emulator has no times
        "settings": pairs_of(run.settings),
        "calibration": pairs_of(run.calibration),
        "host": joined(run.host.os, ("", run.host.cpu), ("Python", run.host.python)),
    }  # fmt: skip
    for term, value in facts.items():
        if value not in (None, ""):
            yield term, str(value)


def joined(first: object, *others: tuple[str, object]) -> str:
    """`H100, sm_90, driver 580.65`: the known parts, after the name."""
    parts = [str(first)] if first else []
    parts += [f"{name} {value}".strip() for name, value in others if value is not None]
    return ", ".join(parts)


def pairs_of(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def source_words(source: SourceInfo) -> str:
    commit = source.commit
    if not commit:
        return "commit unknown"
    states = {True: "with uncommitted changes", False: "unchanged", None: "perhaps changed"}
    return f"commit {commit}, {states[source.dirty]}"
