"""What a training run does not use is refused when a flag gives it, whatever its value."""

import pytest

from unblank.commands import finetune, pretrain


@pytest.mark.parametrize(
    ("module", "words", "name"),
    [
        (finetune, ["--lora.rank", "8"], "lora.rank"),
        (finetune, ["--task", "rte", "--data.source", "source"], "data.source"),
        (finetune, ["--cloze.layout", "blank"], "cloze.layout"),
        (
            pretrain,
            ["--model.preset", "tiny", "--seq2seq.mask-ratio", "0.15"],
            "seq2seq.mask_ratio",
        ),
        (pretrain, ["--model.preset", "deltalm-tiny", "--objective.token", "1"], "objective.token"),
        (pretrain, ["--model.preset", "electra-tiny", "--train.no-compile"], "train.compile"),
    ],
)
def test_a_flag_with_the_value_of_the_default_is_refused(module, words, name, tmp_path):
    output = ["--train.output-dir", str(tmp_path / "out"), "--train.no-arrange-memory"]
    output += ["--data.train", str(tmp_path / "none.txt")]
    with pytest.raises(ValueError, match=rf"^{name} is given"):
        module.run(module.parse([*words, *output]))
    assert not (tmp_path / "out" / "model.safetensors").exists()
