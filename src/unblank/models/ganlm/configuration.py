"""The configuration of a GanLM; the defaults are the published multilingual base model."""

from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict

from unblank.models.encoder_decoder.configuration import EncoderDecoderConfig

__all__ = ["GanLMConfig"]


@strict
class GanLMConfig(EncoderDecoderConfig):
    """Fields as in `EncoderDecoderConfig`, and those of the discriminator.

    Args:
        discriminator_layers: layers of the bidirectional decoder that judges tokens.
        discriminator_dropout: all dropout of the discriminator; the published one has none.
        share_generator_discriminator: the discriminator is the generator's first
            `discriminator_layers` layers run bidirectionally, with only a head of its own (paper,
            appendix D).
        first_special_id: ids from here on are never content: `<mask>`, sentinels, padding rows and
            tags of the published vocabularies. None if special ids stand elsewhere.
        sentinel_token_ids: single ids that are never content either, in any order.
        classifier_branch: which decoder `GanLMForSequenceClassification` reads.
        classifier_dropout: dropout around the dense layer of the classification head.
    """

    model_type = "ganlm"
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        *EncoderDecoderConfig.keys_to_ignore_at_inference,
        "losses",
        "rates",
        "discriminator_input_ids",
        "denoising_input_ids",
    ]

    max_position_embeddings: int = 1024
    scale_embedding: bool = True
    relative_bias_buckets: int = 32
    discriminator_layers: int = 4
    discriminator_dropout: float = 0.0
    share_generator_discriminator: bool = False
    first_special_id: int | None = None
    sentinel_token_ids: list[int] | None = None
    classifier_branch: Literal["discriminator", "generator"] = "discriminator"
    classifier_dropout: float = 0.0

    def validate_discriminator(self) -> None:
        """Check the discriminator against the generator.

        Raises:
            ValueError: it should share more layers than the generator has, or has none.
        """
        if self.discriminator_layers < 1:
            raise ValueError(
                f"discriminator_layers is {self.discriminator_layers}: it must be at least 1"
            )
        if self.share_generator_discriminator and self.discriminator_layers > self.decoder_layers:
            raise ValueError(
                f"discriminator_layers ({self.discriminator_layers}) must be at most "
                f"decoder_layers ({self.decoder_layers}), as the discriminator shares the "
                "generator's layers"
            )
