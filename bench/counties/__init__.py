"""A made-up county: a model of its schools, families and staff, and a writer per format."""
