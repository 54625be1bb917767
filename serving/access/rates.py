"""How much may be asked: sliding windows of a minute in this process's memory."""

import ipaddress
import math
import time
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

MAX_COUNTERS = 10_000
"""Counters that are kept, some 4 MB; while there are more, addresses share one. The library looks through them 100 times a second
to drop those that are over: so many take it less than a millisecond."""
NETWORK = 64
"""Leading bits of an IPv6 address that count: who has one address of such a network has all of them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands in the running minute.

    Attributes:
        reset: Whole seconds after which more may be asked, at least 1.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """RateLimit fields of an answer."""
        said = ((b"ratelimit-limit", self.limit), (b"ratelimit-remaining", self.remaining), (b"ratelimit-reset", self.reset))
        return [(name, b"%d" % value) for name, value in said]


class Rates:
    """Counters by key and by address."""

    def __init__(self, max_counters: int = MAX_COUNTERS) -> None:
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._max = max_counters

    def of_key(self, key_id: str, limit: int) -> Standing:
        """Count a request of a key."""
        return self._hit(limit, "key", key_id)

    def of_address(self, address: str, limit: int, what: str = "address") -> Standing:
        """Count a request, or a refusal, of an address."""
        full = len(self._storage.storage) >= self._max
        return self._hit(limit, what, "others" if full else network(address))

    def _hit(self, limit: int, *who: str) -> Standing:
        item = _a_minute(limit)
        allowed = self._limiter.hit(item, *who)
        stats = self._limiter.get_window_stats(item, *who)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        return Standing(allowed, limit, stats.remaining if allowed else 0, reset)


@lru_cache(maxsize=1024)
def _a_minute(limit: int) -> RateLimitItem:
    return RateLimitItemPerMinute(limit)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """What counts as one asker: an IPv4 address, the network of an IPv6 address, or what is no address as it is."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, NETWORK), strict=False))
