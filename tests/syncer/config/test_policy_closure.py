"""The closure as a part of the policy in force: which projects it adds, and what it says about each."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config import Fingerprints, Policy, ProjectPolicy, VersionRule, decide, fingerprint
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.closure import NO_CLOSURE, Closure, ProjectClosure
from mirror_syncer.model.page import Page
from syncer.judged import FOO, NOW, Wish, file

TEXT = """[mirror]
projects = ["requests"]
latest = 3
[block]
projects = ["evil-*"]
"""
REQUESTS, URLLIB3, EVIL, OTHER = map(NormalizedName, ("requests", "urllib3", "evil-twin", "other"))
DEMAND = VersionRule(SpecifierSet(">=1.26,<3"), 1, prereleases=False, clients=0b1011, takes_yanked=False)
WITNESS = VersionRule(SpecifierSet("==1.26.20"), None, clients=0b1)
REQUIRED = ProjectClosure(
    (DEMAND, WITNESS),
    resolved=frozenset({"2.5.0", "1.26.20"}),
    chains={"2.5.0": "requests → urllib3<3,>=1.26", "1.26.20": "witness of requests on Python 3.11"},
)
CLOSURE = Closure({REQUESTS: ProjectClosure(resolved=frozenset({"2.32.5"})), URLLIB3: REQUIRED, EVIL: REQUIRED})


def policy(text: str = TEXT, closure: Closure | None = CLOSURE) -> Policy:
    """Return a policy with a closure in force."""
    return replace(parse_policy(text.encode()), closure=closure)


def of(name: NormalizedName, found: Policy) -> ProjectPolicy:
    """Return what a policy says about a project that it wants."""
    project = found.project(name)
    assert project is not None
    return project


@pytest.fixture
def source(tmp_path: Path) -> PolicySource:
    """Return the source of a policy that selects requests."""
    (tmp_path / "mirror.toml").write_text(TEXT)
    return PolicySource(tmp_path / "mirror.toml", state=tmp_path)


def test_closure_adds_the_projects_that_it_requires() -> None:
    """What only requirements name is wanted like a line, with the chains as its reason; blocked names never are."""
    found = policy()
    assert found.wanted == (REQUESTS, URLLIB3)
    assert found.special >= {REQUESTS, URLLIB3}
    assert (found.project(EVIL), found.project(OTHER)) == (None, None)
    urllib3 = of(URLLIB3, found)
    assert urllib3.closure is REQUIRED
    assert not urllib3.selection.named
    assert urllib3.selection.rules == (), "the demands say which releases"
    words = "requests → urllib3<3,>=1.26, or witness of requests on Python 3.11"
    assert (urllib3.selection.line, urllib3.selection.kept_because) == (words, f"it is required: {words}")
    assert of(REQUESTS, found).selection.kept_because == "mirror.toml selects it by 'requests' with latest = 3"


def test_many_chains_are_counted() -> None:
    """Of many chains to a project a message names two."""
    chains = {str(number): f"a → b=={number}" for number in range(5)}
    found = policy(closure=Closure({URLLIB3: replace(REQUIRED, chains=chains)}))
    assert of(URLLIB3, found).selection.line == "a → b==0, or a → b==1 and 3 more"
    unexplained = policy(closure=Closure({URLLIB3: replace(REQUIRED, chains={})}))
    assert of(URLLIB3, unexplained).selection.kept_because == "it is required: by what mirror.toml selects"


def test_project_that_nothing_requires_is_not_wanted() -> None:
    """A project that the closure knows and nothing requires leaves with its line, before the closure is new."""
    without = policy('[mirror]\nprojects = ["six"]')
    assert without.project(REQUESTS) is None
    assert without.wanted == ("six", URLLIB3, EVIL)


def test_line_that_the_closure_does_not_know_waits() -> None:
    """A new line has nothing resolved yet; with no closure at all, and for a lock alone, no release waits."""
    assert of(REQUESTS, policy(closure=NO_CLOSURE)).closure == ProjectClosure()
    assert of(REQUESTS, policy(closure=None)).closure is None
    assert policy(closure=None).wanted == (REQUESTS,)
    assert policy(closure=None).awaits_closure
    assert not policy().awaits_closure
    assert not parse_policy(f"{TEXT}[dependencies]\nfollow = false".encode()).awaits_closure


def test_locked_project_is_closed_by_itself(tmp_path: Path) -> None:
    """What a lock alone names does not wait for its requirements, and starts no closure."""
    (tmp_path / "mirror.toml").write_text(f'{TEXT}[dependencies]\nlocks = ["locks.txt"]\n')
    (tmp_path / "locks.txt").write_text("other==1.0\nurllib3==1.0\n")
    source = PolicySource(tmp_path / "mirror.toml", state=tmp_path)
    source.follow(CLOSURE)
    other, urllib3 = of(OTHER, source.current), of(URLLIB3, source.current)
    assert (other.closure, other.selection.line) == (None, "locks.txt, line 1")
    assert (urllib3.closure, len(urllib3.pins)) == (REQUIRED, 1)
    assert [root.subject for root in source.current.roots] == ["requests"]


def test_fingerprint_covers_the_closure_and_not_its_words() -> None:
    """Another demand, resolved or unusable release makes a project due; other chains, or another order, do not."""

    def judged(closure: ProjectClosure | None) -> str:
        return fingerprint(replace(Wish().policy, closure=closure), legacy_json=False)

    same = replace(REQUIRED, rules=(WITNESS, DEMAND), chains={})
    assert judged(REQUIRED) == judged(same)
    others = (
        None,
        ProjectClosure(),
        replace(REQUIRED, rules=(DEMAND,)),
        replace(REQUIRED, rules=(replace(DEMAND, clients=0b11), WITNESS)),
        replace(REQUIRED, resolved=frozenset({"2.5.0"})),
        replace(REQUIRED, unusable=frozenset({"2.5.0"})),
    )
    assert len({judged(REQUIRED), *map(judged, others)}) == 1 + len(others)
    assert Fingerprints(policy()).of(URLLIB3) == fingerprint(of(URLLIB3, policy()), legacy_json=False)
    assert Fingerprints(policy()).of(OTHER) is None


def test_policy_with_a_closure_crosses_to_a_worker() -> None:
    """A pickled project's policy is the same, with its closure and the chains for the reasons."""
    project = of(URLLIB3, policy())
    copy = pickle.loads(pickle.dumps(project))
    assert copy == project
    assert copy.closure.chains == REQUIRED.chains


def test_closure_ends_that_all_files_are_kept_unseen() -> None:
    """A project that may wait for its requirements is screened, even if its line keeps everything."""
    assert Wish().policy.keeps_all
    assert not replace(Wish().policy, closure=ProjectClosure()).keeps_all


def test_decision_about_a_dependency_names_its_chain() -> None:
    """The reason why a dependency's file is kept is the chain that leads to it."""
    wish = replace(Wish().policy, selection=replace(Wish().policy.selection, line="a → foo>=1", is_required=True))
    decision = decide(Page(FOO, (file("1.0"),)), None, wish, now=NOW)
    assert decision.kept_because == "it is required: a → foo>=1"


def test_closure_is_in_force_at_once_and_in_every_preview(source: PolicySource) -> None:
    """A closure holds for the policy in force, for candidates, and for the file; none where nothing is followed."""
    source.follow(CLOSURE)
    assert source.current.closure is CLOSURE
    assert source.on_disk().closure is CLOSURE
    source.release({})
    source.reload()
    assert source.current.closure is CLOSURE
    candidate, _ = source.check(parse_policy(b'[mirror]\nprojects = ["requests", "six"]'))
    assert candidate.wanted == (REQUESTS, "six", URLLIB3, EVIL)
    for text in ('[mirror]\nscope = "everything"', '[mirror]\nprojects = ["six"]\n[dependencies]\nfollow = false'):
        candidate, _ = source.check(parse_policy(text.encode()))
        assert candidate.closure is None
    source.follow(None)
    assert source.current.closure is None


def test_digest_covers_the_dependencies_and_not_their_result(source: PolicySource, tmp_path: Path) -> None:
    """The digest changes with the rules of the closure, and neither with its result nor with a limit."""

    def digest(more: str) -> str:
        (tmp_path / "mirror.toml").write_text(TEXT + more)
        assert source.reload() == []
        return source.digest

    before = digest("")
    source.follow(CLOSURE)
    assert source.digest == before
    assert digest("[limits]\nprojects = 5\n") == before
    assert source.current.limits.projects == 5
    tables = ("latest = 2", "follow = false", 'groups = { a = ["b"] }', 'add = { a = ["b"] }', 'unmet = "withhold"')
    digests = {digest(f"[dependencies]\n{key}\n") for key in tables}
    assert len({before, *digests}) == 1 + len(tables)


def test_dependencies_of_the_starter_selection_leave_without_the_guard(tmp_path: Path) -> None:
    """What only the shipped example required may leave unconfirmed, also after a restart; the operator's may not."""
    (tmp_path / "mirror.example.toml").write_text(TEXT)
    path = tmp_path / "mirror.toml"
    PolicySource(path, state=tmp_path).follow(CLOSURE)
    path.write_text('[mirror]\nprojects = ["requests"]')
    source = PolicySource(path, state=tmp_path)
    source.follow(Closure({REQUESTS: ProjectClosure(), OTHER: REQUIRED}))
    assert source.replaceable == {URLLIB3, EVIL}
