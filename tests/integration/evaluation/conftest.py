"""The tiny model and its data, as fixtures; no pictures of pairs are drawn."""

from evaluation_toys import data_folder, few_draws, model_folder, tiny
from pictures import no_pair_pictures, pictures

__all__ = ["data_folder", "few_draws", "model_folder", "no_pair_pictures", "pictures", "tiny"]
