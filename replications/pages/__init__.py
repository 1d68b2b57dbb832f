"""What the report's pages are made of: templates, tables, charts."""
