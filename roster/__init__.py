"""The replica of the directory that a service decides on: who is whose guardian, who teaches which group, and when."""
