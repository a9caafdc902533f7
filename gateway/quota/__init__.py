"""Quotas of API keys: requests a second and tokens a minute, the same for all gateways together.

A bucket holds a second's requests, or a minute's tokens, and fills evenly (token bucket, as one number: the time at
which it is full again). Tokens are estimated before a call, and corrected once it is known what was computed.
"""
