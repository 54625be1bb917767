import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import tiny_catalogue, tiny_config
from torch.export import ExportedProgram

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.load import validate
from models.product import bundle
from models.product import export as module
from models.product.cleaning import clean, clean_review
from models.product.config import ProductModelConfig
from models.product.export import differences, export_model, listing_program, photo_program, review_program
from models.product.family import FAMILY
from models.product.graphs import INPUTS, OnnxModel, _filled
from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.price import PriceHead
from models.product.heads.quality import QualityHead
from models.product.inputs import Inputs, Reviews, Sizes
from models.product.model import ProductModel
from models.product.parts import FACTS, PRIOR_SEGMENTS
from models.product.predictor import ProductPredictor
from models.product.priors.neighbours import NAMES

pytestmark = [pytest.mark.slow, pytest.mark.trains]

SIZES = Sizes(tokens=300, names=10, values=20, levels=(3, 4, 6))
PATHS = torch.tensor([[1, 1, 1], [1, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 5]])
LENGTHS = [(1, 1, 1, 1), (2, 16, 9, 5), (7, 3, 24, 12)]  # listings, tokens of title and description, attributes


@pytest.fixture(scope="module")
def model() -> ProductModel:
    small = {
        "preset": "tiny",
        "width": 32,
        "heads": 2,
        "readout_layers": 1,
        "mlp_hidden": 48,
        "vocab_size": 300,
        "embedding_dim": 24,
    }
    photo = {"image_height": 32, "image_width": 32, "photo_widths": (4, 8, 8, 16)}
    torch.manual_seed(0)
    built = ProductModel(validate(ProductModelConfig, small | photo, where="test"), SIZES, PATHS)
    for parameter in built.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


@pytest.fixture(scope="module")
def programs(model: ProductModel) -> dict[str, ExportedProgram]:
    """The three of the model, which take a while; by the name of the function that makes them."""
    return {made.__name__: made(model) for made in (photo_program, listing_program, review_program)}


@pytest.fixture(scope="module")
def exported(model: ProductModel, programs: dict[str, ExportedProgram], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "graphs"
    with pytest.MonkeyPatch.context() as patch:
        for name, program in programs.items():
            patch.setattr(module, name, lambda _, program=program: program)
        assert max(export_model(model, folder).values()) < 1e-4
    return folder


def batch(config: ProductModelConfig, rows: int, title: int, description: int, attributes: int) -> Inputs:
    """Listings each of which may lack something."""
    g = torch.Generator().manual_seed(rows)
    names = torch.randint(0, 10, (rows, attributes), generator=g)
    return Inputs(
        title=torch.randint(0, 300, (rows, title), generator=g),
        description=torch.randint(0, 3, (rows, description), generator=g),
        image=torch.randint(0, 256, (rows, 3, config.image_height, config.image_width), generator=g, dtype=torch.uint8),
        has_image=torch.rand(rows, generator=g) < 0.5,
        names=names,
        values=torch.where(names == 0, 0, torch.randint(0, 20, names.shape, generator=g)),
        price=torch.randn(rows, generator=g).masked_fill(torch.rand(rows, generator=g) < 0.5, torch.nan),
        categories=PATHS[torch.randint(len(PATHS), (rows,), generator=g)] * torch.randint(0, 2, (rows, 3), generator=g),
        price_prior=torch.randn(rows, len(PRIOR_SEGMENTS), generator=g),
        neighbours=torch.randn(rows, len(NAMES), generator=g),
        title_prior=torch.randn(rows, SIZES.levels[-1], generator=g),
        facts=torch.rand(rows, len(FACTS), generator=g),
    )


def reviews(rows: int, title: int, text: int) -> Reviews:
    g = torch.Generator().manual_seed(rows)
    unknown = torch.full((rows,), torch.nan)
    ids = (torch.randint(0, 300, (rows, length), generator=g) for length in (title, text))
    return Reviews(*ids, torch.randn(rows, generator=g), unknown, unknown)


def test_one_program_serves_every_size(model: ProductModel, programs: dict[str, ExportedProgram]) -> None:
    program = programs["listing_program"].module()
    for lengths in LENGTHS:
        inputs = batch(model.config, *lengths)
        with torch.no_grad():
            answers = program(*(getattr(inputs, name) for name in INPUTS), model.photo(inputs.image))
            expected = model(inputs)
        for (name, wanted), answer in zip(expected.items(), answers, strict=True):
            assert torch.allclose(answer, wanted, atol=1e-6), (name, lengths)


def test_the_photo_program_serves_every_size(model: ProductModel, programs: dict[str, ExportedProgram]) -> None:
    program = programs["photo_program"].module()
    for rows in (1, 2, 7):
        image = batch(model.config, rows, 1, 1, 1).image
        with torch.no_grad():
            assert torch.allclose(program(image), model.photo(image), atol=1e-6)


def test_the_review_program_serves_every_size(model: ProductModel, programs: dict[str, ExportedProgram]) -> None:
    program = programs["review_program"].module()
    for lengths in ((1, 1, 1), (4, 16, 48), (3, 2, 7)):
        told = reviews(*lengths)
        with torch.no_grad():
            expected = model.forward_reviews(told).values()
            for answer, wanted in zip(program(told.title, told.text, told.prior), expected, strict=True):
                assert torch.allclose(answer, wanted, atol=1e-6)


SHOWN = [("title",), ("image",), ("description", "price"), ("attributes", "categories"), ()]


@pytest.mark.parametrize("shown", SHOWN)
def test_zeros_stand_for_a_part_that_no_listing_has(model: ProductModel, shown: tuple[str, ...]) -> None:
    inputs = batch(model.config, 4, 5, 6, 3).only(shown)
    shapes = {"image": ["batch", 3, model.config.image_height, model.config.image_width]}
    arrays = {name: _filled(getattr(inputs, name).numpy(), shapes.get(name, ["batch", "length"])) for name in INPUTS}
    filled = replace(inputs, **{name: torch.from_numpy(array) for name, array in arrays.items()})
    assert all(getattr(filled, name).numel() for name in INPUTS)
    with torch.no_grad():
        expected, found = model(inputs), model(filled)
    for name, wanted in expected.items():
        assert torch.allclose(found[name], wanted, atol=1e-5), name


def test_onnx_runtime_answers_as_pytorch_does(model: ProductModel, exported: Path) -> None:
    onnx = OnnxModel(exported)
    samples = [batch(model.config, *lengths) for lengths in LENGTHS]
    samples += [samples[-1].only(shown) for shown in SHOWN]
    found = differences(model, onnx, samples)
    assert set(found) == {
        "path_logits",
        "price_location",
        "price_half_width",
        "embedding",
        "fault_logits",
        "view_paths",
        "view_cosines",
    }
    assert max(found.values()) < 1e-4
    for lengths in ((1, 1, 1), (4, 16, 48)):
        told = reviews(*lengths)
        with torch.no_grad():
            expected, answers = model.forward_reviews(told), onnx.forward_reviews(told)
            assert all(torch.allclose(answers[name], wanted, atol=1e-4) for name, wanted in expected.items())


def test_int8_is_smaller_and_close(
    model: ProductModel,
    programs: dict[str, ExportedProgram],
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, program in programs.items():
        monkeypatch.setattr(module, name, lambda _, program=program: program)

    def write(program: ExportedProgram, path: Path, *_: object) -> None:
        """The graphs are those of `exported`, which would come out again."""
        shutil.copy(exported / path.name, path)
        module._quantise(path)

    monkeypatch.setattr(module, "_write", write)
    export_model(model, tmp_path / "int8", quantise=True)
    assert (tmp_path / "int8" / "listings.onnx").stat().st_size < (exported / "listings.onnx").stat().st_size
    inputs = batch(model.config, 7, 8, 9, 3)
    with torch.no_grad():
        expected = model(inputs)["embedding"]
    cosine = (OnnxModel(tmp_path / "int8")(inputs)["embedding"] * expected).sum(-1)
    assert cosine.min() > 0.9
    assert cosine.min() < 1.0


@pytest.fixture(scope="module")
def with_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that answers from its graphs where there is no GPU."""
    root = tmp_path_factory.mktemp("with_graphs")
    catalogue = Catalogue.open(tiny_catalogue(root / "catalogue", products=100))
    config = tiny_config(epochs=1)
    shallow = config.model.model_copy(update={"readout_layers": 1})  # export takes as long as there are layers
    config = config.model_copy(update={"cpu_runtime": "onnx", "model": shallow})
    split = FAMILY.split(catalogue, config)
    return FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, root / "work")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bundle_answers_from_its_graphs_as_from_pytorch(with_graphs: Path, threads: int) -> None:
    onnx, settings = ProductPredictor.load(with_graphs, "cpu"), bundle.load_config(with_graphs)
    assert isinstance(onnx.network, OnnxModel)
    model = bundle.load_model(with_graphs, onnx.encoders, settings)
    pytorch = ProductPredictor(model, onnx.encoders, settings.config, "cpu")
    listings = [clean(Listing(title="red cotton shirt", price=900.0)), clean(Listing(description="a watch"))]
    photos = [np.full((48, 32, 3), 90, dtype=np.uint8), None]
    reviews = [clean_review("lovely", "fits well"), clean_review(None, "sent it back")]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        one, other = (p.answer(p.encoders.encode(listings, photos, p.config.model)) for p in (onnx, pytorch))
        for head, name in ((PriceHead, "median"), (PriceHead, "low"), (EmbeddingHead, "vectors"), (QualityHead, "faults")):
            first, second = (getattr(answers.of(head), name) for answers in (one, other))
            assert np.allclose(first, second, rtol=1e-4, atol=1e-5), name
        types = [answers.of(CategoryHead).probabilities[-1] for answers in (one, other)]
        assert np.allclose(*types, atol=1e-5)
        assert np.allclose(onnx.embed(listings, photos), pytorch.embed(listings, photos), atol=1e-5)
        said, expected = (p.answer_reviews(reviews) for p in (onnx, pytorch))
        assert np.allclose(said.recommended, expected.recommended, atol=1e-5)
        assert np.allclose(said.rating, expected.rating, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_graphs_answer_without_the_weights_and_say_when_they_are_missing(with_graphs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(with_graphs, tmp_path / "bundle"))
    assert "it answers from ONNX graphs." in (folder / "card.md").read_text()
    (folder / "model.safetensors").unlink()
    assert ProductPredictor.load(folder, "cpu").predict([Listing(title="red shirt")])[0].price is not None
    (folder / "graphs" / "reviews.onnx").unlink()
    with pytest.raises(VitrinaError, match=r"graphs/reviews.onnx is missing"):
        ProductPredictor.load(folder, "cpu")


def test_errors_say_what_is_wrong(model: ProductModel, tmp_path: Path) -> None:
    with pytest.raises(VitrinaError, match=r"exists; give a folder"):
        export_model(model, tmp_path)
    with pytest.raises(VitrinaError, match=r"photos.onnx is missing"):
        OnnxModel(tmp_path)
    (tmp_path / "photos.onnx").write_bytes(np.random.default_rng(0).bytes(100))
    with pytest.raises(VitrinaError, match=r"photos.onnx is not an ONNX graph"):
        OnnxModel(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos.onnx"]
