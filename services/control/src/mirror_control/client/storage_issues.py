"""The issues of the volume and its files, found in a status."""

from rich.filesize import decimal

from mirror_contract import RunState, Status
from mirror_control.client.formatting import format_count, format_deadline
from mirror_control.client.issue import MIRRORCTL, HealthLevel, Issue

# Below MIRROR_DISK_RESERVE, the syncer itself reports a problem.
_MIN_FREE_FRACTION = 0.1
# Below 1,000 inodes, the syncer itself reports a problem. A small ext4 has 130,000 when it is empty.
_MIN_FREE_INODES = 20_000


def find_volume_issues(status: Status) -> list[Issue]:
    """Return each reason why the volume can't be used."""
    return [
        Issue(
            level=HealthLevel.ALARM,
            title="The volume has a problem" if status.disk else "The volume can't be read",
            detail=problem,
            since=status.failing_since if status.last_run and status.last_run.state is RunState.FAILED else None,
            still_works="nginx serves every file that it can read. Syncs fail until the problem is solved.",
            remedy=f"Solve the problem above; then run `{MIRRORCTL} sync`, or wait for the next run.",
        )
        for problem in status.problems
    ]


def find_damage_issues(status: Status) -> list[Issue]:
    """Return the issue of files that a verify found damaged."""
    if not status.damaged_files:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title=f"A verify found {format_count(status.damaged_files, 'damaged file')}",
            since=status.damaged_since,
            still_works="Clients reject a damaged file by its hash. All other files can be installed.",
            remedy=f"`{MIRRORCTL} verify --repair --follow` downloads them again; `{MIRRORCTL} runs` lists them. "
            "Check the disk and the kernel log.",
            offers=({"name": "repair"},),
        )
    ]


def find_space_issues(status: Status) -> list[Issue]:
    """Return the issues of a volume that is short of bytes or inodes."""
    disk = status.disk
    if disk is None or status.problems:
        return []
    issues = []
    if disk.free_bytes < _MIN_FREE_FRACTION * disk.size_bytes:
        issues.append(
            Issue(
                level=HealthLevel.WARNING,
                title=f"The volume is {1 - disk.free_bytes / max(disk.size_bytes, 1):.0%} full",
                still_works="Everything works until free space falls below MIRROR_DISK_RESERVE; then downloads stop.",
                remedy=f"Enlarge the volume, or mirror less (`mirror.toml`).{_describe_pending_removal(status)}",
                offers=({"name": "collect"},) if status.pending_removal and status.pending_removal.bytes else (),
            )
        )
    if disk.free_inodes is not None and disk.free_inodes < _MIN_FREE_INODES:
        issues.append(
            Issue(
                level=HealthLevel.WARNING,
                title=f"The volume has room for only {disk.free_inodes:,} more files",
                detail="Its file system is running out of inodes, however many bytes are free.",
                still_works="Everything works until 1,000 inodes are left; then downloads stop.",
                remedy="Mirror less (`mirror.toml`), or move to a file system with more inodes, such as XFS.",
            )
        )
    return issues


def _describe_pending_removal(status: Status) -> str:
    """Return when files in their grace period free space, and the command that frees it now; empty without any."""
    if (waiting := status.pending_removal) is None or not waiting.bytes:
        return ""
    size, last = decimal(waiting.bytes), format_deadline(waiting.last_at, now=status.as_of)
    return f" Files that wait for deletion free {size} {last}, or now: `{MIRRORCTL} collect --now`."
