"""DeltaLM from a pretrained encoder: which of its layers fills which part of the decoder.

Interleaved decoder layer j takes self-attention and bottom feed-forward from encoder layer 2j, and
cross-attention and top feed-forward from layer 2j + 1, counted from 0 (DeltaLM paper, section 2.2;
"odd" and "even" there count from 1). The baselines of the paper are settings here.

State dicts are under the names of `Encoder`; `unblank.conversion.encoder` reads them.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from unblank.models.deltalm.configuration import DeltaLMConfig
from unblank.models.deltalm.modeling import DeltaLMForConditionalGeneration

__all__ = ["decoder_sources", "deltalm_from_encoder"]

_DecoderStart = Literal["interleaved", "vanilla", "vanilla-random-cross-attention", "random"]
"""How the decoder is initialised. "interleaved": by the rule above. "vanilla": layer j from encoder
layer j, cross-attention copied from self-attention. "vanilla-random-cross-attention": the same with
random cross-attention. "random": an interleaved model that only takes the encoder's sizes."""

_SELF_ATTENTION = {"self_attn": "self_attn", "self_attn_norm": "self_attn_norm"}
_CROSS_ATTENTION = {"cross_attn": "self_attn", "cross_attn_norm": "self_attn_norm"}
_BOTTOM_MLP = {"bottom_mlp": "mlp", "bottom_mlp_norm": "mlp_norm"}
_MLP = {"mlp": "mlp", "mlp_norm": "mlp_norm"}

_SIZES = (
    "hidden_size",
    "encoder_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "normalize_before",
    "layernorm_embedding",
)
"""Fields that a DeltaLM must share with the encoder that it starts from."""


def deltalm_from_encoder(
    fields: dict[str, Any],
    encoder_state: dict[str, Tensor],
    start: _DecoderStart = "interleaved",
    **overrides: Any,
) -> DeltaLMForConditionalGeneration:
    """Return a DeltaLM whose weights all come from the encoder, unless `start` says otherwise.

    Args:
        fields: configuration fields of the encoder.
        encoder_state: its weights under the names of `Encoder`.
        start: how the decoder starts.
        **overrides: fields of `DeltaLMConfig`. A larger `vocab_size` adds rows for new tokens
            (sentinels, language tags), which start random; fewer `decoder_layers` use the first
            encoder layers.

    Raises:
        ValueError: an odd number of encoder layers, a decoder too deep for them, or overrides that
            do not fit the encoder's tensors.
    """
    is_interleaved = start in ("interleaved", "random")
    layers = fields["encoder_layers"]
    if is_interleaved and layers % 2 and "decoder_layers" not in overrides:
        raise ValueError(
            "each layer of an interleaved decoder is made from two encoder layers, but the "
            f"encoder has {layers}, an odd number: use a vanilla decoder (model.decoder_start "
            f"vanilla), or, in Python, decoder_layers={layers // 2}, which leaves the last one "
            "out"
        )
    decoder_layers = layers // 2 if is_interleaved else layers
    config = DeltaLMConfig(
        **fields
        | {"decoder_layers": decoder_layers, "interleaved_decoder": is_interleaved}
        | overrides
    )
    model = DeltaLMForConditionalGeneration(config)
    if start != "random":
        _check_sizes(config, fields)
        if config.decoder_layers > decoder_layers:
            raise ValueError(
                f"decoder_layers is {config.decoder_layers}: an encoder of {layers} layers gives "
                f"at most {decoder_layers} layers of a decoder that starts as {start!r}"
            )
        _fill(model, encoder_state, dict(decoder_sources(config.decoder_layers, start)))
    return model


def decoder_sources(num_layers: int, start: _DecoderStart) -> Iterator[tuple[str, str]]:
    """Yield (prefix in the decoder, prefix in the encoder) of every part that is copied."""
    yield "embeddings.", "embeddings."
    yield "norm.", "norm."
    for layer in range(num_layers):
        parts = [(layer, _SELF_ATTENTION | _MLP)]
        if start == "interleaved":
            parts = [
                (2 * layer, _SELF_ATTENTION | _BOTTOM_MLP),
                (2 * layer + 1, _CROSS_ATTENTION | _MLP),
            ]
        elif start == "vanilla":
            parts = [(layer, _SELF_ATTENTION | _CROSS_ATTENTION | _MLP)]
        for encoder_layer, names in parts:
            for ours, theirs in names.items():
                yield f"layers.{layer}.{ours}.", f"layers.{encoder_layer}.{theirs}."


def _fill(
    model: DeltaLMForConditionalGeneration,
    encoder_state: dict[str, Tensor],
    sources: dict[str, str],
) -> None:
    """Copy the encoder's tensors; only what `sources` leaves out keeps its random start."""
    with torch.no_grad():
        for name, parameter in model.model.encoder.named_parameters():
            _copy(f"encoder.{name}", parameter, encoder_state, name)
        for name, parameter in model.model.decoder.named_parameters():
            for ours, theirs in sources.items():
                if name.startswith(ours):
                    source = theirs + name.removeprefix(ours)
                    _copy(f"decoder.{name}", parameter, encoder_state, source)


def _copy(name: str, parameter: Tensor, state: dict[str, Tensor], source: str) -> None:
    if source not in state:
        raise ValueError(f"the encoder has no {source}, from which {name} is initialised")
    rows = state[source].shape[0]
    if source != "embed_tokens.weight" and state[source].shape != parameter.shape:
        raise ValueError(
            f"{name} has shape {tuple(parameter.shape)}, but the encoder's {source} has shape "
            f"{tuple(state[source].shape)}"
        )
    parameter[:rows] = state[source][: parameter.shape[0]]


def _check_sizes(config: DeltaLMConfig, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        ours = getattr(config, name)
        if name in _SIZES and ours != value:
            raise ValueError(f"{name} is {value} in the encoder: {ours} does not fit its tensors")
