"""Every file of a run, a model, an adapter and a corpus is harmed at random, in five ways.

What opens the folder must refuse it by a message that names the file, or use the same content as
before. Nothing else may happen: no KeyError, no other numbers.
"""

import contextlib
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
from counts import hard_count
from pretraining_toys import small_settings
from safetensors.torch import save_file
from transformers import AutoTokenizer
from written_indexes import index_of

import unblank
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.answering.answer_file import AnswerFile
from unblank.calibration.maps import RisingLine
from unblank.calibration.record import (
    CalibratedOn,
    Calibration,
    FillCalibration,
    LabelCalibration,
    read_calibration,
)
from unblank.data.prepared import PreparedCorpus
from unblank.engine.results import chosen_predictions, read_results, write_results
from unblank.engine.resume import Identity, find_start
from unblank.engine.written_lines import cut_lines
from unblank.families.loading import load_folder
from unblank.finetuning.methods import build_method
from unblank.integrity import (
    MANIFEST_NAME,
    SHARDED_NAME,
    facts_of_files,
    find_damage,
    seal,
    write_atomically,
)
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.retrieval.index import PassageIndex
from unblank.settings.recipes import from_mapping, read_mapping
from unblank.tokenization.train import train_tokenizer
from unblank.untrusted.sharded_weights import whole_tensors

NUM_HARMS = hard_count(30, 400)
"""For each kind of folder."""


@dataclass(frozen=True)
class Folder:
    """A folder, and what opens it: returns what it holds, or raises."""

    path: Path
    open: Callable[[], Any]
    left_alone: tuple[str, ...] = ()
    """Files that are not read."""

    def files(self) -> list[Path]:
        found = [path for path in self.path.rglob("*") if path.is_file()]
        return [path for path in sorted(found) if path.name not in self.left_alone]


def flipped(content: bytes, draw: random.Random) -> bytes:
    harmed = bytearray(content)
    harmed[draw.randrange(len(harmed))] ^= 1 << draw.randrange(8)
    return bytes(harmed)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def zeroed(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    length = min(draw.randint(1, 512), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def doubled(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + content[max(0, start - 64) : start] + content[start:]


def other(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(len(content))


HARMS = (flipped, flipped, flipped, flipped, cut, zeroed, doubled, other)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two checkpoints."""
    folder = tmp_path_factory.mktemp("damaged")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:8]]
    (folder / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=400, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    settings = small_settings(folder, folder / "run")
    settings["data"]["validation"] = [str(folder / "train.txt")]
    settings["train"] |= {"keep_checkpoints": 2, "validate_every": 1, "sample_every": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unblank.engine.saving.draw_losses", lambda folder: None)
        return run_pretrain(from_mapping(PretrainSettings, settings))


def model_content(folder: Path) -> str:
    model = unblank.load(folder, device="cpu")
    digest = hashlib.sha256(model.model.config.to_json_string().encode())
    digest.update(model.model.generation_config.to_json_string().encode())
    digest.update(model.tokenizer.backend_tokenizer.to_str().encode())
    digest.update(str(sorted(model.tokenizer.special_tokens_map.items())).encode())
    for name, tensor in model.model.state_dict().items():
        digest.update(name.encode() + tensor.float().numpy().tobytes())
    return digest.hexdigest()


def finished_model(run: Path, tmp_path: Path) -> Iterator[Folder]:
    copy = shutil.copytree(run, tmp_path / "model", ignore=shutil.ignore_patterns("checkpoints"))
    unread = ("metrics.jsonl", "validation.jsonl", "fills.jsonl", "run.yaml", "loss.png", ".lock")
    yield Folder(copy, lambda: model_content(copy), unread)


def checkpoint_to_use(run: Path, tmp_path: Path) -> Iterator[Folder]:
    name = "checkpoints/step-00000002"
    copy = shutil.copytree(run / name, tmp_path / name)
    yield Folder(copy, lambda: model_content(copy), ("optimizer.safetensors", "trainer.json"))


def start_of(output_dir: Path, resume: str) -> dict[str, Any]:
    def identity(folder: Path | None, _step: int) -> Identity:
        text = (folder / "trainer.json").read_text() if folder else "{}"
        settings = json.loads(text).get("settings", {})
        return Identity(settings=settings, defaults={}, layout=set())

    point = find_start(output_dir, resume, identity, lambda path: {})
    assert point is not None
    assert not point.notices
    return point.trainer


def checkpoint_to_continue(run: Path, tmp_path: Path) -> Iterator[Folder]:
    copy = shutil.copytree(run, tmp_path / "run")
    folder = copy / "checkpoints" / "step-00000002"
    yield Folder(folder, lambda: (start_of(copy, str(folder)), facts_of_files(folder)))


def lines_of_a_run(run: Path, tmp_path: Path) -> Iterator[Folder]:
    """The lines after the checkpoint are written anew, so only those before it must hold."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "lines").mkdir()
    for name in ("metrics.jsonl", "validation.jsonl", "fills.jsonl"):
        shutil.move(copy / name, copy / "lines")
    checkpoint = str(copy / "checkpoints" / "step-00000002")

    def opened() -> list[bytes]:
        output = copy / "out"
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(copy / "lines", output)
        cut_lines(output, start_of(output, checkpoint)["lines"], 2)
        return [path.read_bytes() for path in sorted(output.iterdir())]

    yield Folder(copy / "lines", opened)


def corpus(run: Path, tmp_path: Path) -> Iterator[Folder]:
    (prepared,) = (path.parent for path in (run.parent / "shards").glob("*/offsets.bin"))
    copy = shutil.copytree(prepared, tmp_path / "corpus")

    def opened() -> list[list[int]]:
        opened = PreparedCorpus(copy)
        return [opened.tokens(index).tolist() for index in range(len(opened))]

    yield Folder(copy, opened)


def adapter(run: Path, tmp_path: Path, name: Any, **settings: Any) -> Iterator[Folder]:
    base = shutil.copytree(run, tmp_path / "base", ignore=shutil.ignore_patterns("checkpoints"))
    both = {"lora": LoraSettings(rank=2), "prompt": PromptSettings(length=3)} | settings
    method = build_method(name, base=base, seed=0, described={"task": "x"}, **both)
    model, tokenizer = load_folder(base, device="cpu")
    weights = method.prepare(model, None).state_dict()
    folder = tmp_path / "adapter"
    folder.mkdir()
    method.save(folder, model, weights, tokenizer)
    record = {"steps": 1, "files": facts_of_files(folder)}
    (folder / "provenance.json").write_text(seal(record), encoding="utf-8")
    yield Folder(folder, lambda: model_content(folder))


def lora(run: Path, tmp_path: Path) -> Iterator[Folder]:
    pytest.importorskip("peft")
    yield from adapter(run, tmp_path, "lora")


def prompt(run: Path, tmp_path: Path) -> Iterator[Folder]:
    yield from adapter(run, tmp_path, "prompt")


def results_of_a_run(run: Path, tmp_path: Path) -> Iterator[Folder]:
    """What a sweep chooses by, with the predictions that an ensemble averages."""
    folder = tmp_path / "run"
    (folder / "predictions").mkdir(parents=True)
    predictions = folder / "predictions" / "step-00000002.jsonl"
    predictions.write_text('{"place": "a.txt, line 1", "probabilities": [0.25, 0.75]}\n' * 20)
    scores = {"accuracy": 0.7, "loss": 1.25}
    candidates = {"last": {"steps": [2], "scores": scores}}
    write_results(
        folder, {"chosen": "last", "scores": scores, "candidates": candidates}, predictions
    )
    yield Folder(folder, lambda: (read_results(folder), chosen_predictions(folder).read_bytes()))


def settings_of_a_run(run: Path, tmp_path: Path) -> Iterator[Folder]:
    """A run that ended before its first checkpoint, which the same settings start over."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(run / "run.yaml", folder)
    (folder / "run.yaml").chmod(0o644)
    settings = read_mapping(folder / "run.yaml")
    identity = Identity(settings=settings, defaults={}, layout=set())

    def opened() -> Any:
        return find_start(folder, "auto", lambda *_: identity, read_mapping)

    yield Folder(folder, opened)


def answers_of_a_job(run: Path, tmp_path: Path) -> Iterator[Folder]:
    """Answers of `unblank generate` that an interruption left."""
    folder = tmp_path / "answers"
    task = {"model": "m", "sources": "0123abcd", "options": {"num_beams": 4}}
    begun = AnswerFile(folder / "a.txt", task)
    begun.append(["one", "two \u00e9"])
    begun.append(["three"])
    yield Folder(folder, lambda: list(AnswerFile(folder / "a.txt", task)))


def calibration(run: Path, tmp_path: Path) -> Iterator[Folder]:
    folder = tmp_path / "calibrated"
    folder.mkdir()
    source = CalibratedOn(
        file="caf\u00e9.csv", num_fitted=3, num_measured=2, error_before=0.2, error_after=0.1
    )
    fills = FillCalibration(RisingLine((-4.0, -0.5), (0.1, 0.9)), source)
    labels = {"mails": LabelCalibration(1.5, {"patterns": [0]}, source)}
    Calibration("weights", fills, labels).write(folder)

    def opened() -> Any:
        # Without its file a folder is one that was never calibrated.
        return read_calibration(folder, "weights")

    yield Folder(folder, opened)


def index(run: Path, tmp_path: Path) -> Iterator[Folder]:
    pytest.importorskip("bm25s")
    folder = tmp_path / "index"
    texts = [("a.txt, line 1", "the caf\u00e9 sat"), ("a.txt, line 2", "a dog ran home")]
    index_of(texts, folder)

    def opened() -> Any:
        opened = PassageIndex(folder)
        return [opened.search(word, 2) for word in ("sat", "dog")]

    yield Folder(folder, opened)


def shards(run: Path, tmp_path: Path) -> Iterator[Folder]:
    """The shards of a checkpoint, with the record of it."""
    folder = tmp_path / "step-00000002"
    (folder / SHARDED_NAME).mkdir(parents=True)
    for number in (0, 1):
        begins = {"weights/w": {"saved_offsets": [2 * number, 0]}}
        path = folder / SHARDED_NAME / f"shard-{number + 1:05d}-model.safetensors"
        header = {"DCP_SHARDING_INFO": json.dumps(begins)}
        save_file({"weights/w": torch.full((2, 3), float(number))}, path, header)
    write_atomically(folder / MANIFEST_NAME, seal({"files": facts_of_files(folder)}))

    def opened() -> Any:
        if damage := find_damage(folder):
            raise ValueError(damage)
        return [(name, tensor.tolist()) for name, tensor in whole_tensors(folder, "weights")]

    yield Folder(folder, opened)


KINDS = (
    index,
    calibration,
    shards,
    answers_of_a_job,
    results_of_a_run,
    settings_of_a_run,
    finished_model,
    checkpoint_to_use,
    checkpoint_to_continue,
    lines_of_a_run,
    corpus,
    lora,
    prompt,
)


def outcome(folder: Folder) -> tuple[Any, str]:
    """What is in the folder, or the message of what refuses it."""
    try:
        return folder.open(), ""
    except (ValueError, FileNotFoundError) as error:
        return None, str(error)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damage_is_named_or_harmless(kind, run, tmp_path, tally):
    with contextlib.closing(kind(run, tmp_path)) as made:
        folder = next(made)
        expected = folder.open()
        draw = random.Random(kind.__name__)
        counts = {"named": 0, "harmless": 0}
        for _ in range(NUM_HARMS):
            path, harm = draw.choice(folder.files()), draw.choice(HARMS)
            content = path.read_bytes()
            if not content:
                continue
            path.write_bytes(harm(content, draw))
            found, message = outcome(folder)
            path.write_bytes(content)
            case = f"{harm.__name__} {path.name}"
            assert path.name in message or found == expected, f"{case}: {message or 'unseen'}"
            counts["named" if message else "harmless"] += 1
        tally("damaged records", tried=sum(counts.values()), **counts)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_brackets_without_end_are_named_although_the_records_vouch_for_them(kind, run, tmp_path):
    with contextlib.closing(kind(run, tmp_path)) as made:
        folder = next(made)
        folder.open()
        for path in [path for path in folder.files() if path.suffix in (".json", ".jsonl")]:
            before = {one: one.read_bytes() for one in folder.files()}
            path.write_bytes(b"[" * 100_000 + b"\n")
            for name in {"manifest.json", "provenance.json"} - {path.name}:
                vouch(folder.path / name)
            _, message = outcome(folder)  # none if the file is not read
            is_named = path.name in message or str(path.parent) in message
            assert is_named or not message, f"{path.name}: {message}"
            for one, content in before.items():
                one.write_bytes(content)


def vouch(record: Path) -> None:
    """Let a record of a folder, if it is there and names files, agree with those that are there."""
    content = json.loads(record.read_text()) if record.is_file() else {}
    if "files" in content:
        content["files"] = facts_of_files(record.parent)
        del content["checksum"]
        record.write_text(seal(content))


def test_records_of_older_versions_are_opened_without_their_own_checksum(run, tmp_path):
    (folder,) = (one.path for one in finished_model(run, tmp_path))
    expected = model_content(folder)
    record = json.loads((folder / "provenance.json").read_text())
    assert record.pop("checksum")
    (folder / "provenance.json").write_text(json.dumps(record))
    assert model_content(folder) == expected
    AutoTokenizer.from_pretrained(folder)


def test_the_path_of_a_base_model_may_be_corrected_in_its_record_and_nothing_else(run, tmp_path):
    (folder,) = (one.path for one in prompt(run, tmp_path))
    expected = model_content(folder)
    record = json.loads((folder / "adapter.json").read_text())
    moved = shutil.move(tmp_path / "base", tmp_path / "moved")
    corrected = record | {"base_model": str(moved)}
    (folder / "adapter.json").write_text(json.dumps(corrected))
    assert model_content(folder) == expected
    (folder / "adapter.json").write_text(json.dumps(corrected | {"num_parameters": 1}))
    with pytest.raises(ValueError, match=r"adapter\.json"):
        unblank.load(folder)
