//! Tests of `net`.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep};

use super::*;
use crate::fault::Side;

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 1))
}

fn lost(address: SocketAddr) -> LinkFault {
    LinkFault::Unreachable { address: address.to_string(), reason: "gone".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_a_moment_and_a_failed_one_nothing() {
    let started = Instant::now();
    let found = stagger((1..=4).map(address).collect(), |at| async move {
        match at {
            at if at == address(1) => std::future::pending().await,
            at if at == address(2) => Err(lost(at)),
            at => {
                sleep(Duration::from_millis(100)).await;
                Ok(at)
            }
        }
    });
    assert_eq!(found.await, Ok(address(3)));
    assert_eq!(started.elapsed(), ADDRESS_STAGGER + Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_telling_fault_is_told() {
    let telling = LinkFault::Untrusted { peer: Side::Hub, address: "hub".to_owned(), reason: certs::Refusal::ForeignCa };
    let told: Result<(), _> = stagger((1..=3).map(address).collect(), |at| {
        let fault = if at == address(2) { telling.clone() } else { lost(at) };
        async move { Err(fault) }
    })
    .await;
    assert_eq!(told, Err(telling));
    let told: Result<(), _> = stagger(vec![address(1), address(2)], |at| async move { Err(lost(at)) }).await;
    assert_eq!(told, Err(lost(address(1))));
}

#[tokio::test]
async fn given_resolvers_are_bounded_and_must_find_something() {
    let many = Resolver::Given(Arc::new(|_, port| async move { Ok((0..100).map(|number| SocketAddr::from(([10, 0, 0, number], port))).collect()) }.boxed()));
    assert_eq!(many.resolve("hub", 7).await.unwrap().len(), ADDRESSES_MAX);
    let none = Resolver::Given(Arc::new(|_, _| async { Ok(Vec::new()) }.boxed()));
    assert_eq!(none.resolve("hub", 7).await, Err(LinkFault::Resolve { host: "hub".to_owned(), reason: "it has none".to_owned() }));
}

#[tokio::test]
async fn a_given_stream_writes_several_pieces_at_once() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (near, mut far) = tokio::io::duplex(100);
    let mut io = Io::given(near);
    let written = io.write_vectored(&[io::IoSlice::new(b"one "), io::IoSlice::new(b"two")]).await.unwrap();
    assert_eq!(written, 7);
    let mut read = [0; 7];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"one two");
}
