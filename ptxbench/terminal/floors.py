"""A model's floors of a cell for a terminal, in a separate block. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import RenderResult
from rich.constrain import Constrain
from rich.text import Text

from ptxbench.metrics import REFERENCE
from ptxbench.result import Cell
from ptxbench.specifications import MODELS
from ptxbench.terminal.prose import Prose
from ptxbench.terminal.tables import Section, draw
from ptxbench.wording.model import claim_sentences, floor_texts
from ptxbench.wording.table import Table, numbers, texts


@dataclass(frozen=True)
class ModelBlock(Section):
    """One row per variant: its highest floor, the next one, and its claim. Nothing without a model."""

    cell: Cell

    def parts(self, width: int, plain: bool) -> RenderResult:
        model = self.cell.model
        if model is None or model.gpu not in MODELS:
            return
        arch, specification = MODELS[model.gpu]
        title = f"Model of {specification.name}, {arch}, {specification.boost_mhz} MHz: floors, not times"
        yield Constrain(Prose(title, "bold"), width)
        yield Text()
        columns = [*texts("variant", "highest floor", "", "next"), *numbers(f"floor / {REFERENCE}")]
        table = draw(Table(columns, [[name, *floor_texts(model, name)] for name in self.cell.variants]))
        yield Constrain(table, width)
        yield Text()
        for sentence in claim_sentences(model):
            yield Constrain(Prose(sentence), width)
        yield Text()
