"""The configuration of a GLM, a strict dataclass as transformers wants it."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from unblank.models.sizes import require_possible_sizes

__all__ = ["GlmInfillConfig"]


@strict
class GlmInfillConfig(PreTrainedConfig):
    """Shape, regularisation and special token ids of a GLM.

    Args:
        vocab_size: rows of the tied embedding table, padding rows included.
        tokenizer_size: rows that the tokenizer really uses; rows above are never generated. None
            means all.
        hidden_size: width of the residual stream.
        num_hidden_layers: Transformer layers.
        num_attention_heads: heads a layer; must divide `hidden_size`.
        intermediate_size: inner width of the feed-forward layers; None for four times the width.
        max_position_embeddings: longest Part A. Both position tables have one row more, used only
            by the sentinel ablation, as in the published checkpoints.
        hidden_act: "gelu_pytorch_tanh" (what the models were trained with) or "gelu" (erf, as in
            the Hugging Face port of the original).
        hidden_dropout_prob: dropout of embeddings and of each sublayer's output.
        attention_probs_dropout_prob: dropout of attention weights.
        classifier_dropout: dropout before the last layer of a classification head; None for
            `hidden_dropout_prob`.
        classifier_pooled: the token that a classification head reads, the first ("cls") or the
            last ("end").
        layer_norm_eps: epsilon of every LayerNorm.
        initializer_range: standard deviation of the initial weights; output projections are
            scaled down by sqrt(2 * layers).
        block_position_encoding: False removes the second position table (paper, Table 4).
        mask_token_id: token blank. The other `*_token_id` fields likewise name the ids of the
            special tokens that the tokenizer defines.
    """

    model_type = "glm_infill"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "loss_sum", "num_scored"]
    base_model_fsdp_plan: ClassVar[dict[str, Any]] = {
        "embed_tokens": "free_full_weight",
        "layers.*": "free_full_weight",
        "norm": "keep_full_weight",
    }

    vocab_size: int = 30592
    tokenizer_size: int | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int | None = None
    max_position_embeddings: int = 512
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    classifier_pooled: str = "cls"
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    block_position_encoding: bool = True
    tie_word_embeddings: bool = True
    use_cache: bool = True
    bos_token_id: int | None = None
    pad_token_id: int | None = None
    eos_token_id: int | None = None
    cls_token_id: int | None = None
    sep_token_id: int | None = None
    unk_token_id: int | None = None
    mask_token_id: int | None = None
    smask_token_id: int | None = None
    gmask_token_id: int | None = None
    sop_token_id: int | None = None
    eop_token_id: int | None = None
    dblock_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        if self.classifier_dropout is None:
            self.classifier_dropout = self.hidden_dropout_prob
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Check the fields against each other.

        Raises:
            ValueError: a number that no model can have, heads that do not divide the width, an
                unknown activation or pooled token, or a tokenizer that is larger than the table.
        """
        require_possible_sizes(self)
        if self.hidden_act not in ("gelu_pytorch_tanh", "gelu"):
            raise ValueError(
                f"hidden_act is {self.hidden_act!r}: choose 'gelu_pytorch_tanh' (the original) or "
                "'gelu' (the Hugging Face port)"
            )
        if self.classifier_pooled not in ("cls", "end"):
            raise ValueError(
                f"classifier_pooled is {self.classifier_pooled!r}: choose 'cls' (the first token) "
                "or 'end' (the last)"
            )
