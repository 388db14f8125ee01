"""What decoding produces: the tokens of each blank with their log-probabilities."""

import math
from dataclasses import dataclass, field

__all__ = ["Filling", "Piece"]


@dataclass(slots=True)
class Piece:
    """The tokens of one blank.

    Attributes:
        token_ids: without the end token.
        log_probabilities: of each token under the model.
        alternatives: for each token the most likely allowed ones as (id, log p), best first.
        end_log_probability: of the end token; None if the piece was cut.
    """

    token_ids: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    end_log_probability: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the model ended the piece itself."""
        return self.end_log_probability is not None

    @property
    def log_probability(self) -> float:
        """Of the tokens and of the end, if there is one."""
        return math.fsum(self.log_probabilities) + (self.end_log_probability or 0.0)


@dataclass(slots=True)
class Filling:
    """One way to fill all blanks of a prompt.

    Attributes:
        pieces: one for each blank, in the order in which they were filled.
    """

    pieces: list[Piece] = field(default_factory=list)

    @property
    def log_probability(self) -> float:
        """Joint log-probability of all pieces."""
        return math.fsum(piece.log_probability for piece in self.pieces)
