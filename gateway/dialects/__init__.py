"""Other servers' gRPC, generated from protos/gateway/dialects."""
