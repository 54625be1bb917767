import math
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from product_batches import PLAIN, TERMS, batch, fresh, listings, model, reviews
from torch.nn import functional as F

from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.head import Decoded
from models.product.heads.price import PriceHead
from models.product.heads.quality import QualityHead
from models.product.heads.sentiment import SentimentHead
from models.product.inputs import Batch, Inputs
from models.product.losses import info_nce
from models.product.model import ProductModel
from models.product.parts import PARTS, PHOTO, TITLE, WHOLE
from models.product.priors.neighbours import MEAN
from models.product.task import HIDDEN, ProductTask
from models.training.balancing import STRATEGIES

pytestmark = pytest.mark.trains


def decoded(net: ProductModel, inputs: Inputs) -> Decoded:
    """In the standard views."""
    return net.decode(net.encode(inputs), net.views[None], inputs)


def view_losses(
    net: ProductModel, found: Decoded, view: int, targets: Inputs, rows: torch.Tensor, smoothing: float = 0.05
) -> dict[str, torch.Tensor]:
    """Of every head."""
    by_head = [head.view_losses(found.of(type(head)), view, targets, rows, smoothing) for head in net.listing_heads.values()]
    return {name: value for losses in by_head for name, value in losses.items()}


def step(task: ProductTask, told: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    return task.training_loss(told, torch.Generator().manual_seed(seed))


def blind(inputs: Inputs) -> Inputs:
    """The same listings, of which nobody knows price or categories."""
    nothing = torch.zeros_like(inputs.categories)
    return replace(inputs, categories=nothing, price=torch.full_like(inputs.price, math.nan))


def one_part(inputs: Inputs, name: str) -> Inputs:
    return inputs.only([name, "price", "categories"])


@pytest.mark.slow
def test_loss_falls_then_overfits_one_batch(seed: int, measured: Callable[[str, float], float]) -> None:
    task = ProductTask(fresh(seed, **PLAIN)).train()
    told = batch(12, faulty=4, told=8, seed=seed)
    image = told.listings.image  # symmetric, as goods are: outside of training a photo is read with its mirror image
    symmetric = torch.where(torch.arange(image.shape[-1]) % 2 > 0, image, image.flip(-1))
    told = replace(
        told, listings=replace(told.listings, image=symmetric, title_prior=torch.zeros_like(told.listings.title_prior))
    )
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(200):
        terms = step(task, told)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    with torch.no_grad():
        for _ in range(40):  # the averages of batch norm catch up
            step(task, told)
    assert set(terms) - {"loss"} == TERMS
    with torch.inference_mode():
        after = {name: value.item() for name, value in task.eval().validation_loss(told).items()}
        judged = task.model(told.listings)["fault_logits"].sigmoid()
        recommended, rating = task.model.forward_reviews(told.reviews).values()
    wrong = torch.cat([judged[:, :1] - told.faults.any(dim=1, keepdim=True).float(), judged[:, 1:] - told.faults.float()], dim=1)
    assert measured("loss after 10 of 200 steps, times the first", losses[10] / losses[0]) < 0.7  # 0.24–0.33
    assert after["article_type_accuracy"] == after["title_only_accuracy"] == 1.0
    assert measured("article_type", after["article_type"]) < 0.05  # 0.001–0.003
    assert measured("embedding_type", after["embedding_type"]) < 0.05  # 0.003–0.007
    assert measured("price", after["price"]) < -0.5  # -2.9 to -1.8
    assert measured("contrastive", terms["contrastive"].item()) < 0.1  # 0.001–0.002; validation reads mirror images too
    assert measured("quality", after["quality"]) < 0.05  # 0.0004–0.0019
    assert measured("largest error of a fault", wrong.abs().max()) < 0.2  # 0.0004–0.015
    assert torch.equal(recommended > 0, told.reviews.recommended > 0.5)
    assert measured("largest error of a rating", (rating - told.reviews.rating).abs().max()) < 0.7  # 0.12–0.32


def test_a_fresh_models_first_answers_are_the_priors() -> None:
    net, inputs, told = fresh(), listings(), reviews()
    # Half way between words and neighbours.
    assert torch.allclose(net(inputs)["price_location"], (inputs.price_prior.sum(1) + inputs.neighbours[:, MEAN]) / 2, atol=1e-5)
    alone = replace(inputs, neighbours=torch.zeros_like(inputs.neighbours))
    assert torch.allclose(net(alone)["price_location"], inputs.price_prior.sum(1), atol=1e-5)
    logit, rating = net.forward_reviews(told).values()
    assert torch.allclose(logit, told.prior)
    assert torch.allclose(rating, torch.full((4,), 4.0))


def test_gradient_reaches_every_parameter() -> None:
    task = ProductTask(model(**PLAIN)).train()
    step(task, batch())["loss"].backward()
    lost = [name for name, p in task.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not lost
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)


def test_a_fresh_models_gradient_is_finite_and_reaches_every_head() -> None:
    task = ProductTask(fresh()).train()
    step(task, batch())["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
    embedding = task.model.head(EmbeddingHead)
    heads = (task.model.head(CategoryHead).levels, task.model.head(PriceHead), embedding.instance, task.model.head(SentimentHead))
    assert all(p.grad is not None and p.grad.any() for head in heads for p in head.parameters())


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_every_strategy_balances_all_terms(strategy: str) -> None:
    task = ProductTask(model(loss={"strategy": strategy})).train()
    terms = step(task, batch())
    assert set(terms) == {"loss", *TERMS}
    assert torch.isfinite(terms["loss"])
    terms["loss"].backward()


def test_fixed_weights_are_those_of_the_configuration() -> None:
    task = ProductTask(model(head={"sentiment": {"weight": 3.0}, "price": {"weight": 0.0}}))
    terms = step(task, batch())
    weights = task.weights
    assert (weights["sentiment"], weights["price"]) == (3.0, 0.0)
    assert terms["loss"].item() == pytest.approx(sum(weights[name] * terms[name].item() for name in TERMS), rel=1e-5)
    after = task.validation_loss(batch())
    assert after["loss"].item() == pytest.approx(sum(weights[name] * after[name].item() for name in TERMS), rel=1e-5)


def test_missing_labels_give_no_loss_and_no_poisoned_gradient() -> None:
    task = ProductTask(model()).train()
    told = batch(faulty=0)
    nothing = torch.full_like(told.reviews.rating, math.nan)
    unknown = Batch(blind(told.listings), told.faults, replace(told.reviews, recommended=nothing, rating=nothing))
    terms = step(task, unknown)
    assert "sentiment" not in terms
    assert all(terms[name].item() == 0 for name in ("article_type", "sub_category", "master_category", "price", "embedding_type"))
    terms["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
    after = task.validation_loss(unknown)
    assert torch.isfinite(after["loss"])
    assert after["article_type_accuracy"] == 0


@pytest.mark.parametrize("known", [(1.0, math.nan), (math.nan, math.nan)])
def test_some_missing_labels_do_not_change_the_loss_of_the_others(known: tuple[float, float]) -> None:
    net, inputs = model(), listings(4)
    heads = decoded(net, inputs)
    rows = torch.ones(4, dtype=torch.bool)
    half = replace(
        inputs,
        categories=inputs.categories * torch.tensor([[1], [1], [0], [0]]),
        price=torch.where(torch.arange(4) < 2, inputs.price, torch.tensor(known[1])),
    )
    found, expected = (view_losses(net, heads, WHOLE, x, y) for x, y in ((half, rows), (inputs, torch.arange(4) < 2)))
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_an_empty_listing_in_a_batch_does_not_poison_it() -> None:
    task, told = ProductTask(model()).train(), batch(faulty=0)
    gone = torch.arange(8) == 3
    inputs = blind(told.listings)
    inputs = replace(
        told.listings,
        **{
            name: torch.where(gone.view(-1, *[1] * (getattr(inputs, name).ndim - 1)), value, getattr(told.listings, name))
            for name, value in (
                ("title", torch.zeros_like(inputs.title)),
                ("description", torch.zeros_like(inputs.description)),
                ("names", torch.zeros_like(inputs.names)),
                ("price", inputs.price),
                ("categories", inputs.categories),
                ("has_image", torch.zeros_like(inputs.has_image)),
            )
        },
    )
    terms = step(task, Batch(inputs, told.faults, told.reviews))
    terms["loss"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)


def test_head_losses_by_hand() -> None:
    net, inputs = model(), listings(3)
    inputs = replace(inputs, categories=torch.tensor([[1, 1, 2], [2, 3, 0], [1, 1, 1]]), price=torch.tensor([1.0, math.nan, 7.0]))
    heads = decoded(net, inputs)
    rows = torch.tensor([True, True, False])
    for view in (WHOLE, TITLE):
        terms = view_losses(net, heads, view, inputs, rows, smoothing=0.0)
        master, sub, article = net.head(CategoryHead).probabilities(heads.of(CategoryHead).path_logits[:, view])
        assert terms["article_type"].item() == pytest.approx(-math.log(article[0, 2].item()), rel=1e-4)
        assert terms["sub_category"].item() == pytest.approx(-(sub[0, 1] * sub[1, 3]).log().item() / 2, rel=1e-4)
        assert terms["master_category"].item() == pytest.approx(-(master[0, 1] * master[1, 2]).log().item() / 2, rel=1e-4)
        told = heads.of(EmbeddingHead).type_logits[0, view].log_softmax(-1)[2].item()
        assert terms["embedding_type"].item() == pytest.approx(-told, rel=1e-4)
        location, scale = heads.of(PriceHead).location[0, view].item(), heads.of(PriceHead).scale[0, view].item()
        density = torch.distributions.Laplace(location, scale).log_prob(torch.tensor(1.0)).item()
        assert terms["price"].item() == pytest.approx(-density, rel=1e-4)


def test_smoothing_mixes_in_the_uniform_distribution_over_paths() -> None:
    net, inputs = model(), listings(1)
    inputs = replace(inputs, categories=torch.tensor([[1, 1, 2]]))
    heads = decoded(net, inputs)
    logs = heads.of(CategoryHead).path_logits[0, WHOLE].log_softmax(-1)
    found = view_losses(net, heads, WHOLE, inputs, torch.tensor([True]), smoothing=0.2)["article_type"].item()
    assert found == pytest.approx(-(0.8 * logs[1] + 0.2 * logs.mean()).item(), rel=1e-4)


def test_a_faulty_listing_teaches_the_quality_head_alone() -> None:
    task = ProductTask(model(**PLAIN)).train()
    terms = step(task, replace(batch(8, faulty=8), reviews=reviews(0)))
    assert "contrastive" not in terms
    assert "sentiment" not in terms
    assert all(terms[name].item() == 0 for name in TERMS if name in terms and name != "quality")
    terms["loss"].backward()
    for head in (CategoryHead, PriceHead, EmbeddingHead):
        assert all(p.grad is None or not p.grad.any() for p in task.model.head(head).parameters())
    assert all(p.grad is not None and p.grad.any() for p in task.model.head(QualityHead).parameters())


def test_a_faulty_listing_is_no_pair_of_the_contrastive_loss() -> None:
    task, told = ProductTask(model(**PLAIN)), batch(8, faulty=2)
    good = Batch(Inputs(**{f.name: getattr(told.listings, f.name)[:6] for f in fields(Inputs)}), told.faults[:6], told.reviews)
    with torch.no_grad():
        found, expected = (task.validation_loss(x)["contrastive"].item() for x in (told, good))
    assert found == pytest.approx(expected, rel=1e-4)


def test_pairs_need_title_and_photo() -> None:
    task, told = ProductTask(model()), batch(faulty=0)
    lone = replace(told.listings, has_image=torch.arange(8) < 1)
    assert "contrastive" in task.validation_loss(told)
    assert "contrastive" not in task.validation_loss(replace(told, listings=lone))
    assert "contrastive" not in task.validation_loss(replace(told, listings=told.listings.only(["image"])))


def test_the_contrastive_loss_by_hand() -> None:
    task, told = ProductTask(model()), batch(4, faulty=0)
    net, inputs = task.model, told.listings
    with torch.no_grad():
        heads = decoded(net, inputs)
        vectors = heads.of(EmbeddingHead).embedding
        whole, title, photo = (F.normalize(vectors[:, view, 16:], dim=-1) for view in (WHOLE, TITLE, PHOTO))
        scale = net.head(EmbeddingHead).log_scale.exp()
        expected = 0.0
        for a, b, weight in ((title, photo, 0.5), (whole, title, 0.125), (whole, photo, 0.125)):
            for left, right in ((a, b), (b, a)):
                logits = scale * left @ right.T
                expected += weight * float((logits.logsumexp(1) - logits.diagonal()).mean())
        assert task.validation_loss(told)["contrastive"].item() == pytest.approx(expected, rel=1e-3)


def test_info_nce_by_hand() -> None:
    a, b = torch.eye(3), torch.eye(3)[[0, 2, 1]]
    # Row 0 matches itself, rows 1 and 2 are crossed.
    right, wrong = math.log(math.e**2 + 2) - 2, math.log(math.e**2 + 2)
    assert info_nce(a, b, torch.tensor(2.0)).item() == pytest.approx((right + 2 * wrong) / 3)


def test_info_nce_is_symmetric_and_falls_with_the_temperature_of_a_match() -> None:
    torch.manual_seed(0)
    a, b = F.normalize(torch.randn(2, 6, 8), dim=-1)
    scale = torch.tensor(3.0)
    assert info_nce(a, b, scale).item() == pytest.approx(info_nce(b, a, scale).item())
    forth, back = (F.cross_entropy(scale * x @ y.T, torch.arange(6)) for x, y in ((a, b), (b, a)))
    assert info_nce(a, b, scale).item() == pytest.approx((forth + back).item() / 2)
    assert info_nce(a, a, torch.tensor(100.0)) < 1e-3 < info_nce(a, a, scale)


def test_sentiment_by_hand() -> None:
    task, told = ProductTask(model()), batch()
    said = replace(
        told.reviews,
        recommended=torch.tensor([1.0, 0.0, math.nan, 1.0]),
        rating=torch.tensor([5.0, math.nan, 1.0, 4.0]),
    )
    logit, rating = task.model.forward_reviews(said).values()
    p = logit.sigmoid()
    cross_entropy = -(p[0].log() + (1 - p[1]).log() + p[3].log()) / 3
    squares = ((rating[0] - 5) ** 2 + (rating[2] - 1) ** 2 + (rating[3] - 4) ** 2) / 3
    found = task.validation_loss(replace(told, reviews=said))["sentiment"]
    assert found.item() == pytest.approx((cross_entropy + 0.1 * squares).item(), rel=1e-4)


@pytest.mark.parametrize("told", [reviews(0), replace(reviews(), recommended=torch.full((4,), math.nan))])
def test_a_batch_without_labelled_reviews_trains_the_rest(told: object) -> None:
    task = ProductTask(model()).train()
    terms = step(task, replace(batch(), reviews=told))
    assert set(terms) == {"loss", *TERMS} - {"sentiment"}
    terms["loss"].backward()
    assert all(p.grad is None or not p.grad.any() for p in task.model.head(SentimentHead).parameters())


def test_the_same_generator_gives_the_same_step_and_another_hides_other_parts() -> None:
    task = ProductTask(model(dropout=0.0)).eval()
    told = batch()
    with torch.no_grad():
        first, second, other = (step(task, told, seed)["loss"] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_modality_dropout_hides_what_it_says() -> None:
    hide = {"title": 1.0, "description": 1.0, "image": 0.0, "attributes": 0.0, "price": 1.0, "categories": 0.0}
    task = ProductTask(model(modality_dropout=hide))
    shown = task._hidden(listings(50), torch.Generator().manual_seed(0))
    kept = {name for name, column in zip(PARTS, shown.T, strict=True) if column.all()}
    assert kept == {"image", "attributes", "master_category", "sub_category", "article_type"}
    assert not shown[:, [PARTS.index(name) for name in ("title", "description", "price")]].any()
    half = ProductTask(model(modality_dropout=dict.fromkeys(hide, 0.5)))
    share = half._hidden(listings(2000), torch.Generator().manual_seed(0)).float().mean(0)
    assert torch.allclose(share, torch.full((len(PARTS),), 0.5), atol=0.06)


def test_the_hidden_view_is_the_listing_without_what_is_hidden() -> None:
    hide = {"title": 0.0, "description": 1.0, "image": 1.0, "attributes": 1.0, "price": 0.0, "categories": 0.0}
    net, inputs = model(modality_dropout=hide), listings()
    shown = ProductTask(net)._hidden(inputs, torch.Generator().manual_seed(0))
    views = torch.stack([*net.views[:, None].expand(-1, 5, -1), shown], dim=1)
    heads, alone = net.decode(net.encode(inputs), views, inputs), decoded(net, one_part(inputs, "title"))
    hidden, whole = (found.of(CategoryHead).path_logits for found in (heads, alone))
    assert torch.allclose(hidden[:, HIDDEN], whole[:, WHOLE], atol=2e-5)
    assert torch.allclose(heads.of(PriceHead).location[:, HIDDEN], alone.of(PriceHead).location[:, WHOLE], atol=2e-5)
    photo = net(inputs.only(["image"]))["embedding"]
    assert torch.allclose(heads.of(EmbeddingHead).embedding[:, PHOTO], photo, atol=2e-5)


def test_accuracy_counts_good_listings_with_a_type() -> None:
    task, told = ProductTask(model()), batch(8, faulty=2)
    with torch.no_grad():
        best = task.model.head(CategoryHead).probabilities(task.model(told.listings)["path_logits"])[-1].argmax(-1)
    categories = told.listings.categories.clone()
    categories[:, -1] = best
    categories[0, -1], categories[1, -1] = 0, 1 + best[1] % 5
    inputs = replace(told.listings, categories=categories)
    found = task.validation_loss(replace(told, listings=inputs))["article_type_accuracy"].item()
    assert found == pytest.approx(4 / 5)  # of six good ones one has no type and one has another


def test_recomputed_activations_give_the_same_gradient() -> None:
    told = batch()
    found = []
    for checkpointed in (False, True):
        task = ProductTask(model(**PLAIN)).eval()
        if checkpointed:
            task.checkpoint_activations()
        step(task, told)["loss"].backward()
        found.append([p.grad for p in task.parameters() if p.requires_grad])
    assert all(torch.allclose(a, b, atol=1e-5, rtol=1e-3) for a, b in zip(*found, strict=True))


def test_compiled_parts_are_modules_of_the_task() -> None:
    task = ProductTask(model())
    own = {id(module) for module in task.modules()}
    assert {id(part) for part in task.compile_parts()} <= own
