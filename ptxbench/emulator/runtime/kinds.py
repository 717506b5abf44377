"""The kinds of findings, as a sanitized kernel stores them, and the layout of one. Data only."""

from __future__ import annotations

# In addition to the faults OUT_OF_BOUNDS and MISALIGNED of context.py.
UNINITIALISED, READ_AFTER_WRITE, WRITE_AFTER_WRITE, WRITE_AFTER_READ, DISAGREEMENT = range(16, 21)
DIVERGENT_BARRIER, BARRIER_AFTER_EXIT, UNINITIALISED_REGISTER, PENDING_COPY = range(21, 25)
EXIT_BEFORE_BARRIER, NOT_A_MEMBER, SAME_VALUE, OVERWRITES_COPY, WRITE_UNDER_COPY = range(25, 30)
UNORDERED_EXIT, TWO_COPIES, NOT_STARTED = range(30, 33)
UNDER_PRODUCT, PRODUCT_REGISTER, PRODUCT_MISUSED, MISSING_PROXY_FENCE, START_UNFENCED = range(33, 38)
START_UNORDERED, STARTED_AGAIN, ENDED_IN_USE, EARLY_PHASE, EARLY_ARRIVAL, OLD_VALUE = range(38, 44)
UNFINISHED_COPY, INACTIVE_SOURCE, NOT_READ_ONLY, NOT_UNIFORM, PART_OF_WARP = range(44, 49)

MOST_FINDINGS = 1024
FINDING_SLOTS = 8
"""i64 slots of one finding: kind, site offset, lane, address, CTA, warp, the lower half of the other access's stamp
(races/layout.py), and twice the other access's CTA, plus 1 if wider scopes would order the two. For EARLY_PHASE the
last is the bytes that are missing."""
