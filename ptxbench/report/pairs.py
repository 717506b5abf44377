"""A pair on the page: its listings as rows, and its portability matrix in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ptxbench.languages import title
from ptxbench.listing.text import Listing
from ptxbench.report.material import Material
from ptxbench.report.rows import PageRow, rows
from ptxbench.wording import portability as texts


@dataclass(frozen=True)
class ShownListing:
    """A listing and its rows; `base`: the variant with which omitted rows are equal."""

    listing: Listing
    rows: tuple[PageRow, ...]
    base: str | None = None

    @property
    def language(self) -> str:
        """The language of its source, as the heading of a column."""
        return title(self.listing.language)

    @property
    def size(self) -> int:
        """About how many bytes the rows take."""
        return sum(12 + sum(len(cell.text) for cell in row.cells) for row in self.rows)


@dataclass(frozen=True)
class PairView:
    """A pair: what was built of it, and its anchor on the page."""

    material: Material
    anchor: str
    listings: tuple[ShownListing, ...]
    dropped: tuple[str, ...] = ()
    """Variants whose listings would make the page too large."""

    @property
    def name(self) -> str:
        return self.material.name

    @cached_property
    def matrix(self) -> tuple[list[tuple[str, list[texts.CellText]]], list[texts.CellNote]] | None:
        return texts.table(self.material.matrix, "registers") if self.material.matrix else None

    @property
    def closing(self) -> str | None:
        return texts.closing(self.material.matrix) if self.material.matrix else None

    @property
    def portability_lines(self) -> list[str]:
        matrix = self.material.matrix
        return (
            [
                *texts.warnings(matrix),
                *texts.compiler_lines(matrix),
                *texts.file_lines(matrix),
                *texts.jit_lines(matrix),
            ]
            if matrix
            else []
        )


def pair_views(materials: Sequence[Material]) -> list[PairView]:
    anchors: set[str] = set()
    result = []
    for material in materials:
        usual = "pair-" + re.sub(r"[^\w.-]", "-", material.name, flags=re.ASCII)
        anchor = next(name for name in (usual, *(f"{usual}-{i}" for i in range(2, 1 << 16))) if name not in anchors)
        anchors.add(anchor)
        result.append(PairView(material, anchor, tuple(shown_listings(material.listings))))
    return result


def shown_listings(listings: Sequence[Listing]) -> Iterator[ShownListing]:
    """Each listing; for a further variant of a side, only the differences from the most similar one before it."""
    before: dict[str, list[Listing]] = {}
    for listing in listings:
        bases = before.setdefault(listing.language, [])
        options = [ShownListing(listing, tuple(rows(listing, base)), base.variant) for base in bases]
        yield min(options, key=lambda option: option.size) if options else ShownListing(listing, tuple(rows(listing)))
        bases.append(listing)
