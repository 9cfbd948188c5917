"""A bounded cache of model groups."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from rerankd.engine.routing.model_group import ModelGroup


class RecentGroups:
    """The model groups used last, by the names that callers use.

    Args:
        limit: Names kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._groups: OrderedDict[str, ModelGroup] = OrderedDict()

    def get(self, name: str) -> ModelGroup | None:
        """Return the group of a name, which then is the one used last."""
        group = self._groups.get(name)
        if group is not None:
            self._groups.move_to_end(name)
        return group

    def keep(self, name: str, group: ModelGroup) -> None:
        """Keep a group, and drop the one that was not used for longest if there are too many."""
        self._groups[name] = group
        while len(self._groups) > self._limit:
            self._groups.popitem(last=False)

    def forget(self, group: ModelGroup) -> None:
        """Drop all names of a group."""
        for name in [name for name, each in self._groups.items() if each is group]:
            del self._groups[name]

    def values(self) -> Iterable[ModelGroup]:
        """Return the groups, each once for each of its names."""
        return self._groups.values()

    def __len__(self) -> int:
        return len(self._groups)
