"""The engine: one thread that works with a model, and what waits for it.

Requests that are decoded greedily or by sampling share every step: a row that is done makes room
for one that waits. Beam searches and calls such as scoring take turns with these steps, so that
none of them holds up the others for long. Nothing here knows HTTP.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unblank.generation.beam import BeamDecoder
from unblank.generation.independent import DecodingJob, IndependentDecoder, RowEvent
from unblank.generation.pieces import Filling, Piece
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.plurals import counted
from unblank.serving.cache_budget import CacheBudget, Demand

__all__ = [
    "CallTask",
    "DecodingTask",
    "Engine",
    "EngineClosedError",
    "EngineFailedError",
    "QueueFullError",
    "Task",
]

_PROMPT_TOKENS = 4096
"""Most tokens of new prompts, padding included, that are encoded between two steps."""

_LONGEST_RETRY = 60
"""Most seconds after which a client that is refused should try again."""

_logger = logging.getLogger(__name__)


class QueueFullError(Exception):
    """As many requests wait as may.

    Attributes:
        retry_after: seconds after which there is probably room.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"the server has more requests than it can take: try again in {retry_after} s"
        )
        self.retry_after = retry_after


class EngineClosedError(Exception):
    """The server is about to end and takes no new requests."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down: try another one, or later")


class EngineFailedError(Exception):
    """A step failed, and with it all requests that took part in it."""

    def __init__(self) -> None:
        super().__init__("the server failed while it worked on this; its log says why")


class Task:
    """Something to be done for a request.

    Args:
        on_end: called in the engine's thread with the result, or with the exception.
    """

    def __init__(self, on_end: Callable[[Any], None]) -> None:
        self.on_end = on_end
        self.is_cancelled = False


class CallTask(Task):
    """A function that uses the model.

    Args:
        function: called in the engine's thread.
        on_end: as for `Task`; the result is that of the function.
    """

    def __init__(self, function: Callable[[], Any], on_end: Callable[[Any], None]) -> None:
        super().__init__(on_end)
        self.function = function


class DecodingTask(Task):
    """A prompt to be decoded.

    Args:
        setup: how to decode it.
        prompt: the prompt.
        on_end: as for `Task`; the result is a list of `Filling`, best first.
        on_token: called in the engine's thread with each chosen token; not for beam search.
        ends_early: as for `DecodingJob`.
    """

    def __init__(
        self,
        setup: DecoderSetup,
        prompt: Prompt,
        on_end: Callable[[Any], None],
        *,
        on_token: Callable[[RowEvent], None] | None = None,
        ends_early: Callable[[Piece], bool] | None = None,
    ) -> None:
        super().__init__(on_end)
        self.setup = setup
        self.prompt = prompt
        self.on_token = on_token
        self.job = DecodingJob(setup, prompt, ends_early=ends_early)
        self.demand = Demand.of(setup, prompt)


@dataclass(slots=True, eq=False)
class _Search:
    """A beam search under way."""

    task: DecodingTask
    decoder: BeamDecoder
    steps: Iterator[None]


@dataclass(slots=True)
class _Figures:
    """What an engine has done and is doing, for monitoring.

    Attributes:
        waiting: tasks that wait.
        rows: rows of the cache that are reserved; all beams of a text share two.
        reserved_tokens: tokens of the cache that are reserved.
        steps: steps decoded so far.
        tokens: tokens chosen so far; of beam searches those of the best answer.
        finished: tasks finished so far.
        failed: tasks that ended by an error of the engine.
    """

    waiting: int = 0
    rows: int = 0
    reserved_tokens: int = 0
    steps: int = 0
    tokens: int = 0
    finished: int = 0
    failed: int = 0


class Engine:
    """Works on tasks in a thread of its own, in the order in which they come.

    Args:
        cache_tokens: most tokens whose keys and values are held at once.
        max_waiting: most tasks that wait.
    """

    def __init__(self, *, cache_tokens: int, max_waiting: int) -> None:
        self.figures = _Figures()
        self._budget = CacheBudget(cache_tokens)
        self._max_waiting = max_waiting
        self._waiting: deque[Task] = deque()
        self._num_open = 0
        self._changed = threading.Condition()
        self._is_open = True
        self._is_stopped = False
        self._decoder = IndependentDecoder()
        self._running: dict[DecodingJob, DecodingTask] = {}
        self._searches: list[_Search] = []
        self._seconds_per_task = 1.0
        self._last_end = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="unblank-engine", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        with self._changed:
            return self._num_open == 0

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks in, all or none.

        Raises:
            QueueFullError: too many wait.
            EngineClosedError: after `close`.
            ValueError: one needs more than the whole cache, or there are more than may wait.
        """
        for task in tasks:
            if isinstance(task, DecodingTask):
                self._budget.require_possible(task.demand)
        if len(tasks) > self._max_waiting:
            raise ValueError(
                f"{counted(len(tasks), 'text')} in one request, but this server takes at most "
                f"{self._max_waiting}: send them in several requests"
            )
        with self._changed:
            if not self._is_open:
                raise EngineClosedError
            if len(self._waiting) + len(tasks) > self._max_waiting:
                seconds = math.ceil(self._seconds_per_task * len(self._waiting))
                raise QueueFullError(min(max(seconds, 1), _LONGEST_RETRY))
            self._waiting.extend(tasks)
            self._num_open += len(tasks)
            self._changed.notify()

    def cancel(self, task: Task) -> None:
        """Cancel a task, at once if it waits, else before the next step; `on_end` is not called."""
        with self._changed:
            task.is_cancelled = True
            if task in self._waiting:
                self._waiting.remove(task)
                self._num_open -= 1
            self._changed.notify()

    def close(self) -> None:
        """Take no new tasks; those that are there go on."""
        with self._changed:
            self._is_open = False

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the step at hand; tasks that are still there end by an error.

        Args:
            timeout: seconds to wait for it.
        """
        with self._changed:
            self._is_open = False
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(timeout)

    @torch.inference_mode()
    def _work(self) -> None:
        while self._waits_for_work():
            try:
                self._turn()
            except Exception:
                _logger.exception("a step of the engine failed")
                self._fail_all(EngineFailedError())
        self._fail_all(EngineClosedError())

    def _waits_for_work(self) -> bool:
        """Return whether there is something to do; False at the end."""
        with self._changed:
            while not (self._is_stopped or self._waiting or self._running or self._searches):
                self._changed.wait()
            return not self._is_stopped

    def _turn(self) -> None:
        """Take in what there is room for, and go one step on with everything."""
        self._drop_cancelled()
        calls, new = self._admit()
        for task in new:
            self._begin(task)
        # Before the step: should that fail, it takes along only what is noted as under way.
        for call in calls:
            self._call(call)
        events = self._decoder.add([task.job for task in new if task.job in self._running])
        events += self._decoder.step()
        self.figures.steps += bool(events)
        self._tell(events)
        for search in list(self._searches):
            self._advance(search)
        self._decoder.drop_if_idle()
        self._note_load()

    def _drop_cancelled(self) -> None:
        for job, task in list(self._running.items()):
            if task.is_cancelled:
                job.is_done = True
                del self._running[job]
                self._end_decoding(task, [])
        for search in list(self._searches):
            if search.task.is_cancelled:
                self._searches.remove(search)
                self._end_decoding(search.task, [])

    def _admit(self) -> tuple[list[CallTask], list[DecodingTask]]:
        """Return what comes next: at most one call, and prompts as far as there is room."""
        calls: list[CallTask] = []
        new: list[DecodingTask] = []
        longest = 0
        with self._changed:
            while self._waiting:
                task = self._waiting[0]
                if isinstance(task, CallTask):
                    if calls:
                        break
                    calls.append(task)
                elif isinstance(task, DecodingTask):
                    longest = max(longest, len(task.prompt.token_ids))
                    is_too_much = bool(new) and longest * (len(new) + 1) > _PROMPT_TOKENS
                    if is_too_much or not self._budget.has_room(task.demand):
                        break
                    self._budget.reserve(task.demand)
                    new.append(task)
                self._waiting.popleft()
        return calls, new

    def _begin(self, task: DecodingTask) -> None:
        if task.setup.options.num_beams > 1:
            decoder = BeamDecoder(task.setup, [task.prompt])
            self._searches.append(_Search(task, decoder, decoder.steps()))
        else:
            self._running[task.job] = task

    def _tell(self, events: Sequence[RowEvent]) -> None:
        self.figures.tokens += len(events)
        for event in events:
            if (on_token := self._running[event.job].on_token) is not None:
                on_token(event)
        for job, task in list(self._running.items()):
            if job.is_done:
                del self._running[job]
                self._end_decoding(task, job.ranked())

    def _advance(self, search: _Search) -> None:
        try:
            next(search.steps)
        except StopIteration:
            self._searches.remove(search)
            fillings = search.decoder.fillings[0]
            self.figures.tokens += sum(len(piece.token_ids) for piece in fillings[0].pieces)
            self._end_decoding(search.task, fillings)

    def _end_decoding(self, task: DecodingTask, fillings: list[Filling]) -> None:
        self._budget.release(task.demand)
        self._end(task, fillings)

    def _call(self, task: CallTask) -> None:
        result = None
        if not task.is_cancelled:
            try:
                result = task.function()
            except Exception as error:
                result = error
        self._end(task, result)

    def _end(self, task: Task, result: Any) -> None:
        self.figures.finished += 1
        now = time.monotonic()
        # A running mean over some ten tasks; a pause before one says nothing about the speed.
        self._seconds_per_task += 0.1 * (min(now - self._last_end, 10.0) - self._seconds_per_task)
        self._last_end = now
        self._note_load()  # before anyone can see that nothing is left
        with self._changed:
            self._num_open -= 1
        if not task.is_cancelled:
            task.on_end(result)

    def _fail_all(self, error: Exception) -> None:
        with self._changed:
            tasks: list[Task] = [*self._running.values(), *(one.task for one in self._searches)]
            if self._is_stopped:
                tasks += self._waiting
                self._waiting.clear()
        self._decoder = IndependentDecoder()
        self._running.clear()
        self._searches.clear()
        self._budget.clear()
        for task in tasks:
            self.figures.failed += 1
            self._end(task, error)

    def _note_load(self) -> None:
        self.figures.waiting = len(self._waiting)
        self.figures.rows = self._budget.num_rows
        self.figures.reserved_tokens = self._budget.reserved
