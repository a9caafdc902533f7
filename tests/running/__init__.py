"""Real processes for tests: started on free ports, waited for, stopped."""
