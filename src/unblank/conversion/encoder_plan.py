"""The plan of a DeltaLM whose weights all come from a pretrained encoder."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from unblank.conversion.encoder import encoder_parts
from unblank.conversion.fairseq import plan_table
from unblank.conversion.fairseq_vocabulary import fit_rows
from unblank.conversion.options import ConvertOptions
from unblank.conversion.plan import ConversionPlan, PlannedTensor
from unblank.conversion.source import Source
from unblank.models.deltalm import DeltaLMConfig, DeltaLMForConditionalGeneration
from unblank.models.deltalm.from_encoder import decoder_sources

__all__ = ["plan_encoder"]


def plan_encoder(source: Source, options: ConvertOptions) -> ConversionPlan:
    """Return the plan of a DeltaLM whose weights all come from an encoder.

    Raises:
        ValueError: unknown keys, an encoder of an odd number of layers, or a vocabulary that does
            not belong to the weights.
    """
    fields, parts, dropped = encoder_parts(source, options.num_attention_heads)
    if fields["encoder_layers"] % 2:
        raise ValueError(
            f"{source.path} has {fields['encoder_layers']} layers, an odd number: each layer of an "
            "interleaved decoder is made from two encoder layers"
        )
    table = parts["embed_tokens.weight"]
    fitted = fit_rows(source, options, table.shape[0], has_mask=True)
    parts["embed_tokens.weight"] = plan_table(
        table.name, table.keys[0], table.read(), num_rows=fitted.num_rows, num_new=fitted.num_new
    )
    half = fields["encoder_layers"] // 2
    known = {**fields, "decoder_layers": half, "interleaved_decoder": True, **fitted.fields}
    config = DeltaLMConfig(**known)
    planned = [replace(part, name=f"model.encoder.{name}") for name, part in parts.items()]
    planned += [
        replace(part, name=f"model.decoder.{ours}{name.removeprefix(theirs)}", read=_copy(part))
        for ours, theirs in decoder_sources(half, "interleaved")
        for name, part in parts.items()
        if name.startswith(theirs)
    ]
    return ConversionPlan(
        model_class=DeltaLMForConditionalGeneration,
        config=config,
        tensors=tuple(planned),
        dropped=tuple(dropped),
        tokenizer=fitted.tokenizer,
        tokenizer_facts=fitted.facts,
        traps=fitted.traps,
        evidence=(
            f"decoder layer j from encoder layers 2j (self-attention, lower feed-forward) and "
            f"2j + 1 (cross-attention, upper feed-forward), {half} in all",
            *fitted.evidence,
        ),
    )


def _copy(part: PlannedTensor) -> Callable[[], Tensor]:
    """A file of weights must not hold one piece of memory under two names."""
    return lambda: part.read().clone()
