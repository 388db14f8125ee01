"""The configuration of a DeltaLM; the defaults are the published base model."""

from huggingface_hub.dataclasses import strict

from unblank.models.encoder_decoder.configuration import EncoderDecoderConfig

__all__ = ["DeltaLMConfig"]


@strict
class DeltaLMConfig(EncoderDecoderConfig):
    """Fields as in `EncoderDecoderConfig`; an interleaved decoder of half the encoder's depth."""

    model_type = "deltalm"

    decoder_layers: int = 6
    interleaved_decoder: bool = True
    attention_probs_dropout_prob: float = 0.0
