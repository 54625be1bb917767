"""Embeddings of a whole catalogue: those that the model answers, whatever is missing, and nothing half-written."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bundles import tiny_catalogue

from catalog.catalogue import Catalogue, listing_of
from catalog.errors import CatalogueError
from catalog.images import decode
from catalog.listing import Listing
from configs.errors import ConfigError, VitrinaError
from models import family
from models.family import Embedder, EmbeddingSummary, RestsOnBase
from models.product import embed as module
from models.product import predictor as predicting
from models.product.embed import embed
from models.product.family import FAMILY
from models.product.predictor import ProductPredictor


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRODUCTS_A_GROUP", 17)


def changed(folder: Path, **columns: object) -> Catalogue:
    """Twenty products; values by row number, by column; `jpeg` is the photo, None takes it away."""
    root = tiny_catalogue(folder / "catalogue", products=20, reviews=0)
    photos = columns.pop("jpeg", {})
    products, images = (pd.read_parquet(root / f"{name}.parquet") for name in ("products", "images"))
    for column, values in columns.items():
        kept = products[column].tolist()
        for row, value in values.items():
            kept[row] = value
        products[column] = pd.Series(kept, dtype="Int64" if column == "product_id" else object)
    for row, photo in photos.items():
        images.at[row, "jpeg"] = photo
    products.to_parquet(root / "products.parquet", index=False)
    images.dropna().to_parquet(root / "images.parquet", index=False)
    return Catalogue.open(root)


NOTHING = {"title": "", "description": None, "brand": "NA", "gender": None, "base_colour": None, "season": "", "attributes": "{}"}


def test_they_are_those_that_the_model_answers(predictor: ProductPredictor, tmp_path: Path) -> None:
    shop = changed(tmp_path)
    summary = embed(predictor, shop, tmp_path / "out")
    assert summary == EmbeddingSummary(out=str(tmp_path / "out"), products=20, dimensions=predictor.config.model.embedding_dim)
    both = Catalogue.open(shop.root, tmp_path / "out")
    assert both.tables() == ["products", "images", "embeddings"]
    ids, vectors = both.embeddings()
    products = shop.products()
    assert ids.tolist() == products["product_id"].tolist()
    listings = [listing_of(row.to_dict(), shop.images.get(row["product_id"])) for _, row in products.iterrows()]
    expected = np.stack([p.embedding for p in predictor.predict(listings)])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_what_is_missing_is_missing(predictor: ProductPredictor, tmp_path: Path) -> None:
    bare = {column: {3: NOTHING[column], 5: NOTHING[column]} for column in NOTHING}
    shop = changed(tmp_path, **(bare | {"jpeg": {3: None, 7: None}}))
    summary = embed(predictor, shop, tmp_path / "out")
    assert (summary.products, summary.says_nothing, summary.undecodable) == (19, 1, 0)
    ids, _ = Catalogue.open(tmp_path / "out").embeddings()
    assert ids.tolist() == [1000 + i for i in range(20) if i != 3]  # 5 has a photo, 7 its words


def test_a_corrupt_photo_is_left_away_and_counted(predictor: ProductPredictor, tmp_path: Path) -> None:
    shop = changed(tmp_path, **({column: {4: value} for column, value in NOTHING.items()} | {"jpeg": {4: b"no", 6: b"photo"}}))
    summary = embed(predictor, shop, tmp_path / "out")
    assert (summary.products, summary.says_nothing, summary.undecodable) == (19, 1, 2)
    ids, vectors = Catalogue.open(tmp_path / "out").embeddings()
    alone = listing_of(shop.products().iloc[6].to_dict(), None)
    np.testing.assert_allclose(vectors[ids.tolist().index(1006)], predictor.predict([alone])[0].embedding, atol=1e-5)


def test_ids_that_are_missing_or_repeated_are_left_out(predictor: ProductPredictor, tmp_path: Path) -> None:
    summary = embed(predictor, changed(tmp_path, product_id={2: None, 9: 1000}), tmp_path / "out")
    assert (summary.products, summary.repeated) == (18, 2)
    ids, _ = Catalogue.open(tmp_path / "out").embeddings()
    assert ids.dtype == np.int64
    assert ids.tolist() == [1000 + i for i in range(20) if i not in (2, 9)]


def test_text_ids_and_no_photos_at_all(predictor: ProductPredictor, tmp_path: Path) -> None:
    root = tiny_catalogue(tmp_path / "catalogue", products=20, images=False, reviews=0)
    products = pd.read_parquet(root / "products.parquet")[["product_id", "title"]].astype(str)
    products.to_parquet(root / "products.parquet", index=False)
    assert embed(predictor, Catalogue.open(root), tmp_path / "out").products == 20
    ids, _ = Catalogue.open(root, tmp_path / "out").embeddings()
    assert ids.tolist() == products["product_id"].tolist()


def test_nothing_to_embed_is_refused(predictor: ProductPredictor, tmp_path: Path) -> None:
    silent = {column: dict.fromkeys(range(20), value) for column, value in NOTHING.items()}
    shop = changed(tmp_path, **(silent | {"jpeg": dict.fromkeys(range(20))}))
    with pytest.raises(VitrinaError, match=r"no product of .*catalogue has a title, description, photo or attribute"):
        embed(predictor, shop, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue"]


def test_a_fault_half_way_leaves_nothing_behind(predictor: ProductPredictor, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"product 1018: attributes '\[1\]' is a JSON list; allowed: an object"):
        embed(predictor, changed(tmp_path, attributes={18: "[1]"}), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue"]


def test_a_folder_that_is_in_use_is_left_alone(predictor: ProductPredictor, tmp_path: Path) -> None:
    shop = changed(tmp_path)
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        embed(predictor, shop, shop.root)
    assert sorted(path.name for path in shop.root.iterdir()) == ["images.parquet", "products.parquet"]


def test_what_is_held_at_once_is_bounded(predictor: ProductPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    answer = predictor.embed

    def counting(listings: object, photos: list[object]) -> object:
        sizes.append(len(photos))
        return answer(listings, photos)

    monkeypatch.setattr(predictor, "embed", counting)
    smaller = predictor.config.evaluation.model_copy(update={"batch_size": 6})
    monkeypatch.setattr(predictor, "config", predictor.config.model_copy(update={"evaluation": smaller}))
    embed(predictor, changed(tmp_path), tmp_path / "out")
    assert sizes == [6, 6, 5, 3]


def test_only_models_that_embed_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert family.embedder("product") is FAMILY
    families = {"product": FAMILY, "writer": SimpleNamespace(name="writer")}
    monkeypatch.setattr(family, "names", lambda: sorted(families))
    monkeypatch.setattr(family, "get", families.__getitem__)
    with pytest.raises(ConfigError, match=r"model 'writer' makes no embeddings of products; allowed: product$"):
        family.embedder("writer")


def listings(shop: Catalogue) -> list[Listing]:
    return [listing_of(row.to_dict(), shop.images.get(row["product_id"])) for _, row in shop.products().iterrows()]


def test_features_are_the_embeddings_of_the_table(predictor: ProductPredictor, bundle_folder: Path, tmp_path: Path) -> None:
    assert isinstance(predictor, Embedder)
    assert not isinstance(predictor, RestsOnBase)
    shop = changed(tmp_path)
    FAMILY.embed(bundle_folder, shop, tmp_path / "out", "cpu")
    _, vectors = Catalogue.open(shop.root, tmp_path / "out").embeddings()
    found = predictor.features(listings(shop))
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    embedded = found[:, : -predictor.words]
    np.testing.assert_allclose(embedded / np.linalg.norm(embedded, axis=1, keepdims=True), vectors, atol=1e-5)
    told = [bool(listing.title or listing.description) for listing in listings(shop)]
    assert found[:, -predictor.words :].any(axis=1).tolist() == told
    assert predictor.features([]).shape == (0, predictor.config.model.embedding_dim + predictor.words)


def test_a_word_that_training_never_saw_brings_listings_together(predictor: ProductPredictor) -> None:
    told = [Listing(title=title) for title in ("Kestrel zoetrope", "Pico red zoetrope", "Kestrel Blue Jeans", "Pico red dress")]
    one, same, brand, colour = predictor.features(told)
    assert one @ same > max(one @ brand, one @ colour)
    embedded = predictor.features(told)[:, : -predictor.words]
    assert embedded[0] @ embedded[1] < one @ same


def test_words_of_the_same_listing_are_the_same_whatever_else_is_asked(predictor: ProductPredictor) -> None:
    told = [Listing(title="Kestrel zoetrope", description="A zoetrope of brass."), Listing(title="Pico red dress")]
    np.testing.assert_allclose(predictor.features(told)[1], predictor.features(told[1:])[0], atol=1e-5)


def test_features_are_made_in_batches_and_a_photo_is_decoded_once(
    predictor: ProductPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = listings(changed(tmp_path, jpeg={3: None}))
    whole = predictor.features(shop)
    decoded: list[object] = []

    def counting(image: bytes, size: tuple[int, int]) -> object:
        decoded.append(image)
        return decode(image, size)

    monkeypatch.setattr(predicting, "decode", counting)
    smaller = predictor.config.evaluation.model_copy(update={"batch_size": 6})
    monkeypatch.setattr(predictor, "config", predictor.config.model_copy(update={"evaluation": smaller}))
    np.testing.assert_allclose(predictor.features(shop), whole, atol=1e-5)
    assert decoded == [listing.image for listing in shop if listing.image]


def test_features_need_something_that_they_are_made_of(predictor: ProductPredictor) -> None:
    told = Listing(title="Kestrel Men Blue Jeans")
    refused = "has nothing that an embedding is made of; give a title, description, image or attribute$"
    for nothing in (
        Listing(price=900.0),
        Listing(categories={"article_type": "Jeans"}),
        Listing(title=" ", description="<p></p>"),
    ):
        with pytest.raises(VitrinaError, match=f"^listing 1 {refused}"):
            predictor.features([told, nothing])
    size = predictor.config.evaluation.batch_size
    with pytest.raises(VitrinaError, match=f"^listing {size} {refused}"):  # counted over all batches
        predictor.features([told] * size + [Listing(price=900.0)])
    with pytest.raises(VitrinaError, match=r"^listing 1: image of 5 bytes cannot be decoded"):
        predictor.features([told, Listing(image=b"nopes")])
    assert predictor.features([Listing(fields={"base_colour": "Blue"})]).shape[0] == 1


def test_features_do_not_follow_price_and_categories(predictor: ProductPredictor) -> None:
    told = Listing(title="Kestrel Men Blue Jeans")
    priced = Listing(title="Kestrel Men Blue Jeans", price=10.0, categories={"article_type": "Handbags"})
    np.testing.assert_allclose(*predictor.features([told, priced]), atol=1e-5)
