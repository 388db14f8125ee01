"""Retrieval of translations: whose vector is nearest, as XTREME measures it on Tatoeba."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["retrieval_accuracy"]


def retrieval_accuracy(queries: NDArray[np.float32], answers: NDArray[np.float32]) -> float:
    """Return how often the nearest answer is the right one, in percent; ties count as wrong.

    Nearest is by cosine, as in XTREME (Hu et al. 2020, section 3.1; Artetxe and Schwenk 2019).

    Args:
        queries: float[N, D], at least one.
        answers: float[N, D]; the n-th belongs to the n-th query.

    Example:
        >>> vectors = np.eye(3, dtype=np.float32)
        >>> retrieval_accuracy(vectors, vectors[[0, 2, 1]])
        33.33333333333333
    """
    similar = _unit(queries) @ _unit(answers).T
    own = np.diagonal(similar).copy()
    np.fill_diagonal(similar, -np.inf)
    return 100 * float((own > similar.max(axis=1)).mean()) if len(own) > 1 else 100.0


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float64)
