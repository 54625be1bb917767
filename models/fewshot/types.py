"""Which article types the learners are trained on, chosen by and tested on: a type's products stay together."""

from typing import Any, Self

import pandas as pd
from pydantic import Field, model_validator

from catalog.catalogue import said
from catalog.splits import by_hash
from configs.errors import VitrinaError
from configs.schema import Share, SplitConfig, StrictModel

MIN_WAYS = 2
"""Types that each part needs to make an episode of."""


class TypesConfig(StrictModel):
    """How article types are divided into meta-train, meta-validation and meta-test."""

    validation: Share = Field(0.15, description="share of types on which choices are made")
    test: Share = Field(0.3, description="share of types that is touched once, at the end; 20 ways need twenty of them")
    min_products: int = Field(10, ge=2, description="types with fewer products make no episodes: they are left out")
    most_products: int = Field(
        500, ge=2, description="products of a type that are looked at, at most: an episode asks for a few of each"
    )
    photos_alone: int = Field(
        60,
        ge=2,
        description="products of a type whose photos are looked at without their words, so that a photo alone can be judged",
    )
    novel: tuple[str, ...] = Field(
        (), description="master categories whose types are all tested, apart from the others: what a wholly new department costs"
    )
    salt: str = Field("vitrina", description="changes the order in which types are dealt; keep it fixed for a catalogue's life")

    @model_validator(mode="after")
    def _leaves_types_to_learn(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation + test is {self.validation + self.test:g}; it must stay below 1")
        return self


def split_types(products: pd.DataFrame, config: TypesConfig) -> "pd.Series[Any]":
    """`train`, `validation`, `test` or `novel` for each article type with `min_products`, by its name.

    Types are dealt in the order of a hash of their names: a new type moves one other at most. `novel` are those of the master
    categories that the configuration names; they are no part of the other three.

    Raises:
        VitrinaError: no products with an article type, a `novel` master category that none of them has, or too few types.
    """
    known = products.loc[said(products["article_type"]).notna(), ["article_type", "master_category"]]
    masters = set(known["master_category"])
    if unknown := [name for name in config.novel if name not in masters]:
        raise VitrinaError(f"types.novel: no product has the master category {unknown[0]!r}; there are: {_listed(masters)}")
    counts = known["article_type"].value_counts()
    frequent = pd.Series(sorted(counts.index[counts >= config.min_products]), dtype=object)
    novel = set(known.loc[known["master_category"].isin(config.novel), "article_type"])
    dealt = frequent[~frequent.isin(novel)]
    order = dealt.iloc[by_hash(dealt, SplitConfig(salt=f"{config.salt}:types")).argsort(kind="stable")]
    tested, chosen = round(config.test * len(order)), round(config.validation * len(order))
    parts = ["test"] * tested + ["validation"] * chosen + ["train"] * (len(order) - tested - chosen)
    few = {part: parts.count(part) for part in ("train", "validation", "test") if parts.count(part) < MIN_WAYS}
    if few:
        found = ", ".join(f"{part}: {count}" for part, count in few.items())
        raise VitrinaError(
            f"{len(order)} article types have {config.min_products} products or more; each part needs {MIN_WAYS} ({found}): "
            "more types, a lower types.min_products or other shares are needed"
        )
    of = dict(zip(order, parts, strict=True)) | dict.fromkeys(frequent[frequent.isin(novel)], "novel")
    return pd.Series([of[name] for name in frequent], index=frequent, name="split", dtype=object)


def _listed(names: set[Any]) -> str:
    return ", ".join(sorted(str(name) for name in names if isinstance(name, str) and name)) or "none"
