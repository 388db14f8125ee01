"""A tiny GLM that knows the words of the tasks' examples, and its folder."""

from pathlib import Path

import pytest
from tiny_glms import task_glm, with_sentinels, write_folder

from unblank.api import Unblank


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return task_glm()


@pytest.fixture
def tiny_with_sentinels(tiny) -> Unblank:
    return with_sentinels(tiny)


@pytest.fixture(scope="session")
def model_folder(tiny, tmp_path_factory) -> Path:
    return write_folder(tiny, tmp_path_factory.mktemp("model"))
