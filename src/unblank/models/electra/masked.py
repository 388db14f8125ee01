"""ELECTRA's generator as a masked language model: it guesses each masked token where it stands.

It opens the folder of a pretrained ELECTRA, whose discriminator is left out.

Shapes: `B` rows, `T` tokens, `D` width, `V` vocabulary.
"""

from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import MaskedLMOutput
from transformers.utils.generic import can_return_tuple

from unblank.models.arguments import check_rest, given_tokens
from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.glm.masked import special_ids_in
from unblank.models.glm.modeling import GlmInfillModel, GlmInfillPreTrainedModel
from unblank.models.glm.part_a import part_a
from unblank.models.loss import loss_per_item, token_loss

__all__ = ["ElectraInfillForMaskedLM"]


class _SharedTokenTable(nn.Module):
    """The token embedding under the discriminator's name, where both networks share it."""

    def __init__(self, config: ElectraInfillConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)


class ElectraInfillForMaskedLM(GlmInfillPreTrainedModel):
    """The generator with its tied head; transformers' `fill-mask`."""

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

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Return the logits of every token.

        What is read may have more columns than the text: `[CLS]` and an end, put there where they
        are missing; hidden states and attentions have them too.

        Args:
            input_ids: int64[B, T], texts with masks, as a tokenizer gives them.
            attention_mask: [B, T], non-zero on real tokens; None if all are real.
            labels: int64[B, T], aligned, -100 where not scored.
            inputs_embeds: float[B, T, D], in place of `input_ids`.
            num_items_in_batch: scored positions of a whole step, by which the summed loss is
                divided; None for those of this call.
            return_logits: None leaves them out in training with labels.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            TypeError: an argument that the model does not have.
            ValueError: both or neither of ids and embeddings, or a text that is too long.
        """
        check_rest(kwargs)
        given = given_tokens(input_ids, inputs_embeds)
        embed = self.get_input_embeddings()
        token_ids = given if inputs_embeds is None else special_ids_in(given, embed, self.config)
        read = part_a(token_ids, attention_mask, self.config)
        if inputs_embeds is None:
            tokens = {"input_ids": read.around(given)}
        else:
            tokens = {"inputs_embeds": read.around_embedded(given, embed)}
        places_BS = (read.is_real.cumsum(1) - 1).clamp(min=0)
        outputs = self.generator(
            **tokens, attention_mask=read.is_real, position_ids=places_BS, use_cache=False, **kwargs
        )
        hidden_BTD = outputs.last_hidden_state[:, read.text]
        loss_sum, num_scored = None, None
        if labels is not None:
            loss_sum, num_scored = token_loss(hidden_BTD, self.lm_head.weight, labels)
        if return_logits is None:
            return_logits = labels is None or not self.training
        return MaskedLMOutput(
            loss=loss_per_item(loss_sum, num_scored, num_items_in_batch),
            logits=self.lm_head(hidden_BTD) if return_logits else None,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
