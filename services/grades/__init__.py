"""Grades: assessments, a class's marks, and who sees which mark from when on."""
