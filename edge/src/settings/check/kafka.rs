//! `kafka`: what of it cannot be, and what is not as it seems.

use proto_boot::settings::place;

use super::super::pulled::{KafkaAssignor, KafkaAuthenticationKind, KafkaSettings};
use super::Checker;
use crate::http::check::{Unfit, check_tls};
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
        let at = if kafka.brokers.value.is_empty() { at } else { place(&kafka.brokers) };
        if let Some(Err(Unfit { text, fix })) = kafka.authentication.tls().as_ref().map(check_tls) {
            self.mistake_at(at, format!("kafka: {text}"), fix);
        }
        if kafka.authentication.kind == KafkaAuthenticationKind::Sasl {
            let sasl = &kafka.authentication.sasl_config;
            if !knows_mechanism(&sasl.mechanism) {
                let text = format!("kafka: the mechanism {:?} is not supported", sasl.mechanism);
                self.mistake_at(at, text, "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
            }
            if sasl.user.is_empty() {
                self.mistake_at(at, "kafka: sasl_config names no user", "write user and password");
            }
        }
    }
}
