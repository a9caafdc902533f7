"""Doubles of the embed and rerank services that can be made slow, failing or overloaded. Real gRPC, no model."""
