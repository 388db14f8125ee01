"""Making rules ready in a thread of its own, so that neither the event loop nor the model waits.

A rule may take seconds; few may wait, and one that is no longer awaited is given up.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from unblank.serving.engine import QueueFullError

__all__ = ["RuleWork"]

_Result = TypeVar("_Result")

_MOST_WAITING = 32
_SECONDS_EACH = 2
"""Seconds for each waiting rule after which a client that is refused should try again."""


class RuleWork:
    """A thread that makes rules ready, one after another."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="unblank-rules")
        self._num_waiting = 0

    async def do(self, function: Callable[[], _Result]) -> _Result:
        """Return what a function returns, called in the thread.

        Raises:
            QueueFullError: too many wait.
        """
        if self._num_waiting >= _MOST_WAITING:
            raise QueueFullError(_SECONDS_EACH * self._num_waiting)
        self._num_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._num_waiting -= 1
