"""Keys of the API. Of a key only the SHA-256 is kept: 256 random bits need no slower hash.

A key reads `vk_ID_SECRET`; its id is no secret and stands in logs. A revoked key stays as a row, so that a service which asked
for keys goes on asking for them; only `forget` removes a row, and the audit trail then still tells of it.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from configs.errors import ConfigError
from database.audit import note
from database.engine import reading, writing
from database.errors import DatabaseError, NotFound
from database.tables import ApiKey as KeyTable

Scope = Literal["predict", "teach", "catalog", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
TOKEN = re.compile(r"vk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SECRET_BYTES = 32


class NameTaken(DatabaseError):
    """A key of this name exists, or existed and was not forgotten."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """What is kept of a key.

    Attributes:
        digest: SHA-256 of the whole key, in hexadecimal.
        scopes: What it opens; `admin` opens everything.
        requests_a_minute: Of this key; None: as many as the service gives each.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    requests_a_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """Whether it opens anything at `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def digest_of(token: str) -> str:
    """What is kept of a key's text."""
    return hashlib.sha256(token.encode()).hexdigest()


def create(
    url: str,
    name: str,
    scopes: tuple[Scope, ...],
    *,
    who: str,
    expires_at: datetime | None = None,
    requests_a_minute: int | None = None,
) -> tuple[Key, str]:
    """A new key and its text, which is known only now.

    Raises:
        ConfigError: the name is not one, or there is no scope.
        NameTaken: there is one of this name.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"key name {name[:80]!r} is not 1 to 64 letters, digits, dots, dashes and underscores")
    if not scopes:
        raise ConfigError(f"key {name!r} opens nothing; allowed scopes: {', '.join(SCOPES)}")
    key_id = secrets.token_hex(6)
    token = f"vk_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    key = Key(
        id=key_id,
        name=name,
        digest=digest_of(token),
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        requests_a_minute=requests_a_minute,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
        revoked_at=None,
    )
    with writing(url) as connection:
        try:
            connection.execute(insert(KeyTable), vars(key) | {"scopes": list(key.scopes)})
        except IntegrityError as error:
            raise NameTaken(f"a key {name!r} exists, or was revoked and not forgotten; choose another name") from error
        expiry = None if expires_at is None else expires_at.isoformat(timespec="seconds")
        detail = {"id": key_id, "scopes": list(key.scopes), "expires_at": expiry, "requests_a_minute": requests_a_minute}
        note(connection, who, "key created", name, detail)
    return key, token


def revoke(url: str, name: str, *, who: str) -> Key:
    """End a key now; one that was revoked before stays as it is.

    Raises:
        NotFound: there is none of this name.
    """
    with writing(url) as connection:
        found = _named(connection, name)
        if found.revoked_at is not None:
            return found
        connection.execute(update(KeyTable).where(KeyTable.id == found.id).values(revoked_at=datetime.now(UTC)))
        note(connection, who, "key revoked", name, {"id": found.id})
        return _named(connection, name)


def forget(url: str, name: str, *, who: str) -> Key:
    """Remove a key. Where it was the last row, a service on loopback asks for keys no more.

    Raises:
        NotFound: there is none of this name.
    """
    with writing(url) as connection:
        found = _named(connection, name)
        connection.execute(delete(KeyTable).where(KeyTable.id == found.id))
        note(connection, who, "key forgotten", name, {"id": found.id})
        return found


def keys(url: str) -> list[Key]:
    """Every key, also those that have ended, in the order in which they were made."""
    with reading(url) as connection:
        rows = connection.execute(select(*_COLUMNS).order_by(KeyTable.created_at, KeyTable.id)).mappings()
        return [_key(dict(row)) for row in rows]


def name_of(url: str, key_id: str) -> str:
    """Name of a key; the id itself where there is no such key."""
    with reading(url) as connection:
        return connection.scalar(select(KeyTable.name).where(KeyTable.id == key_id)) or key_id


_COLUMNS = tuple(KeyTable.__table__.columns)


def _named(connection: Connection, name: str) -> Key:
    row = connection.execute(select(*_COLUMNS).where(KeyTable.name == name).with_for_update()).mappings().first()
    if row is None:
        raise NotFound(f"there is no key {name[:80]!r}; `vitrina keys list` names them", "name")
    return _key(dict(row))


def _key(row: dict[str, object]) -> Key:
    return Key(**row | {"scopes": tuple(row["scopes"])})  # type: ignore[arg-type]  # columns and attributes have the same names
