import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from product_batches import PATHS, SIZES, listings, model, reviews, small
from torch.nn import functional as F

from configs.errors import ConfigError
from configs.load import validate
from models.layers import SelfAttention, angles, attend_padded, norm, rotate
from models.product.config import PRESETS, ProductModelConfig
from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead, frame
from models.product.heads.head import Decoded
from models.product.heads.price import PriceHead
from models.product.heads.quality import QualityHead, light
from models.product.heads.type_evidence import TypeEvidenceHead
from models.product.inputs import Inputs, Reviews, Sizes
from models.product.memory import last_state
from models.product.model import ProductModel
from models.product.parts import MODALITIES, PARTS, PHOTO, PRIOR_SEGMENTS, SEGMENTS, TITLE, WHOLE
from models.product.priors.neighbours import MEAN, NAMES

ANSWERS = ("path_logits", "price_location", "price_half_width", "embedding", "fault_logits", "view_paths", "view_cosines")


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for the order of sums in float32."""
    return torch.allclose(a, b, atol=2e-5, rtol=1e-4)


def sparse() -> Inputs:
    """Five listings of different lengths, each of which lacks something; the last lacks everything."""
    inputs = listings()
    return replace(
        inputs,
        title=inputs.title.masked_fill(torch.arange(7) >= torch.tensor([7, 3, 0, 5, 0])[:, None], 0),
        description=inputs.description.masked_fill(torch.arange(11) < torch.tensor([0, 11, 8, 4, 11])[:, None], 0),
        names=inputs.names.masked_fill(torch.arange(4) >= torch.tensor([4, 1, 0, 2, 0])[:, None], 0),
        has_image=torch.tensor([True, False, True, False, False]),
        price=torch.tensor([0.5, math.nan, -1.0, math.nan, math.nan]),
        categories=inputs.categories * torch.tensor([[1], [0], [1], [1], [0]]),
        price_prior=inputs.price_prior * torch.tensor([[1], [1], [0], [1], [0]]),
        neighbours=inputs.neighbours * torch.tensor([[1], [1], [0], [1], [0]]),
        title_prior=inputs.title_prior * torch.tensor([[1], [1], [0], [1], [0]]),
        facts=inputs.facts * torch.tensor([[1], [1], [1], [1], [0]]),
    )


def decoded(net: ProductModel, inputs: Inputs) -> Decoded:
    """In the standard views, by the weights as they are now: heads compute when they are asked."""
    found = net.decode(net.encode(inputs), net.views[None], inputs)
    for head in net.listing_heads.values():
        found.of(type(head))
    return found


def weigh_evidence(net: ProductModel, of: str, in_category: float, in_embedding: float) -> None:
    """How much what title or photo say of the type counts in two heads."""
    for head, weight in ((CategoryHead, in_category), (EmbeddingHead, in_embedding)):
        getattr(net.head(head).evidence_weights, of).fill_(weight)


def added(before: Decoded, after: Decoded, view: int, to_category: torch.Tensor, to_embedding: torch.Tensor) -> None:
    """Asserts what was added to the type logits (B, N) of two heads in a view."""
    paths = after.of(CategoryHead).path_logits[:, view] - before.of(CategoryHead).path_logits[:, view]
    types = after.of(EmbeddingHead).type_logits[:, view] - before.of(EmbeddingHead).type_logits[:, view]
    assert torch.allclose(paths, to_category[:, PATHS[:, -1]], atol=1e-5), view
    assert torch.allclose(types, to_embedding, atol=1e-5), view


def row(inputs: Inputs, i: int) -> Inputs:
    """One listing, padded no further than it needs."""
    one = Inputs(**{name: getattr(inputs, name)[i : i + 1] for name in vars(inputs)})
    title, names = int((one.title != 0).sum()), int((one.names != 0).sum())
    one = replace(one, title=one.title[:, :title], names=one.names[:, :names], values=one.values[:, :names])
    if not one.description.any():
        one = replace(one, description=one.description[:, :0])
    return one if one.has_image.all() else replace(one, image=one.image[:, :, :0, :0])


@pytest.mark.slow
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_builds_and_answers_in_its_shapes(preset: str) -> None:
    config = ProductModelConfig(preset=preset)
    with torch.device("meta"):
        built = ProductModel(config, SIZES, PATHS.to("meta"))
    inputs = replace(listings(2), image=torch.zeros(2, 3, config.image_height, config.image_width, dtype=torch.uint8))
    outputs = built.to("meta")(inputs.to("meta"))
    rows, columns = config.grid
    assert built.photo.places.shape == (rows * columns + 1, config.width)
    assert outputs["path_logits"].shape == (2, len(PATHS))
    assert outputs["price_location"].shape == outputs["price_half_width"].shape == (2,)
    assert outputs["embedding"].shape == (2, 1024)
    assert outputs["fault_logits"].shape == (2, 9)
    assert [answer.shape for answer in built.forward_reviews(reviews(3).to("meta")).values()] == [(3,), (3,)]
    assert len(built.text.blocks) == config.layers


def test_base_has_five_to_ten_million_parameters_on_a_catalogue_of_myntras_size() -> None:
    sizes = Sizes(tokens=8192, names=180, values=1800, levels=(8, 46, 142))
    paths = torch.ones(150, 3, dtype=torch.int64)
    with torch.device("meta"):
        built = ProductModel(ProductModelConfig(), sizes, paths.to("meta"))
    assert 5e6 < sum(p.numel() for p in built.parameters()) < 10e6


def test_large_is_1024_wide_with_16_heads() -> None:
    config = ProductModelConfig(preset="large")
    assert (config.width, config.heads) == (1024, 16)


def test_explicit_fields_override_the_preset_and_a_dump_reads_back() -> None:
    config = ProductModelConfig(preset="tiny", width=64)
    assert (config.width, config.layers) == (64, PRESETS["tiny"]["layers"])
    assert ProductModelConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 30, "heads": 4}, "multiple of 4"),
        ({"image_width": 60}, "multiple of 16"),
        ({"preset": "huge"}, "tiny"),
        ({"description_tokens": 8, "ending_tokens": 8}, "ending_tokens 8 must be below description_tokens"),
    ],
)
def test_impossible_sizes_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(ProductModelConfig, values, where="model")


def test_rope_turns_each_pair_by_position_times_frequency() -> None:
    turns = angles(6, head_dim=4)
    # Two frequencies, 1 and 100^(-1/2).
    assert torch.allclose(turns[5], torch.tensor([5.0, 0.5]))
    x = torch.tensor([[0.0, 1.0, 0.0, 2.0]])  # the second pair
    turned = rotate(x, turns[5].cos(), turns[5].sin())[0]
    assert turned[1].item() == pytest.approx(math.cos(0.5) - 2 * math.sin(0.5))
    assert turned[3].item() == pytest.approx(math.sin(0.5) + 2 * math.cos(0.5))
    assert turned[[0, 2]].abs().sum() == 0


def test_rope_scores_depend_on_the_offset_alone() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 16)
    cos, sin = angles(40, 16).cos(), angles(40, 16).sin()

    def score(a: int, b: int) -> float:
        return float(rotate(q, cos[a], sin[a]) @ rotate(k, cos[b], sin[b]))

    assert score(3, 7) == pytest.approx(score(20, 24), abs=1e-4)
    assert score(3, 7) != pytest.approx(score(3, 8), abs=1e-2)


def test_attention_agrees_with_its_definition() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16, 2)
    x = torch.randn(2, 5, 16)
    mask = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 0, 1, 1]], dtype=torch.bool)
    cos, sin = angles(5, 8).cos()[:, None], angles(5, 8).sin()[:, None]
    found = attention(x, cos, sin, partial(attend_padded, mask=mask[:, None, None]))
    expected = torch.zeros_like(x)
    q, k, v = attention.qkv(x).split(16, dim=-1)
    for i in range(2):
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            a, b = (rotate(norm(t[i, :, part])[:, None], cos, sin)[:, 0] for t in (q, k))
            scores = (a @ b.T / math.sqrt(8)).masked_fill(~mask[i], -math.inf)
            expected[i, :, part] = scores.softmax(-1) @ v[i, :, part]
    assert torch.allclose(found, attention.out(expected), atol=1e-6)


def test_packed_and_padded_texts_are_read_alike() -> None:
    """A GPU packs tokens, a CPU pads rows."""
    torch.manual_seed(0)
    tower = model().text
    present = torch.arange(7) < torch.tensor([7, 1, 4])[:, None]
    x = torch.randn(3, 7, 32)
    padded, packed = tower._padded(x, present)[present], tower._packed(x, present)
    assert torch.allclose(padded, packed[present], atol=1e-5)
    assert not packed[~present].any()
    gradients = [torch.autograd.grad(found.square().sum(), tower.blocks[0].attention.qkv.weight)[0] for found in (padded, packed)]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-4)


def test_light_by_hand() -> None:
    flat = torch.full((3, 6, 6), 51, dtype=torch.uint8)
    board = torch.zeros(3, 6, 6, dtype=torch.uint8)
    board[:, 0::2, 0::2] = board[:, 1::2, 1::2] = 255
    head = model().head(QualityHead)
    brightness, contrast, sharpness = light(torch.stack([flat, board]), head.luma, head.laplacian).T
    assert brightness.tolist() == pytest.approx([0.2, 0.5], abs=1e-5)
    deviation = math.sqrt(36 * 0.25 / 35)
    assert contrast.tolist() == pytest.approx([0.0, deviation], abs=1e-5)
    # Every neighbour of a white pixel is black: the Laplacian is 4 everywhere.
    assert sharpness.tolist() == pytest.approx([0.0, 4 / (deviation + 0.02)], abs=1e-4)


def test_a_listing_alone_and_in_a_padded_batch_get_the_same_answer() -> None:
    net, inputs = model(), sparse()
    together = net(inputs)
    for i in range(5):
        alone = net(row(inputs, i))
        for name in ANSWERS:
            assert same(alone[name][0], together[name][i]), (i, name)


def test_an_empty_row_among_others_gets_finite_answers() -> None:
    outputs = model()(sparse())
    for name in ANSWERS:
        assert torch.isfinite(outputs[name][-1]).all(), name


def test_price_is_never_in_the_input_of_the_price_head() -> None:
    net, inputs = model(), listings()
    price = inputs.price.clone().requires_grad_()
    outputs = net(replace(inputs, price=price))
    of_price = (outputs["price_location"] + outputs["price_half_width"]).sum()
    (into_price,) = torch.autograd.grad(of_price, price, retain_graph=True)
    (into_embedding,) = torch.autograd.grad(outputs["embedding"].square().sum(), price, retain_graph=True)
    (into_category,) = torch.autograd.grad(outputs["path_logits"].square().sum(), price, retain_graph=True)
    (into_faults,) = torch.autograd.grad(outputs["fault_logits"].square().sum(), price)
    assert into_price.abs().max() == into_embedding.abs().max() == 0
    assert into_category.abs().min() > 0
    assert into_faults.abs().min() > 0
    for changed in (inputs.price + 3, torch.full_like(inputs.price, math.nan)):
        other = net(replace(inputs, price=changed))
        for name in ("price_location", "price_half_width", "embedding"):
            assert same(outputs[name], other[name]), name
        assert not same(outputs["path_logits"], other["path_logits"])
        assert not same(outputs["fault_logits"], other["fault_logits"])


def test_categories_are_never_in_the_input_of_the_category_heads() -> None:
    net, inputs = model(), listings()
    known = net(inputs)
    for categories in (torch.zeros_like(inputs.categories), inputs.categories.flip(0)):
        other = net(replace(inputs, categories=categories))
        assert same(known["path_logits"], other["path_logits"])
        assert same(known["embedding"], other["embedding"])
        assert not same(known["price_location"], other["price_location"])
        assert not same(known["fault_logits"], other["fault_logits"])


def test_the_price_prior_reaches_the_price_alone_and_adds_to_it() -> None:
    """It is made of the categories too, which the category heads must not see."""
    net, inputs = model(), listings()
    inputs = replace(inputs, neighbours=torch.zeros_like(inputs.neighbours))
    with torch.no_grad():
        net.readout.evidence["price"].weight.zero_()
    before, after = net(inputs), net(replace(inputs, price_prior=inputs.price_prior + 0.5))
    assert same(before["path_logits"], after["path_logits"])
    assert same(before["embedding"], after["embedding"])
    assert torch.allclose(after["price_location"] - before["price_location"], torch.tensor(0.5 * len(PRIOR_SEGMENTS)), atol=1e-5)
    assert same(before["price_half_width"], after["price_half_width"])


def test_the_title_prior_adds_to_types_wherever_the_title_is_shown() -> None:
    net, inputs = model(), listings()
    with torch.no_grad():
        weigh_evidence(net, "title", 0.5, 2.0)
    extra = torch.randn(inputs.title_prior.shape, generator=torch.Generator().manual_seed(3))
    memory = net.encode(inputs)
    before, after = (
        net.decode(memory, net.views[None], x) for x in (inputs, replace(inputs, title_prior=inputs.title_prior + extra))
    )
    for view in range(len(net.views)):
        seen = float(view in (WHOLE, TITLE))
        added(before, after, view, 0.5 * seen * extra, 2.0 * seen * extra)
    assert same(before.of(PriceHead).location, after.of(PriceHead).location)
    assert same(before.of(EmbeddingHead).instance, after.of(EmbeddingHead).instance)


def test_what_the_photo_alone_tells_adds_to_types_where_no_title_is_shown() -> None:
    net, inputs = model(), listings()
    rows = torch.arange(len(inputs))
    inputs = replace(inputs, has_image=rows != 1, title=inputs.title * (rows != 2)[:, None])
    photo_types = net.head(TypeEvidenceHead).photo_types
    with torch.no_grad():
        weigh_evidence(net, "photo", 0.0, 0.0)
    before = decoded(net, inputs)
    with torch.no_grad():
        weigh_evidence(net, "photo", 0.5, 2.0)
        torch.nn.init.normal_(photo_types.weight)
        extra = photo_types(net.photo(inputs.image)[:, -1]) * inputs.has_image[:, None]
    after = decoded(net, inputs)
    assert extra[inputs.has_image].abs().max() > 0.1
    for view in range(len(net.views)):
        seen = (rows == 2 if view == WHOLE else torch.full_like(rows, view == PHOTO)).float()[:, None]
        added(before, after, view, 0.5 * seen * extra, 2.0 * seen * extra)
    assert same(before.of(PriceHead).location, after.of(PriceHead).location)
    assert same(before.of(EmbeddingHead).instance, after.of(EmbeddingHead).instance)


def test_neighbours_reach_the_price_alone_and_pull_it_towards_theirs() -> None:
    net, inputs = model(), listings()
    with torch.no_grad():
        net.readout.evidence["price"].weight.zero_()
    dearer = inputs.neighbours + torch.nn.functional.one_hot(torch.tensor(MEAN), len(NAMES))
    before, after = net(inputs), net(replace(inputs, neighbours=dearer))
    assert same(before["path_logits"], after["path_logits"])
    assert same(before["embedding"], after["embedding"])
    moved = after["price_location"] - before["price_location"]
    assert ((moved > 0) & (moved < 1)).all()  # the gate: no more than all of the way
    unknown = replace(inputs, neighbours=torch.zeros_like(inputs.neighbours))
    offset = net(unknown)["price_location"] - inputs.price_prior.sum(1)
    towards = inputs.neighbours[:, MEAN] - inputs.price_prior.sum(1)
    assert same(before["price_location"], inputs.price_prior.sum(1) + offset + moved * towards)


def test_neighbours_are_hidden_with_any_word_that_found_them() -> None:
    net, inputs = model(), listings()
    others = listings(seed=1).neighbours
    words = ["title", "description", "attributes", "categories"]
    for shown, same_answer in ((words, False), (["image", *words[1:]], True), (["image", *words[:3]], True)):
        left, right = (net(x.only(shown))["price_location"] for x in (inputs, replace(inputs, neighbours=others)))
        assert same(left, right) == same_answer
    for hidden in range(len(PARTS)):
        view = (torch.arange(len(PARTS)) != hidden)[None, None]
        left, right = (
            net.decode(net.encode(inputs), view, x).of(PriceHead).location for x in (inputs, replace(inputs, neighbours=others))
        )
        assert same(left, right) == (PARTS[hidden] in PRIOR_SEGMENTS), PARTS[hidden]


def test_queries_do_not_see_each_other() -> None:
    """Otherwise a category query could carry the price to the price query."""
    net, inputs = model(readout_layers=2), listings()
    before = net(inputs)
    with torch.no_grad():
        net.readout.queries[0] += 1.0
    after = net(inputs)
    assert not same(before["path_logits"], after["path_logits"])
    assert same(before["price_location"], after["price_location"])
    assert same(before["embedding"], after["embedding"])


@pytest.mark.parametrize("shown", [(), *((m,) for m in MODALITIES), ("title", "image"), ("description", "price"), MODALITIES])
def test_any_subset_of_modalities_gives_every_answer(shown: tuple[str, ...]) -> None:
    outputs = model()(listings().only(shown))
    for name in ANSWERS:
        assert torch.isfinite(outputs[name]).all(), name
    assert torch.allclose(outputs["embedding"].norm(dim=-1), torch.ones(5))
    assert (outputs["price_half_width"] > 0).all()


def test_hidden_modalities_have_no_influence() -> None:
    net, inputs = model(), listings()
    title, facts = PRIOR_SEGMENTS.index("title"), inputs.facts[:, :1]
    other = listings(seed=1)
    prior = torch.cat([inputs.price_prior[:, : title + 1], other.price_prior[:, title + 1 :]], dim=1)
    facts = torch.cat([facts, other.facts[:, 1:]], dim=1)
    mixed = replace(other, title=inputs.title, title_prior=inputs.title_prior, price_prior=prior, facts=facts)
    left, right = net(inputs.only(["title"])), net(mixed.only(["title"]))
    for name in ANSWERS:
        assert same(left[name], right[name]), name


@pytest.mark.parametrize("part", range(len(SEGMENTS)))
def test_a_view_of_one_part_answers_as_a_listing_that_has_no_other(part: int) -> None:
    """What training reads as a mask over all tokens is what serving sees."""
    net, inputs = model(), sparse()
    among, alone = decoded(net, inputs), decoded(net, inputs.only([SEGMENTS[part]]))
    for head, names in ((CategoryHead, ["path_logits"]), (PriceHead, ["location", "scale"]), (EmbeddingHead, ["embedding"])):
        for name in names:
            assert same(getattr(among.of(head), name)[:, 1 + part], getattr(alone.of(head), name)[:, WHOLE]), name


def test_attributes_are_a_set() -> None:
    net, inputs = model(), listings()
    turned = replace(inputs, names=inputs.names.flip(1), values=inputs.values.flip(1))
    assert same(net(inputs)["path_logits"], net(turned)["path_logits"])


def test_a_texts_words_have_an_order() -> None:
    net, inputs = model(), listings()
    assert not same(net(inputs)["path_logits"], net(replace(inputs, title=inputs.title.flip(1)))["path_logits"])


def test_the_kind_of_a_text_counts() -> None:
    """One tower reads titles and descriptions: which is which must not be lost."""
    net, inputs = model(), listings().only(["title", "description"])
    empty = inputs.title[:, :0]
    left = net(replace(inputs, description=empty))
    assert not same(left["path_logits"], net(replace(inputs, title=empty, description=inputs.title))["path_logits"])


def test_parents_probability_is_the_sum_of_its_children() -> None:
    net = model()
    master, sub, article = net.head(CategoryHead).probabilities(net(listings())["path_logits"])
    for level in (master, sub, article):
        assert torch.allclose(level.sum(-1), torch.ones(5))
        assert not level[:, 0].any()  # the missing value is no answer
    assert torch.allclose(article[:, 1] + article[:, 2], sub[:, 1])
    assert torch.allclose(sub[:, 1] + sub[:, 2], master[:, 1])
    assert torch.allclose(sub[:, 3], master[:, 2])


def share(net: ProductModel, types: float, retrieval: float) -> None:
    """As calibration does."""
    head = net.head(EmbeddingHead)
    head.type_share.fill_(types)
    head.retrieval_share.fill_(retrieval)


def test_the_embedding_compares_types_the_instance_and_what_was_retrieved() -> None:
    net, inputs = model(), listings()
    share(net, 0.3, 0.2)
    found = decoded(net, inputs).of(EmbeddingHead)
    for view in (WHOLE, TITLE, PHOTO):
        types, instance, retrieval = found.embedding[:, view].split([16, 32, 16], dim=-1)  # a quarter, a half, a quarter
        p = found.type_logits[:, view].softmax(-1)
        told = p.sqrt() if view == PHOTO else F.normalize(p, dim=-1)
        assert torch.allclose(types @ types.T, 0.3 * told @ told.T, atol=1e-5)
        assert torch.allclose(instance, (0.7 * 0.8) ** 0.5 * found.instance[:, view], atol=1e-5)
        assert torch.allclose(retrieval, (0.7 * 0.2) ** 0.5 * found.retrieval[:, view], atol=1e-5)
    for unit in (found.type, found.instance, found.embedding):
        assert torch.allclose(unit.norm(dim=-1), torch.ones(5, 5), atol=1e-5)


def test_photos_and_titles_are_retrieved_by_where_they_are_shown() -> None:
    net, inputs = model(), listings()
    rows, retrieval = torch.arange(len(inputs)), net.head(EmbeddingHead).retrieval
    inputs = replace(inputs, has_image=rows != 1, title=inputs.title * (rows != 2)[:, None])
    found = decoded(net, inputs).of(EmbeddingHead)
    assert retrieval is not None
    photo = F.normalize(retrieval.photo_head(net.photo(inputs.image)[:, -1]), dim=-1) * inputs.has_image[:, None]
    words = torch.stack([retrieval.words(row[row != 0]).sum(0) / max(1, int((row != 0).sum())) for row in inputs.title])
    bag = norm(words)
    title = F.normalize(bag + retrieval.title_head(bag), dim=-1)
    assert not title[2].any()
    for view in range(len(net.views)):
        expected = {WHOLE: F.normalize(title + photo, dim=-1), TITLE: title, PHOTO: photo}.get(view, torch.zeros_like(title))
        assert torch.allclose(found.retrieval[:, view], expected, atol=1e-5), view


def test_without_photo_lessons_nothing_untrained_is_in_the_embedding() -> None:
    net, inputs = ProductModel(small(), SIZES, PATHS).eval(), listings()
    assert net.head(EmbeddingHead).retrieval is None
    assert not [name for name, _ in net.named_parameters() if "retrieval" in name]
    found = decoded(net, inputs).of(EmbeddingHead)
    assert found.retrieval.shape == (5, 5, 0)
    assert found.instance.shape == (5, 5, 48)  # three quarters of 64
    assert torch.allclose(found.embedding.norm(dim=-1), torch.ones(5, 5), atol=1e-5)


def test_faults_do_not_depend_on_what_calibration_makes_of_the_embedding() -> None:
    """The quality head is trained before the share of types is fitted."""
    net, inputs = model(), listings()
    before = net(inputs)
    share(net, 0.1, 0.5)
    after = net(inputs)
    assert same(before["fault_logits"], after["fault_logits"])
    assert not same(before["embedding"], after["embedding"])


def test_the_last_token_by_hand() -> None:
    states = torch.arange(1.0, 17.0).view(4, 2, 2).transpose(0, 1)  # (2, 4, 2)
    present = torch.tensor([[True, False, True, False], [False] * 4])
    assert last_state(states, present).tolist() == [[9.0, 10.0], [0.0, 0.0]]
    assert last_state(states[:, :0], present[:, :0]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_the_quality_head_reads_the_descriptions_last_token() -> None:
    net, inputs = model(), listings()
    memory = net.encode(inputs)
    description = memory.states[:, memory.part == PARTS.index("description")]
    assert same(memory.ending, description[:, -1])
    other = replace(memory, ending=torch.zeros_like(memory.ending))
    judged = [net.decode(read, net.views[None], inputs).of(QualityHead).fault_logits for read in (memory, other)]
    assert not same(*judged)
    assert not net.encode(inputs.only(["title", "image"])).ending.any()


def test_the_frame_is_orthonormal_where_there_is_room() -> None:
    assert torch.allclose(frame(10, 16) @ frame(10, 16).T, torch.eye(10), atol=1e-5)
    crowded = frame(300, 256) @ frame(300, 256).T
    assert torch.allclose(crowded.diagonal(), torch.ones(300), atol=0.5)
    assert (crowded - torch.diag(crowded.diagonal())).abs().mean() < 0.1
    assert torch.equal(frame(10, 16), frame(10, 16))


def test_contradictions_teach_nothing_but_the_quality_head() -> None:
    net, inputs = model(), listings()
    net(inputs)["fault_logits"].sum().backward()
    for head in (CategoryHead, EmbeddingHead, PriceHead):
        assert all(p.grad is None or not p.grad.any() for p in net.head(head).parameters())
    for taught in (net.head(QualityHead), net.text, net.price):
        assert all(p.grad is not None and p.grad.any() for p in taught.parameters())


def test_price_features_are_sines_and_cosines_of_all_wavelengths() -> None:
    net = model(fourier_features=3)
    assert torch.allclose(2 * math.pi / net.price.frequencies, torch.tensor([16.0, math.sqrt(2), 0.125]), rtol=1e-5)
    a = net.price(torch.tensor([0.3]))
    turned = 0.3 * net.price.frequencies
    assert torch.allclose(a[:, 0], norm(net.price.project(torch.cat((turned.sin(), turned.cos())))[None]))
    assert F.mse_loss(a, net.price(torch.tensor([0.31]))) > 0


def test_a_review_alone_and_in_a_padded_batch_get_the_same_answer() -> None:
    net, told = model(), reviews()
    told = replace(told, title=told.title.masked_fill(torch.arange(7) >= torch.tensor([7, 2, 0, 4])[:, None], 0))
    together = net.forward_reviews(told)
    for i, title in enumerate((7, 2, 0, 4)):
        alone = Reviews(told.title[i : i + 1, :title], *(getattr(told, f)[i : i + 1] for f in list(vars(told))[1:]))
        for name, answer in net.forward_reviews(alone).items():
            assert same(answer[0], together[name][i])


def test_the_review_prior_adds_to_the_logit_alone() -> None:
    net, told = model(), reviews()
    before, after = net.forward_reviews(told), net.forward_reviews(replace(told, prior=told.prior + 1))
    assert torch.allclose(after["recommended"] - before["recommended"], torch.ones(4), atol=1e-5)
    assert torch.equal(before["rating"], after["rating"])


def test_what_reviewers_thought_is_never_in_the_input() -> None:
    net, told = model(), reviews()
    blind = replace(told, recommended=torch.full((4,), math.nan), rating=torch.full((4,), math.nan))
    known, unknown = net.forward_reviews(told), net.forward_reviews(blind)
    assert all(torch.equal(known[name], unknown[name]) for name in known)
