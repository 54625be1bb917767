"""Importing a package without what it imports for others.

Great Expectations imports SQLAlchemy and the clients of Google's, Amazon's and Microsoft's clouds where they are installed, and
SciPy and Altair for expectations that no rule here uses. Together they are half of its import's time and memory.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from threading import get_ident
from types import ModuleType


@contextmanager
def light_imports(without: Sequence[str], later: Sequence[str]) -> Iterator[None]:
    """Imports of this thread find no package in `without`, and load a module in `later` when it is first used.

    What is imported already stays as it is, and other threads import as ever. No garbage is collected meanwhile: an import makes
    little, and looking for it takes a tenth of the time.
    """
    finder, collecting = _Light(without, later), gc.isenabled()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if collecting:
            gc.enable()


class _Light(MetaPathFinder):
    def __init__(self, without: Sequence[str], later: Sequence[str]) -> None:
        self.thread, self.without, self.later = get_ident(), frozenset(without), frozenset(later)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if get_ident() != self.thread:
            return None
        if name in self.without:
            raise ModuleNotFoundError(f"{name} is left out here", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in self.later else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
