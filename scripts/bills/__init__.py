"""What is in the images, and under which licences: `scripts/sbom`."""
