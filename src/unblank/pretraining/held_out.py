"""The held-out text of a pretraining run: its samples, the same in every run, and their losses."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from unblank.data.loader import validation_batches
from unblank.data.sampling import Sampler
from unblank.engine.held_out import HeldOutLosses, held_out_losses
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.units import TrainUnit
from unblank.examples import IGNORE_INDEX, TrainBatch
from unblank.families.settings import FamilySections
from unblank.pretraining.language_scores import (
    HeldOutPart,
    equal_numbers,
    language_bits,
    num_scored_bytes,
    token_lengths,
)
from unblank.pretraining.materials import Materials
from unblank.pretraining.prepared_text import NamedCorpus

__all__ = ["HeldOutText"]

_Batches = dict[HeldOutPart, list[TrainBatch]]


class HeldOutText:
    """What is measured between the steps of a run; its batches are made when first measured.

    Args:
        materials: with the held-out text.
        sections: what is hidden in it.
        num_samples: that are measured, at most.
        batch_size: rows of a batch.
        is_shared: whether processes share the batches, or each measures all of them.
        world: processes of the run.
        precision: of the computation.
    """

    def __init__(
        self,
        materials: Materials,
        sections: FamilySections,
        *,
        num_samples: int,
        batch_size: int,
        is_shared: bool,
        world: World,
        precision: Precision,
    ) -> None:
        self._materials, self._sections = materials, sections
        self._num_samples, self._batch_size = num_samples, batch_size
        self._is_shared, self._world, self._precision = is_shared, world, precision
        self._has_languages = any(one.language for one in materials.held_out)
        self._batches: _Batches | None = None
        self._num_bytes: dict[HeldOutPart, float] = {}

    def measure(self, model: PreTrainedModel, unit: TrainUnit) -> dict[str, float]:
        """Return the losses by name, and bits a byte of texts whose language is known."""
        if self._batches is None:
            self._batches = self._in_batches()
            # Bits a byte divide the first loss by the bytes of the labels, which it must score.
            if self._has_languages and self._scores_labels(self._batches, unit):
                lengths = token_lengths(self._materials.tokenizer)
                own = [float(num_scored_bytes(some, lengths)) for some in self._batches.values()]
                self._num_bytes = dict(zip(self._batches, self._world.sum(own), strict=True))
        losses = held_out_losses(model, unit, self._batches, self._world, self._precision)
        scores = _scores(losses, self._materials.held_out)
        if self._num_bytes:
            languages = [one.language for one in self._materials.held_out]
            scores |= language_bits(losses, self._num_bytes, languages, next(iter(losses.weights)))
        return scores

    def _in_batches(self) -> _Batches:
        """Return the samples, apart by source and objective, so that each is measured alone."""
        # Every source has the same share, if they are of known languages.
        weights = (1.0,) * len(self._materials.held_out) if self._has_languages else None
        sampler = self._materials.held_out_sampler(self._sections, weights)
        parts: dict[HeldOutPart, list[int]] = {}
        for number in self._numbers(sampler):
            objective = sampler.draw_example(number).objective
            part = HeldOutPart(sampler.locate(number).source, objective)
            parts.setdefault(part, []).append(number)
        return {
            part: validation_batches(
                sampler,
                row_length=self._materials.row_length,
                batch_size=self._batch_size,
                numbers=numbers,
                rank=self._world.rank if self._is_shared else 0,
                world_size=self._world.size if self._is_shared else 1,
            )
            for part, numbers in sorted(parts.items())
        }

    def _numbers(self, sampler: Sampler[Any]) -> Sequence[int]:
        if self._has_languages:
            return equal_numbers(sampler, len(self._materials.held_out), self._num_samples)
        return range(min(self._num_samples, sampler.num_chunks))

    def _scores_labels(self, batches: _Batches, unit: TrainUnit) -> bool:
        """Whether the first loss of the model is that of the labels, in every process."""
        first = next(iter(unit.weights))
        differing = sum(
            unit.counts(batch)[first] != int((batch.labels != IGNORE_INDEX).sum())
            for some in batches.values()
            for batch in some
        )
        return self._world.sum([float(differing)]) == [0.0]


def _scores(losses: HeldOutLosses[HeldOutPart], sources: Sequence[NamedCorpus]) -> dict[str, float]:
    """Return the loss and, where there are several, its parts: by loss, objective and source."""
    scores = {"loss": losses.total()}
    each = losses.each()
    if len(each) > 1:
        scores |= {f"loss_{name}": mean for name, mean in each.items()}
    by_objective: dict[str, list[HeldOutPart]] = {}
    by_source: dict[str, list[HeldOutPart]] = {}
    for part in losses.sums:
        by_objective.setdefault(part.objective, []).append(part)
        source = sources[part.source]
        if not source.language:
            by_source.setdefault(source.name, []).append(part)
    has_languages = any(source.language for source in sources)
    for kind in (by_objective, by_source):
        if len(kind) > 1 or (kind is by_source and kind and has_languages):
            scores |= {f"loss_on_{name}": losses.total(parts) for name, parts in kind.items()}
    return scores
