"""Parts of the audit's page."""
