"""One file answered by all processes that torchrun started: batches of records are shared out.

Batches are those that one process makes, so that every answer is the same to the last bit. They go
to whom has had least so far, in all windows together, so that all are busy where a window has fewer
batches than there are processes. Each process writes a part of its own, which a later run of as
many processes goes on with; the main one joins the parts in the order of the records, window by
window.
"""

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from unblank.answering.answer_file import AnswerFile, resume_hint_on_failure
from unblank.data.length_groups import length_batches
from unblank.engine.parallel import World
from unblank.load_balancing import padded_size, share_out
from unblank.progress_bars import counting_bar

__all__ = ["RecordWindow", "SharedAnswers", "refuse_parts"]

_Question = TypeVar("_Question")


@dataclass(frozen=True, slots=True)
class RecordWindow(Generic[_Question]):
    """Neighbouring records, which are sorted by length before they are answered.

    Attributes:
        questions: number of a record -> what is asked about it.
        known: number of a record -> its answer, where none is asked for.
    """

    questions: Mapping[int, _Question]
    known: Mapping[int, Any] = field(default_factory=dict)


class SharedAnswers:
    """The answers of several processes to the records of one file.

    Args:
        world: the processes, or the only one.
        output: what the main process makes of them; it is not there yet, or is to be replaced.
        task: as for `AnswerFile`.
        batch_size: records of a batch.
        overwrite: as for `AnswerFile`.

    Raises:
        ValueError: answers are there that another task, another number of processes, or batches of
            another size, began.
    """

    def __init__(
        self,
        world: World,
        output: Path,
        task: dict[str, Any],
        *,
        batch_size: int,
        overwrite: bool = False,
    ) -> None:
        self._world = world
        self._batch_size = batch_size
        self._output = output
        self._loads = [0] * world.size
        if world.is_main:
            self._clear_others(overwrite)
        world.wait()
        # What is done is known by the number of batches, so they must stay the same.
        by_batches = {**task, "batch_size": batch_size, "shared_by": "lengths in all windows"}
        self._file = AnswerFile(self._own(world.rank), by_batches, overwrite=overwrite)

    def answer(
        self,
        windows: Iterable[RecordWindow[_Question]],
        length_of: Callable[[_Question], int],
        answer: Callable[[Sequence[_Question]], Sequence[Any]],
        *,
        doing: str,
        longest_first: bool = False,
        what: tuple[str, str] = ("batch of answers", "batches of answers"),
    ) -> None:
        """Answer this process's share of each window, until all processes have done theirs.

        Args:
            windows: of all records, in their order; the same in every process.
            length_of: a question -> its length, by which it is sorted, and shares are balanced.
            answer: answers a batch, as JSON can hold it.
            doing: beside the progress bar.
            longest_first: as for `length_batches`.
            what: a batch that is written is called, and several are, for a message.
        """
        file, num_done = self._file, len(self._file)
        with (
            resume_hint_on_failure(file, what=what),
            counting_bar(doing, None, show=self._world.is_main) as advance,
        ):
            for number, window in enumerate(windows):
                for batch in self._share(window, length_of, longest_first):
                    if num_done > 0:
                        num_done -= 1
                        continue
                    asked = [window.questions[one] for one in batch]
                    self._append(number, batch, answer(asked))
                    advance(len(batch))
                if self._world.is_main and window.known:
                    if num_done > 0:
                        num_done -= 1
                        continue
                    self._append(number, list(window.known), list(window.known.values()))
        self._world.wait()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield number and answer of all records in their order, once all are answered.

        For the main process; they can be gone through several times.
        """
        parts = [_lines_of(self._part(rank)) for rank in range(self._world.size)]
        window_of = itemgetter("window")
        for _, lines in groupby(heapq.merge(*parts, key=window_of), key=window_of):
            found: dict[int, Any] = {}
            for line in lines:
                found |= zip(line["numbers"], line["answers"], strict=True)
            yield from sorted(found.items(), key=itemgetter(0))

    def _share(
        self,
        window: RecordWindow[_Question],
        length_of: Callable[[_Question], int],
        longest_first: bool,
    ) -> list[list[int]]:
        """Return the batches of the next window that this process answers."""
        lengths = {number: length_of(one) for number, one in window.questions.items()}
        numbers, sizes = list(lengths), list(lengths.values())
        batches = length_batches(sizes, self._batch_size, longest_first=longest_first)
        costs = [padded_size([sizes[index] for index in batch]) for batch in batches]
        shares = share_out(costs, self._world.size, self._loads)
        for rank, share in enumerate(shares):
            self._loads[rank] += sum(costs[index] for index in share)
        own = [batches[share] for share in shares[self._world.rank]]
        return [[numbers[index] for index in batch] for batch in own]

    def _append(self, window: int, numbers: Sequence[int], answers: Sequence[Any]) -> None:
        line = {"window": window, "numbers": list(numbers), "answers": list(answers)}
        self._file.append([json.dumps(line, ensure_ascii=False)])

    def discard(self) -> None:
        """Leave nothing behind; the main process has written the output."""
        self._world.wait()
        self._file.discard()

    def _own(self, rank: int) -> Path:
        if self._world.size == 1:
            return self._output
        return self._output.with_name(f"{self._output.name}.{rank + 1}-of-{self._world.size}")

    def _part(self, rank: int) -> Path:
        own = self._own(rank)
        return own.with_name(f"{own.name}.part")

    def _clear_others(self, overwrite: bool) -> None:
        """Refuse answers that another number of processes began; with `overwrite`, remove them."""
        ours = {self._part(rank) for rank in range(self._world.size)}
        refuse_parts(self._output, ours, overwrite=overwrite)


def _lines_of(part: Path) -> Iterator[dict[str, Any]]:
    with part.open(encoding="utf-8", newline="") as file:
        yield from map(json.loads, file)


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
