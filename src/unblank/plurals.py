"""Numbers with their nouns, for messages: `1 thread`, `2 threads`."""

__all__ = ["counted", "numbered"]


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return the number, with thousands separated, and the noun in the form that fits.

    Args:
        count: 0 or more.
        noun: its singular.
        plural: its plural; None adds an s.

    Example:
        >>> counted(1, "thread"), counted(2000, "batch", "batches")
        ('1 thread', '2,000 batches')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def numbered(noun: str, first: int, count: int) -> str:
    """Return the noun with the numbers of `count` things in a row, from `first` on.

    Args:
        noun: its singular; the plural adds an s.
        first: number of the first one.
        count: 1 or more.

    Example:
        >>> numbered("row", 7, 1), numbered("row", 7, 3)
        ('row 7', 'rows 7 to 9')
    """
    return f"{noun} {first}" if count == 1 else f"{noun}s {first} to {first + count - 1}"
