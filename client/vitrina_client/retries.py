"""When a request is sent again: after exponential backoff with full jitter (Brooker, AWS Architecture Blog, 2015)."""

import random
import time
from dataclasses import dataclass

from vitrina_client.errors import VitrinaError

FIRST = 0.25
"""Seconds before the first repetition at most; each further one doubles it."""
MOST = 8.0
"""Seconds between two tries at most, unless the service says more."""


@dataclass(frozen=True)
class Policy:
    """How hard a call tries.

    Attributes:
        timeout: Seconds that a try waits for the connection, and for the next byte of the answer.
        retries: Tries after the first.
        deadline: Seconds for all tries of a call and the waits between them.
    """

    timeout: float = 30.0
    retries: int = 4
    deadline: float = 120.0


class Tries:
    """The tries of one call."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.made = 0
        self._ends = time.monotonic() + policy.deadline

    def moved_on(self) -> None:
        """Something came of this try: what fails now fails for the first time."""
        self.made = 1
        self._ends = time.monotonic() + self.policy.deadline

    def begin(self) -> float:
        """Count one more try; returns its timeout in seconds."""
        self.made += 1
        return min(self.policy.timeout, max(self._ends - time.monotonic(), 0.001))

    def pause(self, failure: VitrinaError) -> float:
        """Seconds to wait before the next try.

        Raises:
            VitrinaError: `failure`, where it would come again, or tries or time are used up.
        """
        if not failure.transient or self.made > self.policy.retries:
            raise failure
        backoff = random.uniform(0, min(MOST, FIRST * 2.0 ** min(self.made - 1, 100)))
        seconds = backoff + (failure.retry_after or 0.0)
        if time.monotonic() + seconds >= self._ends:
            raise failure
        return seconds
