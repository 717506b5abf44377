"""A record of a device: one JSON file in its folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ptxbench.documents import read_as
from ptxbench.output_files import write

Record = TypeVar("Record")


@dataclass(frozen=True)
class RecordFile(Generic[Record]):
    """The file of one kind of record. `noun`: what a message calls the record, with its article."""

    name: str
    schema: str
    noun: str
    kind: type[Record]
    to_json: Callable[[Record], str]

    def save(self, record: Record, folder: Path) -> Path:
        """Replace an older record atomically. Raises ResultError."""
        path = folder / self.name
        write(self.to_json(record), path, replace=True)
        return path

    def load(self, folder: Path) -> Record | None:
        """The record of a folder of results; None if there is none. Raises ResultError for a damaged one."""
        path = folder / self.name
        if not os.path.lexists(path):  # a broken link is a damaged record
            return None
        record: Record = read_as(self.kind, path, self.schema, self.noun)
        return record
