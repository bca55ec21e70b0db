"""The directory of schools, groups, people, memberships and guardianship: the truth that every other service replicates."""
