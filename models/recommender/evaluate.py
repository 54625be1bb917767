"""Measures a recommender: the blend and each part alone over all items, slices, and what diversity costs.

A user's own history is never recommended, and a user without recommendations scores 0. A way to score that finds all items
alike recommends nothing. Lists have 20 places; what depends on what is shown (coverage, novelty, diversity) reads 10.

Shapes: U users, B users of a batch, I items, k places, T tiers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from catalog.splits import by_hash
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, SplitConfig
from models.evaluation import ranking
from models.evaluation.bootstrap import mean_interval, totals_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.ranking import NOTHING
from models.evaluation.results import AgainstBaseline, Measured, Metric
from models.evaluation.slices import slice_metrics
from models.recommender.answers import Event, Key, Query, Recommendations
from models.recommender.blend import normalised
from models.recommender.held_out import HeldOut, top
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.model import Recommender
from models.recommender.readings import Floats

PLACES = 20
SHOWN = 10
"""Items of an answer, as `Query.num_recs`."""

BLEND = ""
"""Name of the whole among the parts."""

POPULARITY = "popularity"
"""The part that shows the best-selling items to everyone: what the blend is held against."""

DIVERSITIES = (0.0, 0.2, 0.5, 0.8)
DIVERSITY_USERS = 500
QUERIES_A_CALL = 64
LISTED_USERS = 5000
"""Users of the predictions whose items are named."""

NEWEST = 10
"""Items of the history that are named, newest first."""

MEANS = ("recall_at_20", "ndcg_at_20", "hit_rate_at_10", "ndcg_at_10", "mrr", "novelty", "intra_list_diversity")
SLICED = ("ndcg_at_10", "hit_rate_at_10", "recall_at_20")
BANDS = {"no history": 0, "1–5": 5, "6–10": 10, "11–20": 20, "21–50": 50}
"""Longest history of each band but the last."""

LAST_BAND = "51 and more"
TIERS = ("head", "middle", "tail")
"""Items by sales: the best-selling ones that hold a fifth of all purchases, those between, those that hold the last fifth."""


class Answering(Protocol):
    """What is served: `models.recommender.predictor`."""

    def recommend(self, queries: list[Query], /) -> Sequence[Recommendations]:
        """An answer to each query, in their order."""
        ...

    def rank(self, queries: list[Query], /) -> Sequence[NDArray[np.int64]]:
        """Item codes of each answer, best first."""
        ...


@dataclass(frozen=True)
class Lists:
    """How one way to score ranks the items for each user.

    Attributes:
        ranked: Item codes [U, k], best first, `NOTHING` where a list ends early.
        reciprocal: 1 / place of the first relevant item among all items [U], 0 without one; ties share their mean place.
    """

    ranked: NDArray[np.int64]
    reciprocal: NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Who is measured: keys [U], what they did, what they bought next, and how much of that the version does not know [U]."""

    users: "pd.Series[Any]"
    held: HeldOut
    unknown: NDArray[np.int64]

    @property
    def relevant(self) -> NDArray[np.int64]:
        """Items [U] that should have been found, known or not."""
        found: NDArray[np.int64] = np.diff(self.held.relevant.indptr) + self.unknown
        return found

    def draw(self, count: int) -> NDArray[np.int64]:
        """Rows of at most `count` users: the same ones, whoever else is measured."""
        return np.sort(np.argsort(by_hash(self.users, SplitConfig()), kind="stable")[:count])


def measure(
    recommender: Recommender,
    predictor: Answering,
    users: Sequence[Key] | NDArray[Any],
    histories: Histories,
    relevant: csr_matrix,
    config: EvaluationConfig,
    *,
    unknown: NDArray[Any],
    training_users: int,
) -> Measured:
    """Every metric of the blend, and most of them as PART.NAME for each part alone.

    Args:
        users: Keys [U], which `predictor` knows.
        histories: What each user did before [U].
        relevant: Sparse [U, I], what each bought next.
        unknown: How many more items [U] each bought next that the version does not know: they cannot be found, and count.
        training_users: Users behind `items.buyers`: novelty is the surprise of what is shown, by the share who bought it.

    Raises:
        VitrinaError: no users, arguments of different lengths, a user who bought nothing next, or a part whose scores are NaN.
    """
    asked = _asked(users, histories, relevant, unknown)
    items = recommender.items
    if training_users < items.buyers.max(initial=0):
        raise VitrinaError(f"training_users is {training_users}, but one item was bought by {items.buyers.max():.0f} of them")
    lists = ranked_lists(recommender, asked.held)
    values = {name: _values(found, asked, recommender, training_users) for name, found in lists.items()}
    tiers = sales_tiers(items.buyers)
    metrics = _metrics(BLEND, lists[BLEND], values[BLEND], len(items), config)
    shown = ranking.shown_table(lists[BLEND].ranked[:, :SHOWN], len(items))
    metrics["gini"] = totals_interval(ranking.gini_of_counts, shown, config.bootstrap_samples)
    diversity = diversity_metrics(predictor, recommender, asked, config)
    metrics |= _latency(predictor, items, asked.users, config)
    metrics |= _exposure("shown", shown, tiers, config) | _exposure("bought", asked.held.relevant, tiers, config)
    metrics |= diversity
    for name in recommender.parts:
        metrics |= _metrics(name, lists[name], values[name], len(items), config)
        metrics[f"{name}.weight"] = Metric(value=float(recommender.weights[name]), n=len(asked.users))
    frame = _frame(asked, lists[BLEND], values[BLEND], items)
    slices = slice_metrics(frame, ["activity"], _statistics(config), config.min_slice_rows)
    bought = _by_tier(lists[BLEND], asked.held, tiers)
    slices += slice_metrics(bought, ["bought"], _statistics(config), config.min_slice_rows)
    return Measured(metrics, slices, frame, _against_popularity(values, config) if POPULARITY in values else ())


def _asked(users: Sequence[Key] | NDArray[Any], histories: Histories, relevant: csr_matrix, unknown: NDArray[Any]) -> Asked:
    lengths = {"users": len(users), "histories": len(histories), "relevant": relevant.shape[0], "unknown": len(unknown)}
    if len(set(lengths.values())) > 1:
        raise VitrinaError(f"what is measured differs in length: {lengths}; each needs a row a user")
    if not len(users):
        raise VitrinaError("there is no user to measure: a user needs purchases that the version was not trained on")
    pattern = csr_matrix(relevant, copy=True)
    pattern.eliminate_zeros()
    asked = Asked(pd.Series(users), HeldOut(histories, pattern, np.arange(len(users))), np.asarray(unknown, dtype=np.int64))
    if not asked.relevant.all():
        raise VitrinaError(f"user {asked.users[int(asked.relevant.argmin())]!r} bought nothing next; leave such users out")
    return asked


def ranked_lists(recommender: Recommender, held: HeldOut) -> dict[str, Lists]:
    """Lists of the blend and of each part, a batch of users at a time; each part scores once."""
    batches = [_batch_lists(recommender, batch) for batch in held.batches()]
    return {
        name: Lists(np.concatenate([b[name].ranked for b in batches]), np.concatenate([b[name].reciprocal for b in batches]))
        for name in batches[0]
    }


def _batch_lists(recommender: Recommender, batch: HeldOut) -> dict[str, Lists]:
    """As `Recommender.scores` and `scores_of`, from the same normalised scores."""
    read = batch.histories.newest(recommender.longest)
    total = np.zeros((len(batch), len(recommender.items)), dtype=np.float32)
    found = {}
    for name, part in recommender.parts.items():
        scores = normalised(part, read)
        if recommender.weights[name] > 0:
            total += recommender.weights[name] * scores
        found[name] = rank(scores, batch, name)
    return {BLEND: rank(total, batch, "the blend")} | found


def rank(scores: Floats, batch: HeldOut, name: str) -> Lists:
    """Lists of the users of a batch; overwrites what they bought in `scores` [B, I].

    Raises:
        VitrinaError: a score is NaN; `name` says whose.
    """
    rows, bought = np.arange(len(batch)), batch.histories.bought()
    own = (np.repeat(rows, bought.lengths), bought.items)
    scores[own] = np.inf
    least = scores.min(axis=1)
    if np.isnan(least).any():
        raise VitrinaError(f"scores of {name} are not numbers: the version cannot be measured; train it again")
    scores[own] = -np.inf
    ranked = top(scores, batch.histories, PLACES)
    several = scores.shape[1] - batch.histories.lengths > 1  # the only item that is left is the best one, whatever its score
    silent = (scores[rows, ranked[:, 0]] <= least) & (several | (ranked[:, 0] == NOTHING))
    ranked[silent] = NOTHING
    return Lists(ranked, np.where(silent, 0.0, _reciprocal(scores, batch.relevant)))


def _reciprocal(scores: Floats, relevant: csr_matrix) -> NDArray[np.float64]:
    """1 / place [B] of the best relevant item; among equals it is in the middle, among hidden ones nowhere."""
    owner = np.repeat(np.arange(len(scores)), np.diff(relevant.indptr))
    best = np.full(len(scores), -np.inf, dtype=np.float32)
    np.maximum.at(best, owner, scores[owner, relevant.indices])
    above = np.count_nonzero(scores > best[:, None], axis=1)
    level = np.count_nonzero(scores == best[:, None], axis=1)
    found: NDArray[np.float64] = np.where(np.isneginf(best), 0.0, 1.0 / (above + (level + 1) / 2))
    return found


def _values(lists: Lists, asked: Asked, recommender: Recommender, training_users: int) -> pd.DataFrame:
    """What each user [U] adds to the metrics of `MEANS`; novelty and diversity are NaN where too little is shown."""
    hit, shown = ranking.hits(lists.ranked, asked.held.relevant), lists.ranked[:, :SHOWN]
    return _found(hit, asked.relevant).assign(
        ndcg_at_20=ranking.ndcg(hit, asked.relevant, 20),
        mrr=lists.reciprocal,
        novelty=ranking.novelty(shown, recommender.items.buyers, training_users),
        intra_list_diversity=ranking.intra_list_diversity(shown, recommender.features),
    )[list(MEANS)]


def _found(hit: ranking.Hits, relevant: NDArray[np.int64]) -> pd.DataFrame:
    """The metrics that are sliced, by user."""
    return pd.DataFrame(
        {
            "ndcg_at_10": ranking.ndcg(hit, relevant, 10),
            "hit_rate_at_10": ranking.hit_rate(hit, 10),
            "recall_at_20": ranking.recall(hit, relevant, 20),
        }
    )


def _metrics(name: str, lists: Lists, values: pd.DataFrame, items: int, config: EvaluationConfig) -> dict[str, Metric]:
    """Means over the users, and coverage."""
    prefix = f"{name}." if name else ""
    found = {f"{prefix}{column}": mean_interval(values[column].dropna(), config.bootstrap_samples) for column in MEANS}
    shown = ranking.shown_table(lists.ranked[:, :SHOWN], items)
    found[f"{prefix}coverage"] = totals_interval(_covered, shown, config.bootstrap_samples)
    return found


def _against_popularity(values: Mapping[str, pd.DataFrame], config: EvaluationConfig) -> tuple[AgainstBaseline, ...]:
    """The blend minus the most popular items for everyone, user by user, of the metrics that are means over users."""
    gain = values[BLEND] - values[POPULARITY]
    return tuple(
        AgainstBaseline(
            metric=name,
            baseline=f"{POPULARITY}.{name}",
            difference=mean_interval(gain[name].dropna(), config.bootstrap_samples),
        )
        for name in MEANS
    )


def _covered(shown: NDArray[np.float64]) -> float:
    """`ranking.coverage` of how often each item is shown."""
    return np.count_nonzero(shown) / len(shown)


def diversity_metrics(
    predictor: Answering, recommender: Recommender, asked: Asked, config: EvaluationConfig
) -> dict[str, Metric]:
    """What is served at each of `DIVERSITIES`, for at most 500 users: `diversity_20.ndcg_at_10` is nDCG at diversity 0.2."""
    rows = asked.draw(DIVERSITY_USERS)
    relevant, count = asked.held.relevant[rows], asked.relevant[rows]
    found = {}
    for diversity in DIVERSITIES:
        queries = [Query(user_id=user, num_recs=SHOWN, diversity=diversity) for user in asked.users.iloc[rows].tolist()]
        ranked = _answered(predictor, queries)
        unlike = ranking.intra_list_diversity(ranked, recommender.features)
        name = f"diversity_{round(100 * diversity)}"
        ndcg = ranking.ndcg(ranking.hits(ranked, relevant), count, SHOWN)
        found[f"{name}.ndcg_at_10"] = mean_interval(ndcg, config.bootstrap_samples)
        found[f"{name}.intra_list_diversity"] = mean_interval(unlike[~np.isnan(unlike)], config.bootstrap_samples)
    return found


def _answered(predictor: Answering, queries: Sequence[Query]) -> NDArray[np.int64]:
    """Item codes [U, 10] of the answers."""
    ranked = np.full((len(queries), SHOWN), NOTHING, dtype=np.int64)
    for start in range(0, len(queries), QUERIES_A_CALL):
        for row, codes in enumerate(predictor.rank(list(queries[start : start + QUERIES_A_CALL])), start):
            ranked[row, : len(codes)] = codes
    return ranked


@one_thread()
def _latency(predictor: Answering, items: Items, users: "pd.Series[Any]", config: EvaluationConfig) -> dict[str, Metric]:
    """Milliseconds of wall time, on one thread, of an answer to one user who has just bought one more item."""
    generator = np.random.default_rng(0)
    asking = generator.choice(len(users), config.latency_calls)
    milliseconds = []
    for user, item in zip(users.iloc[asking].tolist(), generator.choice(len(items), config.latency_calls), strict=True):
        query = Query(user_id=user, events=(Event(items.keys[item]),))
        started = time.perf_counter()
        predictor.recommend([query])
        milliseconds.append(1000 * (time.perf_counter() - started))
    return latency_metrics(milliseconds, config.bootstrap_samples)


def sales_tiers(buyers: Floats) -> NDArray[np.int64]:
    """Place in `TIERS` of each item [I]: the best-selling ones with a fifth of all purchases, the last fifth, and between."""
    order = np.argsort(-buyers, kind="stable")
    sold = buyers[order].astype(np.float64)
    before = (np.cumsum(sold) - sold) / max(1.0, float(sold.sum()))
    tiers = np.empty(len(buyers), dtype=np.int64)
    tiers[order] = np.where(sold == 0, 2, np.searchsorted([0.2, 0.8], before, side="right"))
    return tiers


def _exposure(name: str, table: csr_matrix, tiers: NDArray[np.int64], config: EvaluationConfig) -> dict[str, Metric]:
    """Mean share of each tier in the rows of a table [U, I], as NAME.TIER; users with an empty row are left out."""
    count = np.diff(table.indptr)
    pattern = csr_matrix((np.ones(table.nnz), table.indices, table.indptr), shape=table.shape)
    share = (pattern @ np.eye(len(TIERS))[tiers])[count > 0] / count[count > 0, None]
    return {f"{name}.{tier}": mean_interval(share[:, place], config.bootstrap_samples) for place, tier in enumerate(TIERS)}


def _by_tier(lists: Lists, held: HeldOut, tiers: NDArray[np.int64]) -> pd.DataFrame:
    """The sliced metrics with what users bought from one tier alone as relevant, and its tier as `bought`."""
    found = []
    for place, tier in enumerate(TIERS):
        relevant = held.relevant.multiply(tiers == place).tocsr()
        relevant.eliminate_zeros()
        users = np.flatnonzero(np.diff(relevant.indptr))
        kept = relevant[users]
        found.append(_found(ranking.hits(lists.ranked[users], kept), np.diff(kept.indptr)).assign(bought=tier))
    frame = pd.concat(found, ignore_index=True)
    return frame.assign(bought=pd.Categorical(frame["bought"], categories=list(TIERS), ordered=True))


def activity(lengths: NDArray[np.int64]) -> pd.Categorical:
    """Band of each history length [U]."""
    names = np.array([*BANDS, LAST_BAND], dtype=object)
    return pd.Categorical(names[np.searchsorted(list(BANDS.values()), lengths)], categories=names, ordered=True)


def _statistics(config: EvaluationConfig) -> Mapping[str, Callable[[pd.DataFrame], Metric]]:
    def mean(column: str) -> Callable[[pd.DataFrame], Metric]:
        return lambda rows: mean_interval(rows[column], config.bootstrap_samples)

    return {column: mean(column) for column in SLICED}


def _frame(asked: Asked, lists: Lists, values: pd.DataFrame, items: Items) -> pd.DataFrame:
    """A row a user: who, how active, each metric's value, and for at most 5,000 users the items behind it, as text.

    `history` is newest first, at most 10; `predicted` are the 10 shown; `true` is what was bought next and is known.
    """
    histories, relevant = asked.held.histories, asked.held.relevant
    frame = pd.DataFrame({"user_id": asked.users, "history_length": histories.lengths})
    frame["activity"] = activity(histories.lengths)
    frame["relevant"], frame["unknown"] = asked.relevant, asked.unknown
    frame = frame.join(values.astype(np.float32))
    names = [str(key) for key in items.keys]
    named: dict[str, list[list[str] | None]] = {column: [None] * len(frame) for column in ("history", "predicted", "true")}
    for row in asked.draw(LISTED_USERS).tolist():
        shown = lists.ranked[row, :SHOWN]
        codes = {
            "history": histories.user(row)[0][::-1][:NEWEST],
            "predicted": shown[shown != NOTHING],
            "true": relevant.indices[relevant.indptr[row] : relevant.indptr[row + 1]],
        }
        for column, found in codes.items():
            named[column][row] = [names[code] for code in found]
    for column, cells in named.items():
        frame[column] = pd.Series(cells, dtype=object)
    return frame
