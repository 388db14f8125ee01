"""A tiny tokenizer that knows the words of the tasks' examples, and a tiny random GLM."""

import pytest
from tiny_glms import task_glm, with_sentinels

from unblank.api import Unblank


@pytest.fixture(scope="session", params=["wordpiece", "bpe"])
def tiny_of_each_kind(request) -> Unblank:
    return task_glm(request.param)


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return task_glm()


@pytest.fixture
def tiny_with_sentinels(tiny) -> Unblank:
    return with_sentinels(tiny)
