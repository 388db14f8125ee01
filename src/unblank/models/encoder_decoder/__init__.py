"""What DeltaLM and GanLM share: stacks, embeddings, the tied head. No model by itself."""

from unblank.models.encoder_decoder.configuration import EncoderDecoderConfig
from unblank.models.encoder_decoder.seq2seq import (
    EncoderDecoderForConditionalGeneration,
    EncoderDecoderModel,
    Seq2SeqOutput,
)
from unblank.models.encoder_decoder.stacks import (
    Decoder,
    Encoder,
    EncoderDecoderPreTrainedModel,
)

__all__ = [
    "Decoder",
    "Encoder",
    "EncoderDecoderConfig",
    "EncoderDecoderForConditionalGeneration",
    "EncoderDecoderModel",
    "EncoderDecoderPreTrainedModel",
    "Seq2SeqOutput",
]
