"""The stores of a server: where new files go, where they go meanwhile, and where older ones are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.errors import StoreMisconfigured
from storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Depots:
    """`stores` by the name of their provider. `main` gets every finished file; while it can't take
    one, `fallback` does, if there is one. The others are read from, and emptied.
    """

    stores: Mapping[str, ObjectStore]
    main: str
    fallback: str | None = None

    def store(self, provider: str) -> ObjectStore:
        """Raises StoreMisconfigured for a provider whose settings are gone."""
        try:
            return self.stores[provider]
        except KeyError:
            raise StoreMisconfigured(
                f"objects are stored at {provider}, but its settings are missing: put them back"
            ) from None

    @property
    def targets(self) -> tuple[str, ...]:
        """Where a new file may go, in the order of preference."""
        return (self.main,) if self.fallback is None else (self.main, self.fallback)

    async def close(self) -> None:
        for store in self.stores.values():
            await store.close()
