"""How many inputs a test of faults or of a property tries: few in the usual suite, else all.

`UNBLANK_HARD` unset or 0 gives the fast counts, 1 the hard ones, 0.1 a tenth of the hard ones.
"""

import os

HARDNESS = float(os.environ.get("UNBLANK_HARD") or 0)


def hard_count(fast: int, hard: int) -> int:
    """Return how many inputs to try: `fast`, or a share of `hard` where that is more."""
    return max(fast, round(hard * HARDNESS))
