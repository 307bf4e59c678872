"""bandersnatch's filter plug-ins: which are enabled, and which options each of them reads."""

from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile

# Of 8.2; 7.0 has the same but versions_count_project_metadata. None stands for all options of the section.
READS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "allowlist_project": (("allowlist", "packages"),),
    "allowlist_release": (("allowlist", "packages"),),
    "blocklist_project": (("blocklist", "packages"),),
    "blocklist_release": (("blocklist", "packages"),),
    "exclude_platform": (("blocklist", "platforms"),),
    "latest_release": (("latest_release", "keep"), ("latest_release", "sort_by")),
    "prerelease_release": (("filter_prerelease", "packages"),),
    "project_requirements": (("allowlist", "requirements"), ("allowlist", "requirements_path")),
    "project_requirements_pinned": (("allowlist", "requirements"), ("allowlist", "requirements_path")),
    "regex_project": (("filter_regex", "packages"),),
    "regex_project_metadata": (("regex_project_metadata", None),),
    "regex_release": (("filter_regex", "releases"),),
    "regex_release_file_metadata": (("regex_release_file_metadata", None),),
    "size_project_metadata": (("size_project_metadata", "max_package_size"), ("allowlist", "packages")),
    "version_range_release_file_metadata": (("version_range_release_file_metadata", None),),
    "versions_count_project_metadata": (
        ("versions_count_project_metadata", "min_versions"),
        ("versions_count_project_metadata", "max_versions"),
        ("allowlist", "packages"),
    ),
}
_ALL = "all"
_FILTER_BY_THEMSELVES = ("allowlist_release", "prerelease_release", "project_requirements_pinned")


class EnabledPlugins:
    """The plug-ins that ``[plugins] enabled`` names."""

    def __init__(self, file: IniFile) -> None:
        self._named = list(dict.fromkeys(file.items("plugins", "enabled")))
        self.all = _ALL in self._named

    def __contains__(self, name: str) -> bool:
        return self.all or name in self._named

    @property
    def known(self) -> list[str]:
        """The enabled plug-ins of bandersnatch itself."""
        return [name for name in READS if name in self]

    @property
    def unknown(self) -> list[str]:
        """The names that no plug-in of bandersnatch has."""
        return [name for name in self._named if name not in READS and name != _ALL]

    def readers(self, section: str, name: str) -> list[str]:
        """Return the enabled plug-ins that read an option."""
        return [plugin for plugin in self.known if not {(section, name), (section, None)}.isdisjoint(READS[plugin])]

    def without_options(self, file: IniFile) -> list[str]:
        """Return the enabled plug-ins for which the file has no option, of those that need one to filter anything."""
        return [
            plugin
            for plugin in self.known
            if plugin not in _FILTER_BY_THEMSELVES
            and not any(
                file.names(section) if name is None else file.option(section, name) for section, name in READS[plugin]
            )
        ]


def is_known(section: str, name: str) -> bool:
    """Return whether any plug-in of bandersnatch reads an option."""
    return any(not {(section, name), (section, None)}.isdisjoint(options) for options in READS.values())
