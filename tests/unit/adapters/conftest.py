"""A tiny GLM that knows the words of the tasks' examples."""

import pytest
from tiny_glms import task_glm

from unblank.api import Unblank


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return task_glm()
