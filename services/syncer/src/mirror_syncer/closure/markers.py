"""
An environment marker (PEP 508) as comparisons that are joined by "and" and "or", and when each of them may hold.

A marker has no "not". So, given where each comparison may hold, "and" and "or" of these say where the marker may hold;
nothing has to be known about where a comparison fails.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from packaging._parser import Op, Value, Variable
from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, Specifier
from packaging.version import InvalidVersion, Version

MAX_COMPARISONS = 1_000
"""A marker with more is not evaluated, and may hold everywhere; the longest on PyPI have some thirty."""
MAX_OPERAND_LENGTH = 200
"""A comparison with a longer text may always hold: to read numbers of thousands of digits would cost too much."""
VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version"})
"""The variables that are compared as versions."""
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Comparison(NamedTuple):
    """A part of a marker that compares a variable with a text."""

    variable: str
    """Such as ``sys_platform``; empty where two variables, or two texts, are compared, which means nothing."""
    operator: str
    operand: str
    is_reversed: bool
    """Whether the operand stands first, as in ``"linux" in sys_platform``."""

    def may_hold(self) -> Callable[[str], bool]:
        """
        Return a function that tells for a value of the variable whether any installer takes the comparison for true.

        Where a comparison makes no sense, pip takes it for false and uv for true, and its opposite, too: so it may
        always hold.
        """
        if not self.variable or len(self.operand) > MAX_OPERAND_LENGTH:
            return _always
        if self.variable not in VERSIONS:
            return self._as_text()
        return self._as_list() if self.operator.endswith("in") else self._as_version()

    def holds_with_extra(self, extra: str) -> bool:
        """Return whether a comparison of ``extra`` may hold where that one is asked for; empty: where none is."""
        if self.operator == "==":
            return self.operand == extra
        # uv takes every other operator for true.
        return self.operator != "!=" or self.operand != extra

    def _as_text(self) -> Callable[[str], bool]:
        operand = self.operand
        if self.operator in ("==", "<=", ">="):
            return lambda value: value == operand
        if self.operator == "!=":
            return lambda value: value != operand
        if self.operator in ("in", "not in"):
            wanted = self.operator == "in"
            if self.is_reversed:
                return lambda value: (operand in value) is wanted
            return lambda value: (value in operand) is wanted
        return _never if self.operator in ("<", ">") else _always

    def _as_list(self) -> Callable[[str], bool]:
        """Return the reading of "in": pip looks for the text, uv for one of the versions between blanks."""
        versions = [_version(text) for text in self.operand.split()]
        if self.is_reversed or None in versions:
            return _always
        operand, wanted = self.operand, self.operator == "in"
        return lambda value: (value in operand) is wanted or (_version(value) in versions) is wanted

    def _as_version(self) -> Callable[[str], bool]:
        if self.is_reversed:
            return self._as_reversed_version()
        specifiers = []
        for operand in _readings(self.operand, is_minor=self.variable == "python_version"):
            try:
                specifiers.append(Specifier(f"{self.operator}{operand}", prereleases=True))
            except InvalidSpecifier:
                return _always
        if self.operator == "===":  # pip compares text here
            version = _version(self.operand)
            return _always if version is None else lambda value: value == self.operand or _version(value) == version
        return lambda value: any(specifier.contains(value) for specifier in specifiers)

    def _as_reversed_version(self) -> Callable[[str], bool]:
        """Return the reading of ``"3.9" <= python_version``: pip exchanges the sides, uv turns the operator round."""
        if _version(self.operand) is None:
            return _always
        turned = self._replace(operator=_FLIPPED.get(self.operator, self.operator), is_reversed=False).may_hold()
        return lambda value: (
            turned(value) or Specifier(f"{self.operator}{value}", prereleases=True).contains(self.operand)
        )


def evaluate(marker: Marker, where: Callable[[Comparison], int], everywhere: int) -> int:
    """
    Return where a marker may hold.

    Args:
        where: returns the places where a comparison may hold, as bits.
        everywhere: all places; the answer for a marker with more than ``MAX_COMPARISONS``.
    """
    # Parentheses are on a stack of our own, so no depth ends in a RecursionError.
    items = iter(marker._markers)  # noqa: SLF001 - packaging has no public way to the parts; uv.lock pins their form
    outer = []
    either, both, count = 0, everywhere, 0
    while True:
        for item in items:
            if isinstance(item, tuple):
                count += 1
                if count > MAX_COMPARISONS:
                    return everywhere
                both &= where(_comparison(*item))
            elif isinstance(item, list):
                outer.append((items, either, both))
                items, either, both = iter(item), 0, everywhere
                break
            elif item == "or":
                either, both = either | both, everywhere
        else:
            either |= both
            if not outer:
                return either
            inner = either
            items, either, both = outer.pop()
            both &= inner


def needs_an_extra(marker: Marker | None) -> bool:
    """Return whether a requirement counts on no machine unless an extra is asked for."""
    if marker is None:
        return False
    return not evaluate(marker, lambda part: int(part.variable != "extra" or part.holds_with_extra("")), 1)


def relevant_extras(marker: Marker | None, asked: Mapping[str, int], anywhere: int) -> Iterator[tuple[str, int]]:
    """
    Yield the extras asked for that may decide whether a requirement counts, and the machines on which they are.

    A hostile project asks for any number of its own extras, and each of its requirements may name any one.

    Args:
        asked: the machines on which each extra is asked for.
        anywhere: those on which any is. Extras that a marker does not name are all the same to it, so one of them
            stands for all.
    """
    if marker is None or not asked:
        return
    compared: dict[str, None] = {}
    counts_others = False  # false without an extra, true with any other one

    def note(part: Comparison) -> int:
        nonlocal counts_others
        if part.variable == "extra":
            compared[part.operand] = None
            counts_others |= part.operator == "!=" and not part.operand
        return 1

    evaluate(marker, note, 1)
    yield from ((extra, asked[extra]) for extra in compared if extra in asked)
    other = next((extra for extra in asked if extra not in compared), None) if counts_others else None
    if other is not None:
        yield other, anywhere


def operators(marker: Marker | None) -> frozenset[str]:
    """Return the operators of a marker's comparisons."""
    found: set[str] = set()

    def note(part: Comparison) -> int:
        found.add(part.operator)
        return 1

    if marker is not None:
        evaluate(marker, note, 1)
    return frozenset(found)


def why_pip_fails(marker: Marker | None) -> str | None:
    """Return why pip ends with a traceback when it evaluates a marker; None if it does not."""
    try:
        # It evaluates every comparison, whatever the first ones say. So one environment is enough.
        if marker is not None:
            marker.evaluate()
    except UndefinedComparison:
        return "its marker has an operator that its variable does not allow"
    except UndefinedEnvironmentName as error:
        return f"its marker compares {str(error.args[0])[:40]!r}, which no environment defines"
    return None


def _comparison(left: Variable | Value, operator: Op, right: Variable | Value) -> Comparison:
    is_variable = isinstance(left, Variable)
    if is_variable is isinstance(right, Variable):
        return Comparison("", operator.value, right.value, False)  # noqa: FBT003 - by place it takes half the time
    if is_variable:
        return Comparison(left.value, operator.value, right.value, False)  # noqa: FBT003 - as above
    return Comparison(right.value, operator.value, left.value, True)  # noqa: FBT003 - as above


def _readings(operand: str, *, is_minor: bool) -> tuple[str, ...]:
    """Return the texts as which installers read a version: uv drops a local part, and more of a minor version."""
    version = _version(operand)
    if version is None:
        return (operand,)
    return tuple(dict.fromkeys((operand, version.base_version if is_minor else version.public)))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False
