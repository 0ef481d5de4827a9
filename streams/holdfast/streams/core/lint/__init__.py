"""What is wrong, or probably wrong, with a definition: one table of rules, one small function each."""
