"""A two-layer model, a corpus of random tokens and a trainer over them, all made in code."""

from dataclasses import dataclass, field

import numpy as np
import torch

from unblank.data.loader import DataState, RowStream
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.engine.optimizers import build_optimizers
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.progress import Progress
from unblank.engine.settings import OptimSettings
from unblank.engine.trainer import Trainer
from unblank.engine.units import InfillUnit, UnitModule
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.tokenization.special import SpecialIds

VOCABULARY = 64
SPECIAL = SpecialIds(
    pad=0, eos=0, cls=1, sep=2, unk=3, mask=4, smask=5, gmask=6, sop=7, eop=8, dblock=9
)


class ToyCorpus:
    """Documents of random ordinary tokens."""

    def __init__(self, num_documents: int = 40, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(5, 90, num_documents)
        self.documents = [rng.integers(10, VOCABULARY, length) for length in lengths]

    def __len__(self) -> int:
        return len(self.documents)

    def document_length(self, index: int) -> int:
        return len(self.documents[index])

    def tokens(self, index: int, start: int, stop: int) -> np.ndarray:
        return self.documents[index][start:stop].astype(np.int64)


@dataclass
class RecordingHooks:
    """Keeps each step's mean loss and the samples of skipped steps."""

    losses: list[float] = field(default_factory=list)
    skipped: list[tuple[int, list[int]]] = field(default_factory=list)

    def after_step(self, trainer: Trainer) -> None:
        means = trainer.take_window().means()
        self.losses.extend(means.values())

    def on_skipped(self, trainer: Trainer, sample_numbers: list[int]) -> None:
        self.skipped.append((trainer.progress.step, list(sample_numbers)))


def toy_model(dropout: float = 0.0, seed: int = 0) -> GlmInfillForConditionalGeneration:
    torch.manual_seed(seed)
    config = GlmInfillConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return GlmInfillForConditionalGeneration(config)


def toy_sampler(seed: int = 0) -> Sampler:
    sentence_end = np.arange(VOCABULARY) == 10
    objective = build_objective(ObjectiveSettings(), SPECIAL, sentence_end, 32)
    settings = SamplingSettings(max_length=32, seed=seed)
    return Sampler([ToyCorpus()], objective, SPECIAL, settings)


def toy_stream() -> RowStream:
    return RowStream(toy_sampler(), row_length=32)


def toy_trainer(
    model: GlmInfillForConditionalGeneration,
    *,
    max_steps: int = 4,
    batch_size: int = 8,
    micro_batch_size: int = 8,
    **changes: object,
) -> Trainer:
    world = World(0, 1, torch.device("cpu"))
    unit = changes.pop("unit", InfillUnit())
    stream = toy_stream()
    values = {
        "module": UnitModule(model, unit, world.device),
        "unit": unit,
        "optimizers": build_optimizers(model, OptimSettings(), learning_rate=4e-4),
        "learning_rate": lambda update: 1e-3,
        "steps": stream.micro_batches(batch_size=batch_size, micro_batch_size=micro_batch_size),
        "world": world,
        "precision": Precision("fp32", "test"),
        "seed": 0,
        "max_steps": max_steps,
        "clip_norm": 1.0,
        "max_nonfinite_steps": 3,
        "hooks": RecordingHooks(),
        "progress": Progress(),
        "data_state": DataState(),
    }
    return Trainer(**{**values, **changes})
