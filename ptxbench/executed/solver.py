"""Linear programs over non-negative variables, solved by HiGHS. Knows nothing of terms and kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from highspy import HighsModelStatus, HighsStatus
from highspy import _Highs as Highs  # type: ignore[attr-defined]  # its subclass prints a line when it is made
from numpy.typing import NDArray

from ptxbench.executed.flow import FlowRow

OPTIONS: Mapping[str, bool | int | str] = {"output_flag": False, "threads": 1, "presolve": "off"}
"""Options of HiGHS, in the order in which they are set. With 1 thread it starts no other, so the process can fork.

Without presolve, because it takes longer than it saves in programs of some hundred rows.
"""

Vector = NDArray[np.float64]


class Solver:
    """A program that may be changed between optima: each starts from the last one, which takes few steps.

    Where several points are optimal, the one found depends on the calls before, but not on the process.
    """

    def __init__(self, columns: int) -> None:
        self.highs = Highs()
        for name, value in OPTIONS.items():
            accepted(self.highs.setOptionValue(name, value))
        self.columns = self.rows = 0
        self.add_columns(columns)

    def add_columns(self, count: int) -> None:
        """Add variables that are at least 0."""
        accepted(self.highs.addVars(count, np.zeros(count), np.full(count, np.inf)))
        self.columns += count

    def add_rows(self, rows: Sequence[FlowRow], unit: float) -> None:
        """Add rows, whose `low` and `high` are divided by `unit`."""
        starts = np.zeros(len(rows), np.int32)
        np.cumsum([len(row.coefficients) for row in rows[:-1]], out=starts[1:])
        indices = np.array([index for row in rows for index in row.coefficients], np.int32)
        values = np.array([value for row in rows for value in row.coefficients.values()], np.float64)
        low, high = (np.array([getattr(row, end) for row in rows], np.float64) / unit for end in ("low", "high"))
        accepted(self.highs.addRows(len(rows), low, high, len(indices), starts, indices, values))
        self.rows += len(rows)

    def remove_rows(self, count: int) -> None:
        """Remove the rows that were added last."""
        accepted(self.highs.deleteRows(count, np.arange(self.rows - count, self.rows, dtype=np.int32)))
        self.rows -= count

    def optimum(self, cost: Vector) -> Vector | None:
        """The variables of least cost; None if the rows contradict each other, or no cost is the least.

        `cost`: of the first variables; the others cost nothing.
        """
        costs = np.zeros(self.columns)
        costs[: len(cost)] = cost
        accepted(self.highs.changeColsCost(self.columns, np.arange(self.columns, dtype=np.int32), costs))
        if self.highs.run() == HighsStatus.kError:  # other code in this process gave HiGHS another number of threads
            accepted(self.highs.setOptionValue("threads", 0))
            accepted(self.highs.run())
        if self.highs.getModelStatus() != HighsModelStatus.kOptimal:
            return None
        return np.array(self.highs.getSolution().col_value)


def accepted(status: HighsStatus) -> None:
    """Raise ValueError if HiGHS refused a call, such as for an infinite coefficient."""
    if status == HighsStatus.kError:
        raise ValueError("HiGHS does not accept the linear program")
