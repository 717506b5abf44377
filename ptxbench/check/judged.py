"""The last judgements of a judge: the same text gets the same judgement again, without a new process."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ptxbench.check.finding_codes import ANY, CODES
from ptxbench.check.findings import NO_VERDICT, Judgement
from ptxbench.check.inputs import Candidate
from ptxbench.check.pair_files import hash_of_files, may_include_elsewhere
from ptxbench.toolchain import sha256

if TYPE_CHECKING:
    from ptxbench.check.contained import CheckTask

MOST = 500
"""The most judgements that are kept. The one that was asked for longest ago is removed first."""

Key = tuple[str, str, str, str]


def key_of(candidate: Candidate, task: CheckTask) -> Key | None:
    """All that a judgement depends on while this process runs: the text, the task, and the pair's files; None if the
    pair may include files that are not known here."""
    if may_include_elsewhere(task.pair, task.kernels):
        return None
    settings = json.dumps(dataclasses.asdict(task), default=str)
    return sha256(candidate.content), candidate.language, settings, hash_of_files(task.pair, task.kernels)


def is_final(judgement: Judgement) -> bool:
    """Whether the same text would get this judgement again. That a process exceeded its time or memory may be
    chance."""
    return judgement.verdict != NO_VERDICT and all(CODES[finding.code].stage != ANY for finding in judgement.findings)


class Judgements:
    """The last judgements, by text and task. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_key: OrderedDict[Key, Judgement] = OrderedDict()

    def get(self, key: Key | None) -> Judgement | None:
        if key is None:
            return None
        with self.lock:
            if key in self.by_key:
                self.by_key.move_to_end(key)
            return self.by_key.get(key)

    def add(self, key: Key | None, judgement: Judgement) -> None:
        """Add a judgement if it has a key and is final."""
        if key is None or not is_final(judgement):
            return
        with self.lock:
            self.by_key[key] = judgement
            while len(self.by_key) > MOST:
                self.by_key.popitem(last=False)
