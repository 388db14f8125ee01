"""What every encoder-decoder here can be configured to be; DeltaLM and GanLM choose the defaults.

Not a model of its own: it has no `model_type`.
"""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from unblank.models.sizes import require_possible_sizes

__all__ = ["EncoderDecoderConfig"]


@strict
class EncoderDecoderConfig(PreTrainedConfig):
    """Shape, regularisation and special token ids of an encoder-decoder.

    Args:
        vocab_size: rows of the one embedding table, padding rows included.
        tokenizer_size: rows that the tokenizer really uses; rows above are never generated. None
            means all.
        hidden_size: width of the residual stream.
        encoder_layers: layers of the encoder.
        decoder_layers: layers of the decoder.
        num_attention_heads: heads a layer; must divide `hidden_size`.
        intermediate_size: inner width of the feed-forward layers; None for four times the width.
        max_position_embeddings: longest source and longest target, in tokens.
        hidden_act: "gelu" (erf, what the published models use) or "gelu_pytorch_tanh".
        hidden_dropout_prob: dropout of embeddings and of each sublayer's output.
        attention_probs_dropout_prob: dropout of attention weights.
        layer_norm_eps: epsilon of every LayerNorm.
        initializer_range: standard deviation of the initial weights outside decoders, which have
            their own rule (`unblank.models.initialization`).
        normalize_before: LayerNorm before each sublayer and at the end of each stack (pre-LN)
            instead of after each residual (post-LN).
        layernorm_embedding: LayerNorm over the sum of token and position embeddings.
        scale_embedding: multiply token embeddings by sqrt(hidden_size).
        interleaved_decoder: a second feed-forward layer between self-attention and
            cross-attention (DeltaLM paper, section 2.2).
        relative_bias_buckets: buckets of the encoder's relative position bias; 0 for no bias.
        relative_bias_max_distance: distance, in tokens, from which all share the last bucket.
        decoder_start_token_id: first input of the decoder. The other `*_token_id` fields likewise
            name the ids of special tokens.
        is_encoder_decoder: True; part of the transformers contract.
    """

    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "past_key_values",
        "encoder_last_hidden_state",
        "loss_sum",
        "num_scored",
    ]
    attribute_map: ClassVar[dict[str, str]] = {"num_hidden_layers": "encoder_layers"}

    vocab_size: int = 250104
    tokenizer_size: int | None = None
    hidden_size: int = 768
    encoder_layers: int = 12
    decoder_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int | None = None
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    normalize_before: bool = False
    layernorm_embedding: bool = True
    scale_embedding: bool = False
    interleaved_decoder: bool = False
    relative_bias_buckets: int = 0
    relative_bias_max_distance: int = 128
    tie_word_embeddings: bool = True
    use_cache: bool = True
    is_encoder_decoder: bool = True
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | None = 2
    unk_token_id: int | None = 3
    decoder_start_token_id: int | None = 2
    mask_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Check the fields against each other.

        Raises:
            ValueError: a number that no model can have, heads that do not divide the width, an
                unknown activation, buckets that cannot be shared by two directions or that reach
                beyond the largest distance, or a tokenizer larger than the table.
        """
        require_possible_sizes(self)
        if self.hidden_act not in ("gelu", "gelu_pytorch_tanh"):
            raise ValueError(f"hidden_act is {self.hidden_act!r}: choose gelu or gelu_pytorch_tanh")
        if self.relative_bias_buckets % 2 or self.relative_bias_buckets == 2:
            raise ValueError(
                f"relative_bias_buckets is {self.relative_bias_buckets}: it must be an even "
                "number of at least 4 (half for each direction), or 0 for no bias"
            )
        # A quarter of the buckets are for single distances of one direction.
        most_exact = self.relative_bias_buckets // 4
        if self.relative_bias_max_distance <= most_exact:
            raise ValueError(
                f"relative_bias_max_distance is {self.relative_bias_max_distance}: with "
                f"{self.relative_bias_buckets} buckets, each distance below {most_exact} has one "
                f"of its own, so it must be above {most_exact}"
            )
