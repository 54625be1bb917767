import numpy as np
import torch
from product_batches import model

from configs.schema import EvaluationConfig
from models.product.heads.embedding import FEWEST_PAIRS, EmbeddingConfig, EmbeddingHead, Floats, embedding_shares

KEPT = EmbeddingConfig().recall_kept
PARTS = ("type", "instance", "retrieval")


def unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_types_take_as_much_of_the_embedding_as_the_very_photo_can_spare() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 300)
    types = np.eye(12, dtype=np.float32)[labels]
    blind = np.zeros((300, 8), dtype=np.float32)
    own = unit(rng.normal(size=(300, 64)))
    titles, photos = (unit(own + 1.3 * unit(rng.normal(size=(300, 64)))) for _ in range(2))

    def recall(share: float, photo_types: Floats) -> float:
        scores = share * types @ photo_types.T + (1 - share) * titles @ photos.T
        return float(np.mean((scores >= scores.diagonal()[:, None]).sum(axis=1) <= 10))

    def same_types(share: float) -> float:
        best = np.argsort(-(share * types @ types.T + (1 - share) * titles @ photos.T), axis=1)[:, :10]
        return float(np.mean(labels[best] == labels[:, None]))

    helpful, match = embedding_shares((types, titles, blind), (types, photos, blind), labels, KEPT)
    assert match == 0.0, "it tells nothing"
    assert same_types(helpful) == 1.0 > same_types(helpful - 0.05), "no more than it takes"
    wrong = types.copy()
    wrong[:150] = types[rng.permutation(150)]  # half of the photos look like something else
    found, _ = embedding_shares((types, titles, blind), (wrong, photos, blind), labels, KEPT)
    least = KEPT * max(recall(s / 20, wrong) for s in range(20))
    assert recall(found, wrong) >= least > recall(found + 0.05, wrong), "as much as can be spared"


def test_what_matches_photos_counts_as_much_as_it_helps() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    types = np.ones((300, 1), dtype=np.float32)  # all the same
    (titles, photos), (title_match, photo_match) = (
        [unit(own + 2 * unit(rng.normal(size=(300, 64)))) for _ in range(2)] for own in unit(rng.normal(size=(2, 300, 64)))
    )
    noise = unit(rng.normal(size=(300, 64)))

    def fitted(*pairs: tuple[Floats, Floats]) -> float:
        titles, photos = zip((types, types), *pairs, strict=True)
        return embedding_shares(titles, photos, labels, KEPT)[1]

    assert fitted((titles, photos), (title_match, photo_match)) == 0.5
    assert fitted((titles, photos), (noise, noise[::-1])) == 0.0
    assert fitted((noise, noise[::-1]), (title_match, photo_match)) == 1.0


def test_shares_are_fitted_where_there_are_pairs_enough_and_kept_with_the_weights() -> None:
    rng = torch.Generator().manual_seed(0)
    pairs = {f"{view}.{part}": torch.randn(FEWEST_PAIRS, 8, generator=rng) for view in ("title", "photo") for part in PARTS}
    rows = pairs | {"labels": torch.arange(FEWEST_PAIRS) % 3}
    head = model().head(EmbeddingHead)
    head.calibrate({name: part[:-1] for name, part in rows.items()}, EvaluationConfig())
    assert (head.type_share.item(), head.retrieval_share.item()) == (EmbeddingConfig().type_share, 0.0)
    head.calibrate(rows, EvaluationConfig())
    titles, photos = ([pairs[f"{view}.{part}"].numpy() for part in PARTS] for view in ("title", "photo"))
    found = embedding_shares(titles, photos, rows["labels"].numpy(), KEPT)
    assert [head.state_dict()[name].item() for name in ("type_share", "retrieval_share")] == [np.float32(x) for x in found]
