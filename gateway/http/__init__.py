"""HTTP beside gRPC: the dialects of other servers, and our own API as JSON.

Routes convert a request, call the servicer that answers gRPC too, and convert its reply. Nothing else happens here.
"""
