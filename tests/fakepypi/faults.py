"""The registry of faults."""

from collections.abc import Sequence

from fakepypi.rule import Rule
from fakepypi.target import Endpoint, Target


class Faults:
    """
    All rules: ``faults.on_file("foo-1.0.tar.gz").status(503, retry_after=1).times(2)``.

    A request meets all rules for it, in the order in which they were made, except rules that are used up.
    """

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def everywhere(self) -> Rule:
        """Make a rule for every request."""
        return self.on(Target())

    def on_root(self) -> Rule:
        """Make a rule for the project list."""
        return self.on(Target(endpoint=Endpoint.ROOT))

    def on_page(self, project: str | None = None) -> Rule:
        """Make a rule for a project's page, or for all pages."""
        return self.on(Target(endpoint=Endpoint.PAGE, project=project))

    def on_file(self, filename: str | None = None, *, project: str | None = None) -> Rule:
        """Make a rule for a file, for a project's files or for all."""
        return self.on(Target(endpoint=Endpoint.FILE, project=project, filename=filename))

    def on_metadata(self, filename: str | None = None, *, project: str | None = None) -> Rule:
        """Make a rule for the ``.metadata`` of a file, of a project's files or of all."""
        return self.on(Target(endpoint=Endpoint.METADATA, project=project, filename=filename))

    def on_legacy(self, project: str | None = None) -> Rule:
        """Make a rule for the legacy JSON."""
        return self.on(Target(endpoint=Endpoint.LEGACY, project=project))

    def on_provenance(self, filename: str | None = None) -> Rule:
        """Make a rule for attestations."""
        return self.on(Target(endpoint=Endpoint.PROVENANCE, filename=filename))

    def on_xmlrpc(self) -> Rule:
        """Make a rule for XML-RPC."""
        return self.on(Target(endpoint=Endpoint.XMLRPC))

    def on(self, target: Target) -> Rule:
        """Make a rule; it applies from now on."""
        rule = Rule(target)
        self.rules.append(rule)
        return rule

    def take(self, target: Target) -> Sequence[Rule]:
        """Return the rules that a request meets, and count it."""
        return [rule for rule in self.rules if rule.target.covers(target) and rule.applies()]

    def clear(self) -> None:
        """Remove all rules, and open all gates."""
        for gate in (gate for rule in self.rules for gate in rule.gates):
            gate.open()
        self.rules.clear()
