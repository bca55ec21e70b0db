"""The channels by which people are told; each offers a `letters.Send`."""
