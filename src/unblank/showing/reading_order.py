"""The parts of a prompt in the order in which they are read, whatever a terminal makes of them.

A line with Arabic or Hebrew words is displayed from right to left, and a blank in Latin letters
seems to stand on the wrong side. So each part has a line of its own here, and the characters around
the blank their numbers in Unicode.
"""

from unblank.consoles import TextConsole
from unblank.prompting.patterns import FieldUse, Pattern, Template

__all__ = ["print_in_order"]

_SHOWN = 3


def print_in_order(pattern: Pattern, console: TextConsole) -> None:
    """Print the parts of a pattern, and what stands right before and after its blank."""
    console.print("in reading order", style="bold")
    parts = [*pattern.before, pattern.blank, *pattern.after]
    for number, part in enumerate(parts, start=1):
        console.print(f"  {number}  {part}")
    before, after = _near(pattern.before, at_end=True), _near(pattern.after, at_end=False)
    console.print(f"  before the blank: {_numbers(before[-_SHOWN:])}", style="dim")
    console.print(f"  after it: {_numbers(after[:_SHOWN])}\n", style="dim")


def _near(template: Template, *, at_end: bool) -> str:
    """Return the words of the prompt next to the blank; nothing if a field is there."""
    part = (template[-1] if at_end else template[0]) if template else ""
    return "" if isinstance(part, FieldUse) else part


def _numbers(text: str) -> str:
    return " ".join(f"U+{ord(one):04X}" for one in text) or "a field, or nothing"
