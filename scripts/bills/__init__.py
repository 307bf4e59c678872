"""The contents and licences of the images: `scripts/sbom`."""
