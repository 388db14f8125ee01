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


def numbered(count: int, noun: str, plural: str | None = None, *, first: int = 0) -> str:
    """Return the numbers that some things in a row have, with the noun that fits.

    Args:
        count: of the things, 1 or more.
        noun: its singular.
        plural: its plural; None adds an s.
        first: number of the first one.

    Example:
        >>> numbered(1, "blank"), numbered(3, "row", first=7)
        ('blank 0', 'rows 7 to 9')
    """
    last = first + count - 1
    return f"{noun} {first:,}" if count == 1 else f"{plural or noun + 's'} {first:,} to {last:,}"
