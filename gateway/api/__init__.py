"""The wire: three servicers that check a request, call, and convert the answer. Nothing else happens here."""
