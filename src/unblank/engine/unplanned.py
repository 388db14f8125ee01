"""Checkpoints outside of the schedule: when a signal asks for the end, and by the clock.

All processes of a run take part in each of them, so they agree after every step.
"""

import time
from dataclasses import dataclass, field

from unblank.engine.parallel import World
from unblank.interruption import Request

__all__ = ["Unplanned"]


@dataclass(slots=True, kw_only=True)
class Unplanned:
    """Looks after each step whether a checkpoint is due.

    Attributes:
        save_minutes: minutes between two checkpoints; None leaves the clock out.
        request: of the signals to this process.
        saved_at: time of the last checkpoint, in seconds of `time.monotonic`.
    """

    save_minutes: float | None
    request: Request = field(default_factory=Request)
    saved_at: float = field(default_factory=time.monotonic)

    def signal_number(self, world: World) -> int | None:
        """Return the signal that asked some process of the run to end, the same in all of them."""
        return next((number for number in world.gather(self.request.number) if number), None)

    def look(self, world: World, *, has_failed: bool) -> tuple[bool, bool, bool]:
        """Return whether the run is to end, is to be saved, and has failed to be saved.

        Args:
            world: the processes; all call this, and get the same answer.
            has_failed: whether this one knows of a checkpoint that could not be written.
        """
        minutes = (time.monotonic() - self.saved_at) / 60
        # The clocks differ, so that of the main process counts.
        is_time = world.is_main and self.save_minutes is not None and minutes >= self.save_minutes
        is_asked = self.request.number is not None
        asked, due, failed = world.sum([float(is_asked), float(is_time), float(has_failed)])
        return asked > 0, due > 0, failed > 0
