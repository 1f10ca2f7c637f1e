"""The decision, pure: no I/O, no clock, no gRPC, no protobuf, no logging. Time, keys and randomness are arguments."""
