"""Fills the mirror: plan, transfer, publish."""
