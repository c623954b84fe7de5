//! One connection to a broker: TLS, authentication, one question at a time.
//!
//! Parts: [`Access`] (how brokers are met), [`Connection`], [`Fault`]. Limits: [`ANSWER_BYTES_MAX`] of an answer, [`CALL_MAX`] for one. Promises: a question that was dropped
//! half-way ends its connection. Must not do: know what is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_seam::World;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::scram::{Hash, Scram};
use super::wire::{In, Out, Short};
use crate::http::tls;
use crate::receive::listen::Stream;
use crate::settings::http::{Secret, TlsSettings};

/// Largest answer: a fetch asks for less, but a single batch may be larger than what was asked for.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest wait for a connection, and for an answer.
const CALL_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(10);
const CLIENT: &str = "tributary-edge";
/// What is asked here.
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

/// Why a broker did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It cannot be reached, or ended the connection.
    #[error("a broker cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    /// It gave what cannot be read.
    #[error(transparent)]
    Answer(#[from] Short),
    /// It said no, by Kafka's number.
    #[error("a broker refuses what was asked of it (Kafka's error {0})")]
    Refused(i16),
    /// It does not take our user.
    #[error("a broker does not take the user or password of authentication: {0}")]
    User(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Nothing to read.
    #[error("no topic of the brokers is one of `topics`")]
    NoTopic,
}

/// How a user is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }
}

/// How brokers are met.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) world: World,
    pub(super) tls: Option<TlsSettings>,
    pub(super) user: Option<(Mechanism, String, Secret)>,
}

/// A connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    number: i32,
    /// A question is under way, or was dropped.
    is_busy: bool,
}

impl Access {
    /// Connects, proves the user.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Connection, Fault> {
        let late = |_| Fault::Io(std::io::ErrorKind::TimedOut.into());
        let tcp = tokio::time::timeout(CONNECT_MAX, TcpStream::connect((host, port))).await.map_err(late)??;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let (own, disk) = (tls.clone(), Arc::clone(&self.world.disk));
                let config = self.world.workers.run(move || tls::config(&own, disk.as_ref())).await.map_err(Fault::Tls)?;
                let name = tls.server_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
                let name = ServerName::try_from(name.to_owned()).map_err(|_| Fault::Tls(format!("{name:?} is no name of a server")))?;
                let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
                Box::new(tokio::time::timeout(CONNECT_MAX, connecting).await.map_err(late)??)
            }
        };
        let mut connection = Connection { stream, number: 0, is_busy: false };
        if let Some((mechanism, user, password)) = &self.user {
            self.prove(&mut connection, *mechanism, user, password.expose()).await?;
        }
        Ok(connection)
    }

    async fn prove(&self, connection: &mut Connection, mechanism: Mechanism, user: &str, password: &str) -> Result<(), Fault> {
        let mut answer = connection.call(SASL_HANDSHAKE, 1, Out::default().text(mechanism.name())).await?;
        if answer.i16()? != 0 {
            let known = answer.each(In::text)?.join(", ");
            return Err(Fault::User(format!("it knows the mechanisms {known}, and not {}", mechanism.name())));
        }
        match mechanism {
            Mechanism::Plain => connection.prove(format!("\0{user}\0{password}").as_bytes()).await.map(drop),
            Mechanism::Scram(hash) => {
                let nonce = format!("{:032x}", self.world.entropy.next_u128());
                let (mut scram, first) = Scram::begin(hash, user, &nonce);
                let server = connection.prove(first.as_bytes()).await?;
                let server = String::from_utf8_lossy(&server).into_owned();
                let password = password.to_owned();
                let (scram, last) = self
                    .world
                    .workers
                    .run(move || {
                        let last = scram.answer(&server, &password);
                        (scram, last)
                    })
                    .await;
                let last = last.ok_or_else(|| Fault::User("it does not speak SCRAM as it should".to_owned()))?;
                let proof = connection.prove(last.as_bytes()).await?;
                let is_proven = scram.is_proven(&String::from_utf8_lossy(&proof));
                is_proven.then_some(()).ok_or_else(|| Fault::User("it does not know the password itself: it is not the broker that is meant".to_owned()))
            }
        }
    }
}

impl Connection {
    /// Asks, and waits for the answer.
    pub(super) async fn call(&mut self, key: i16, version: i16, body: Out) -> Result<In, Fault> {
        if std::mem::replace(&mut self.is_busy, true) {
            return Err(Fault::Io(std::io::ErrorKind::NotConnected.into()));
        }
        self.number = self.number.wrapping_add(1);
        let head = Out::default().i16(key).i16(version).i32(self.number).text(CLIENT);
        let length = i32::try_from(head.0.len() + body.0.len()).map_err(|_| Short)?;
        let message = [length.to_be_bytes().as_slice(), &head.0, &body.0].concat();
        let asked = tokio::time::timeout(CALL_MAX, async {
            self.stream.write_all(&message).await?;
            self.stream.flush().await?;
            let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(usize::MAX);
            if !(4..=ANSWER_BYTES_MAX).contains(&length) {
                return Err(Fault::Answer(Short));
            }
            let mut answer = vec![0; length];
            self.stream.read_exact(&mut answer).await?;
            Ok(answer)
        });
        let mut answer = In(Bytes::from(asked.await.map_err(|_| Fault::Io(std::io::ErrorKind::TimedOut.into()))??));
        if answer.i32()? != self.number {
            return Err(Fault::Answer(Short));
        }
        self.is_busy = false;
        Ok(answer)
    }

    async fn prove(&mut self, bytes: &[u8]) -> Result<Bytes, Fault> {
        let mut answer = self.call(SASL_AUTHENTICATE, 0, Out::default().bytes(bytes)).await?;
        let (code, why) = (answer.i16()?, answer.text()?);
        if code != 0 {
            return Err(Fault::User(if why.is_empty() { format!("Kafka's error {code}") } else { why }));
        }
        Ok(answer.bytes()?)
    }
}
