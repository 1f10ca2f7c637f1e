"""The native policy file: its model, and the settings it becomes."""
