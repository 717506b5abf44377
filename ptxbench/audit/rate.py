"""How often an event happened in a number of trials, and an upper bound of its rate."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""The confidence of every bound, one-sided."""


@dataclass(frozen=True)
class AlarmRate:
    """Events in independent trials."""

    events: int
    trials: int

    @property
    def share(self) -> float | None:
        """None without trials."""
        return self.events / self.trials if self.trials else None

    @property
    def most(self) -> float | None:
        """The exact upper bound of the true rate, with confidence CONFIDENCE.

        It is the rate at which so few events have the probability 1 - CONFIDENCE (Clopper and Pearson, Biometrika 26,
        1934). For 300 trials without an event it is 1 %. None without trials.
        """
        from scipy.special import bdtri  # here, because scipy takes a fifth of a second to import

        if not self.trials:
            return None
        return 1.0 if self.events == self.trials else float(bdtri(self.events, self.trials, 1 - CONFIDENCE))
