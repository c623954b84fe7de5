//! The way through an HTTP proxy: `CONNECT host:port`.
//!
//! Limits: an answer of at most 8 KiB; time is the caller's. Promises: nothing after the answer's head is read.
//! Must not do: tell credentials to anyone but the proxy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dial::{Proxy, Target};
use crate::fault::LinkFault;
use crate::limits::PROXY_ANSWER_BYTES_MAX;
use crate::net::{Connector, Io};

/// A stream to `target` through `proxy`.
pub(super) async fn connect(connector: &Connector, proxy: &Proxy, target: &Target) -> Result<Io, LinkFault> {
    let fault = |reason: String| LinkFault::Proxy { proxy: proxy.authority(), reason };
    let (mut io, _) = connector.connect(&proxy.host, proxy.port).await.map_err(|cause| fault(cause.to_string()))?;
    io.write_all(request(proxy, target).as_bytes()).await.map_err(|cause| fault(cause.to_string()))?;
    io.flush().await.map_err(|cause| fault(cause.to_string()))?;
    let head = read_head(&mut io).await.map_err(fault)?;
    judge(&head).map_err(fault)?;
    Ok(io)
}

fn request(proxy: &Proxy, target: &Target) -> String {
    let place = target.authority();
    let credentials = proxy.credentials.as_ref().map(|who| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(who))).unwrap_or_default();
    format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{credentials}\r\n")
}

/// Reads byte by byte: what follows the head belongs to the hub.
async fn read_head(io: &mut Io) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= PROXY_ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {PROXY_ANSWER_BYTES_MAX} bytes"));
        }
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(cause) => return Err(format!("it ended the connection before its answer did: {cause}")),
        }
    }
    Ok(head)
}

/// Whether the answer's first line grants the connection.
fn judge(head: &[u8]) -> Result<(), String> {
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let mut words = line.splitn(3, ' ');
    let speaks_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    match words.next().and_then(|code| code.parse::<u16>().ok()) {
        Some(200..=299) if speaks_http => Ok(()),
        Some(407) if speaks_http => Err("it wants other credentials (407); put USER:PASSWORD@ into proxy_url".to_owned()),
        Some(_) if speaks_http => Err(format!("it answered {:?}", line.chars().take(100).collect::<String>())),
        Some(_) | None => Err("it does not speak http".to_owned()),
    }
}

#[cfg(test)]
mod tests;
