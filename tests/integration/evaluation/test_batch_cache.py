"""A measurement that is begun again takes what the interrupted one computed, to the last bit."""

import json
import shutil

import numpy as np
import pytest
import torch
from evaluation_toys import write
from hypothesis import given
from hypothesis import strategies as st
from written_indexes import index_of

from unblank.evaluation import batch_cache
from unblank.evaluation.batch_cache import BatchCache, decoded, encoded
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options
from unblank.evaluation.token_scores import TokenScores
from unblank.generation.pieces import Filling, Piece


@given(st.lists(st.floats(width=32, allow_nan=False)), st.lists(st.floats(allow_nan=False)))
def test_what_is_kept_is_the_same_value_again(small, large):
    piece = Piece([1, 2], [-0.1, -0.2], [[(3, -1.5)], []], None)
    value = {7: (torch.tensor(small), [Filling([piece])], np.array(large), "text", True)}
    again = decoded(json.loads(json.dumps(encoded(value))))
    tensor, fillings, array, *rest = again[7]
    assert torch.equal(tensor, value[7][0])
    assert tensor.dtype == torch.float32
    assert array.tobytes() == value[7][2].tobytes()
    assert fillings == [Filling([piece])]
    assert rest == ["text", True]
    scores = TokenScores(np.array(large), np.array(large) > 0)
    back = decoded(json.loads(json.dumps(encoded(scores))))
    assert back.is_first_choice.dtype == np.bool_
    assert back.log_probabilities.tolist() == large


def test_what_is_no_value_of_a_batch_is_refused():
    with pytest.raises(TypeError, match="complex"):
        encoded(1j)


@pytest.fixture
def count(monkeypatch):
    """Count what is computed; after the given number, the measurement is interrupted."""
    computed = []
    get = BatchCache.get

    def counting(self, compute):
        def one():
            if len(computed) == count.stop_after:
                raise KeyboardInterrupt
            computed.append(compute)
            return compute()

        return get(self, one)

    monkeypatch.setattr(BatchCache, "get", counting)
    monkeypatch.setattr(batch_cache, "_SECONDS", 0.0)
    count.stop_after, count.computed = None, computed
    return count


@pytest.fixture
def results(tmp_path_factory):
    """A folder apart from that of the data."""
    return tmp_path_factory.mktemp("results")


def measured(model_folder, data_folder, path, **options):
    config = suite_options("infilling")(
        model=str(model_folder), suite="infilling", output=path, data=data_folder, batch_size=1,
        max_tokens=3, **{"limit": 9, **options},
    )  # fmt: skip
    evaluate(config)
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("finished", "seconds", "checksum"):
        content.pop(name, None)
    for score in content["scores"]:
        score.pop("seconds", None)
    del content["config"]["output"]
    return content


def goes_on(count, config, capsys):
    """Interrupt a measurement; return whether it went on with what an earlier one had computed."""
    count.computed.clear()
    count.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        evaluate(config)
    return "continuing" in capsys.readouterr().err


def test_texts_at_a_url_that_have_changed_are_measured_anew(count, model_folder, results, capsys):
    fsspec = pytest.importorskip("fsspec")
    system, url = fsspec.filesystem("memory"), "memory://measured/texts.jsonl"
    options = {"file": (f"{url}:said@en",)}
    for text, is_known in (("the cat sat on a mat", False), ("a dog ran far away", False)):
        system.pipe(url, "".join(f'{{"said": "{text} {n}"}}\n' for n in range(6)).encode())
        for again in (is_known, True):
            count.computed.clear()
            count.stop_after = 1
            with pytest.raises(KeyboardInterrupt):
                measured(model_folder, None, results / "parts.json", **options)
            assert ("continuing" in capsys.readouterr().err) == again


def test_with_another_index_all_is_measured_anew(count, model_folder, tmp_path, capsys):
    facts = [{"predicate_id": "P1", "sub_label": f"the {n}", "obj_label": "mat"} for n in "abc"]
    relations = [{"relation": "P1", "label": "place", "template": "[X] sat on a [Y] ."}]
    write(tmp_path / "data/probing/lama_trex/facts.jsonl", facts)
    write(tmp_path / "data/probing/lama_trex/relations.jsonl", relations)
    config = suite_options("facts")(
        model=str(model_folder), suite="facts", data=str(tmp_path / "data"), batch_size=1,
        output=tmp_path / "parts.json", retrieve=str(tmp_path / "index"), top=(1,),
    )  # fmt: skip
    for text, is_known in (("a cat on a mat", False), ("a dog ran far away", False)):
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        index_of([("line 1", text)], tmp_path / "index")
        for again in (is_known, True):
            count.computed.clear()
            count.stop_after = 1
            with pytest.raises(KeyboardInterrupt):
                evaluate(config)
            assert ("continuing" in capsys.readouterr().err) == again


def test_with_an_edited_task_all_is_measured_anew(count, model_folder, tmp_path, capsys):
    examples = [{"text": f"a cat {n}", "label": "good"} for n in range(3)]
    task = tmp_path / "tasks/mood.yaml"
    config = suite_options("cloze")(
        model=str(model_folder), tasks=(str(task),), output=tmp_path / "parts.json", batch_size=1,
        file=(str(write(tmp_path / "mood.jsonl", examples)),),
    )  # fmt: skip
    task.parent.mkdir()
    for words, is_known in (("It is [MASK].", False), ("So [MASK].", False)):
        task.write_text(
            f"verbalizer: {{good: warm, bad: cold}}\npatterns: ['{{text}} {words}']\n",
            encoding="utf-8",
        )
        assert goes_on(count, config, capsys) == is_known
        assert goes_on(count, config, capsys)


def test_with_an_edited_task_of_lm_eval_all_is_measured_anew(count, model_folder, tmp_path, capsys):
    pytest.importorskip("lm_eval")
    write(tmp_path / "data.jsonl", [{"q": f"a cat {n}"} for n in range(3)])
    task = tmp_path / "text.yaml"
    (tmp_path / ".#text.yaml").symlink_to("who@where.1")  # an editor has the file open
    config = suite_options("lm-eval")(
        model=str(model_folder), tasks=(str(task),) * 3, output=tmp_path / "results/parts.json"
    )
    for text, is_known in (("{{q}}", False), ("so {{q}}", False)):
        task.write_text(
            f"task: text\ndataset_path: json\ntest_split: test\ndoc_to_target: '{text}'\n"
            f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'data.jsonl'}}}}}\n"
            "output_type: loglikelihood_rolling\ndoc_to_text: ''\n"
            "metric_list: [{metric: word_perplexity}]\n",
            encoding="utf-8",
        )
        assert goes_on(count, config, capsys) == is_known
        assert goes_on(count, config, capsys)


def test_a_task_of_lm_eval_in_no_folder_is_named(model_folder, tmp_path):
    pytest.importorskip("lm_eval")
    task = tmp_path / "none" / "text.yaml"
    with pytest.raises(FileNotFoundError, match=f"there is no task file {task}"):
        evaluate(
            suite_options("lm-eval")(
                model=str(model_folder), tasks=(str(task),), output=tmp_path / "parts.json"
            )
        )


def test_an_interrupted_measurement_goes_on(count, model_folder, data_folder, results):
    whole = measured(model_folder, data_folder, results / "whole.json")
    number = len(count.computed)
    assert number > 3
    count.computed.clear()
    count.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        measured(model_folder, data_folder, results / "parts.json")
    count.stop_after = None
    count.computed.clear()
    assert measured(model_folder, data_folder, results / "parts.json") == whole
    assert len(count.computed) == number - 3
    assert {path.name for path in results.iterdir() if "parts" in path.name} == {"parts.json"}


def test_another_measurement_is_not_gone_on_with(count, model_folder, data_folder, results, capsys):
    whole = measured(model_folder, data_folder, results / "whole.json", limit=2)
    number = len(count.computed)
    count.computed.clear()
    count.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        measured(model_folder, data_folder, results / "parts.json")
    (results / "parts.json").unlink(missing_ok=True)
    count.stop_after = None
    count.computed.clear()
    assert measured(model_folder, data_folder, results / "parts.json", limit=2) == whole
    assert len(count.computed) == number
    assert "not continued" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "now"), [(3, 1), (1, 3), (3, 2)])
def test_another_number_of_processes_leaves_nothing_of_the_one_before(before, now, tmp_path):
    path = tmp_path / "result.json"
    for rank in range(before):
        cache = BatchCache(path, {"measured": 1}, rank, before)
        cache.get(lambda: 1.5)
        cache.write()
    caches = [BatchCache(path, {"measured": 1}, rank, now) for rank in range(now)]
    assert [cache.num_cached for cache in caches] == [0] * now
    assert [cache.is_other for cache in caches] == [rank == 0 for rank in range(now)]
    for cache in caches:
        cache.discard()
    assert not list(tmp_path.iterdir())
