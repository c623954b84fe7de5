//! Loki push bodies (protobuf in snappy, JSON) to records and back.
