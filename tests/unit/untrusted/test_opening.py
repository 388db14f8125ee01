"""Opening a folder: what is done once for many of the same kind."""

from tiny_models import tiny_unblank

from unblank.models import GlmInfillForConditionalGeneration
from unblank.untrusted.opening import model_in


def test_a_model_that_is_opened_again_is_built_once(tmp_path, monkeypatch):
    """Of the first, the parameters are counted before any memory is taken; others have as many."""
    built = []
    build = GlmInfillForConditionalGeneration.__init__

    def counted(self, config):
        built.append(config.num_hidden_layers)
        build(self, config)

    monkeypatch.setattr(GlmInfillForConditionalGeneration, "__init__", counted)
    for num_layers in (3, 4):
        model = tiny_unblank("bpe", num_hidden_layers=num_layers).model
        model.save_pretrained(tmp_path / str(num_layers))
    built.clear()
    for num_layers in (3, 3, 4):
        model_in(tmp_path / str(num_layers), GlmInfillForConditionalGeneration)
    assert built == [3, 3, 3, 4, 4]
