//! `transport: auto`: QUIC where it works, gRPC where it does not, and back.
//!
//! ```text
//! QUIC ----------------------------> stands: taken
//!      1 s later: gRPC ------------> stands first: taken, and QUIC is left alone for 5 min
//!                                    then `better` dials it again, and tells when a session stands
//! ```
//!
//! Promises: where UDP is blocked a session stands 1 s later than over gRPC alone, and without that second once it
//! is known; a working session is given up only for one that stands. Must not do: retry (`backoff` is the caller's).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dial::{Dial, Target};
use crate::fault::LinkFault;
use crate::limits::{QUIC_HEAD_START, QUIC_RETRY_AFTER};
use crate::session::{Session, Transport};

/// Which transport an edge uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// QUIC, or gRPC where QUIC does not get through.
    #[default]
    Auto,
    /// QUIC only.
    Quic,
    /// gRPC only.
    Grpc,
}

impl std::str::FromStr for TransportChoice {
    type Err = LinkFault;

    fn from_str(word: &str) -> Result<Self, LinkFault> {
        match word {
            "auto" => Ok(Self::Auto),
            "quic" => Ok(Self::Quic),
            "grpc" => Ok(Self::Grpc),
            _ => Err(LinkFault::Choice { word: word.to_owned() }),
        }
    }
}

impl TransportChoice {
    /// The client that acts on the choice.
    #[must_use]
    pub fn client(self, quic: Arc<dyn Dial>, grpc: Arc<dyn Dial>) -> Arc<dyn Dial> {
        match self {
            Self::Auto => Arc::new(Auto::new(quic, grpc)),
            Self::Quic => quic,
            Self::Grpc => grpc,
        }
    }
}

/// Dials over QUIC and gRPC as told above.
#[derive(Debug)]
pub struct Auto {
    quic: Arc<dyn Dial>,
    grpc: Arc<dyn Dial>,
    /// Where QUIC failed, and when it is to be tried again; as many entries as the edge has hubs configured.
    resting: Mutex<BTreeMap<String, Instant>>,
}

impl Auto {
    /// Over these two.
    #[must_use]
    pub fn new(quic: Arc<dyn Dial>, grpc: Arc<dyn Dial>) -> Self {
        Self { quic, grpc, resting: Mutex::new(BTreeMap::new()) }
    }

    /// Until when QUIC is left alone.
    fn resting_until(&self, target: &Target) -> Option<Instant> {
        self.lock().get(&target.authority()).copied().filter(|until| *until > Instant::now())
    }

    /// Leaves QUIC alone for a while from now on; until when.
    fn rest(&self, target: &Target) -> Instant {
        let until = Instant::now() + QUIC_RETRY_AFTER;
        self.lock().insert(target.authority(), until);
        until
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// QUIC first, gRPC beside it once QUIC fails or takes long; the first that stands.
    async fn race(&self, target: &Target) -> Result<Session, LinkFault> {
        let mut quic = self.quic.dial(target);
        let first = tokio::select! {
            biased;
            done = &mut quic => Some(done),
            () = sleep(QUIC_HEAD_START) => None,
        };
        let quic_fault = match first {
            Some(Ok(session)) => return Ok(session),
            Some(Err(fault)) => fault,
            None => {
                let mut grpc = self.grpc.dial(target);
                tokio::select! {
                    biased;
                    done = &mut quic => match done {
                        Ok(session) => return Ok(session),
                        Err(fault) => return self.settle(target, fault, grpc.await),
                    },
                    done = &mut grpc => match done {
                        Ok(session) => {
                            self.rest(target);
                            return Ok(session);
                        }
                        // QUIC has the rest of its time.
                        Err(fault) => return quic.await.map_err(|quic_fault| telling(quic_fault, fault)),
                    },
                }
            }
        };
        let outcome = self.grpc.dial(target).await;
        self.settle(target, quic_fault, outcome)
    }

    /// QUIC failed, and this is what came of gRPC.
    fn settle(&self, target: &Target, quic_fault: LinkFault, grpc: Result<Session, LinkFault>) -> Result<Session, LinkFault> {
        match grpc {
            Ok(session) => {
                self.rest(target);
                Ok(session)
            }
            Err(fault) => Err(telling(quic_fault, fault)),
        }
    }
}

/// The one of two faults that says more about what is wrong.
fn telling(quic: LinkFault, grpc: LinkFault) -> LinkFault {
    if quic.is_telling() && !grpc.is_telling() { quic } else { grpc }
}

#[async_trait]
impl Dial for Auto {
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        if target.proxy.is_some() {
            return self.grpc.dial(target).await;
        }
        if self.resting_until(target).is_none() {
            return self.race(target).await;
        }
        match self.grpc.dial(target).await {
            Ok(session) => Ok(session),
            // What blocked QUIC may be gone, and gRPC does not get through either.
            Err(fault) => self.quic.dial(target).await.map_err(|quic_fault| telling(quic_fault, fault)),
        }
    }

    async fn better(&self, target: &Target, current: Transport) -> Session {
        if current == Transport::Quic || target.proxy.is_some() {
            return std::future::pending().await;
        }
        loop {
            let due = self.resting_until(target).unwrap_or_else(|| self.rest(target));
            sleep_until(due).await;
            match self.quic.dial(target).await {
                Ok(session) => return session,
                Err(fault) => {
                    tracing::debug!(%fault, %target, "quic still does not get through");
                    self.rest(target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
