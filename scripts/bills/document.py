"""An image's packages as a CycloneDX document, and as a table for people."""

from collections.abc import Iterable, Mapping

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bills.image import Package


def cyclonedx(image: str, packages: Iterable[Package], *, version: str) -> str:
    """Return a bill of materials, CycloneDX 1.6 in JSON."""
    factory = LicenseFactory()
    bom = Bom()
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=image, version=version, bom_ref=image)
    for package in packages:
        purl = PackageURL(
            type=package.kind,
            namespace="debian" if package.kind == "deb" else None,
            name=package.name,
            version=package.version,
            qualifiers={"arch": package.architecture, "distro": "trixie"} if package.kind == "deb" else None,
        )
        licence = [factory.make_from_string(package.licence)] if package.licence else []
        component = Component(
            name=package.name, version=package.version, purl=purl, bom_ref=str(purl), licenses=licence
        )
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def table(contents: Mapping[str, Iterable[Package]]) -> str:
    """Return who is in which image under which licence, as Markdown; of Debian's, where its words are."""
    lines = ["# Licences", "", "Debian's packages tell theirs in full at https://packages.debian.org/trixie/PACKAGE."]
    kinds = {"deb": "Debian", "pypi": "Python", "npm": "npm", "generic": "in a Python wheel"}
    for image, packages in contents.items():
        lines += ["", f"## {image}", "", "| package | version | from | licence |", "|---|---|---|---|"]
        for one in packages:
            lines.append(f"| {one.name} | {one.version} | {kinds[one.kind]} | {one.licence or '–'} |")
    return "\n".join(lines) + "\n"
