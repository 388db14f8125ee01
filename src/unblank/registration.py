"""Makes transformers' Auto classes know our models, without importing either before it is needed.

The models register themselves when `unblank.models` is imported. That needs transformers' model
classes, which may be half made when the Auto classes are; so it waits for the end of the outermost
import of a transformers module.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import local
from types import ModuleType

__all__ = ["register_when_needed"]

_AUTO_CLASSES = "transformers.models.auto.configuration_auto"
"""The module that every Auto class imports."""


def register_when_needed() -> None:
    """Register our models at once if transformers' Auto classes are loaded, else when they are."""
    if _AUTO_CLASSES in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Watcher())


def _register() -> None:
    import_module("unblank.models")


class _Watcher(MetaPathFinder):
    """Finds transformers' modules as Python does, and sees when the outermost import has ended."""

    def __init__(self) -> None:
        self._thread = local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("transformers."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WatchedLoader(spec.loader, self)
        return spec

    def execute(self, loader: Loader, module: ModuleType) -> None:
        """Execute a module; after the outermost one, register if the Auto classes were loaded."""
        depth = getattr(self._thread, "depth", 0)
        self._thread.depth = depth + 1
        try:
            loader.exec_module(module)
        finally:
            self._thread.depth = depth
        if depth == 0 and _AUTO_CLASSES in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            _register()


class _WatchedLoader(Loader):
    """Hands a module to its own loader, and leaves no trace in it."""

    def __init__(self, loader: Loader, watcher: _Watcher) -> None:
        self._loader = loader
        self._watcher = watcher

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._watcher.execute(self._loader, module)
