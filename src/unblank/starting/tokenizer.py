"""The tokenizer that a run starts with: an existing one, or one trained on the run's own text."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.atomic_folders import new_folder, put_into_folder, remove_folder
from unblank.conversion.encoder import count_embeddings, read_encoder
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.families.family import Family
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.integrity import MANIFEST_NAME, facts_of_files, find_damage, seal
from unblank.plurals import counted
from unblank.starting.vocabulary import check_vocabulary
from unblank.tokenization.fidelity import is_lowercased
from unblank.tokenization.framing import unframe
from unblank.tokenization.special import add_extra_tokens, add_sentinels
from unblank.untrusted.opening import tokenizer_in

__all__ = ["TOKENIZER_NAME", "open_tokenizer"]

TOKENIZER_NAME = "tokenizer"
"""Name of the folder of a tokenizer that a run has trained, inside the folder of the run."""


def open_tokenizer(
    model: ModelSettings,
    settings: TokenizerSettings,
    family: Family,
    texts: Callable[[], Iterable[str]],
    *,
    folder: Path,
    world: World,
    checkpoint: Path | None,
    display: Display,
    kept: Callable[[Mapping[str, Any]], Path] | None = None,
) -> PreTrainedTokenizerFast:
    """Return the run's tokenizer; the main process trains it if none is given.

    Args:
        model: the `model` section.
        settings: the `tokenizer` section.
        family: of the model.
        texts: what a new one is trained on.
        folder: where a new one is kept.
        world: the processes of the run; the main one must call this first.
        checkpoint: the checkpoint that is continued, whose tokenizer is taken.
        display: where to say what is being made.
        kept: settings of a new one -> the folder in which one that was trained so on the same text
            is found, and a new one is kept, too; None trains anew.

    Raises:
        FileNotFoundError: if a named folder holds no tokenizer, or no encoder.
        ValueError: if an encoder cannot be read, or the tokenizer is not that of the model to start
            from.
    """
    _require_use_of_transfer(model, settings)
    existing = settings.path or model.init_from or model.init_from_encoder
    given = checkpoint or existing
    if given is None:
        given = folder
        if world.is_main:
            trained = _trained(_wanted(model, settings, family), texts, kept, display)
            with put_into_folder(folder) as staging:
                trained.save_pretrained(staging)
    elif checkpoint is None and (ignored := _ignored(model, settings, family)):
        display.say(f"note: {', '.join(ignored)} ignored: {given} has its tokenizer")
    tokenizer = tokenizer_in(given)
    unframe(tokenizer)  # a tuned model frames texts in its own way
    if checkpoint is not None and existing is None:
        _require_same_case(tokenizer, settings.lowercase, checkpoint)
    if checkpoint is None and model.init_from is not None and settings.path is not None:
        check_vocabulary(
            tokenizer,
            settings.path,
            model.init_from,
            family,
            is_wanted=settings.transfer_rows,
            display=display,
        )
    if checkpoint is None and model.init_from_encoder is not None:
        _compare(tokenizer, given, model.init_from_encoder, display)
    added = {}
    if family.vocabulary.num_sentinels and checkpoint is None and model.init_from is None:
        wanted = family.num_sentinels(settings.num_sentinels)
        added["sentinel"] = add_sentinels(tokenizer, wanted)
    if checkpoint is None:
        added["extra token"] = add_extra_tokens(tokenizer, settings.extra_tokens)
    for noun, count in added.items():
        if count:
            display.say(f"note: added {counted(count, noun)} to the vocabulary of {given}")
    return tokenizer


def _require_use_of_transfer(model: ModelSettings, settings: TokenizerSettings) -> None:
    if settings.transfer_rows and (model.init_from is None or settings.path is None):
        raise ValueError(
            "tokenizer.transfer_rows gives the model of model.init_from the vocabulary in "
            "tokenizer.path: give both, or leave it out"
        )


def _require_same_case(
    tokenizer: PreTrainedTokenizerFast, lowercase: bool | None, checkpoint: Path
) -> None:
    """Refuse to continue a run whose tokenizer treats case differently.

    Without the setting, what a run did depends on its version, so its tokenizer is examined.
    """
    if lowercase is not None and lowercase != is_lowercased(tokenizer):
        raise ValueError(
            f"tokenizer.lowercase is {lowercase}, but the tokenizer of {checkpoint} is "
            f"{'cased' if lowercase else 'lower-cased'}: leave it out to continue the run, or "
            "choose another train.output_dir"
        )


def _wanted(model: ModelSettings, settings: TokenizerSettings, family: Family) -> dict[str, Any]:
    """Return the settings of a new tokenizer, as `train_tokenizer` takes them."""
    return {
        "kind": settings.kind or family.tokenizer_kind(model.preset),
        "vocab_size": settings.vocab_size or family.vocabulary_size(model.preset),
        "lowercase": settings.lowercase or False,
        "normalization": settings.normalization or "nfc",
        "num_sentinels": family.num_sentinels(settings.num_sentinels),
        "extra_tokens": settings.extra_tokens,
    }


def _trained(
    wanted: Mapping[str, Any],
    texts: Callable[[], Iterable[str]],
    kept: Callable[[Mapping[str, Any]], Path] | None,
    display: Display,
) -> PreTrainedTokenizerFast:
    """Return a new tokenizer, or the same one that was trained before."""
    from unblank.tokenization.train import train_tokenizer

    folder = kept(wanted) if kept is not None else None
    if folder is not None and folder.exists():
        damage = find_damage(folder)
        if damage is None:
            # A dry run links to what lies in data.cache_dir.
            known = folder.resolve() if folder.is_symlink() else folder
            display.say(f"tokenizer: trained on this text before, from {known}")
            return tokenizer_in(folder)
        display.say(f"note: {folder} is damaged ({damage}): training the tokenizer again")
        remove_folder(folder)
    display.say("training a tokenizer on the training text")
    trained = train_tokenizer(texts(), **wanted)
    if folder is not None:
        with suppress(FileExistsError), new_folder(folder) as building:
            trained.save_pretrained(building)
            record = {"files": facts_of_files(building)}
            (building / MANIFEST_NAME).write_text(seal(record), encoding="utf-8")
    return trained


def _compare(
    tokenizer: PreTrainedTokenizerFast, given: Path, encoder: Path, display: Display
) -> None:
    """Say which tokens do not get the embeddings that the encoder learned for them."""
    num_rows = count_embeddings(*read_encoder(encoder))
    if len(tokenizer) > num_rows:
        display.say(
            f"note: the tokenizer of {given} has {len(tokenizer):,} tokens, but the encoder in "
            f"{encoder} has embeddings for {num_rows:,}: the others start at random"
        )
    if given == encoder or not (encoder / "tokenizer.json").is_file():
        return
    # Its classes in transformers add tokens of their own, which have no embedding.
    known = tokenizer_in(encoder).backend_tokenizer.get_vocab(with_added_tokens=False)
    ids = tokenizer.get_vocab()
    num_moved = sum(ids.get(token) != row for token, row in known.items())
    if num_moved:
        display.say(
            f"note: {num_moved:,} of the {len(known):,} tokens of the encoder in {encoder} do not "
            f"have the same id in the tokenizer of {given}: their embeddings go to other tokens. "
            "Leave tokenizer.path out to use the encoder's tokenizer"
        )


def _ignored(model: ModelSettings, settings: TokenizerSettings, family: Family) -> list[str]:
    """Return the settings that were given, but shape only a tokenizer that is trained here."""
    names = ["kind", "vocab_size", "lowercase", "normalization", "alpha", "num_characters"]
    if model.init_from is not None or not family.vocabulary.num_sentinels:
        names.append("num_sentinels")
    usual = TokenizerSettings()
    return [
        f"tokenizer.{name}" for name in names if getattr(settings, name) != getattr(usual, name)
    ]
