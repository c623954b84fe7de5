//! Lines as containers write them, in the form of a container runtime: `TIME stdout F LINE`.
//!
//! Pure: the same seed gives the same lines. Parts: [`Generator`], [`Shape`] (JSON, logfmt, access log).

use jiff::Timestamp;

/// How a program writes its lines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// One JSON object.
    Json,
    /// `key=value`
    Logfmt,
    /// As a web server writes accesses.
    Access,
}

/// Programs of each cluster: file name, shape.
pub(crate) fn apps(cluster: &str) -> [(&'static str, Shape); 3] {
    match cluster {
        "alpha" => [("checkout-7d9f4b6c5-x2x8k", Shape::Json), ("cart-5c6b9d8f7-mn4qz", Shape::Logfmt), ("web-6f8d7c9b4-t7v2p", Shape::Access)],
        _ => [("billing-84c5d7f6b-kq9wz", Shape::Json), ("search-6b7f9c8d5-h4jrn", Shape::Logfmt), ("gateway-9d8c7b6f5-z3xvc", Shape::Access)],
    }
}

const PATHS: [&str; 6] = ["/", "/api/v1/items", "/api/v1/orders", "/login", "/static/app.js", "/healthz"];
const MESSAGES: [(&str, &str); 6] = [
    ("info", "request served"),
    ("info", "order accepted"),
    ("info", "session opened"),
    ("debug", "cache refreshed"),
    ("warn", "upstream answers slowly"),
    ("error", "payment declined by provider"),
];

/// Gives line after line.
#[derive(Debug)]
pub(crate) struct Generator {
    state: u64,
    number: u64,
}

impl Generator {
    /// With a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed, number: 0 }
    }

    /// SplitMix64, reduced to `0..below`.
    fn next(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next(of.len() as u64)).unwrap_or(0)]
    }

    /// Appends one whole line, of time `at`, to `out`.
    pub(crate) fn line(&mut self, shape: Shape, at: Timestamp, out: &mut String) {
        self.number += 1;
        let (level, message) = self.pick(&MESSAGES);
        let (request, took) = (self.number, 1 + self.next(900));
        let stream = if level == "error" { "stderr" } else { "stdout" };
        let text = match shape {
            Shape::Json => {
                let (user, status) = (self.next(5_000), self.pick(&[200, 200, 200, 201, 404, 500]));
                format!(r#"{{"level":"{level}","msg":"{message}","request":{request},"user":"u{user:04}","status":{status},"took_ms":{took}}}"#)
            }
            Shape::Logfmt => {
                let items = self.next(40);
                format!("level={level} msg=\"{message}\" request={request} items={items} took={took}ms")
            }
            Shape::Access => {
                let (host, path, status, bytes) = (self.next(250), self.pick(&PATHS), self.pick(&[200, 200, 200, 304, 404, 502]), self.next(50_000));
                format!("10.4.2.{host} - - \"GET {path}?request={request} HTTP/1.1\" {status} {bytes} \"-\" \"demo/1\" {took}")
            }
        };
        out.push_str(&format!("{at:.9} {stream} F {text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_whole_lines() {
        let write = |seed| {
            let (mut generator, mut out) = (Generator::new(seed), String::new());
            for shape in [Shape::Json, Shape::Logfmt, Shape::Access] {
                generator.line(shape, Timestamp::UNIX_EPOCH, &mut out);
            }
            out
        };
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
        assert_eq!(write(1).lines().count(), 3);
        let json = write(1).lines().next().unwrap().splitn(4, ' ').nth(3).unwrap().to_owned();
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["request"] == 1);
        assert!(write(1).starts_with("1970-01-01T00:00:00.000000000Z std"));
    }
}
