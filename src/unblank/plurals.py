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


def numbered(count: int, noun: str, plural: str | None = None) -> str:
    """Return the numbers that some things have, counted from 0, with the noun that fits.

    Args:
        count: of the things, 1 or more.
        noun: its singular.
        plural: its plural; None adds an s.

    Example:
        >>> numbered(1, "blank"), numbered(3, "blank")
        ('blank 0', 'blanks 0 to 2')
    """
    return f"{noun} 0" if count == 1 else f"{plural or noun + 's'} 0 to {count - 1:,}"
