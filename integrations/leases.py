"""Stage 3, the leases of one turn: what it holds, whether that is still its own, and holding on to it."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from integrations.claims import Claimed, lease_end
from integrations.models import Delivery, DeliveryState
from leads import clock
from leads.database import update_rows


class Leases:
    """Deliveries that a turn has claimed and that have not come to their end here."""

    def __init__(self) -> None:
        self._items: dict[int, Claimed] = {}
        self._renewed_at = clock.steady()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Claimed]:
        return iter(self._items.values())

    @property
    def due(self) -> bool:
        """Whether it is time to renew them."""
        return bool(clock.steady() - self._renewed_at > settings.DELIVERY_LEASE_SECONDS / 3)

    def claiming(self) -> None:
        """More are about to be claimed: where nothing is held, leases begin now."""
        if not self._items:
            self._renewed_at = clock.steady()

    def hold(self, item: Claimed) -> None:
        self._items[item.id] = item

    def let_go(self, item: Claimed) -> None:
        """No more of it to come here; the same delivery under a later claim stays."""
        held = self._items.get(item.id)
        if held is not None and held.fence == item.fence:
            del self._items[item.id]

    def may_begin(self, item: Claimed | None) -> bool:
        """Whether it is still ours: a process that was stopped for a while must not send what others took over.

        Asked on the loop, between two steps of the turn.
        """
        sure = clock.steady() - self._renewed_at < settings.DELIVERY_LEASE_SECONDS
        return bool(sure) and not (item is not None and item.lost)

    def renew(self) -> None:
        """Hold on to all of them for as long again; those that somebody took back meanwhile are left to them, marked as lost."""
        began, until = clock.steady(), lease_end(clock.now())
        rows = [(item.id, item.fence, DeliveryState.SENDING, until) for item in self]
        ours = {(pk, fence) for pk, fence, _ in update_rows(Delivery, ["id", "fence", "state"], ["lease_until"], rows)}
        for item in self:
            item.lost = (item.id, item.fence) not in ours
        self._renewed_at = began
