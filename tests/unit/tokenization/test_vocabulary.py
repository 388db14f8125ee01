"""The size of vocabularies."""

import pytest

from unblank.tokenization.vocabulary import padded_vocab_size


@pytest.mark.parametrize(("number", "padded"), [(1, 64), (64, 64), (65, 128), (30522, 30528)])
def test_padding_goes_to_the_next_multiple(number, padded):
    assert padded_vocab_size(number) == padded


def test_padding_nothing_is_refused():
    with pytest.raises(ValueError, match=r"num_tokens=.*multiple="):
        padded_vocab_size(0)
