"""Writes `docs/scale.md` from `docs/scale.md.jinja`: every figure is one of `benchmarks/results/`, or a sum that shows its terms.

make docs                                    # or: .venv/bin/python docs/make_scale.py
.venv/bin/python docs/make_scale.py --check      # exit code 1 where the file is not what the results say
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent
OUT = FOLDER / "scale.md"
RESULTS = FOLDER.parent / "benchmarks" / "results"


def measured(file: str, field: str) -> Any:
    """What a result holds at a dotted field, of which numbers are places in a list.

    Raises:
        KeyError: it holds no such field.
    """
    found = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))
    for name in field.split("."):
        found = found[int(name) if isinstance(found, list) else name]
    return found


def digits(value: float) -> str:
    """A number for people: thousands set apart, and no more than three digits after 100."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}" if value < 1 else f"{value:,.4g}"


def rendered() -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )
    environment.filters |= {"n": digits, "up": math.ceil}
    return environment.get_template("scale.md.jinja").render(measured=measured)


def main() -> int:
    """Write the page, or compare it."""
    text = rendered()
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text, encoding="utf-8")
        return 0
    same = OUT.read_text(encoding="utf-8") == text
    if not same:
        sys.stderr.write("docs/scale.md is not what benchmarks/results says: run `make docs`\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
