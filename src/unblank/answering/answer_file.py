"""A file of answers that grows in order and can be continued after an interruption.

Answers go to `NAME.part`, line by line; `NAME.part.json` says what they answer, and what has been
written so far. When all are there the part becomes the file. A command does not continue a part
that is not its own, or that has changed; one that overwrites starts over then.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unblank.disk_errors import writes_to
from unblank.integrity import digest_damage, read_record, seal, write_atomically
from unblank.plurals import counted
from unblank.terminal_text import print_message

__all__ = ["AnswerFile", "require_free", "resume_hint_on_failure"]

_SO_FAR = "answers_so_far"
"""Key of the record under which size and hash of the answers are."""
_OVERWRITE = "overwrite"
"""Key of the record of answers that will replace a file."""


class AnswerFile:
    """The answers of one job.

    Args:
        path: the finished file.
        task: plain values that say what is answered and how; a part with others is refused.
        overwrite: replace the file if it is there, and remove a part, unless the same task began it
            to replace the file, too.

    Attributes:
        part: where the answers are until all are there.

    Raises:
        ValueError: if a part is there that another task began.
    """

    def __init__(self, path: Path, task: dict[str, Any], *, overwrite: bool = False) -> None:
        self._path = path
        self.part = path.with_name(path.name + ".part")
        self._record = path.with_name(path.name + ".part.json")
        self._task = {**task, _OVERWRITE: True} if overwrite else task
        if overwrite and not self._goes_on():
            self.part.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._written = hashlib.sha256()
        self._num_bytes = 0
        if self.part.exists():
            self._require_same()
            self._drop_half_a_line()
            self._count_all()
        else:
            self.part.touch()
        self._note()

    def __len__(self) -> int:
        """The number of answers that are there."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        """Yield the answers that are there, without line ends."""
        with self.part.open(encoding="utf-8", newline="") as file:
            for line in file:
                yield line.removesuffix("\n")

    def append(self, lines: Iterable[str]) -> None:
        """Add answers; none may hold a line end."""
        content = "".join(f"{line}\n" for line in lines).encode()
        with writes_to(self.part), self.part.open("ab") as file:
            file.write(content)
        self._count(content)
        self._note()

    def finish(self) -> None:
        """Give the file its name; all answers are there."""
        self.part.replace(self._path)
        self._record.unlink()

    def discard(self) -> None:
        """Leave nothing behind."""
        self.part.unlink()
        self._record.unlink()

    def _count(self, content: bytes) -> None:
        self._written.update(content)
        self._num_bytes += len(content)

    def _count_all(self) -> None:
        with self.part.open("rb") as file:
            while content := file.read(1 << 20):
                self._count(content)

    def _note(self) -> None:
        """Write down what is answered, and what of it is there."""
        facts = {"size": self._num_bytes, "sha256": self._written.hexdigest()}
        write_atomically(self._record, seal(self._task | {_SO_FAR: facts}, readable=True))

    def _goes_on(self) -> bool:
        """Whether there is a part of this task, as far as its record tells."""
        if not self.part.exists():
            return False
        try:
            self._require_same()
        except ValueError:
            return False
        return True

    def _require_same(self) -> None:
        if not self.part.stat().st_size and not self._record.exists():  # begun, and no more
            return
        try:
            begun = read_record(self._record)
        except ValueError as error:
            why = str(error) if self._record.exists() else f"{self._record.name} is missing"
            raise ValueError(
                f"{self.part} cannot be continued ({why}): add --overwrite to start over"
            ) from error
        so_far = begun.get(_SO_FAR)  # older versions did not record it
        if so_far is not None and (damage := digest_damage(self.part, so_far)):
            raise ValueError(
                f"{self.part} is damaged ({damage}): restore it from a copy, or add --overwrite "
                "to start over"
            )
        if not self.part.stat().st_size:
            return
        plain = json.loads(json.dumps(self._task))
        different = [name for name in plain if begun.get(name) != plain[name]]
        if different:
            raise ValueError(
                f"{self.part} was started by another command ({_and(different)} changed): "
                "use the same, choose another --output, or add --overwrite to start over"
            )

    def _drop_half_a_line(self) -> None:
        """Remove a last line without an end, which a killed run may have left."""
        num_whole = 0
        with self.part.open("rb+") as file:
            for line in file:
                num_whole += len(line) if line.endswith(b"\n") else 0
            file.truncate(num_whole)


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError for a folder, and for a file that is not to be replaced."""
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder: choose the name of a file as --output")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} already exists: choose another --output, or add --overwrite")


@contextmanager
def resume_hint_on_failure(
    file: AnswerFile, total: int | None = None, *, what: tuple[str, str] = ("answer", "answers")
) -> Iterator[None]:
    """Say where the answers so far are if the rest does not come.

    Args:
        file: of the answers.
        total: number of all; None if it is not known.
        what: one answer is called, and several are.
    """
    try:
        yield
    except BaseException:
        if num_done := len(file):
            of_all = "" if total is None else f" of {total:,}"
            print_message(
                f"{file.part} has {counted(num_done, *what)}{of_all}; run the same command again "
                "to continue there"
            )
        else:
            file.discard()
        raise


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
