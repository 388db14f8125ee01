"""A vector a sentence and layer: the mean state of its tokens.

A GLM reads the sentence as Part A, every token seeing every other; of an encoder-decoder it is the
encoder. Shapes: `B` sentences, `T` tokens, `D` width, `L` layers with the embeddings as the first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.length_groups import length_batches
from unblank.families.table import family_of_model_type
from unblank.tokenization.encoding import encode_texts

__all__ = ["sentence_states"]


@torch.no_grad()
def sentence_states(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sentences: Sequence[str],
    *,
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Return float32[L + 1, N, D], the mean states of each sentence after each layer.

    Special tokens are read, but not averaged. A sentence longer than the model's positions is cut.

    Args:
        model: of any family, in evaluation mode.
        tokenizer: of the model.
        sentences: with at least one token each.
        batch_size: sentences of a forward pass.
        advance: called with the number of sentences that were just done.
    """
    config: Any = model.config
    family = family_of_model_type(config.model_type)
    assert family is not None  # its folder was opened
    special = family.special_ids(tokenizer)
    encoder: Any = model.base_model
    before, after = [special.cls], [special.eos]
    if config.is_encoder_decoder:  # a source is its tokens and the end
        encoder, before = encoder.encoder, []
    room = config.max_position_embeddings - len(before) - len(after)
    encoded = [ids[:room] for ids in encode_texts(tokenizer, sentences)]
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(encoded)
    for numbers in length_batches(list(map(len, encoded)), batch_size):
        rows = [[*before, *encoded[number], *after] for number in numbers]
        longest = max(map(len, rows))
        ids_BT = torch.tensor([row + [special.pad] * (longest - len(row)) for row in rows])
        mask_BT = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        outputs = encoder(
            input_ids=ids_BT.to(model.device),
            attention_mask=mask_BT.to(model.device),
            output_hidden_states=True,
        )
        for place, row in enumerate(rows):
            text = slice(len(before), len(row) - len(after))
            means = [layer[place, text].float().mean(dim=0) for layer in outputs.hidden_states]
            found[numbers[place]] = torch.stack(means).cpu().numpy()
        advance(len(numbers))
    return np.stack(found, axis=1)
