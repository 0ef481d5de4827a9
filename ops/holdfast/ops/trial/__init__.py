"""What programs that load or break a whole project have in common: a project of their own, and its topics' records."""
