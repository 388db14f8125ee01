"""Registers our models with other libraries when these are loaded, and imports none of them.

Each registration waits for the module that holds the other library's table. Such a table is often
imported midway, when classes that ours need are half made; so it also waits for the end of the
outermost import of a watched library.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import local
from types import ModuleType

__all__ = ["register_when_needed"]

_REGISTRATIONS = {
    "transformers.models.auto.configuration_auto": "unblank.models",
    "peft.utils.constants": "unblank.adapters.default_targets",
    "peft.mapping_func": "unblank.adapters.default_heads",
    "lm_eval.models": "unblank.evaluation.lm_harness_name",
}
"""The module with a table of another library -> ours that writes into it when it is imported."""

_WATCHED = tuple({f"{name.partition('.')[0]}." for name in _REGISTRATIONS})


def register_when_needed() -> None:
    """Register our models at once where a library is loaded, else when it is."""
    waiting = _register_loaded(_REGISTRATIONS)
    if waiting:
        sys.meta_path.insert(0, _Watcher(waiting))


def _register_loaded(registrations: dict[str, str]) -> dict[str, str]:
    """Register with the libraries that are loaded, and return what is left to do."""
    for name in sys.modules.keys() & registrations.keys():
        import_module(registrations[name])
    return {name: ours for name, ours in registrations.items() if name not in sys.modules}


class _Watcher(MetaPathFinder):
    """Finds modules of those libraries as Python does, and sees when an outermost import ended."""

    def __init__(self, waiting: dict[str, str]) -> None:
        self._waiting = waiting
        self._thread = local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_WATCHED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WatchedLoader(spec.loader, self)
        return spec

    def execute(self, loader: Loader, module: ModuleType) -> None:
        """Execute a module; after the outermost one, register where a table was loaded."""
        depth = getattr(self._thread, "depth", 0)
        self._thread.depth = depth + 1
        try:
            loader.exec_module(module)
        finally:
            self._thread.depth = depth
        if depth == 0 and sys.modules.keys() & self._waiting.keys():
            due, self._waiting = self._waiting, {}  # what registers may import these libraries
            self._waiting = _register_loaded(due)
            if not self._waiting and self in sys.meta_path:
                sys.meta_path.remove(self)


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
