"""The exit statuses of a gate, which are API, and which one is used if several apply (docs/ci.md)."""

GOOD, USAGE, REGRESSION, WRONG_KERNEL, NO_VERDICT = 0, 2, 3, 4, 5
"""Exit statuses, which are API."""

PRECEDENCE = (WRONG_KERNEL, REGRESSION, NO_VERDICT, GOOD)
"""Of several, the first. USAGE comes before all: it ends the command before anything is judged."""
