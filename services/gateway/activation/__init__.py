"""Activation codes: printed on paper for a family, they make somebody of the directory an account, once."""
