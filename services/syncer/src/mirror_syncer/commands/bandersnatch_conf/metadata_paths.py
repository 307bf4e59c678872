"""What to do about a filter by metadata that has no twin."""

_REMEDIES = {
    "release_file.filename": "[files] kinds and [machines] choose by what a file's name says",
    "release_file.python_version": "[machines] pythons chooses by a wheel's tags",
    "release_file.requires_python": "[machines] pythons chooses by requires-python",
    "release_file.size": "[files] max_file_size leaves out larger files",
    "release_file.upload_time": "[files] uploaded_after and uploaded_before choose by time",
    "release_file.upload_time_iso_8601": "[files] uploaded_after and uploaded_before choose by time",
    "release_file.yanked": "[files] yanked chooses yanked files",
    "release": 'leave versions out by [block] projects, as in "foo==1.2"',
    "info.name": "[mirror] projects, include and exclude choose by name",
}
_OTHERS = "a page of the Simple API does not have this metadata; name the projects in [mirror] projects or exclude"


def remedy_for(path: str) -> str:
    """Return what replaces a filter by metadata, such as ``release_file.size``."""
    return _REMEDIES.get(path, _OTHERS)
