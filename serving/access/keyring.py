"""The keys as a process knows them: in memory, read again while requests come, good for a while where the database is away."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from configs.schema import AccessConfig
from database.errors import DatabaseError
from database.keys import TOKEN, Key, digest_of, keys
from serving.errors import Unauthorized, Unavailable

logger = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
"""Longest wait for the first read: the schema may have to be made."""
NOBODY = digest_of("")
"""What a key of an unknown id is compared with, so that it takes as long as one of a known id."""


class Keyring:
    """No request is decided by keys that were read more than `reread_seconds` before it, while the database can be read.

    A read that fails, or takes longer than that, leaves the keys as they were for `keep_seconds`; then, and where none were ever
    read, requests are refused.

    Args:
        read: All keys; blocks, and raises DatabaseError.
        clock: Seconds that never go back.
        wall: Seconds since 1970; an expired key stays so where they go back.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Key]],
        config: AccessConfig,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._read, self._clock, self._wall = read, clock, wall
        self._reread, self._keep = config.reread_seconds, config.keep_seconds
        self._keys: Mapping[str, Key] = {}
        self._read_at, self._tried_at = float("-inf"), float("-inf")
        self._away = False
        self._reading: asyncio.Future[Sequence[Key]] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._started = wall() - clock()

    async def keys(self) -> Mapping[str, Key]:
        """Every key by its id.

        Raises:
            Unavailable: the database cannot be read, and the keys that are known are too old.
        """
        age = self._clock() - self._read_at
        if age > self._reread / 2 and self._reading is None and self._clock() - self._tried_at > self._reread / 2:
            self._start()
        if age > self._reread:
            if not self._away and self._reading is not None:
                never = self._read_at == float("-inf")
                _, late = await asyncio.wait({self._reading}, timeout=FIRST_SECONDS if never else self._reread)
                self._away = self._away or bool(late)
            if self._away and self._clock() - self._read_at > self._keep:
                raise Unavailable("database_unavailable", "who may ask cannot be looked up: the database is away", 5)
        return self._keys

    def _start(self) -> None:
        self._tried_at = asked_at = self._clock()
        self._reading = asyncio.get_running_loop().run_in_executor(self._pool, self._read)
        self._reading.add_done_callback(lambda done: self._learn(done, asked_at))

    def _learn(self, done: "asyncio.Future[Sequence[Key]]", asked_at: float) -> None:
        self._reading = None
        error = None if done.cancelled() else done.exception()
        if error is not None:
            if not self._away:
                known = None if isinstance(error, DatabaseError) else error
                logger.error("keys stay as they are known for at most %g s: %s", self._keep, error, exc_info=known)
            self._away = True
        elif not done.cancelled():
            self._keys, self._read_at, self._away = {key.id: key for key in done.result()}, asked_at, False

    def now(self) -> datetime:
        """The time by which keys expire: it does not go back while the process runs."""
        return datetime.fromtimestamp(max(self._wall(), self._started + self._clock()), UTC)


def of_database(url: str, config: AccessConfig) -> Keyring:
    """The keys of a database."""
    return Keyring(lambda: keys(url), config)


def holder(known: Mapping[str, Key], token: str, now: datetime) -> Key:
    """Whose key `token` is; the time that this takes does not say what is wrong with it.

    Raises:
        Unauthorized: it is no valid key.
    """
    form = TOKEN.fullmatch(token)
    key = known.get(form[1]) if form else None
    same = hmac.compare_digest(digest_of(token), key.digest if key else NOBODY)
    if key is None or not same:
        raise Unauthorized("the key is not known here")
    state = key.state(now)
    if state != "valid":
        raise Unauthorized(f"the key {key.name} is {state}")
    return key
