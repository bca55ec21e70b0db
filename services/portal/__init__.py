"""The web app for families: pages rendered here, from the public API, with the visitor's own session."""
