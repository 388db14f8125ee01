"""The picture of all held-out losses."""

import json

from unblank.comparing.loss_curves import _held_out, draw_loss_curves


def test_the_losses_that_were_measured_are_drawn(tmp_path):
    for name, losses in (("a", [3.0, 2.5]), ("b", [2.0, None])):
        (tmp_path / name).mkdir()
        lines = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / name / "validation.jsonl").write_text(text, encoding="utf-8")
    assert _held_out(tmp_path / "b") == [(0, 2.0)]
    folders = {"GLM": [tmp_path / "a", tmp_path / "none yet"], "GPT": [tmp_path / "b"]}
    draw_loss_curves(folders, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    draw_loss_curves({"GLM": [tmp_path / "none yet"]}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
