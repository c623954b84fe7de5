//! `kafka`: what of it cannot be, and what is not as it seems.

use proto_boot::settings::place;

use super::super::pulled::{KafkaAssignor, KafkaAuthenticationKind, KafkaSettings};
use super::Checker;
use crate::receive::kafka::{broker, check_topic, knows_mechanism};

impl Checker<'_> {
    pub(super) fn kafka(&mut self, kafka: &KafkaSettings, at: (u64, u64)) {
        self.label_names(&kafka.labels);
        if kafka.brokers.value.is_empty() || kafka.topics.value.is_empty() {
            self.mistake_at(at, "kafka needs brokers and topics", "name at least one of each");
        }
        for wrong in kafka.brokers.value.iter().filter(|text| broker(text).is_none()) {
            self.mistake(&kafka.brokers, format!("kafka.brokers: {wrong:?} is no broker"), "write HOST:PORT");
        }
        for topic in &kafka.topics.value {
            if let Err(why) = check_topic(&topic.value) {
                self.mistake(topic, why, "a topic with ^ in front is an expression (RE2): correct it");
            }
        }
        if kafka.version.is_some() {
            self.remark(at, "kafka.version has no effect: what is spoken is understood by brokers from 2.2 on", "take the key out to be rid of this warning");
        }
        if kafka.assignor == KafkaAssignor::Sticky {
            self.remark(
                at,
                "kafka.assignor sticky is read as range",
                "where the group has other members that are sticky, give all of them range or roundrobin",
            );
        }
        self.kafka_authentication(kafka, at);
    }

    fn kafka_authentication(&mut self, kafka: &KafkaSettings, at: (u64, u64)) {
        let (tls, sasl) = (&kafka.authentication.tls_config, &kafka.authentication.sasl_config);
        let at = if kafka.brokers.value.is_empty() { at } else { place(&kafka.brokers) };
        match kafka.authentication.kind {
            KafkaAuthenticationKind::None => {}
            KafkaAuthenticationKind::Ssl => {
                if tls.insecure_skip_verify {
                    self.mistake_at(at, "kafka: insecure_skip_verify is not supported", "name who vouches for the brokers in tls_config.ca_file");
                }
            }
            KafkaAuthenticationKind::Sasl => {
                if !knows_mechanism(&sasl.mechanism) {
                    let text = format!("kafka: the mechanism {:?} is not supported", sasl.mechanism);
                    self.mistake_at(at, text, "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
                }
                if sasl.user.is_empty() {
                    self.mistake_at(at, "kafka: sasl_config names no user", "write user and password");
                }
                if sasl.insecure_skip_verify {
                    self.mistake_at(at, "kafka: insecure_skip_verify is not supported", "name who vouches for the brokers in sasl_config.ca_file");
                }
            }
        }
    }
}
