"""What a run on pairs starts with: the tokenizer with all tags, and the model that fits it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.compatibility import enable_activation_checkpointing
from unblank.data.drawn_texts import DrawnTexts
from unblank.engine.training import RunContext
from unblank.families.family import Family
from unblank.families.settings import FamilySections, ModelSettings, TokenizerSettings
from unblank.finetuning.pairs.batches import SHORTEST_LENGTH
from unblank.finetuning.pairs.entries import RawEntry
from unblank.starting.model import build_model
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer

__all__ = ["PairStart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStart:
    """Where tokenizer and first weights come from.

    Attributes:
        family: of the model.
        model: the `model` section.
        tokenizer: the `tokenizer` section.
        sections: of the family.
        branch: what of a model with two decoders is tuned to write.
        limits: name of each limit of the `seq2seq` section -> tokens of the longest text.
        seed: of new weights.
        output_dir: folder of the run.
        context: of the run.
    """

    family: Family
    model: ModelSettings
    tokenizer: TokenizerSettings
    sections: FamilySections
    branch: Literal["both", "generator", "discriminator"]
    limits: Mapping[str, int]
    seed: int
    output_dir: Path
    context: RunContext

    def open_tokenizer(self, train: Sequence[RawEntry]) -> PreTrainedTokenizerFast:
        """Return the tokenizer of the run, with the tokens that it adds to the model's.

        Args:
            train: what a new tokenizer is trained on; the main process must call this first.

        Raises:
            FileNotFoundError: if a named folder holds no tokenizer.
        """

        def texts() -> DrawnTexts:
            sources = [
                [text for pair in entry.pairs for text in (pair.source, *pair.targets)]
                for entry in train
            ]
            return DrawnTexts(sources, self.tokenizer.alpha, self.tokenizer.num_characters or None)

        return open_tokenizer(
            self.model,
            self.tokenizer,
            self.family,
            texts,
            folder=self.output_dir / TOKENIZER_NAME,
            world=self.context.world,
            checkpoint=self.context.checkpoint,
            display=self.context.display,
        )

    def build_model(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
        """Return the model, with embeddings for added tokens; float32, on the CPU.

        Raises:
            ValueError: if model, tokenizer and settings do not fit.
            FileNotFoundError: if a folder is not there.
        """
        checkpoint, init_from = self.context.checkpoint, self.model.init_from
        is_loaded = checkpoint is not None or init_from is not None
        longest = SHORTEST_LENGTH if is_loaded else max(*self.limits.values(), SHORTEST_LENGTH)
        model = self._build(tokenizer, longest)
        self._require_positions(model)
        self._require_same_ends(model, tokenizer)
        return model

    def _build(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> PreTrainedModel:
        """Return the model, or the branch of it that is tuned to write."""
        checkpoint, sections = self.context.checkpoint, self.sections
        branch = self.branch
        if branch != "both":
            # The checkpoint of a run has its branch as the generator.
            branch = branch if checkpoint is None else "generator"
            ganlm = replace(
                sections.ganlm,
                discriminator_weight=float(branch == "discriminator"),
                denoising_weight=0.0,
            )
            sections = replace(sections, ganlm=ganlm)
        model = build_model(
            self.model,
            tokenizer,
            sections,
            max_length=max_length,
            seed=self.seed,
            checkpoint=checkpoint,
        )
        if branch == "both":
            return model
        writer = self.family.writer(model, branch)
        if self.model.activation_checkpointing:
            enable_activation_checkpointing(writer)
        return writer

    def _require_positions(self, model: PreTrainedModel) -> None:
        limit = model.config.max_position_embeddings
        for name, value in self.limits.items():
            if value > limit:
                raise ValueError(
                    f"seq2seq.{name} is {value}, but the model has {limit} positions: lower it to "
                    f"{limit} or less"
                )

    def _require_same_ends(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        """Refuse a model that would write from another start, or to another end, than it learns."""
        if self.family.writes != "targets":
            return
        ids, config = self.family.special_ids(tokenizer), model.config
        for name, value in (("decoder_start_token_id", ids.sop), ("eos_token_id", ids.eos)):
            if getattr(config, name) != value:
                raise ValueError(
                    f"the model's {name} is {getattr(config, name)}, but its tokenizer has "
                    f"{value}: give the tokenizer that belongs to the model, or correct "
                    "config.json"
                )
