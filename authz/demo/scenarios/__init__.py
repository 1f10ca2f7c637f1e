"""The rows of the demo: requests, changes, logins, and their results."""
