"""The records of a file shared out among the processes that torchrun started, batch by batch.

Batches are those that one process makes, so that every answer is the same to the last bit. Each
process writes a part of its own, which a later run of as many processes goes on with; the main one
joins the parts in the order of the records.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unblank.answering.answer_file import AnswerFile, told_on_failure
from unblank.data.shards import share_out
from unblank.engine.parallel import World
from unblank.progress_bars import progress_bar

__all__ = ["SharedAnswers", "batches_of", "refuse_parts"]

_Answer = Callable[[Sequence[int]], Sequence[Any]]
"""Numbers of records that are one batch -> their answers, as JSON can hold them."""


def batches_of(
    windows: Sequence[Sequence[int]],
    length_of: Callable[[int], int],
    batch_size: int,
    *,
    longest_first: bool = False,
) -> list[list[int]]:
    """Return the batches in which the records of each window are answered: of similar length.

    Args:
        windows: numbers of records that are sorted together.
        length_of: number of a record -> its length.
        batch_size: records of a batch.
        longest_first: or the shortest.

    Example:
        >>> batches_of([[0, 1, 2]], [5, 9, 1].__getitem__, 2)
        [[2, 0], [1]]
    """
    sign = -1 if longest_first else 1
    by_length = [sorted(window, key=lambda number: sign * length_of(number)) for window in windows]
    return [
        numbers[start : start + batch_size]
        for numbers in by_length
        for start in range(0, len(numbers), batch_size)
    ]


class SharedAnswers:
    """The answers of several processes to the records of one file.

    Args:
        world: the processes, at least two.
        output: the finished file, which the main process writes.
        task: as for `AnswerFile`.
        overwrite: as for `AnswerFile`.

    Raises:
        FileExistsError: the output is there already.
        ValueError: answers are there that another task, or another number of processes, began.
    """

    def __init__(
        self, world: World, output: Path, task: dict[str, Any], *, overwrite: bool = False
    ) -> None:
        self._world = world
        self._output = output
        if world.is_main:
            self._clear_others(overwrite)
        world.wait()
        if output.exists() and not overwrite:
            raise FileExistsError(
                f"{output} already exists: choose another --output, or add --overwrite"
            )
        self._file = AnswerFile(self._own(world.rank), task, overwrite=overwrite)

    def answer(
        self, batches: Sequence[Sequence[int]], length_of: Callable[[int], int], answer: _Answer,
        *, doing: str,
    ) -> dict[int, Any]:  # fmt: skip
        """Answer this process's share of the batches, and return the answers of all.

        Args:
            batches: of all records, the same in every process.
            length_of: number of a record -> its length, by which shares are balanced.
            answer: answers a batch.
            doing: beside the progress bar.

        Returns:
            Number of a record -> its answer, in the main process; nothing in the others.
        """
        world, file = self._world, self._file
        costs = [len(batch) * max(map(length_of, batch)) for batch in batches]
        shares = share_out(costs, world.size)
        mine = [batches[index] for index in shares[world.rank]]
        num_done = len(file)
        is_long = world.is_main and len(mine) - num_done > 1
        with (
            told_on_failure(file, len(mine), what="batches of answers"),
            progress_bar(show=is_long) as progress,
        ):
            bar = progress.add_task(doing, total=len(mine), completed=num_done)
            for batch in mine[num_done:]:
                file.append([json.dumps(list(answer(batch)), ensure_ascii=False)])
                progress.advance(bar)
        world.wait()
        if not world.is_main:
            return {}
        found: dict[int, Any] = {}
        for rank, share in enumerate(shares):
            lines = self._part(rank).read_text(encoding="utf-8").split("\n")
            for index, line in zip(share, lines, strict=False):
                found |= zip(batches[index], json.loads(line), strict=True)
        return found

    def discard(self) -> None:
        """Leave nothing behind; the main process has written the output."""
        self._world.wait()
        self._file.discard()

    def _own(self, rank: int) -> Path:
        return self._output.with_name(f"{self._output.name}.{rank + 1}-of-{self._world.size}")

    def _part(self, rank: int) -> Path:
        own = self._own(rank)
        return own.with_name(f"{own.name}.part")

    def _clear_others(self, overwrite: bool) -> None:
        """Refuse answers that another number of processes began; with `overwrite`, remove them."""
        ours = {self._part(rank) for rank in range(self._world.size)}
        refuse_parts(self._output, ours, overwrite=overwrite)


def refuse_parts(output: Path, ours: set[Path], *, overwrite: bool) -> None:
    """Raise ValueError for unfinished answers that another number of processes began.

    Args:
        output: the finished file.
        ours: parts that belong to this number.
        overwrite: remove them instead.
    """
    name = re.escape(output.name)
    parts = re.compile(rf"{name}(\.\d+-of-\d+)?\.part")
    others = [
        path
        for path in (output.parent.iterdir() if output.parent.is_dir() else ())
        if parts.fullmatch(path.name) and path not in ours
    ]
    for path in sorted(others):
        if not overwrite:
            raise ValueError(
                f"{path} was started by another number of processes: use as many, choose another "
                "--output, or add --overwrite to start over"
            )
        path.unlink()
        path.with_name(f"{path.name}.json").unlink(missing_ok=True)
