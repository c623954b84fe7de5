//! Upkeep: lane sections into segments, floors, collection, sweep.
