"""A folder that was converted without a vocabulary gets the tokenizer of one that had it."""

import json
import shutil

import pytest
import torch
from fairseq_toys import released_deltalm, train_pieces
from test_glm_conversion import cut

from unblank.api import load
from unblank.cli import main
from unblank.describing.folder import describe
from unblank.integrity import PROVENANCE_NAME, find_damage

TEXTS = ["the old grey cat sat on a warm mat and saw one small dog run to some far house"] * 9


def contents(folder):
    """Return the files of a folder, but for records of when and of what."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in (PROVENANCE_NAME, "README.md")
    }


def converted(source, folder, *options):
    main(["convert", str(source), str(folder), *map(str, options)])
    return folder


@pytest.mark.parametrize("num_pieces", [1, 2])
def test_a_glm_becomes_what_it_would_have_been(
    glm_module, save_ranks, bpe_files, tmp_path, capsys, num_pieces
):
    source = save_ranks(*cut(glm_module, num_pieces))
    heads = ["--num-attention-heads", "4"]
    whole = converted(source, tmp_path / "whole", *heads, "--tokenizer", bpe_files)
    bare = converted(source, tmp_path / "bare", *heads)
    assert "--complete" in capsys.readouterr().out
    assert describe(bare).next_commands == [
        f"unblank convert --complete {bare} --tokenizer VOCABULARY"
    ]
    with pytest.raises(FileNotFoundError, match="--complete"):
        load(bare)
    (bare / "notes.txt").write_text("mine")
    main(["convert", "--complete", str(bare), "--tokenizer", str(bpe_files)])
    assert "309 tokens" in capsys.readouterr().out
    assert (bare / "notes.txt").read_text() == "mine"
    (bare / "notes.txt").unlink()
    assert contents(bare) == contents(whole)
    assert find_damage(bare, PROVENANCE_NAME) is None
    record = json.loads((bare / PROVENANCE_NAME).read_text())
    assert record["tokenizer"] == json.loads((whole / PROVENANCE_NAME).read_text())["tokenizer"]
    assert load(bare).fill("the [MASK]", max_tokens=2).text


def test_an_encoder_decoder_too(tmp_path):
    pieces = train_pieces(tmp_path / "pieces", TEXTS, 60)
    num_tokens = len((pieces / "dict.txt").read_text().splitlines()) + 4
    (tmp_path / "weights").mkdir()
    torch.save({"weights": released_deltalm(num_tokens)}, tmp_path / "weights/deltalm.pt")
    options = ["--num-attention-heads", "1"]
    whole = converted(tmp_path / "weights", tmp_path / "whole", *options, "--tokenizer", pieces)
    bare = converted(tmp_path / "weights", tmp_path / "bare", *options)
    main(["convert", "--complete", str(bare), "--tokenizer", str(pieces)])
    assert contents(bare) == contents(whole)


def test_what_does_not_fit_is_refused_and_nothing_changes(
    glm_module, save_ranks, bpe_files, tmp_path, capsys
):
    bare = converted(save_ranks(glm_module), tmp_path / "bare", "--num-attention-heads", "4")
    before = {path: path.read_bytes() for path in bare.iterdir()}
    other = tmp_path / "other"
    shutil.copytree(bpe_files, other)
    tokens = json.loads((other / "vocab.json").read_text())
    more = [*(f"more{number}" for number in range(200)), *tokens]
    (other / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(more)}))
    for vocabulary, named in ((other, "rows"), (tmp_path / "none", "no vocabulary")):
        with pytest.raises(SystemExit):
            main(["convert", "--complete", str(bare), "--tokenizer", str(vocabulary)])
        assert named in capsys.readouterr().err
    assert {path: path.read_bytes() for path in bare.iterdir()} == before
    main(["convert", "--complete", str(bare), "--tokenizer", str(bpe_files)])
    with pytest.raises(SystemExit):
        main(["convert", "--complete", str(bare), "--tokenizer", str(bpe_files)])
    assert "has a tokenizer" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", "--complete", str(tmp_path), "--tokenizer", str(bpe_files)])
    assert "unblank convert" in capsys.readouterr().err
