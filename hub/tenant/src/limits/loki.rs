//! Loki's limits that this hub does not obey: which are passed over, which are refused, and why.
//!
//! A name is passed over only if the part of Loki it steers does not exist here, so that obeying it
//! could change no answer and keep nothing out. All others are refused: whoever sets a limit counts
//! on it. Source: `limits_config` of Loki 3.7. Must not do: hold a name that [`super::Limits`] has.

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// Passed over, with the reason.
    Ignored(&'static str),
    /// A mistake, with the reason and what to write instead.
    Refused(&'static str, &'static str),
}

const STREAMS: Elsewhere = Elsewhere::Ignored("streams are not owned by one of several ingesters, or split into shards, here");
const SPLITTING: Elsewhere = Elsewhere::Ignored("queries are not split over queriers or kept in a results cache here");
const CHUNKS: Elsewhere = Elsewhere::Ignored("there are no chunks and no chunk index here");
const NO_RULER: Elsewhere = Elsewhere::Ignored("this version evaluates no rules");
const NO_PATTERNS: Elsewhere = Elsewhere::Ignored("patterns are mined from stored lines when they are asked for, and no aggregated metrics are kept");
const NO_BLOOMS: Elsewhere = Elsewhere::Ignored("there are no bloom filters to steer here");
const NO_DELETES: Elsewhere = Elsewhere::Ignored("deletes are the operator's: always in force at once and carried out later");
const NO_VOLUME: Elsewhere =
    Elsewhere::Ignored("volumes are always answered: they are summed from tables and footers, and an answer holds what its limit asks for");
const DEBUG: Elsewhere = Elsewhere::Ignored("it is a debugging aid of loki's own engine");
const ANY_ORDER: Elsewhere = Elsewhere::Ignored("lines of any order are taken, and equal timestamps keep the order they came in");

const RETENTION: Elsewhere = Elsewhere::Refused("retention stands beside the clusters of a tenant", "write retention: 30d below the tenant's name");
const RETENTION_STREAM: Elsewhere = Elsewhere::Refused("retention by selector does not exist in this version", "write retention: 30d below the tenant's name");
const OVERRIDES: Elsewhere = Elsewhere::Refused("there is one place for a tenant's limits", "write them below the tenant's name");
const BLOCKING: Elsewhere = Elsewhere::Refused("pushes are not blocked by a limit", "revoke the tenant's writer tokens");
const LABEL_RULES: Elsewhere = Elsewhere::Refused("rules about label names do not exist in this version", "remove it");
const LEVELS: Elsewhere = Elsewhere::Refused("the fields that tell a level are fixed", "remove it, or set discover_log_levels: false");
const OTLP: Elsewhere = Elsewhere::Refused("the mapping of otlp attributes is fixed to loki's default", "remove it");
const QUERY_RULES: Elsewhere =
    Elsewhere::Refused("it does not exist in this version", "bound queries with max_query_length, max_query_bytes_read and query_timeout");
const LANGUAGE: Elsewhere = Elsewhere::Refused("the language extension it turns on does not exist here", "remove it");
const ENCRYPTION: Elsewhere = Elsewhere::Refused("the store's encryption is set at the bucket", "turn on default encryption of the bucket and remove it");

const TABLE: &[(&str, Elsewhere)] = &[
    ("ingestion_rate_strategy", Elsewhere::Ignored("each hub counts what it takes in itself")),
    ("ingestion_partitions_tenant_shard_size", Elsewhere::Ignored("there are no ingestion partitions here")),
    ("simulated_push_latency", DEBUG),
    ("use_owned_stream_count", STREAMS),
    ("shard_streams", STREAMS),
    ("increment_duplicate_timestamp", ANY_ORDER),
    ("unordered_writes", ANY_ORDER),
    ("block_ingestion_until", BLOCKING),
    ("block_ingestion_status_code", BLOCKING),
    ("block_ingestion_policy_until", BLOCKING),
    ("enforced_labels", LABEL_RULES),
    ("policy_enforced_labels", LABEL_RULES),
    ("policy_stream_mapping", LABEL_RULES),
    ("log_level_fields", LEVELS),
    ("log_level_from_json_max_depth", LEVELS),
    ("discover_generic_fields", LABEL_RULES),
    ("otlp_config", OTLP),
    ("max_query_range", QUERY_RULES),
    ("max_query_lookback", QUERY_RULES),
    ("required_labels", QUERY_RULES),
    ("minimum_labels_number", QUERY_RULES),
    ("blocked_queries", QUERY_RULES),
    ("max_chunks_per_query", CHUNKS),
    ("cardinality_limit", CHUNKS),
    ("max_querier_bytes_read", SPLITTING),
    ("volume_enabled", NO_VOLUME),
    ("volume_max_series", NO_VOLUME),
    ("max_query_parallelism", SPLITTING),
    ("tsdb_max_query_parallelism", SPLITTING),
    ("tsdb_max_bytes_per_shard", SPLITTING),
    ("tsdb_sharding_strategy", SPLITTING),
    ("tsdb_precompute_chunks", SPLITTING),
    ("split_queries_by_interval", SPLITTING),
    ("split_metadata_queries_by_interval", SPLITTING),
    ("split_recent_metadata_queries_by_interval", SPLITTING),
    ("recent_metadata_query_window", SPLITTING),
    ("split_instant_metric_queries_by_interval", SPLITTING),
    ("split_ingester_queries_by_interval", SPLITTING),
    ("engine_results_cache_time_bucket_interval", SPLITTING),
    ("min_sharding_lookback", SPLITTING),
    ("max_cache_freshness_per_query", SPLITTING),
    ("max_metadata_cache_freshness", SPLITTING),
    ("max_stats_cache_freshness", SPLITTING),
    ("max_queriers_per_tenant", SPLITTING),
    ("max_query_capacity", SPLITTING),
    ("query_ready_index_num_days", SPLITTING),
    ("index_gateway_shard_size", SPLITTING),
    ("index_gateway_max_capacity", SPLITTING),
    ("max_scan_task_parallelism", SPLITTING),
    ("shard_aggregations", LANGUAGE),
    ("enable_multi_variant_queries", LANGUAGE),
    ("retention_period", RETENTION),
    ("retention_stream", RETENTION_STREAM),
    ("deletion_mode", NO_DELETES),
    ("allow_deletes", NO_DELETES),
    ("per_tenant_override_config", OVERRIDES),
    ("per_tenant_override_period", OVERRIDES),
    ("ruler_max_rules_per_rule_group", NO_RULER),
    ("ruler_max_rule_groups_per_tenant", NO_RULER),
    ("ruler_tenant_shard_size", NO_RULER),
    ("ruler_enable_wal_replay", NO_RULER),
    ("ruler_remote_write_disabled", NO_RULER),
    ("ruler_remote_write_config", NO_RULER),
    ("ruler_remote_evaluation_timeout", NO_RULER),
    ("ruler_remote_evaluation_max_response_size", NO_RULER),
    ("pattern_ingester_tokenizable_json_fields_default", NO_PATTERNS),
    ("pattern_ingester_tokenizable_json_fields_append", NO_PATTERNS),
    ("pattern_ingester_tokenizable_json_fields_delete", NO_PATTERNS),
    ("metric_aggregation_enabled", NO_PATTERNS),
    ("pattern_persistence_enabled", NO_PATTERNS),
    ("pattern_persistence_granularity", NO_PATTERNS),
    ("pattern_rate_threshold", NO_PATTERNS),
    ("bloom_gateway_enable_filtering", NO_BLOOMS),
    ("bloom_creation_enabled", NO_BLOOMS),
    ("bloom_build_max_builders", NO_BLOOMS),
    ("bloom_build_task_max_retries", NO_BLOOMS),
    ("bloom_build_builder_response_timeout", NO_BLOOMS),
    ("bloom_planning_strategy", NO_BLOOMS),
    ("bloom_split_series_keyspace_by", NO_BLOOMS),
    ("bloom_task_target_series_chunk_size", NO_BLOOMS),
    ("bloom_block_encoding", NO_BLOOMS),
    ("bloom_prefetch_blocks", NO_BLOOMS),
    ("bloom_max_block_size", NO_BLOOMS),
    ("bloom_max_bloom_size", NO_BLOOMS),
    ("s3_sse_type", ENCRYPTION),
    ("s3_sse_kms_key_id", ENCRYPTION),
    ("s3_sse_kms_encryption_context", ENCRYPTION),
    ("debug_engine_tasks", DEBUG),
    ("debug_engine_streams", DEBUG),
];

/// All names of the table with what becomes of each.
pub fn table() -> impl Iterator<Item = (&'static str, Elsewhere)> {
    TABLE.iter().copied()
}

/// What becomes of `name`, if Loki knows it and this hub does not obey it.
#[must_use]
pub fn elsewhere(name: &str) -> Option<(&'static str, Elsewhere)> {
    TABLE.iter().copied().find(|(known, _)| *known == name)
}
