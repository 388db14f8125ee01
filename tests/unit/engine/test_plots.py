"""Which panels and curves the picture of a run has."""

import json

import pytest

from unblank.engine.plots import draw_losses

OF_ANY_RUN = {
    **dict.fromkeys(("learning_rate", "gradient_norm", "packing_efficiency"), 0.1),
    **dict.fromkeys(("samples", "tokens", "skipped_steps", "tokens_per_second"), 7),
}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw lines, and return label -> legend -> points of each panel."""
    figures = pytest.importorskip("matplotlib.figure")
    seen = {}

    def keep(figure, file, **options):
        assert len({axes.get_xlim() for axes in figure.axes}) == 1  # steps stand above each other
        for axes in figure.axes:
            seen[axes.get_ylabel()] = {
                line.get_label(): [*zip(*map(list, line.get_data()), strict=True)]
                for line in axes.get_lines()
            }
        file.write(b"picture")

    monkeypatch.setattr(figures.Figure, "savefig", keep)

    def draw(training, held_out):
        for name, lines in (("metrics", training), ("validation", held_out)):
            (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
        path = draw_losses(tmp_path)
        assert path is None or path.read_bytes() == b"picture"
        return seen

    return draw


def test_a_plain_run_has_one_panel(drawn):
    training = [{"step": 1, "loss": 5.0, **OF_ANY_RUN}, {"step": 2, "loss": None, **OF_ANY_RUN}]
    assert drawn(training, [{"step": 2, "loss": 4.0, "ema_loss": 4.5}]) == {
        "loss per scored token (nats)": {
            "training": [(1, 5.0)],
            "held-out": [(2, 4.0)],
            "held-out, moving average": [(2, 4.5)],
        }
    }


def test_parts_and_shares_have_panels_of_their_own(drawn):
    training = [{"step": 1, "loss": 9.0, "loss_generator": 5.0, "replaced": 0.5, **OF_ANY_RUN}]
    held_out = [{"step": 1, "loss": 8.0, "loss_generator": 4.0, "loss_on_token": 3.0}]
    panels = drawn(training, held_out)
    assert panels["parts of the loss"] == {
        "training generator": [(1, 5.0)],
        "held-out generator": [(1, 4.0)],
        "held-out on token": [(1, 3.0)],
    }
    assert panels["shares"] == {"replaced": [(1, 0.5)]}


def test_nothing_is_drawn_before_there_is_a_loss(drawn):
    assert drawn([{"step": 1, "loss": None, **OF_ANY_RUN}], [{"step": 1, "loss": 3.0}]) == {}
