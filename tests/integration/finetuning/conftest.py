"""Small pairs and a run on them, and a tiny GLM, as fixtures."""

import pytest
from pair_toys import pair_folder, pairs_config
from tiny_glms import task_glm

from unblank.api import Unblank

__all__ = ["pair_folder", "pairs_config"]


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return task_glm()
