//! Tests of `auto`, with dialling that takes as long and ends as told.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::fault::Side;
use crate::session::{self, Peer};

/// What one dial does.
#[derive(Debug, Clone)]
enum Does {
    Stands(Duration),
    Fails(Duration, LinkFault),
}

/// Dials as told, one after the other.
#[derive(Debug)]
struct Scripted {
    transport: Transport,
    script: Mutex<VecDeque<Does>>,
}

impl Scripted {
    fn new(transport: Transport, script: impl IntoIterator<Item = Does>) -> Arc<Self> {
        Arc::new(Self { transport, script: Mutex::new(script.into_iter().collect()) })
    }

    fn left(&self) -> usize {
        self.script.lock().unwrap().len()
    }
}

#[async_trait]
impl Dial for Scripted {
    async fn dial(&self, _: &Target) -> Result<Session, LinkFault> {
        let does = self.script.lock().unwrap().pop_front().expect("no more dials than told");
        match does {
            Does::Fails(after, fault) => {
                sleep(after).await;
                Err(fault)
            }
            Does::Stands(after) => {
                sleep(after).await;
                let peer = Peer { side: Side::Hub, certificate_der: None, address: "hub".to_owned(), transport: self.transport };
                Ok(session::open(peer).0)
            }
        }
    }
}

const NEVER: Duration = Duration::from_secs(3600);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn lost() -> LinkFault {
    LinkFault::no_answer("hub".to_owned(), "quic handshake", Duration::from_secs(5))
}

fn refused() -> LinkFault {
    LinkFault::Refused { peer: Side::Hub, address: "hub".to_owned(), reason: certs::Refusal::Expired }
}

fn target() -> Target {
    Target::parse("https://hub:9443", "", "").unwrap()
}

struct Case {
    quic: Arc<Scripted>,
    grpc: Arc<Scripted>,
    auto: Auto,
}

fn case(quic: impl IntoIterator<Item = Does>, grpc: impl IntoIterator<Item = Does>) -> Case {
    let (quic, grpc) = (Scripted::new(Transport::Quic, quic), Scripted::new(Transport::Grpc, grpc));
    Case { auto: Auto::new(quic.clone(), grpc.clone()), quic, grpc }
}

/// Dials once: what stands or fails, and after how many milliseconds.
async fn dial(case: &Case) -> (Result<Transport, LinkFault>, u64) {
    let started = Instant::now();
    let result = case.auto.dial(&target()).await.map(|session| session.peer.transport);
    (result, u64::try_from(started.elapsed().as_millis()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn quic_that_stands_in_time_is_taken_alone() {
    let case = case([Does::Stands(ms(900))], []);
    assert_eq!(dial(&case).await, (Ok(Transport::Quic), 900));
}

#[tokio::test(start_paused = true)]
async fn a_slow_quic_races_grpc_and_the_first_wins() {
    let slow = case([Does::Stands(ms(1200))], [Does::Stands(ms(500))]);
    assert_eq!(dial(&slow).await, (Ok(Transport::Quic), 1200));
    assert!(slow.auto.resting_until(&target()).is_none());
    let slower = case([Does::Stands(ms(1600))], [Does::Stands(ms(500))]);
    assert_eq!(dial(&slower).await, (Ok(Transport::Grpc), 1500));
    assert!(slower.auto.resting_until(&target()).is_some());
    let tie = case([Does::Stands(ms(1500))], [Does::Stands(ms(500))]);
    assert_eq!(dial(&tie).await, (Ok(Transport::Quic), 1500), "QUIC is preferred");
}

#[tokio::test(start_paused = true)]
async fn where_quic_fails_grpc_starts_at_once_and_quic_rests_for_five_minutes() {
    let case = case([Does::Fails(ms(10), lost()), Does::Stands(ms(20))], [Does::Stands(ms(100)), Does::Stands(ms(100))]);
    assert_eq!(dial(&case).await, (Ok(Transport::Grpc), 110));
    assert_eq!(dial(&case).await, (Ok(Transport::Grpc), 100));
    sleep(QUIC_RETRY_AFTER).await;
    assert_eq!(dial(&case).await, (Ok(Transport::Quic), 20));
    assert_eq!((case.quic.left(), case.grpc.left()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_quic_rests_it_is_still_the_way_out_when_grpc_fails() {
    let case = case([Does::Fails(ms(10), lost()), Does::Stands(ms(20))], [Does::Stands(ms(100)), Does::Fails(ms(30), lost())]);
    assert_eq!(dial(&case).await.0, Ok(Transport::Grpc));
    assert_eq!(dial(&case).await, (Ok(Transport::Quic), 50));
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_telling_fault_is_told() {
    let gone = || LinkFault::Unreachable { address: "hub".to_owned(), reason: "refused".to_owned() };
    assert_eq!(dial(&case([Does::Fails(ms(10), refused())], [Does::Fails(ms(10), gone())])).await, (Err(refused()), 20));
    assert_eq!(dial(&case([Does::Fails(ms(10), lost())], [Does::Fails(ms(10), refused())])).await.0, Err(refused()));
    assert_eq!(dial(&case([Does::Fails(ms(1500), lost())], [Does::Fails(ms(10), gone())])).await, (Err(gone()), 1500));
    assert_eq!(dial(&case([Does::Fails(ms(1500), lost())], [Does::Stands(ms(900))])).await, (Ok(Transport::Grpc), 1900));
    assert_eq!(dial(&case([Does::Stands(ms(4000))], [Does::Fails(ms(10), gone())])).await, (Ok(Transport::Quic), 4000));
}

#[tokio::test(start_paused = true)]
async fn a_better_session_comes_when_quic_works_again_and_not_before() {
    let case = case([Does::Fails(ms(10), lost()), Does::Fails(ms(10), lost()), Does::Stands(ms(10))], [Does::Stands(ms(10))]);
    assert_eq!(dial(&case).await.0, Ok(Transport::Grpc));
    let started = Instant::now();
    let better = case.auto.better(&target(), Transport::Grpc).await;
    assert_eq!(better.peer.transport, Transport::Quic);
    assert_eq!(started.elapsed().as_secs(), 600, "tried after five minutes and after ten");
    let never = tokio::time::timeout(NEVER, case.auto.better(&target(), Transport::Quic)).await;
    assert!(never.is_err(), "there is nothing better than QUIC");
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_there_is_only_grpc() {
    let case = case([], [Does::Stands(ms(10))]);
    let target = Target::parse("https://hub:9443", "", "http://proxy:3128").unwrap();
    assert_eq!(case.auto.dial(&target).await.unwrap().peer.transport, Transport::Grpc);
    assert!(tokio::time::timeout(NEVER, case.auto.better(&target, Transport::Grpc)).await.is_err());
}

#[tokio::test]
async fn the_choice_is_read_and_acted_on() {
    let (quic, grpc) = (Scripted::new(Transport::Quic, [Does::Stands(ms(0))]), Scripted::new(Transport::Grpc, [Does::Stands(ms(0))]));
    for (word, transport) in [("quic", Transport::Quic), ("grpc", Transport::Grpc)] {
        let client = word.parse::<TransportChoice>().unwrap().client(quic.clone(), grpc.clone());
        assert_eq!(client.dial(&target()).await.unwrap().peer.transport, transport);
    }
    assert_eq!("auto".parse(), Ok(TransportChoice::default()));
    assert_eq!("tcp".parse::<TransportChoice>().unwrap_err().to_string(), "transport \"tcp\" is not known; write auto, quic or grpc");
}
