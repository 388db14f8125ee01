"""Source/target examples of similar length below each other, with little padding.

The encoder-decoder's counterpart of `packing`: the samples of a window are sorted by length and cut
into groups that each fill a budget of positions (known as "max tokens"). A group is one forward
pass. Pure functions on numpy arrays, but for `collate_group`.

Shapes: `B` examples of a group, `S` positions of the longest source, `T` of the longest target.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unblank.examples import IGNORE_INDEX, IntArray, Seq2SeqBatch, Seq2SeqExample
from unblank.settings.ranges import check_count

__all__ = [
    "LengthGroup",
    "collate_group",
    "group_by_length",
    "group_window",
    "length_batches",
    "window_size",
]

_SMALLEST_WINDOW = 256
_LARGEST_WINDOW = 65536
_GROUPS_PER_WINDOW = 256


@dataclass(frozen=True, slots=True)
class LengthGroup:
    """Examples of similar length.

    Attributes:
        sample_numbers: the sample number of each example.
        examples: the examples, in the order of their lengths.
    """

    sample_numbers: tuple[int, ...]
    examples: tuple[Seq2SeqExample, ...]

    @property
    def num_used(self) -> int:
        """Positions that are not padding, of sources and targets together."""
        return sum(sum(_sides(example)) for example in self.examples)

    @property
    def num_positions(self) -> int:
        """Positions of the padded rectangles, of sources and targets together."""
        sources, targets = zip(*map(_sides, self.examples), strict=True)
        return len(self.examples) * int(max(sources) + max(targets))


def group_by_length(sides: Sequence[tuple[int, int]], max_positions: int) -> list[list[int]]:
    """Divide examples into groups whose padded rectangles hold at most `max_positions`.

    The examples sorted by source are cut into about as many strips as each strip has groups, and
    each strip is sorted by target, up and down in turn, so that neighbours differ little on either
    side.

    Args:
        sides: (source length, target length) of each example.
        max_positions: positions of a group, source and target together; an example that alone has
            more is a group of its own.

    Returns:
        The indices of each group's examples; every example is in exactly one group.

    Example:
        >>> group_by_length([(5, 2), (9, 3), (5, 2), (8, 3)], max_positions=24)
        [[0, 2], [3, 1]]
    """
    groups: list[list[int]] = []
    source, target = 0, 0
    for item in _in_strips(sides, max_positions):
        wider, taller = max(source, sides[item][0]), max(target, sides[item][1])
        if not groups or (len(groups[-1]) + 1) * (wider + taller) > max_positions:
            groups.append([])
            wider, taller = sides[item]
        groups[-1].append(item)
        source, target = wider, taller
    return groups


def length_batches(
    lengths: Sequence[int], batch_size: int, *, longest_first: bool = False
) -> list[list[int]]:
    """Return the indices of items in batches of similar length, which need the least padding.

    Args:
        lengths: of the items.
        batch_size: items of a batch.
        longest_first: or the shortest; what does not fit in memory then fails early.

    Raises:
        ValueError: if the batch size is not positive.
        TypeError: if it is not a whole number.

    Example:
        >>> length_batches([5, 9, 1], 2)
        [[2, 0], [1]]
    """
    batch_size = check_count(batch_size, "batch_size")
    sign = -1 if longest_first else 1
    by_length = sorted(range(len(lengths)), key=lambda item: sign * lengths[item])
    return [by_length[start : start + batch_size] for start in range(0, len(lengths), batch_size)]


def window_size(mean_text_length: float, max_positions: int) -> int:
    """Return how many samples to group together: enough for some 256 groups, 256 to 65,536.

    Lengths differ on two sides, so that like examples are found only among many.
    """
    wanted = _GROUPS_PER_WINDOW * max_positions / mean_text_length
    return min(max(_SMALLEST_WINDOW, int(wanted)), _LARGEST_WINDOW)


def group_window(
    sample_numbers: Sequence[int],
    examples: Sequence[Seq2SeqExample],
    *,
    max_positions: int,
    rng: np.random.Generator,
) -> list[LengthGroup]:
    """Return the examples in groups of similar length, the groups in an order drawn from `rng`.

    Args:
        sample_numbers: number of each example.
        examples: the examples of a window.
        max_positions: as for `group_by_length`.
        rng: source of randomness.
    """
    grouped = group_by_length([_sides(example) for example in examples], max_positions)
    return [
        LengthGroup(
            tuple(sample_numbers[item] for item in grouped[group]),
            tuple(examples[item] for item in grouped[group]),
        )
        for group in rng.permutation(len(grouped))
    ]


def collate_group(group: LengthGroup, pad_id: int) -> Seq2SeqBatch:
    """Return the group as one batch, padded on the right with `pad_id`."""
    examples = group.examples
    sources = [example.input_ids for example in examples]
    lengths = np.array([len(source) for source in sources])
    is_source = np.arange(lengths.max()) < lengths[:, None]
    return Seq2SeqBatch(
        input_ids=_padded(sources, pad_id),
        attention_mask=torch.from_numpy(is_source),
        decoder_input_ids=_padded([example.decoder_input_ids for example in examples], pad_id),
        labels=_padded([example.labels for example in examples], IGNORE_INDEX),
        sample_numbers=list(group.sample_numbers),
        objectives=[example.objective for example in examples],
    )


def _padded(rows: Sequence[IntArray], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    padded = np.full((len(rows), longest), filler, dtype=np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return torch.from_numpy(padded)


def _sides(example: Seq2SeqExample) -> tuple[int, int]:
    return len(example.input_ids), len(example.labels)


def _in_strips(sides: Sequence[tuple[int, int]], max_positions: int) -> list[int]:
    """Return the indices of the examples in the order in which they are cut into groups."""
    by_source = sorted(range(len(sides)), key=lambda item: (sides[item], item))
    num_groups = sum(map(sum, sides)) / max_positions
    num_strips = max(1, round(math.sqrt(num_groups)))
    ordered: list[int] = []
    for strip in range(num_strips):
        start, stop = (len(sides) * edge // num_strips for edge in (strip, strip + 1))
        by_target = sorted(by_source[start:stop], key=lambda item: (sides[item][::-1], item))
        ordered.extend(reversed(by_target) if strip % 2 else by_target)
    return ordered
