"""Completeness: how many of the attributes that listings of the type usually have are given, weighted by how usual."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading
from models.quality.memory.known import pairs, reads
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    usual = memory.norms.usual(seen.article_type)
    if not usual:
        return Reading(left_out=f"{memory.norms.of(seen.article_type)[1]} have no attribute in common")
    given = {name for name, _ in pairs(seen.listing)}
    lacking = [one for one in usual if one.name not in given]
    complete = 1.0 - sum(one.share for one in lacking) / sum(one.share for one in usual)
    evidence = [
        Evidence(
            f"{reads(one.name)} is missing; {one.share:.0%} of {one.of:,} {one.group} have it.",
            {"missing": one.name, "share": round(one.share, 4), "of": one.of},
        )
        for one in lacking
    ]
    if not lacking:
        evidence = [Evidence(f"All {len(usual)} attributes are there that most {usual[0].group} have.", {"given": len(usual)})]
    return Reading((complete,), evidence=tuple(evidence))


AXIS = Reader(
    name="attributes",
    label="Attributes",
    evidence=(("complete", 1.0),),
    read=read,
    todo="Give the attributes that are missing.",
)
