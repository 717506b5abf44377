"""The exit statuses of a gate, which are API, and which of several is taken (gate.md, section 6)."""

GOOD, USAGE, REGRESSION, WRONG_KERNEL, NO_VERDICT = 0, 2, 3, 4, 5
"""Exit statuses, which are API."""

PRECEDENCE = (WRONG_KERNEL, REGRESSION, NO_VERDICT, GOOD)
"""Of several, the first. USAGE comes before all: it ends the command before anything is judged."""
