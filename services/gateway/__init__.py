"""The one front door: accounts and sessions, routing to services, and the live stream."""
