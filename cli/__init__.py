"""The `preau` command."""
