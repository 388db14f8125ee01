"""How much work a pickle asks for, read from its opcodes without building anything.

torch's restricted unpickler runs no code, but it follows millions of opcodes and nests as deep as
it is told, which costs minutes or ends the process.
"""

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

__all__ = ["require_bounded_pickle"]

_MOST_OPCODES = 1_000_000
"""Opcodes of a file; checkpoints of thousands of tensors have some 100,000."""
_DEEPEST = 100
_LEGACY_PICKLES = 4
"""Pickles before the tensors in the format before torch 1.6: magic, version, system, content."""


def require_bounded_pickle(path: Path, *, is_zip: bool) -> None:
    """Raise for a torch file whose pickle has too many opcodes, or nests too deeply.

    What is damaged in other ways is left for the unpickler to name.

    Args:
        path: the file.
        is_zip: whether it is an archive, as torch writes since 1.6.

    Raises:
        ValueError: too many opcodes, or too deep.
    """
    depths = _Depths()
    for number, (opcode, argument) in enumerate(_opcodes(path, is_zip)):
        if number >= _MOST_OPCODES:
            raise ValueError(
                f"{path} has a pickle of more than {_MOST_OPCODES:,} steps, which no checkpoint "
                "needs, so it is refused"
            )
        if depths.after(opcode, argument) > _DEEPEST:
            raise ValueError(
                f"{path} nests its values more than {_DEEPEST} levels deep, so it is refused"
            )


class _Depths:
    """How deep each value on an unpickler's stack is nested."""

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._memo: dict[Any, int] = {}

    def after(self, opcode: Any, argument: Any) -> int:
        """Follow one opcode, and return the depth of the deepest open value."""
        name = opcode.name
        if name == "MARK":
            self._marks.append(len(self._stack))
            return len(self._marks)
        if name in ("STOP", "POP_MARK"):
            self._stack, self._marks = [], []
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            key = len(self._memo) if name == "MEMOIZE" else argument
            self._memo[key] = self._stack[-1] if self._stack else 0
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo.get(argument, 0))
        else:
            self._replace(opcode)
        return self._stack[-1] if self._stack else 0

    def _replace(self, opcode: Any) -> None:
        """Take from the stack what an opcode takes, and put a value around it."""
        takes = [taken.name for taken in opcode.stack_before]
        if "mark" in takes:
            start = self._marks.pop() if self._marks else 0
            inside = self._stack[start:]
            del self._stack[start:]
            takes = takes[: takes.index("mark")]
        else:
            inside = []
        popped = self._stack[len(self._stack) - len(takes) :] if takes else []
        del self._stack[len(self._stack) - len(popped) :]
        # What only grows does not get deeper with each thing that is put into it.
        grows = opcode.name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
        around = popped[0] if grows and popped else 0
        within = [*(popped[1:] if grows else popped), *inside]
        depth = max(around, 1 + max(within)) if within else around
        self._stack += [depth] * len(opcode.stack_after)


def _opcodes(path: Path, is_zip: bool) -> Iterator[tuple[Any, Any]]:
    try:
        if not is_zip:
            with path.open("rb") as file:
                for _ in range(_LEGACY_PICKLES):
                    yield from _of_one(file)
            return
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as file:
                        yield from _of_one(file)
    except (zipfile.BadZipFile, OSError):
        return


def _of_one(file: IO[bytes]) -> Iterator[tuple[Any, Any]]:
    try:
        for opcode, argument, _ in pickletools.genops(file):
            yield opcode, argument
    except (ValueError, UnicodeDecodeError, OverflowError, MemoryError):  # damaged: torch says how
        return
