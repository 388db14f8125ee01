"""Seeded shuffling without memory: hash integers, and permute `[0, size)` one index at a time.

A shuffle of a billion chunks as an array costs gigabytes in every worker; a keyed bijection costs
nothing and gives the element at any place directly, which is what makes resuming free.
"""

__all__ = ["mix", "permuted", "uniform"]

_WORD = (1 << 64) - 1
# Four rounds make a Feistel network a pseudorandom permutation (Luby and Rackoff 1988).
_ROUNDS = 4


def mix(*values: int) -> int:
    """Return 64 well-mixed bits that depend on all `values` and their order.

    Each value is added to the state and passed through the finaliser of splitmix64.
    """
    state = 0
    for value in values:
        state = (state + value + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return state


def uniform(*values: int) -> float:
    """Return a number in [0, 1) that depends on all `values` and their order."""
    # The upper 53 bits, as many as a float64 holds.
    return (mix(*values) >> 11) * 2.0**-53


def permuted(index: int, size: int, key: int) -> int:
    """Return element `index` of the permutation of `range(size)` that `key` selects.

    A Feistel network permutes the next even power of two; an image outside the range is sent
    through again until it falls inside (cycle walking, under four passes on average).

    Args:
        index: place in the permutation, in `[0, size)`.
        size: number of elements.
        key: 64 bits; another key is another permutation.

    Example:
        >>> sorted(permuted(index, 10, key=3) for index in range(10)) == list(range(10))
        True
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is outside the permutation of {size} elements")
    half = ((size - 1).bit_length() + 1) // 2
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for round_number in range(_ROUNDS):
            left, right = right, left ^ (mix(key, round_number, right) & low)
        index = left << half | right
        if index < size:
            return index
