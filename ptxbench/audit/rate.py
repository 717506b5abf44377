"""How often something happened in a number of trials, and how often it may happen at most."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""One-sided, of every bound."""


@dataclass(frozen=True)
class AlarmRate:
    """Events of trials that do not depend on one another."""

    events: int
    trials: int

    @property
    def share(self) -> float | None:
        """None of no trials."""
        return self.events / self.trials if self.trials else None

    @property
    def most(self) -> float | None:
        """The exact upper bound of the true share: below it lies the truth with probability CONFIDENCE.

        The share at which so few events as these have probability 1 - CONFIDENCE (Clopper and Pearson, Biometrika 26,
        1934). Of 300 trials without an event it is 1 %. None of no trials.
        """
        from scipy.special import bdtri  # here, for scipy takes a fifth of a second to import

        if not self.trials:
            return None
        return 1.0 if self.events == self.trials else float(bdtri(self.events, self.trials, 1 - CONFIDENCE))
