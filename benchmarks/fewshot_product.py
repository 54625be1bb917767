"""The `product` whose features the few-shot benchmark rests on: it has seen no type on which learners are chosen or tested.

Trained once, from nothing, on the meta-train types of Myntra (and on types too rare for episodes); a run that was ended goes on.

    python -m benchmarks.fewshot_product --out DIR        the bundle is DIR/run/bundle
"""

import argparse
import logging
import os
from pathlib import Path

from catalog.catalogue import Catalogue
from catalog.write import new_catalogue, write_table
from configs.load import environment_file, load
from models import family
from models.fewshot.types import TypesConfig, split_types
from models.product.config import ProductRunConfig

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TYPES = TypesConfig(novel=("Personal Care",))
"""With a master category that no part has seen: 20 types of cosmetics beside clothes, shoes and accessories."""
BUDGET = ("photo_lessons.epochs=2", "trainer.epochs=4")
"""Two fifths of `base`'s photo passes and four of its five epochs: boxed to one run on two cores."""


def seen_products(source: Path, out: Path) -> Catalogue:
    """A catalogue of the products whose types this `product` may see, written into `out` where it is not there yet."""
    if not out.is_dir():
        whole = Catalogue.open(source)
        products = whole.products()
        kept = split_types(products, TYPES)
        hidden = products["article_type"].isin(kept.index[kept != "train"]) | products["master_category"].isin(TYPES.novel)
        chosen, images = products[~hidden], whole.read("images")
        with new_catalogue(out) as folder:
            write_table(folder, "products", chosen)
            write_table(folder, "images", images[images["product_id"].isin(chosen["product_id"])])
    return Catalogue.open(out)


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: the catalogue without types, and the bundle")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    product, config = family.get("product"), load(ProductRunConfig, environment_file("base", "product"), BUDGET)
    catalogue = seen_products(DATA / "myntra", options.out / "seen")
    split = product.split(catalogue, config)
    product.train(catalogue, split, product.augment(catalogue, split, config), config, options.out / "run")


if __name__ == "__main__":
    main()
