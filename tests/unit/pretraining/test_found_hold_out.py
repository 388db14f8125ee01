"""What is held out is found by the main process, whatever the others have in their caches."""

from unblank.data.shards import CorpusCache
from unblank.pretraining.prepared_text import find_hold_out
from unblank.pretraining.settings import PretrainDataSettings


class World:
    """One of two processes, which asks the main one."""

    def __init__(self, rank):
        self.is_main, self.num_asked = rank == 0, 0

    def gather(self, value):
        self.num_asked += 1
        return [value if self.is_main else [7], value]


def test_every_process_asks_the_main_one_even_if_its_own_cache_knows(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"document {number}" for number in range(40)))
    data = PretrainDataSettings(train=(str(text),), hold_out=0.2, text_unit="paragraph")
    worlds = [World(0), World(1)]
    of_main = find_hold_out(data, CorpusCache(tmp_path / "shards"), worlds[0])
    of_other = find_hold_out(data, CorpusCache(tmp_path / "shards"), worlds[1])
    assert of_main[0] > 0
    assert of_other == [7]
    assert [world.num_asked for world in worlds] == [1, 1]
