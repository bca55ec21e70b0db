"""The feed: domain events become items in one total order, kept as a family's history."""
