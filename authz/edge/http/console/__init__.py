"""The console: one page that shows what the service does."""
