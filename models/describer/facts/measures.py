"""Measures of texts, as the field has them: likeness to a reference, variety, and what is copied."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from torchmetrics.functional.text import bleu_score, rouge_score

COPIED = 8
"""Words of a run that counts as copied."""
COMPARED = 200
"""Texts that self-BLEU compares, at most: each with all others."""


def words_of(text: str) -> list[str]:
    """Words of a text, folded, as the measures count them."""
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (Lin 2004), 0 to 1."""
    told = [" ".join(words_of(one)) for one in (text, reference)]
    if not all(told):
        return 0.0
    return float(rouge_score(told[0], told[1], rouge_keys="rougeL")["rougeL_fmeasure"])


def distinct_2(texts: Iterable[str]) -> float:
    """Share of pairs of neighbouring words that are different ones, over all texts (Li et al. 2016)."""
    pairs = [pair for text in texts for told in [words_of(text)] for pair in pairwise(told)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against all others (Zhu et al. 2018), 0 to 1; lower is more various."""
    told = [" ".join(words_of(text)) for text in texts[:COMPARED]]
    if len(told) < 2:
        return 0.0
    scores = [float(bleu_score([text], [[*told[:i], *told[i + 1 :]]], smooth=True)) for i, text in enumerate(told)]
    return float(np.mean(scores))


def copy_rates(texts: Sequence[str], trained_on: Iterable[str]) -> list[float]:
    """Share of each text's runs of `COPIED` words that training texts hold; 0 for a shorter text.

    Of the training texts, which pass one by one, only runs that `texts` have are kept: all of a million fill gigabytes.
    """
    runs = [list(_runs(words_of(text))) for text in texts]
    wanted = {run for found in runs for run in found}
    copied = {run for text in trained_on for run in _runs(words_of(text)) if run in wanted}
    return [sum(run in copied for run in found) / len(found) if found else 0.0 for found in runs]


def _runs(told: Sequence[str]) -> Iterable[int]:
    return (hash(tuple(told[i : i + COPIED])) for i in range(len(told) - COPIED + 1))
