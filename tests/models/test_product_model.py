import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from configs.errors import ConfigError
from configs.load import validate
from models.product.config import PRESETS, ProductModelConfig
from models.product.inputs import MODALITIES, Inputs
from models.product.model import (
    ProductModel,
    SelfAttention,
    Sizes,
    axial_angles,
    norm,
    rotate,
)
from models.product.task import ProductTask, head_losses, info_nce

SIZES = Sizes(tokens=300, names=10, values=20, levels=(3, 4, 6))
PATHS = torch.tensor([[1, 1, 1], [1, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 5]])


def small(**values: object) -> ProductModelConfig:
    base = {"width": 32, "layers": 2, "heads": 2, "mlp_hidden": 48, "stem_width": 4, "image_height": 32, "image_width": 32}
    return validate(ProductModelConfig, base | {"vocab_size": 300, "embedding_dim": 24} | values, where="test")


def model(**values: object) -> ProductModel:
    """A model in double precision whose branches are not zero any more."""
    torch.manual_seed(0)
    built = ProductModel(small(**values), SIZES, PATHS).double()
    for parameter in built.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.3)
    return built.eval()


def batch(rows: int = 5, config: ProductModelConfig | None = None, seed: int = 0) -> Inputs:
    config = config or small()
    g = torch.Generator().manual_seed(seed)
    path = PATHS[torch.randint(len(PATHS), (rows,), generator=g)]
    return Inputs(
        title=torch.randint(1, 300, (rows, 7), generator=g),
        description=torch.randint(1, 300, (rows, 11), generator=g),
        image=torch.randint(0, 256, (rows, 3, config.image_height, config.image_width), generator=g, dtype=torch.uint8),
        has_image=torch.ones(rows, dtype=torch.bool),
        names=torch.randint(1, 10, (rows, 4), generator=g),
        values=torch.randint(0, 20, (rows, 4), generator=g),
        price=torch.randn(rows, generator=g),
        categories=path,
    )


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_builds_with_its_shapes(preset: str) -> None:
    config = ProductModelConfig(preset=preset)
    rows, columns = config.grid
    with torch.device("meta"):
        built = ProductModel(config, SIZES, PATHS.to("meta"))
        assert built.photo(torch.zeros(2, 3, config.image_height, config.image_width)).shape == (2, rows * columns, config.width)
        states = torch.zeros(2, 9, config.width)
        outputs = built.read(states, torch.ones(2, 9, dtype=torch.bool), torch.zeros(2), torch.ones(2, 3, dtype=torch.int64))
    assert outputs.path_logits.shape == (2, len(PATHS))
    assert outputs.price_location.shape == outputs.price_scale.shape == (2,)
    assert outputs.embedding.shape == (2, 1024)
    assert config.embedding_dim == 1024
    assert len(built.blocks) == config.layers


def test_base_has_five_to_ten_million_parameters_on_a_catalogue_of_myntras_size() -> None:
    sizes = Sizes(tokens=8192, names=180, values=1800, levels=(8, 46, 142))
    paths = torch.ones(150, 3, dtype=torch.int64)
    with torch.device("meta"):
        built = ProductModel(ProductModelConfig(), sizes, paths.to("meta"))
    assert 5e6 < sum(p.numel() for p in built.parameters()) < 10e6


def test_ultra_is_1024_wide_with_16_heads() -> None:
    config = ProductModelConfig(preset="ultra")
    assert (config.width, config.heads) == (1024, 16)


def test_explicit_fields_override_the_preset_and_a_dump_reads_back() -> None:
    config = ProductModelConfig(preset="tiny", width=64)
    assert (config.width, config.layers) == (64, PRESETS["tiny"]["layers"])
    assert ProductModelConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "said"),
    [({"width": 30, "heads": 4}, "multiple of 4"), ({"image_width": 60}, "multiple of 16"), ({"preset": "huge"}, "tiny")],
)
def test_impossible_sizes_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(ProductModelConfig, values, where="model")


def test_rope_turns_each_pair_by_position_times_frequency() -> None:
    angles = axial_angles(torch.tensor([[3.0, 5.0]]), head_dim=8)
    # Two frequencies an axis, 1 and 100^(-1/2); rows first, then columns.
    assert torch.allclose(angles, torch.tensor([[3.0, 0.3, 5.0, 0.5]]))
    x = torch.zeros(1, 1, 1, 8)
    x[..., 1], x[..., 5] = 1.0, 2.0  # the second pair
    turned = rotate(x, angles.cos(), angles.sin())[0, 0, 0]
    assert turned[1].item() == pytest.approx(math.cos(0.3) - 2 * math.sin(0.3))
    assert turned[5].item() == pytest.approx(math.sin(0.3) + 2 * math.cos(0.3))
    assert turned[[0, 2, 3, 4, 6, 7]].abs().sum() == 0


def test_rope_scores_depend_on_the_offset_alone() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def score(a: tuple[float, float], b: tuple[float, float]) -> float:
        left, right = (axial_angles(torch.tensor([p], dtype=torch.float64), 16) for p in (a, b))
        return float((rotate(q, left.cos(), left.sin()) * rotate(k, right.cos(), right.sin())).sum())

    assert score((1, 2), (4, 3)) == pytest.approx(score((6, 9), (9, 10)), abs=1e-5)
    assert score((1, 2), (4, 3)) != pytest.approx(score((1, 2), (3, 4)), abs=1e-3)


def test_attention_agrees_with_its_definition() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16, 2).double()
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 0, 1, 1]], dtype=torch.bool)
    angles = axial_angles(torch.rand(5, 2, dtype=torch.float64) * 9, 8)
    cos, sin = angles.cos(), angles.sin()
    found = attention(x, cos, sin, mask[:, None, None])
    expected = torch.zeros_like(x)
    q, k, v = attention.qkv(x).split(16, dim=-1)
    for row in range(2):
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            a, b = (rotate(norm(t[row, :, part])[None, None], cos, sin)[0, 0] for t in (q, k))
            scores = (a @ b.T / math.sqrt(8)).masked_fill(~mask[row], -math.inf)
            expected[row, :, part] = scores.softmax(-1) @ v[row, :, part]
    assert torch.allclose(found, attention.out(expected))


def test_a_listing_alone_and_in_a_padded_batch_get_the_same_answer() -> None:
    net, inputs = model(), batch()
    short = replace(
        inputs,
        title=inputs.title.masked_fill(torch.arange(7) >= torch.tensor([7, 3, 0, 5, 1])[:, None], 0),
        description=inputs.description.masked_fill(torch.arange(11) >= torch.tensor([11, 0, 2, 4, 9])[:, None], 0),
        names=inputs.names.masked_fill(torch.arange(4) >= torch.tensor([4, 1, 0, 0, 2])[:, None], 0),
        has_image=torch.tensor([True, False, True, False, True]),
        price=torch.tensor([0.5, math.nan, -1.0, math.nan, 2.0]),
    )
    together = net(short)
    for i, (t, d, a) in enumerate([(7, 11, 4), (3, 0, 1), (0, 2, 0), (5, 4, 0), (1, 9, 2)]):
        alone = net(
            Inputs(
                title=short.title[i : i + 1, :t],
                description=short.description[i : i + 1, :d],
                image=short.image[i : i + 1],
                has_image=short.has_image[i : i + 1],
                names=short.names[i : i + 1, :a],
                values=short.values[i : i + 1, :a],
                price=short.price[i : i + 1],
                categories=short.categories[i : i + 1],
            )
        )
        for name in ("path_logits", "price_location", "price_scale", "embedding"):
            assert torch.allclose(getattr(alone, name)[0], getattr(together, name)[i], atol=1e-5), (i, name)


def test_price_is_never_in_the_price_heads_input() -> None:
    net, inputs = model(), batch()
    price = inputs.price.double().requires_grad_()
    outputs = net(replace(inputs, price=price))
    (into_price,) = torch.autograd.grad((outputs.price_location + outputs.price_scale).sum(), price, retain_graph=True)
    (into_category,) = torch.autograd.grad(outputs.path_logits.square().sum(), price, retain_graph=True)
    (into_embedding,) = torch.autograd.grad(outputs.embedding.sum(), price)
    assert into_price.abs().max() == into_embedding.abs().max() == 0
    assert into_category.abs().min() > 0
    other = net(replace(inputs, price=torch.full_like(inputs.price, math.nan)))
    assert same(outputs.price_location, other.price_location)
    assert same(outputs.price_scale, other.price_scale)


def test_categories_are_never_in_the_category_heads_input() -> None:
    net, inputs = model(), batch()
    known, unknown = net(inputs), net(replace(inputs, categories=torch.zeros_like(inputs.categories)))
    swapped = net(replace(inputs, categories=inputs.categories.flip(0)))
    for other in (unknown, swapped):
        assert same(known.path_logits, other.path_logits)
        assert same(known.embedding, other.embedding)
    assert not same(known.price_location, unknown.price_location)


def test_queries_do_not_see_each_other() -> None:
    """Otherwise a category query could carry the price to the price query."""
    net, inputs = model(readout_layers=2), batch()
    before = net(inputs)
    with torch.no_grad():
        net.queries[:3] += 1.0
    after = net(inputs)
    assert not same(before.path_logits, after.path_logits)
    assert same(before.price_location, after.price_location)
    assert same(before.embedding, after.embedding)


@pytest.mark.parametrize("shown", [(), *((m,) for m in MODALITIES), ("title", "image"), ("description", "price"), MODALITIES])
def test_any_subset_of_modalities_gives_every_answer(shown: tuple[str, ...]) -> None:
    outputs = model()(batch().only(shown))
    for name in ("path_logits", "price_location", "price_scale", "embedding"):
        assert torch.isfinite(getattr(outputs, name)).all()
    assert torch.allclose(outputs.embedding.norm(dim=-1), torch.ones(5))


def test_hidden_modalities_have_no_influence() -> None:
    net, inputs = model(), batch()
    other = batch(seed=1)
    mixed = replace(other, title=inputs.title)
    assert same(net(inputs.only(["title"])).embedding, net(mixed.only(["title"])).embedding)


def test_attributes_are_a_set() -> None:
    net, inputs = model(), batch()
    turned = replace(inputs, names=inputs.names.flip(1), values=inputs.values.flip(1))
    assert torch.allclose(net(inputs).path_logits, net(turned).path_logits)


def test_parents_probability_is_the_sum_of_its_children() -> None:
    net = model()
    master, sub, article = net.level_probabilities(net(batch()).path_logits)
    for level in (master, sub, article):
        assert torch.allclose(level.sum(-1), torch.ones(5, dtype=level.dtype))
    assert torch.allclose(article[:, 1] + article[:, 2], sub[:, 1])
    assert torch.allclose(sub[:, 1] + sub[:, 2], master[:, 1])
    assert torch.allclose(sub[:, 3], master[:, 2])


def test_head_losses_by_hand() -> None:
    net, inputs = model(), batch(2)
    inputs = replace(inputs, categories=torch.tensor([[1, 1, 2], [2, 3, 0]]), price=torch.tensor([1.0, math.nan]))
    outputs = net(inputs)
    terms = head_losses(net, outputs, inputs, smoothing=0.0)
    master, sub, article = net.level_probabilities(outputs.path_logits)
    assert terms["article_type"].item() == pytest.approx(-math.log(article[0, 2].item()), rel=1e-4)
    assert terms["sub_category"].item() == pytest.approx(-(sub[0, 1] * sub[1, 3]).log().item() / 2, rel=1e-4)
    assert terms["master_category"].item() == pytest.approx(-(master[0, 1] * master[1, 2]).log().item() / 2, rel=1e-4)
    location, scale = outputs.price_location[0].item(), outputs.price_scale[0].item()
    density = torch.distributions.Laplace(location, scale).log_prob(torch.tensor(1.0)).item()
    assert terms["price"].item() == pytest.approx(-density, rel=1e-5)


def test_unknown_targets_give_no_loss_and_no_poisoned_gradient() -> None:
    net, inputs = model(), batch()
    nothing = replace(inputs, categories=torch.zeros_like(inputs.categories), price=torch.full_like(inputs.price, math.nan))
    terms = head_losses(net, net(nothing), nothing)
    assert all(value.item() == 0 for value in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_info_nce_by_hand() -> None:
    a, b = torch.eye(3), torch.eye(3)[[0, 2, 1]]
    # Row 0 matches itself, rows 1 and 2 are crossed.
    right, wrong = math.log(math.e**2 + 2) - 2, math.log(math.e**2 + 2)
    assert info_nce(a, b, torch.tensor(2.0)).item() == pytest.approx((right + 2 * wrong) / 3)


@pytest.mark.parametrize("image", [True, False])
def test_loss_falls_then_overfits_one_batch(image: bool) -> None:
    torch.manual_seed(0)
    quiet = dict.fromkeys(("title", "description", "image", "attributes", "price", "categories"), 0.0)
    task = ProductTask(ProductModel(small(label_smoothing=0.0, modality_dropout=quiet), SIZES, PATHS))
    inputs = batch(8)
    if not image:
        inputs = inputs.only([name for name in MODALITIES if name != "image"])
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        terms = task.training_loss(inputs, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert losses[10] < losses[0]
    with torch.inference_mode():
        after = task.validation_loss(inputs)
    assert after["article_type_accuracy"] == 1.0
    assert after["article_type"] < 0.02
    assert after["price"] < -0.5
    assert ("contrastive" in after) == image
    if image:
        assert after["contrastive"] < 0.2


def test_modality_dropout_hides_what_it_says() -> None:
    task = ProductTask(model(modality_dropout={"title": 1.0, "description": 1.0, "image": 0.0, "price": 1.0, "categories": 0.0}))
    inputs = batch()
    kept = task._hide(task.model.embed(inputs), torch.Generator().manual_seed(0))
    price, categories = task._hide_sides(inputs, torch.Generator().manual_seed(0))
    assert "description" not in kept
    assert not kept["title"].present.any()
    assert kept["image"].present.all()
    assert price.isnan().all()
    assert torch.equal(categories, inputs.categories)


def test_price_features_are_sines_and_cosines_of_all_wavelengths() -> None:
    net = model(fourier_features=3)
    assert torch.allclose(
        2 * math.pi / net.price_token.frequencies, torch.tensor([16.0, math.sqrt(2), 0.125]).double(), rtol=1e-5
    )
    a = net.price_token(torch.tensor([0.3], dtype=torch.float64))
    angles = 0.3 * net.price_token.frequencies
    assert torch.allclose(a[:, 0], net.price_token.project(torch.cat((angles.sin(), angles.cos())))[None])
    assert F.mse_loss(a, net.price_token(torch.tensor([0.31], dtype=torch.float64))) > 0
