"""Imports: read and check a set, state it as documents, merge it with what stands, publish the difference."""
