"""The options of a bandersnatch configuration: each of them ends in exactly one list."""

import configparser
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.commands.bandersnatch_conf import Conversion, convert
from mirror_syncer.commands.bandersnatch_conf.findings import Finding, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import MIRROR_DEFAULTS, IniFile
from mirror_syncer.commands.bandersnatch_conf.mirror_options import list_mirror_options
from mirror_syncer.commands.bandersnatch_conf.plugins import READS
from mirror_syncer.config.mirror_toml.file import judge_policy
from mirror_syncer.errors import ConfigurationError

DOCUMENT = Path(__file__).parents[3] / "docs" / "from-bandersnatch.md"
law = settings(max_examples=300, deadline=None)


def converted(text: str) -> Conversion:
    """Convert a configuration."""
    return convert(IniFile(text.encode(), name="bandersnatch.conf"))


def finding_of(text: str, subject: str) -> Finding:
    """Return the one finding about an option or a plug-in."""
    (finding,) = (finding for finding in converted(text).findings.list_all() if finding.subject == subject)
    return finding


def options_of(text: str) -> list[tuple[str, str]]:
    """Return each option as Python's own parser finds it, those of [DEFAULT] where they stand."""
    parser = configparser.RawConfigParser(delimiters="=", default_section="none of the file", strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return [(section, name) for section in parser.sections() for name in parser.options(section)]


def lists_of(*items: str) -> st.SearchStrategy[str]:
    """Return lists of items as the file has them, one a line."""
    return st.lists(st.sampled_from(items), max_size=4).map(lambda lines: "\n    ".join(["", *lines]))


REQUIREMENTS = lists_of("foo", "Bar_Baz", "foo>=1,<2", "foo==1.0", "qux!=1.*", "foo>2,<1", "bar-baz[x]>=3", "# none")
PATTERNS = lists_of(
    r".+rc\d+$", r".+a(lpha)?\d+$", r".+b(eta)?\d+$", r".+dev\d+$", "foo.*", "Foo_.+", "(?i)a|b", "sdist"
)
# Most values are those that an administrator would write; any may stand anywhere.
VALUES = {
    "packages": REQUIREMENTS,
    "releases": PATTERNS,
    "platforms": lists_of(
        "windows", "macos", "linux", "py2.7", "py3.8", "win_amd64", "py2", "manylinux1_i686", "cp311"
    ),
    "keep": st.sampled_from(["0", "3", "-2", "many"]),
    "sort_by": st.sampled_from(["version", "time"]),
    "max_package_size": st.sampled_from(["1.5 GB", "10k", "0", "7777777777", "1 YB", "much"]),
    "min_versions": st.sampled_from(["0", "2", "many"]),
    "any:release_file.packagetype": PATTERNS,
    "none:release_file.filename": PATTERNS,
    "release_file.requires_python": lists_of("3.11", "3.12.1", "2.6"),
    "workers": st.sampled_from(["3", "10"]),
    "directory": st.sampled_from(["/srv/pypi", "/srv/x", "here"]),
    "master": st.sampled_from(["https://pypi.org", "http://index.example.org/root"]),
    "proxy": st.sampled_from(["", "http://proxy.example.org:3128", "none"]),
}
SWITCHES = [name for name, value in MIRROR_DEFAULTS.items() if value in ("true", "false")]
anything = st.sampled_from(["", "true", "no", "0", "3", "/srv/x", "foo", "a b", "a %(keep)s", "5%", "["])
options = st.one_of(
    st.sampled_from([(section, name) for reads in READS.values() for section, name in reads if name]),
    st.sampled_from(
        [
            ("version_range_release_file_metadata", "release_file.requires_python"),
            ("regex_release_file_metadata", "any:release_file.packagetype"),
            ("regex_release_file_metadata", "none:release_file.filename"),
            ("regex_release_file_metadata", "search"),
            ("regex_project_metadata", "not-null:info.classifiers"),
        ]
    ),
    st.sampled_from([("mirror", name) for name in [*list_mirror_options(), *MIRROR_DEFAULTS]]),
    st.tuples(
        st.sampled_from(["mirror", "s3", "plugins", "allowlist", "whitelist", "statistics", "DEFAULT"]),
        st.sampled_from(["keep", "packages", "delete-packages", "region_name", "x:y.z", "Workers", "workers"]),
    ),
)
# With these alone nothing may be left, or no plug-in is known.
special_plugins = st.sampled_from(["all", "project_requirements_pinned", "whitelist_project", "my_filter"])
usual_plugins = st.lists(st.sampled_from(sorted(READS.keys() - {"project_requirements_pinned"})), max_size=6)


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """Return a configuration: known and unknown options with right and wrong values, and some plug-ins."""
    plugins = {*draw(usual_plugins), *(draw(st.lists(special_plugins, max_size=1)) if draw(st.booleans()) else [])}
    read = {(section, name) for plugin in plugins for section, name in READS.get(plugin, ()) if name}
    chosen = {*read, *draw(st.lists(options, max_size=8))} - {("allowlist", "requirements")}  # these are files
    sections: dict[str, dict[str, str]] = {}
    for section, name in sorted(chosen):
        usual = VALUES.get(name, st.sampled_from(["true", "false"]) if name in SWITCHES else anything)
        sections.setdefault(section, {})[name] = draw(usual if draw(st.integers(0, 29)) else anything)
    if plugins:
        sections.setdefault("plugins", {})["enabled"] = "\n    ".join(["", *sorted(plugins)])
    return "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for section, values in sections.items()
    )


@law
@given(configurations())
def test_every_option_ends_in_exactly_one_list(text: str) -> None:
    """No option of a file is dropped silently: each has one finding, with its line, and so has each unknown plug-in."""
    try:
        conversion = converted(text)
    except ConfigurationError:
        return  # bandersnatch does not start with it either
    found = conversion.findings.list_all()
    subjects = Counter(finding.subject for finding in found)
    expected = {f"[{section}] {name}" for section, name in options_of(text)}

    assert {subject for subject in subjects if not subject.startswith("plug-in ")} == expected
    assert max(subjects.values(), default=1) == 1
    lines = text.splitlines()
    for finding in found:
        assert finding.line is not None
        name = finding.subject.partition("] ")[2] or "enabled"
        assert lines[finding.line - 1].startswith(f"{name} ="), "each finding names the line of its option"
        assert finding.sentence
        assert bool(finding.settings) == (finding.outcome is Outcome.SETTING)
    assert {"plug-in whitelist_project", "plug-in my_filter"} & set(subjects) == {
        f"plug-in {name}" for name in ("whitelist_project", "my_filter") if name in text and "[plugins]" in text
    }


@law
@given(configurations())
def test_every_document_is_a_policy(text: str) -> None:
    """What is written is a mirror.toml without mistakes."""
    try:
        conversion = converted(text)
    except ConfigurationError:
        return
    if conversion.document is None:
        assert conversion.findings.without_twin(), "the lists say why nothing was written"
        return
    policy = judge_policy(conversion.document.encode(), path=Path("mirror.toml"))
    assert policy.everything or policy.projects


@pytest.mark.parametrize(
    ("line", "outcome", "setting"),
    [
        ("directory = /MIRROR/pypi", Outcome.SETTING, "MIRROR_DATA=/MIRROR"),
        ("directory = /srv/bandersnatch", Outcome.SETTING, "MIRROR_DATA=/srv/bandersnatch"),
        ("directory = /pypi", Outcome.SETTING, "MIRROR_DATA=/pypi"),
        ("directory = /data/py pi's", Outcome.SETTING, r"MIRROR_DATA='/data/py pi\'s'"),
        ("directory = mirror", Outcome.NO_TWIN, None),
        ("directory = /", Outcome.NO_TWIN, None),
        ("master = https://pypi.org", Outcome.NEEDLESS, None),
        ("master = https://pypi.org/", Outcome.NEEDLESS, None),
        ("master = https://test.pypi.org", Outcome.SETTING, "MIRROR_UPSTREAM=https://test.pypi.org"),
        ("proxy =", Outcome.NEEDLESS, None),
        ("proxy = socks5://10.0.0.1:1080", Outcome.SETTING, "HTTPS_PROXY=socks5://10.0.0.1:1080"),
        ("workers = 3", Outcome.NEEDLESS, None),
        ("workers = 10", Outcome.SETTING, "MIRROR_CONNECTIONS=10"),
        ("json = true", Outcome.POLICY, None),
        ("json = off", Outcome.NEEDLESS, None),
        ("storage-backend = filesystem", Outcome.NEEDLESS, None),
        ("storage-backend = s3", Outcome.NO_TWIN, None),
        ("release-files = false", Outcome.NO_TWIN, None),
        ("core-metadata = False", Outcome.NO_TWIN, None),
        ("simple-format = JSON", Outcome.NEEDLESS, None),
        ("hash-index = false", Outcome.NEEDLESS, None),
        ("hash-index = true", Outcome.NO_TWIN, None),
        ("root_uri = https://files.example.org", Outcome.NO_TWIN, None),
        ("keep_index_versions = 0", Outcome.NEEDLESS, None),
        ("keep_index_versions = 2", Outcome.NO_TWIN, None),
        ("keep-index-versions = 2", Outcome.NEEDLESS, None),
        ("compare-method = stat", Outcome.NEEDLESS, None),
        ("digest_name = md5", Outcome.NO_TWIN, None),
        ("cleanup = true", Outcome.NEEDLESS, None),
        ("cleanup_todo = true", Outcome.NEEDLESS, None),
        ("delete_missing_packages = true", Outcome.NEEDLESS, None),
        ("delete_missing_packages = false", Outcome.NO_TWIN, None),
        ("stop-on-error = true", Outcome.NO_TWIN, None),
        ("timeout = 10", Outcome.NEEDLESS, None),
        ("global-timeout = 36000", Outcome.NO_TWIN, None),
        ("verifiers = 9", Outcome.NEEDLESS, None),
        ("download-mirror = https://near.example.org", Outcome.NO_TWIN, None),
        ("download-mirror-no-fallback = true", Outcome.NEEDLESS, None),
        ("diff-file = /tmp/{{ mirror_directory }}/new", Outcome.NO_TWIN, None),
        ("diff-append-epoch = true", Outcome.NEEDLESS, None),
        ("log-config = /etc/log.conf", Outcome.NO_TWIN, None),
        ("api-method = xmlrpc", Outcome.NEEDLESS, None),
        ("storage-filesystem-manage-permissions = false", Outcome.NO_TWIN, None),
        ("allow-non-https = true", Outcome.NEEDLESS, None),
        ("delete-packages = true", Outcome.NO_TWIN, None),
        ("Workers = 4", Outcome.NO_TWIN, None),
    ],
)
def test_option_of_mirror_becomes_setting_or_is_judged(line: str, outcome: Outcome, setting: str | None) -> None:
    """Each option of [mirror] becomes a setting or a key, needs none, or is listed as without a twin."""
    finding = finding_of(f"[mirror]\n{line}\n", f"[mirror] {line.partition(' =')[0]}")

    assert finding.outcome is outcome, finding
    assert finding.settings == (() if setting is None else (setting,))


def test_value_from_default_section_counts_as_in_bandersnatch() -> None:
    """[DEFAULT] gives other sections a value; in [mirror] bandersnatch's own defaults come first."""
    text = "[DEFAULT]\nkeep = 2\nworkers = 9\nroot = /srv\n[mirror]\ndirectory = %(root)s/pypi\n[latest_release]\n"
    conversion = converted(f"{text}[plugins]\nenabled = latest_release\n")

    assert conversion.document is not None
    assert tomllib.loads(conversion.document)["mirror"]["latest"] == 2
    outcomes = {finding.subject: finding.outcome for finding in conversion.findings.list_all()}
    assert outcomes["[DEFAULT] keep"] is Outcome.POLICY
    assert outcomes["[DEFAULT] workers"] is outcomes["[DEFAULT] root"] is Outcome.NEEDLESS
    assert [finding.settings for finding in conversion.findings.list_all() if finding.settings] == [
        ("MIRROR_DATA=/srv",)
    ]


def test_file_from_windows_has_the_same_lines() -> None:
    """A byte order mark, Windows' line ends and a form feed within a comment change neither options nor lines."""
    text = "\ufeff[mirror]\r\n; by \f hand\r\nworkers = 7\r\n"

    assert str(finding_of(text, "[mirror] workers")).startswith("line 3, [mirror] workers: ")


def test_option_of_disabled_plugin_is_said_to_have_no_effect() -> None:
    """bandersnatch ignores the options of a plug-in that is not enabled, and the import says so."""
    finding = finding_of(
        "[plugins]\nenabled = regex_project\n[blocklist]\npackages = not a name\n", "[blocklist] packages"
    )

    assert finding.outcome is Outcome.NEEDLESS
    assert "no enabled plug-in reads it" in finding.sentence


def test_section_of_an_older_bandersnatch_is_named_with_its_new_name() -> None:
    """A section that bandersnatch renamed is not read there; the import says how it is called now."""
    finding = finding_of("[whitelist]\npackages = foo\n", "[whitelist] packages")

    assert finding.outcome is Outcome.NO_TWIN
    assert "[allowlist]" in finding.sentence


def test_documentation_names_every_filter_and_option() -> None:
    """docs/from-bandersnatch.md has each filter and each option of bandersnatch in one of its tables."""
    tables = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    named = {name for line in tables for name in re.findall(r"`([^`]+)`", line.split("|")[1])}

    assert named >= {*READS, *list_mirror_options(), *MIRROR_DEFAULTS}
