"""How the published program of a family ends a beam search, as data."""

from dataclasses import dataclass

__all__ = ["FAIRSEQ_STOPPING", "GLM_INTERACTIVE_STOPPING", "GLM_STOPPING", "StoppingRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """Which finished hypotheses of a beam search count.

    Attributes:
        counts_marker: whether the length that divides a score is one more than the tokens written:
            fairseq counts the end, GLM's interactive generator the start of the span.
        keeps_first: whether the first hypotheses are kept, as many as beams, and the search stops
            when it has them; else a better one displaces the worst, until no open beam can.
        forces_end: whether open beams of the greatest length compete with the probability of ending
            there; else as they are.
    """

    counts_marker: bool
    keeps_first: bool
    forces_end: bool


GLM_STOPPING = StoppingRule(counts_marker=False, keeps_first=False, forces_end=False)
"""When the original GLM's evaluation decoder ends a search."""

GLM_INTERACTIVE_STOPPING = StoppingRule(counts_marker=True, keeps_first=False, forces_end=False)
"""When the original GLM's interactive generator ends a search."""

FAIRSEQ_STOPPING = StoppingRule(counts_marker=True, keeps_first=True, forces_end=True)
"""When fairseq, with which DeltaLM and GanLM were published, ends a search."""
