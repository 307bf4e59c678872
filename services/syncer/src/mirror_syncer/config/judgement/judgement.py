"""
The judgement of a project's files: the only place that says what happens to each of them.

It is pure: a sync applies it, ``plan`` prints it, and the API shows it, so none of them can disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from mirror_syncer.config.judgement.contradictions import settle_contradictions
from mirror_syncer.config.judgement.emptied_pages import stay_of
from mirror_syncer.config.judgement.older_pages import is_outdated, restrict
from mirror_syncer.config.judgement.screening import Screening, screen
from mirror_syncer.config.policy.project_policy import ProjectPolicy
from mirror_syncer.model.decision import Decision, Reasoned
from mirror_syncer.model.page import File, Page, ProjectStatus, PublishedPage, names

_QUARANTINED = "upstream quarantined the project"
_GUARDED = "the deletion guard decides whether it leaves"
_TAKEN = "upstream no longer has it"
_REPLACED = "upstream has other content under this name"
_WAITS = "it stays until what newer releases require is mirrored"
_RETAINED = "it stays until what the new selection requires is mirrored"
_ALTERED = "another program wrote it into our page"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known about a project besides its two pages."""

    altered: bool = False
    """The page on disk is not the one that was published last, so nothing it says about files is believed."""
    damaged: frozenset[str] = frozenset()
    """Places whose content is missing or wrong."""
    older_than: int | None = None
    """The serial of the last page, if upstream's page has an older one."""
    older_since: int | None = None
    """Since when upstream has shown only older pages."""
    allow_loss: bool = False
    """The deletion guard lets the files leave that upstream no longer has."""
    defers: bool = False
    """With a closure: new releases wait for their turn, after what they require."""
    retains: bool = False
    """With a closure: no version rule takes a file away yet, because what replaces it may not be published."""


def decide(
    page: Page,
    published: PublishedPage | None,
    policy: ProjectPolicy,
    *,
    condition: Condition = Condition(),
    now: int,
) -> Decision:
    """
    Decide what happens to each file that upstream's page or ours names.

    A rule that comes first wins: an older page, quarantine, files that upstream no longer has, then ``screen``.

    Args:
        page: upstream's, in which files without a sha256 have that of what is published.
        published: ours; None if there is none, or none that can be read.
        now: seconds since the epoch.
    """
    page = page if condition.altered else settle_contradictions(page, published)
    if condition.older_than is None or published is None or condition.altered:
        return _decide(page, published, policy, condition, now=now)
    screening = screen(page.name, page.files, policy, published=published.files, now=now)
    # A new release is news, too, while the closure has not resolved it.
    wishes = dict.fromkeys((screening.wanted, (*screening.wanted, *screening.waiting)))
    if not all(is_outdated(page, wish, published, older_since=condition.older_since, now=now) for wish in wishes):
        return _decide(page, published, policy, condition, now=now)
    shown = "a page without a serial, which may be older" if page.serial is None else "an older page"
    theirs = "" if page.serial is None else f", of serial {page.serial}"
    outdated = (
        f"upstream shows {shown}{theirs}; ours is of serial {condition.older_than}. What it restricts applies "
        "now; the rest applies if upstream still shows it in a day, or with `sync --force`"
    )
    restricted = restrict(page, published)
    decision = _decide(replace(restricted or published.page, serial=None), published, policy, condition, now=now)
    if restricted is None and not (decision.blocked or decision.hold):
        decision = _leave_alone(page, published, outdated)
    return msgspec.structs.replace(decision, outdated=outdated)


def decide_removal(page: Page, published: PublishedPage | None, *, reason: str, guarded: bool = False) -> Decision:
    """
    Decide about a whole project that upstream no longer has, or that ``mirror.toml`` no longer selects.

    Args:
        page: an empty one.
        guarded: the deletion guard keeps it published.
    """
    ours = tuple((file, reason) for file in published.page.files) if published else ()
    return Decision(page, lost=ours) if guarded else Decision(page, leaving=ours)


def _decide(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy, condition: Condition, *, now: int
) -> Decision:
    before: dict[str, File] = published.files if published else {}
    if page.status is ProjectStatus.QUARANTINED:
        # PEP 792: "quarantined" – the index MUST NOT offer any distributions
        drop = tuple((file, _QUARANTINED) for file in page.files if not names(before, file))
        return Decision(page, drop=drop, leaving=tuple((file, _QUARANTINED) for file in before.values()))
    upstreams = page.files
    guarded = not (condition.allow_loss or condition.altered)
    lost = _lost(page, published, condition.damaged) if guarded else {}
    replaced: tuple[File, ...] = ()
    if lost:
        # As if upstream still named them, and nothing else by their names, in versions that these tell.
        replaced = tuple(file for file in page.files if file.filename in lost)
        others = (file for file in page.files if file.filename not in lost)
        page = replace(page, files=(*others, *(file for file, _ in lost.values())), versions=())
    screening = screen(page.name, page.files, policy, published=before, now=now, defers=condition.defers)
    if screening.waiting and not screening.wanted and before:
        left = _decide_problem(replace(page, files=upstreams), published, policy, _WAITS, now=now)
        left_out = sum(not names(before, file) for file in upstreams)  # so that upstream's page is kept
        return msgspec.structs.replace(
            left, warnings=(), problem=None, left_out=left_out, is_provisional=screening.defers
        )
    if (problem := _problem(page, screening, policy, before)) is not None:
        return _decide_problem(replace(page, files=upstreams), published, policy, problem, now=now)
    served: dict[str, str] = {file.filename: file.sha256 for file in screening.wanted} if before else {}
    # Mostly none, so nothing below has anything to ask or to say about single files.
    unwanted = [file for file in before.values() if served.get(file.filename) != file.sha256]
    emptied = stay_of(screening, published, damaged=condition.damaged) if guarded and unwanted else ()
    served |= {file.filename: file.sha256 for file, _ in emptied}
    retained: list[File] = []
    if condition.retains and policy.closure is not None and unwanted and not emptied:
        retained = [file for file, _ in screening.left_out if names(before, file)]
        served |= {file.filename: file.sha256 for file in retained}
    wanted = (*screening.wanted, *retained) if retained else screening.wanted
    keep = tuple(file for file in wanted if file.filename not in lost) if lost else wanted
    withheld: dict[str, str] = {file.filename: file.sha256 for file in screening.withheld} if unwanted else {}
    reasons: dict[str, str] = {file.filename: why for file, why in screening.left_out} if unwanted or replaced else {}
    drop = screening.left_out
    if unwanted:
        drop = tuple(one for one in drop if not names(before, one[0]))
    if replaced:
        stays = f"our file of this name stays; {_GUARDED}"
        drop = (*drop, *((file, reasons.get(file.filename, stays)) for file in replaced))
    return Decision(
        page,
        keep=keep,
        kept_because=policy.selection.kept_because,
        reasons={**screening.reasons, **dict.fromkeys((file.filename for file in retained), _RETAINED)}
        if retained
        else screening.reasons,
        is_provisional=bool(retained) or screening.defers,
        missing=keep if published is None or condition.altered else _missing(keep, published, condition.damaged),
        hold=screening.held,
        blocked=screening.blocked,
        drop=drop,
        lost=emptied or tuple(entry for name, entry in lost.items() if name in served),
        emptied=bool(emptied),
        leaving=tuple(
            (file, reasons.get(name) or (_ALTERED if condition.altered else _REPLACED if name in served else _TAKEN))
            for file in unwanted
            if file.sha256 not in (served.get(name := file.filename), withheld.get(name))
        ),
        refused=page.refused,
        waits=bool(screening.waiting),
        left_out=len(page.files) - len(wanted),
        warnings=screening.idle_lines,
        expires_at=screening.expires_at,
    )


def _problem(page: Page, screening: Screening, policy: ProjectPolicy, before: Mapping[str, File]) -> str | None:
    """Return why a page is not taken: an empty page helps nobody, unless its files wait or are blocked."""
    if screening.wanted or screening.blocked or screening.waiting:
        return None
    # A wrong line must not empty a page just because a new file waits, too.
    left_out = any(names(before, file) for file, _ in screening.left_out)
    if screening.held and not (left_out and not any(names(before, hold.file) for hold in screening.held)):
        return None
    if page.files and policy.selection.named:
        which = f"{policy.selection.line!r} selects none of its {len(page.files)} files"
        return f"{which}: {screening.left_out[-1][1]}; correct {policy.selection.place}"
    if page.refused:
        return f"none of its files can be mirrored; {page.refused[-1].filename}: {page.refused[-1].reason}"
    return None


def _decide_problem(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy, problem: str, *, now: int
) -> Decision:
    """Return the decision about a page that is not taken: ours stays, without its held and blocked files."""
    before: dict[str, File] = published.files if published else {}
    screening = screen(page.name, tuple(before.values()), policy, published=before, now=now)
    left = _leave_alone(page, published, problem)
    left = msgspec.structs.replace(left, refused=page.refused, expires_at=screening.expires_at)
    withheld = {file.filename for file in screening.withheld}
    if not withheld:
        return left
    return msgspec.structs.replace(
        left,
        keep=tuple(file for file in left.keep if file.filename not in withheld),
        hold=screening.held,
        blocked=screening.blocked,
        left_out=len(page.files),
        warnings=(problem,),
        problem=None,
    )


def _leave_alone(page: Page, published: PublishedPage | None, problem: str) -> Decision:
    """Return the decision that what is published stays as it is."""
    before: dict[str, File] = published.files if published else {}
    drop = tuple((file, problem) for file in page.files if not names(before, file))
    return Decision(page, keep=tuple(before.values()), kept_because=problem, drop=drop, problem=problem)


def _lost(page: Page, published: PublishedPage | None, damaged: frozenset[str]) -> dict[str, Reasoned]:
    """
    Return what our page names and upstream's no longer does with that content, by file name.

    However little of a page it is, the deletion guard judges it: an index that lost its storage answers 200, with a
    page of what it has cached, with entries that lack their hashes, or with a little less in each run. Of what is
    damaged nothing is left to keep.
    """
    if published is None:
        return {}
    named = {file.filename: file.sha256 for file in page.files}
    lost: dict[str, Reasoned] = {}
    for file in published.page.files:
        theirs = named.get(file.filename)
        if theirs != file.sha256 and published.places[file.filename] not in damaged:
            lost[file.filename] = file, f"{_TAKEN if theirs is None else _REPLACED}; {_GUARDED}"
    return lost


def _missing(keep: Sequence[File], published: PublishedPage, damaged: frozenset[str]) -> tuple[File, ...]:
    """Return what is not published with this content, or is damaged itself or in its metadata."""
    ours, places = published.files, published.places
    return tuple(
        [
            file
            for file in keep
            if (before := ours.get(file.filename)) is None
            or before.sha256 != file.sha256
            or (damaged and not damaged.isdisjoint((place := places[file.filename], f"{place}.metadata")))
        ]
    )
