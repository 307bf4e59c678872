"""The packages of an image as a CycloneDX document and as a table."""

from collections.abc import Iterable, Mapping

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bills.image import Package


def cyclonedx(image: str, packages: Iterable[Package], *, version: str) -> str:
    """Return a bill of materials in CycloneDX 1.6 JSON."""
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
    """Return the packages of each image with their licences, as Markdown."""
    lines = ["# Licences", "", "The licences of Debian's packages are at https://packages.debian.org/trixie/PACKAGE."]
    kinds = {"deb": "Debian", "pypi": "Python", "npm": "npm", "generic": "in a Python wheel"}
    for image, packages in contents.items():
        lines += ["", f"## {image}", "", "| package | version | from | licence |", "|---|---|---|---|"]
        for one in packages:
            lines.append(f"| {one.name} | {one.version} | {kinds[one.kind]} | {one.licence or '–'} |")
    return "\n".join(lines) + "\n"
