//! What of Promtail's is not supported and will not be.
//!
//! Must not do: anything but list.

/// Kinds that are refused for good: the key, why, what to do instead.
pub(super) const REFUSED: [(&str, &str, &str); 15] = [
    ("gcplog", "it needs Google's Pub/Sub", "let a Pub/Sub push subscription or the OpenTelemetry Collector send to a job with loki_push_api or otlp"),
    ("azure_event_hubs", "it needs Azure's Event Hubs", "read them through their Kafka endpoint with a job that has kafka"),
    ("cloudflare", "it needs Cloudflare's API", "let Cloudflare's Logpush write to a bucket or to an HTTP endpoint before a job with loki_push_api"),
    ("heroku_drain", "it needs Heroku", "let a Heroku drain send syslog over TLS to a job with syslog"),
    ("windows_events", "it needs Windows", "let an agent on the Windows host (Fluent Bit, the OpenTelemetry Collector) send to a job with forward or otlp"),
    ("ec2_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("gce_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("azure_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("openstack_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("digitalocean_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("triton_sd_configs", NEEDS_CLOUD, NAME_FILES),
    ("dockerswarm_sd_configs", "it needs a Swarm's manager", "read the containers of each node with docker_sd_configs"),
    ("marathon_sd_configs", "it needs Marathon", NAME_FILES),
    ("nerve_sd_configs", "it needs ZooKeeper", NAME_FILES),
    ("serverset_sd_configs", "it needs ZooKeeper", NAME_FILES),
];

const NEEDS_CLOUD: &str = "it needs a vendor's cloud";
const NAME_FILES: &str = "name the files with static_configs, or let a program of yours write them into a file for file_sd_configs";
