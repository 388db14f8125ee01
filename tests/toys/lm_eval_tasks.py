"""lm-eval without the tasks that it brings along."""

from functools import partialmethod

import pytest


def leave_its_own_tasks_unread(patch: pytest.MonkeyPatch) -> None:
    """Let lm-eval's command look for no tasks of its own: they are 14,000 files, read for 10 s."""
    from lm_eval.tasks import TaskManager

    without = partialmethod(TaskManager.__init__, include_defaults=False)
    patch.setattr(TaskManager, "__init__", without)
