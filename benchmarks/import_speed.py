"""`vitrina data import` of a million rows of about 300 bytes, against pandas reading and writing the same file without a check.

python -m benchmarks.import_speed
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import in_a_process, write

ROWS = 1_000_000
MODULE = "benchmarks.import_speed"
COLOURS = ("Red", "red", "Navy Blue", "Green ", "Black", "White", "N/A")
KINDS = ("Clothing > Tops > Shirts", "Clothing > Tops > Polo Shirts", "Kitchen > Cups > Mugs", "Footwear > Shoes > Sneakers")
WORDS = "soft warm light cotton sturdy everyday washable retro striped plain slim wide long short summer winter"


def table(path: Path) -> None:
    """A shop's export: ids, titles, descriptions, a category path, prices with groups and a currency, dates, attributes."""
    words = WORDS.split()
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("sku,name,text,brand,category,colour,price,added,material,photo\n")
        for row in range(ROWS):
            text = " ".join(words[(row * step + step) % len(words)] for step in range(1, 21))
            price = f'"€ {row % 9 + 1},{row % 1000:03d}.{row % 100:02d}"' if row % 3 else f"{row % 900 + 5}.50 EUR"
            date = f"2024-{row % 12 + 1:02d}-{row % 28 + 1:02d}T10:00:00Z"
            file.write(
                f'{row},"{words[row % 16].title()} {words[row % 13]} item {row}","{text}, number {row}, for every day",'
                f"Brand {row % 700},{KINDS[row % 4]},{COLOURS[row % 7]},{price},{date},{words[row % 11]},images/{row}.jpg\n"
            )


def ours(path: Path, out: Path) -> None:
    from catalog.importing.mapping import ImportMapping
    from catalog.importing.run import import_table

    columns = {
        "product_id": "sku",
        "title": "name",
        "description": "text",
        "brand": "brand",
        "base_colour": "colour",
        "price": "price",
        "listed_at": "added",
    }
    mapping = ImportMapping.model_validate({"columns": columns, "split": {"category": {}}, "attributes": ["material"]})
    assert import_table(mapping, path, out=out).rows == ROWS


def pandas(path: Path, out: Path) -> None:
    import pandas as pd

    out.mkdir()
    pd.read_csv(path, dtype=str).to_parquet(out / "products.parquet")


def measure(who: str, path: Path) -> dict[str, Any]:
    """Seconds (also of the processor: others may work on it) and peak memory, imports included; for a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        {"ours": ours, "pandas": pandas}[who](path, Path(folder) / "out")
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
    }


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.csv"
        table(path)
        size, load = path.stat().st_size, os.getloadavg()[0]
        figures = {
            "vitrina data import": in_a_process(MODULE, "ours", str(path)),
            "pandas.read_csv and to_parquet, all text": in_a_process(MODULE, "pandas", str(path)),
        }
    result = {
        "claim": "1,000,000 rows of 300 bytes are imported in under 60 s and 2 GiB on two cores",
        "rows": ROWS,
        "bytes_a_row": round(size / ROWS),
        "processes_waiting_before": round(load, 1),
        "figures": figures,
    }
    print(json.dumps(result, indent=2))
    print(write("import_speed", result))


if __name__ == "__main__":
    main()
