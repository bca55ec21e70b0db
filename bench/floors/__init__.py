"""Floor programs: the least that any program with the same guarantees must do, on the same servers."""
