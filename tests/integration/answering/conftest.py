"""The tiny models, as fixtures."""

import pytest
from tiny_models import tiny, tiny_words

__all__ = ["model_folder", "tiny", "tiny_words"]


@pytest.fixture(scope="session")
def model_folder(tiny, tmp_path_factory):
    """The tiny GLM, saved."""
    folder = tmp_path_factory.mktemp("glm")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder
