"""What a finished run leaves behind: tables, reports, plots, submission files."""
