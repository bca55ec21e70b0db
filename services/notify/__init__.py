"""The notify service: tells guardians of facts outside the portal, once each, while they have the right."""
