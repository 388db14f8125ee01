"""ELECTRA's generator as a masked language model: it guesses each masked token where it stands.

It opens the folder of a pretrained ELECTRA, whose discriminator is left out.

Shapes: `B` rows, `T` tokens of the text, `S` tokens as they are read, `D` width.
"""

from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.glm.masked import MaskedInfillModel
from unblank.models.glm.modeling import GlmInfillModel
from unblank.models.glm.part_a import PartA

__all__ = ["ElectraInfillForMaskedLM"]


class _SharedTokenTable(nn.Module):
    """The token embedding under the discriminator's name, where both networks share it."""

    def __init__(self, config: ElectraInfillConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)


class ElectraInfillForMaskedLM(MaskedInfillModel):
    """The generator with its tied head."""

    config: ElectraInfillConfig
    base_model_prefix = "generator"
    loss_type = "ForMaskedLM"
    _keys_to_ignore_on_load_unexpected: list[str] = [r"^model\.(?!embed_tokens\.)", r"^head\."]
    _tied_weights_keys: dict[str, str] = {
        "lm_head.weight": "model.embed_tokens.weight",
        "generator.embed_tokens.weight": "model.embed_tokens.weight",
    }

    def __init__(self, config: ElectraInfillConfig) -> None:
        super().__init__(config)
        generator_config = deepcopy(config)
        generator_config.num_hidden_layers = config.generator_layers
        self.model = _SharedTokenTable(config)
        self.generator = GlmInfillModel(generator_config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.generator.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.model.embed_tokens = value
        self.generator.embed_tokens = value

    def _encode(
        self, read: PartA, input_ids: Tensor | None, inputs_embeds: Tensor | None, **kwargs: Any
    ) -> tuple[BaseModelOutputWithPast, Tensor]:
        outputs = self.generator(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=read.is_real,
            position_ids=(read.is_real.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
            **kwargs,
        )
        return outputs, outputs.last_hidden_state[:, read.text]
