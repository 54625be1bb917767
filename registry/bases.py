"""Models that rest on another: whose champion they are trained with, and whether theirs still is champion."""

from configs.settings import Settings
from models import family
from models.bundles import RESTS_ON, BaseVersion
from models.family import Base
from registry.errors import RegistryError, TamperedBundle
from registry.fetch import digest_of, fetch
from registry.versions import CHAMPION, alias_targets, find_alias, resolve


def base_of(settings: Settings, model: str) -> BaseVersion | None:
    """The champion of the model that `model` rests on; None where it rests on none.

    Raises:
        RegistryError: that model has no champion.
    """
    under = family.get(model).rests_on
    if under is None:
        return None
    champion = find_alias(settings, under, CHAMPION)
    if champion is None:
        raise RegistryError(f"{model} rests on {under}, which has no champion; {_promote(under)} makes one")
    return BaseVersion(model=under, version=champion.version, digest=digest_of(champion))


def fetch_base(settings: Settings, version: BaseVersion) -> Base:
    """A base with its verified files.

    Raises:
        TamperedBundle: a file differs from what was registered, or what is registered now from what `version` says.
        RegistryError: there is no such version any more.
    """
    found = resolve(settings, f"{version.model}@{version.version}")
    if digest_of(found) != version.digest:
        raise TamperedBundle(f"{found} is registered with SHA-256 {digest_of(found)[:12]}…, it was {version.digest[:12]}…")
    return Base(version.model, version.version, version.digest, fetch(settings, found))


def behind(settings: Settings, model: str) -> str | None:
    """Why the champion of `model` does not rest on the champion of its base, and what to do; None where all is well.

    Raises:
        VitrinaError: its tag is not one that Vitrina wrote.
    """
    under = family.get(model).rests_on
    champion = find_alias(settings, model, CHAMPION) if under else None
    if under is None or champion is None:
        return None
    if RESTS_ON not in champion.tags:
        return f"{model} version {champion.version} does not say what it rests on: `vitrina train {model}` makes one that does"
    base, now = BaseVersion.parse(champion.tags[RESTS_ON]), alias_targets(settings, under).get(CHAMPION)
    rests = f"{model} version {champion.version} rests on {base.model} version {base.version}"
    if now is None:
        return f"{rests}; {under} has no champion: {_promote(under)} makes one"
    if (base.model, base.version) != (under, now):
        return f"{rests}; champion is {now}: `vitrina train {model}` follows it"
    return None


def _promote(model: str) -> str:
    return f"`vitrina promote {model} VERSION --reviewer WHO`"
