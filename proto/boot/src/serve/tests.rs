//! The server loop over real loopback sockets and over in-memory streams with paused time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::stall::STALL_MAX;
use super::{Served, Serving, serve, serve_with};
use crate::limits::{HEADER_BYTES_MAX, HEADER_TIMEOUT};

const SECOND: Duration = Duration::from_secs(1);
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn router() -> Router {
    Router::new()
        .route("/hello", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("hello {}\n", peer.ip()) }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(SECOND * 3).await;
                "slow\n"
            }),
        )
        .route("/panic", get(|| async { if PEER.port() == 9 { panic!("on purpose") } else { "" } }))
        .route("/big", get(|| async { vec![b'x'; 8 << 20] }))
}

/// A server over in-memory streams: what is sent into the channel is accepted.
fn in_memory(serving: Serving) -> (mpsc::Sender<io::Result<DuplexStream>>, CancellationToken, tokio::task::JoinHandle<Served>) {
    let (sender, receiver) = mpsc::channel::<io::Result<DuplexStream>>(64);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let stop = CancellationToken::new();
    let accept = move || {
        let receiver = receiver.clone();
        async move {
            let next = receiver.lock().await.recv().await;
            match next {
                Some(stream) => stream.map(|stream| (stream, PEER)),
                None => std::future::pending().await,
            }
        }
    };
    let running = tokio::spawn(serve_with(accept, |stream| async { Ok(stream) }, serving, stop.clone()));
    (sender, stop, running)
}

async fn dial(sender: &mpsc::Sender<io::Result<DuplexStream>>) -> DuplexStream {
    let (ours, theirs) = duplex(64 << 10);
    sender.send(Ok(theirs)).await.expect("the server accepts");
    ours
}

async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn a_real_listener_is_served_and_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let running = tokio::spawn(serve(listener, Serving::new(router()), stop.clone()));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let answer = ask(&mut stream, "/hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello 127.0.0.1\n"), "{answer}");
    stop.cancel();
    assert_eq!(running.await.expect("ended"), Served { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test(start_paused = true)]
async fn an_open_request_finishes_and_a_hanging_one_is_cut() {
    let (sender, stop, running) = in_memory(Serving::new(router()));
    let mut stream = dial(&sender).await;
    let asked = tokio::spawn(async move { ask(&mut stream, "/slow").await });
    let mut silent = dial(&sender).await;
    silent.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n").await.expect("sent");
    tokio::time::sleep(SECOND).await;
    stop.cancel();
    assert!(asked.await.expect("asked").ends_with("slow\n"));
    assert_eq!(running.await.expect("ended"), Served { cut: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_slow_or_silent_peer_is_cut_after_the_header_timeout() {
    for begin in ["", "GET /hello HTTP/1.1\r\nHo"] {
        let (sender, _stop, _running) = in_memory(Serving::new(router()));
        let mut stream = dial(&sender).await;
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let begun = tokio::time::Instant::now();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("closed");
        assert!(begun.elapsed() >= HEADER_TIMEOUT && begun.elapsed() < HEADER_TIMEOUT + SECOND, "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_handshake_is_cut() {
    let (sender, receiver) = mpsc::channel::<DuplexStream>(1);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let accept = move || {
        let receiver = receiver.clone();
        async move {
            match receiver.lock().await.recv().await {
                Some(stream) => Ok((stream, PEER)),
                None => std::future::pending().await,
            }
        }
    };
    let handshake = |stream: DuplexStream| async move {
        tokio::time::sleep(HEADER_TIMEOUT * 10).await;
        Ok(stream)
    };
    tokio::spawn(serve_with(accept, handshake, Serving::new(router()), CancellationToken::new()));
    let (mut ours, theirs) = duplex(1024);
    sender.send(theirs).await.expect("accepted");
    let begun = tokio::time::Instant::now();
    assert_eq!(ours.read(&mut [0; 1]).await.expect("closed"), 0);
    assert_eq!(begun.elapsed().as_secs(), HEADER_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_accept_error_never_ends_the_loop() {
    let (sender, _stop, running) = in_memory(Serving::new(router()));
    let begun = tokio::time::Instant::now();
    for _ in 0..20 {
        sender.send(Err(io::Error::from_raw_os_error(24))).await.expect("EMFILE is taken");
    }
    let mut stream = dial(&sender).await;
    assert!(ask(&mut stream, "/hello").await.contains("200 OK"));
    assert!(!running.is_finished());
    // 10 ms doubled to a second: 20 errors cost 14.27 s, not a busy loop.
    assert!(begun.elapsed() > SECOND * 14 && begun.elapsed() < SECOND * 15, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_connection_only() {
    let (sender, _stop, _running) = in_memory(Serving::new(router()));
    let mut broken = dial(&sender).await;
    assert_eq!(ask(&mut broken, "/panic").await, "");
    let mut stream = dial(&sender).await;
    assert!(ask(&mut stream, "/hello").await.contains("200 OK"));
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_cap_wait_their_turn() {
    let (sender, _stop, _running) = in_memory(Serving { connections_max: 2, ..Serving::new(router()) });
    let answered = Arc::new(AtomicUsize::new(0));
    let begun = tokio::time::Instant::now();
    let mut asking = Vec::new();
    for _ in 0..4 {
        let (mut stream, answered) = (dial(&sender).await, answered.clone());
        asking.push(tokio::spawn(async move {
            assert!(ask(&mut stream, "/slow").await.ends_with("slow\n"));
            answered.fetch_add(1, Ordering::Relaxed);
        }));
    }
    tokio::time::sleep(SECOND * 4).await;
    assert_eq!(answered.load(Ordering::Relaxed), 2);
    for task in asking {
        task.await.expect("answered");
    }
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut() {
    let (sender, stop, running) = in_memory(Serving { drain: Duration::ZERO, ..Serving::new(router()) });
    let mut stream = dial(&sender).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    tokio::time::sleep(STALL_MAX + SECOND).await;
    stop.cancel();
    assert_eq!(running.await.expect("ended"), Served { cut: 0 }, "the stalled connection is gone before the stop");
}

#[tokio::test(start_paused = true)]
async fn a_huge_head_is_refused() {
    let (sender, _stop, _running) = in_memory(Serving::new(router()));
    let stream = dial(&sender).await;
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::spawn(async move {
        let head = format!("GET /hello HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(HEADER_BYTES_MAX + 1));
        // The server may close before it has read everything: that is what is tested.
        let _closed = write.write_all(head.as_bytes()).await.is_err();
        std::future::pending::<()>().await;
    });
    let mut answer = [0; 12];
    read.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 431");
}
