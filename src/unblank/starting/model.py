"""The model that a run starts from: a preset, an encoder, an existing folder, or a checkpoint."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.compatibility import enable_activation_checkpointing
from unblank.conversion.encoder import read_encoder
from unblank.families.building import load_model, model_from_encoder, new_model, require_fit
from unblank.families.settings import FamilySections, ModelSettings
from unblank.families.table import family_of_run
from unblank.models.finite import require_finite
from unblank.starting.vocabulary import fit_vocabulary
from unblank.untrusted.opening import config_in

__all__ = ["build_model", "describe_start"]


def build_model(
    settings: ModelSettings,
    tokenizer: PreTrainedTokenizerFast,
    sections: FamilySections | None = None,
    *,
    max_length: int,
    seed: int,
    checkpoint: Path | None = None,
) -> PreTrainedModel:
    """Return the model, float32, on the CPU.

    Args:
        settings: the `model` section.
        tokenizer: its ids and its size are written into a new model's configuration.
        sections: the sections of the model's family; None leaves all at their defaults.
        max_length: positions that are needed.
        seed: of new weights.
        checkpoint: folder whose weights are continued; then nothing is initialised.

    Raises:
        ValueError: if an existing model has another vocabulary, too few positions or damaged
            weights, or encoder, preset and settings do not fit.
        FileNotFoundError: if a named folder holds no model, or no encoder.
    """
    family = family_of_run(settings, checkpoint)
    sections = sections or FamilySections()
    folder = checkpoint or settings.init_from
    if folder is not None:
        model = load_model(family, folder, settings, sections)
        if checkpoint is None:
            fit_vocabulary(model, folder, tokenizer, family, sections, seed)
        require_fit(model, folder, tokenizer, max_length)
    elif settings.init_from_encoder is not None:
        encoder = read_encoder(settings.init_from_encoder)
        require_finite(encoder[1].items(), settings.init_from_encoder)
        model = model_from_encoder(
            family, settings, tokenizer, sections, encoder, max_length=max_length, seed=seed
        )
    else:
        model = new_model(family, settings, tokenizer, sections, max_length=max_length, seed=seed)
    if settings.activation_checkpointing:
        enable_activation_checkpointing(model)
    return model


def describe_start(settings: ModelSettings) -> str:
    """Return where the first weights of a run come from, for its header."""
    if settings.init_from is not None:
        note = f" ({stored}, trained as float32)" if (stored := _stored(settings.init_from)) else ""
        return f"the weights in {settings.init_from}{note}"
    if settings.init_from_encoder is not None:
        return f"the encoder in {settings.init_from_encoder} ({settings.decoder_start} decoder)"
    return f"new weights ({settings.preset})"


def _stored(folder: Path) -> str:
    """Return the data type of a folder's weights by its configuration; empty for float32."""
    dtype = config_in(folder).dtype if (folder / "config.json").is_file() else None
    name = str(dtype or "float32").removeprefix("torch.")
    return "" if name == "float32" else name
