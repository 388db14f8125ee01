"""`unblank serve` of folders and tasks that are damaged: it ends by naming the file, or is whole.

Each file of a model with a calibration, of an adapter and of a task is harmed at random; what is
opened in spite of it must be what was there before.
"""

import random
import shutil
from collections import Counter
from contextlib import contextmanager

import pytest
from counts import hard_count
from test_damaged_records import HARMS
from tiny_glms import task_glm, write_folder

from unblank.adapters.record import weights_identity
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.calibration.record import CalibratedOn, Calibration, LabelCalibration
from unblank.cli import main
from unblank.families.loading import load_folder
from unblank.finetuning.labels.tuned_task import asked_of
from unblank.finetuning.methods import build_method
from unblank.integrity import facts_of_files, seal
from unblank.prompting import load_task

pytest.importorskip("fastapi")
NUM_HARMS = hard_count(12, 400)
TASK = """# A comment, which may be harmed as it likes.
label: mood
verbalizer:
  good: ["Yes", good]
  bad: "No"
patterns: ['{text} Is it good? [MASK].', 'It is [MASK]: {text}']
metrics: [accuracy, macro_f1]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model that is calibrated, LoRA on it, a trained prompt, and a task."""
    root = tmp_path_factory.mktemp("served")
    base = write_folder(task_glm(), root / "model")
    vouch(base)
    for name in ("lora", "prompt"):
        (root / name).mkdir()
        method = build_method(
            name, base=base, seed=0, described={"task": "x"},
            lora=LoraSettings(rank=2), prompt=PromptSettings(length=3),
        )  # fmt: skip
        model, tokenizer = load_folder(base, device="cpu")
        method.save(root / name, model, method.prepare(model, None).state_dict(), tokenizer)
        vouch(root / name)
    (root / "task.yaml").write_text(TASK)
    source = CalibratedOn(
        file="known.csv", num_fitted=90, num_measured=90, error_before=0.2, error_after=0.1
    )
    labels = {"task": LabelCalibration(3.0, asked_of(load_task(str(root / "task.yaml"))), source)}
    Calibration(weights_identity(base), labels=labels).write(base)
    return root


def vouch(folder):
    record = {"steps": 1, "files": facts_of_files(folder)}
    (folder / "provenance.json").write_text(seal(record), encoding="utf-8")


class Served(Exception):
    """Raised where the server would listen, with what it would serve."""


@pytest.fixture
def serve(monkeypatch):
    """Return what opens a folder and a task as the command does, and gives what it serves."""

    def stop(app, service, bound, grace):
        bound.close()
        raise Served(service)

    monkeypatch.setattr("unblank.serving.server.serve_until_asked", stop)

    def call(folder, task):
        try:
            main(["serve", str(folder), "--task", f"{task}=task", "--port", "0"])
        except Served as served:
            (service,) = served.args
        (model,) = service.models.values()
        model.engine.stop()
        return seen(model.unblank, service.tasks["task"])

    return call


def seen(model, task):
    weights = {name: tensor.tolist() for name, tensor in model.model.state_dict().items()}
    return weights, model.tokenizer.backend_tokenizer.to_str(), model.calibration, task


@pytest.mark.parametrize("kind", ["model", "lora", "prompt"])
def test_a_server_starts_with_what_was_there_or_names_what_is_damaged(
    kind, whole, serve, tmp_path, capsys, tally
):
    folder = shutil.copytree(whole / kind, tmp_path / kind)
    task, draw, counts = whole / "task.yaml", random.Random(kind), Counter()
    expected = serve(folder, task)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for number in range(NUM_HARMS):
        path = files[number % len(files)]
        with harmed(path, draw):
            found = served_or_named(serve, folder, task, path.name, capsys)
        assert found in (None, expected), path.name
        counts["harmless" if found else "named"] += 1
    tally("damaged folders that are served", tried=counts.total(), **counts)


def test_a_damaged_task_is_named_or_still_a_task(whole, serve, tmp_path, capsys, tally):
    """Words of a task may be others without anybody seeing it: people write these files."""
    task = shutil.copy(whole / "task.yaml", tmp_path / "task.yaml")
    draw, counts = random.Random(0), Counter()
    for _ in range(NUM_HARMS):
        with harmed(task, draw):
            found = served_or_named(serve, whole / "model", task, task.name, capsys)
        counts["served" if found else "named"] += 1
    tally("damaged tasks that are served", tried=counts.total(), **counts)


@contextmanager
def harmed(path, draw):
    content = path.read_bytes()
    path.write_bytes(draw.choice(HARMS)(content, draw))
    yield
    path.write_bytes(content)


def served_or_named(serve, folder, task, name, capsys):
    """Return what is served; None if one message names a file instead."""
    status = None
    try:
        return serve(folder, task)
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 2, said
    assert name in said[-1], said
    return None
