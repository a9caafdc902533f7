"""API keys: who may call what, and as which tenant. Without a keys file everyone may call everything."""
