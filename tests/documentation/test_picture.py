"""The picture in README is what the command under it draws."""

import re
import shlex

import numpy as np
from matplotlib.image import imread
from shown_blocks import REPOSITORY, blocks, commands

from unblank.cli import main

README = REPOSITORY / "README.md"


def test_the_picture_is_made_by_the_command_under_it(tmp_path, monkeypatch, pictures):
    text = README.read_text(encoding="utf-8")
    name, *_ = re.findall(r'<img src="([^"]+)"', text)
    shown = [c for b in blocks(README) if b.language == "sh" for c in commands(b)]
    (command,) = (c for c in shown if c.words[:2] == ("unblank", "show"))
    monkeypatch.chdir(tmp_path)
    main(list(command.words[1:]))
    drawn, committed = imread(tmp_path / "mask.png"), imread(REPOSITORY / name)
    assert drawn.shape == committed.shape
    # One other letter would differ by 3e-5; rounding of colours may differ by less.
    assert np.abs(drawn - committed).mean() < 1e-5, f"draw it anew: {shlex.join(command.words)}"
