"""From a published checkpoint to a filled blank, by the commands alone."""

import json
import os
import resource
import signal

import pytest
import torch
from fairseq_toys import released_deltalm
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer

from unblank.cli import main
from unblank.conversion.options import parse_size


@pytest.fixture
def arguments(glm_module, save_ranks, bpe_files, tmp_path):
    source, output = save_ranks(glm_module), tmp_path / "out"
    options = ["--tokenizer", str(bpe_files), "--num-attention-heads", "4", "--dtype", "fp32"]
    return ["convert", str(source), str(output), *options]


def test_what_was_found_is_printed_with_its_evidence(arguments, capsys):
    main(arguments)
    shown = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    for fact in ("names 100", "query_key_value", "2 layers of width 64", "4 heads, as given"):
        assert fact in shown
    assert "GPT-2 BPE from vocab.json + merges.txt: 309 tokens" in shown


def test_the_folder_fills_scores_and_opens_in_transformers(arguments, capsys):
    main(arguments)
    folder = arguments[2]
    main(["convert", "--verify", folder])
    main(["fill", folder, "the cat [MASK] the [gMASK]", "--max-tokens", "3", "--json"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(json.loads(lines[-1])["blanks"]) == 2
    main(["score", folder, "the [MASK]", "--candidates", "cat", "the"])
    assert "cat" in capsys.readouterr().out
    model = AutoModel.from_pretrained(folder)
    assert model.config.eop_token_id == AutoTokenizer.from_pretrained(folder).eop_token_id
    assert AutoModelForSeq2SeqLM.from_pretrained(folder).config.hidden_size == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file", "out"], "no-such-file does not exist"),
        (["--verify", "no-such-folder"], "no config.json"),
        (["{here}", "out", "--shard-size", "5"], "is not a size"),
        (["{here}", "out"], "is not a checkpoint folder"),
        (["{here}", "{here}"], "exists"),
    ],
)
def test_mistakes_end_in_one_message(tmp_path, arguments, message, capsys):
    arguments = [argument.format(here=tmp_path) for argument in arguments]
    with pytest.raises(SystemExit) as stop:
        main(["convert", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5mb", 1_500_000), ("200KB", 200_000)]
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


def test_a_dictionary_alone_is_not_called_absent(tmp_path, capsys):
    (tmp_path / "dict.txt").write_text("a 9\nb 8\n", encoding="utf-8")
    torch.save({"weights": released_deltalm(112)}, tmp_path / "deltalm.pt")
    main(["convert", str(tmp_path), str(tmp_path / "out"), "--num-attention-heads", "1"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "none: there is only a dictionary, see the notes" in shown
    assert "dict.txt numbers tokens" in shown


def ended(command):
    with pytest.raises(SystemExit) as stop:
        main(command)
    return stop.value.code


def test_a_conversion_that_is_asked_to_end_leaves_nothing(arguments, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    names = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(
        "unblank.conversion.writer.save_file",
        lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM),
    )
    try:
        assert ended(arguments) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_full_disk_is_said_and_leaves_nothing(arguments, tmp_path, capsys):
    names = {path.name for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        assert ended(arguments) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot write" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == names
