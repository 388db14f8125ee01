"""Small pairs and a run on them, a toy task with labels, and a tiny GLM, as fixtures."""

import pytest
from labelled_toys import toys
from pair_toys import pair_folder, pairs_config
from tiny_glms import task_glm

from unblank.api import Unblank

__all__ = ["pair_folder", "pairs_config", "toys"]


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return task_glm()
