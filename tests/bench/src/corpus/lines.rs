//! Messages as apps write them: JSON, logfmt, an access log, Java with stack traces, klog.
//!
//! Parts: [`Lines`], one per container, and its kinds. Pure. Ids repeat from small pools and traces run over a few
//! lines, as in real logs: else nothing would compress as it does there.

use std::fmt::Write as _;

/// How an app writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON objects.
    Json,
    /// `key=value`
    Logfmt,
    /// An access log.
    Nginx,
    /// A Java framework's log; a record may have many lines.
    Java,
    /// klog
    Klog,
}

/// One record.
pub(super) struct Record<'a> {
    /// Its lines, separated by line feeds.
    pub(super) text: &'a str,
    /// Its second, RFC 3339 without a zone.
    pub(super) second: &'a str,
    /// Whether it tells an error.
    pub(super) is_error: bool,
}

/// Steps of the sequence of splitmix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of splitmix64.
pub(super) const fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const WORDS: [&str; 16] =
    ["order", "user", "session", "cart", "stock", "token", "cache", "shard", "replica", "index", "event", "queue", "worker", "upstream", "config", "lease"];
const PATHS: [&str; 12] = [
    "/api/v1/orders/",
    "/api/v1/cart/",
    "/api/v1/cart/items/",
    "/api/v1/products/",
    "/api/v2/search/",
    "/healthz?",
    "/metrics?",
    "/login?",
    "/logout?",
    "/static/app.js?",
    "/api/v1/users/",
    "/img/",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
    "kube-probe/1.31",
    "curl/8.9.1",
    "Go-http-client/2.0",
];
const WRONG: [&str; 8] = [
    "upstream timed out",
    "connection reset by peer",
    "context deadline exceeded",
    "payment declined by issuer",
    "timeout waiting for lock",
    "no healthy upstream",
    "duplicate key value",
    "circuit breaker open",
];
const RIGHT: [&str; 10] = [
    "order accepted",
    "cart updated",
    "item added to cart",
    "price quote computed",
    "stock reserved",
    "request completed",
    "session refreshed",
    "cache miss, loading from store",
    "event published",
    "payment authorized",
];
const EXCEPTIONS: [&str; 4] =
    ["java.lang.IllegalStateException", "java.net.SocketTimeoutException", "java.sql.SQLTransientConnectionException", "com.shop.payments.DeclinedException"];
const CLASSES: [(&str, &str); 8] = [
    ("com.shop.payments.api", "PaymentController"),
    ("com.shop.payments.core", "LedgerService"),
    ("com.shop.payments.psp", "GatewayClient"),
    ("com.zaxxer.hikari.pool", "HikariPool"),
    ("org.springframework.web.servlet", "FrameworkServlet"),
    ("org.apache.catalina.core", "ApplicationFilterChain"),
    ("java.util.concurrent", "ThreadPoolExecutor"),
    ("java.lang", "Thread"),
];
const METHODS: [&str; 6] = ["handle", "invoke", "doFilter", "execute", "commit", "run"];

/// The messages of one container.
pub(super) struct Lines {
    kind: Kind,
    app: &'static str,
    state: u64,
    users: Vec<u32>,
    addresses: Vec<[u8; 4]>,
    trace: (u64, u64),
    trace_left: u64,
    /// Unix second of the texts below.
    at: u64,
    second: String,
    second_nginx: String,
    second_klog: String,
    text: String,
}

impl Lines {
    pub(super) fn new(kind: Kind, app: &'static str, seed: u64) -> Self {
        let (users, addresses, text) = (Vec::new(), Vec::new(), String::new());
        let mut lines = Self {
            kind,
            app,
            state: seed,
            users,
            addresses,
            trace: (0, 0),
            trace_left: 0,
            at: 0,
            second: text.clone(),
            second_nginx: text.clone(),
            second_klog: text.clone(),
            text,
        };
        lines.users = (0..4000).map(|_| 10_000 + lines.below(890_000) as u32).collect();
        lines.addresses = (0..1500)
            .map(|_| {
                let [a, b, c, ..] = lines.random().to_le_bytes();
                [10, a, b, c]
            })
            .collect();
        lines
    }

    /// The next record, at `ns`; with `needle` in it when one is given.
    pub(super) fn next(&mut self, ns: u64, needle: Option<&str>) -> Record<'_> {
        self.turn(ns / 1_000_000_000);
        let mut out = std::mem::take(&mut self.text);
        out.clear();
        let needle = needle.unwrap_or_default();
        let (millis, micros) = (ns / 1_000_000 % 1000, ns / 1000 % 1_000_000);
        let is_error = match self.kind {
            Kind::Json => self.json(&mut out, millis, needle),
            Kind::Logfmt => self.logfmt(&mut out, micros, needle),
            Kind::Nginx => self.nginx(&mut out, needle),
            Kind::Java => self.java(&mut out, millis, needle),
            Kind::Klog => self.klog(&mut out, micros, needle),
        }
        .expect("a string takes all that is written");
        self.text = out;
        Record { text: &self.text, second: &self.second, is_error }
    }

    fn turn(&mut self, second: u64) {
        if second != self.at {
            self.at = second;
            let time = jiff::Timestamp::from_second(second.cast_signed()).expect("the times of a corpus are near");
            self.second = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.second_nginx = time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            self.second_klog = time.strftime("%m%d %H:%M:%S").to_string();
        }
    }

    const fn random(&mut self) -> u64 {
        let out = mixed(self.state);
        self.state = self.state.wrapping_add(STEP);
        out
    }

    const fn below(&mut self, end: u64) -> u64 {
        self.random() % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn user(&mut self) -> u32 {
        let at = self.below(4000);
        self.users[at as usize]
    }

    fn address(&mut self) -> std::net::Ipv4Addr {
        let at = self.below(1500);
        self.addresses[at as usize].into()
    }

    const fn trace(&mut self) -> (u64, u64) {
        if self.trace_left == 0 {
            self.trace = (self.random(), self.random());
            self.trace_left = 1 + self.below(5);
        }
        self.trace_left -= 1;
        self.trace
    }

    const fn level(&mut self) -> &'static str {
        match self.below(100) {
            0..85 => "info",
            85..93 => "debug",
            93..98 => "warn",
            _ => "error",
        }
    }

    /// Milliseconds with two digits, mostly small, seldom large.
    fn latency(&mut self) -> f64 {
        let scale = 1 << self.below(9);
        self.below(500 * scale) as f64 / 100.0
    }

    fn json(&mut self, out: &mut String, millis: u64, needle: &str) -> Result<bool, std::fmt::Error> {
        let level = self.level();
        let is_error = level == "error";
        let message = if is_error { self.one(&WRONG) } else { self.one(&RIGHT) };
        let (trace, span, user) = (self.trace(), self.random(), self.user());
        let method = if self.below(10) < 7 { "GET" } else { "POST" };
        let status = if is_error { self.one(&[500, 502, 503, 504]) } else { self.one(&[200, 200, 200, 200, 200, 200, 200, 201, 204, 404]) };
        let (path, id, latency) = (self.one(&PATHS), self.below(100_000), self.latency());
        write!(
            out,
            r#"{{"ts":"{}.{millis:03}Z","level":"{level}","msg":"{message}","service":"{}","trace_id":"{:016x}{:016x}","span_id":"{span:016x}","user_id":{user},"method":"{method}","path":"{path}{id}","status":{status},"latency_ms":{latency}"#,
            self.second, self.app, trace.0, trace.1
        )?;
        if self.below(10) < 3 {
            let (region, attempt, order) = (self.one(&["eu-1", "us-2", "ap-1"]), 1 + self.below(3), self.random() >> 16);
            write!(out, r#","region":"{region}","attempt":{attempt},"order_id":"ord_{order:012x}""#)?;
        }
        if !needle.is_empty() {
            write!(out, r#","ref":"{needle}""#)?;
        }
        out.push('}');
        Ok(is_error)
    }

    fn logfmt(&mut self, out: &mut String, micros: u64, needle: &str) -> Result<bool, std::fmt::Error> {
        let level = self.level();
        let is_error = level == "error";
        let (caller, line) = (self.one(&WORDS), 20 + self.below(680));
        write!(out, "ts={}.{micros:06}Z level={level} caller={caller}.go:{line} msg=\"", self.second)?;
        if is_error {
            out.push_str(self.one(&WRONG));
        } else {
            let (what, of, how) = (self.one(&WORDS), self.one(&WORDS), self.one(&["done", "started", "skipped", "ok", "queued"]));
            write!(out, "{what} {of} {how}")?;
        }
        let (trace, user, latency, bytes) = (self.trace().0, self.user(), self.latency(), self.below(1 << 16));
        write!(out, "\" traceID={trace:016x} user={user} dur={latency}ms bytes={bytes}")?;
        if !needle.is_empty() {
            write!(out, " ref={needle}")?;
        }
        Ok(is_error)
    }

    fn nginx(&mut self, out: &mut String, needle: &str) -> Result<bool, std::fmt::Error> {
        let status = match self.below(100) {
            0..90 => 200,
            90..98 => self.one(&[301, 304, 404, 403]),
            _ => self.one(&[500, 502, 504]),
        };
        let (address, method) = (self.address(), if self.below(10) < 8 { "GET" } else { "POST" });
        let (path, id, bytes) = (self.one(&PATHS), self.below(100_000), self.below(1 << 15));
        let (agent, seconds, request) = (self.one(&AGENTS), self.latency() / 1000.0, (self.random(), self.random()));
        write!(out, "{address} - - [{}] \"{method} {path}{id}{needle} HTTP/1.1\" {status} {bytes} \"", self.second_nginx)?;
        if self.below(10) < 6 {
            out.push('-');
        } else {
            let (path, id) = (self.one(&PATHS), self.below(5000));
            write!(out, "https://shop.example.com{path}{id}")?;
        }
        write!(out, "\" \"{agent}\" {seconds:.3} \"{:016x}{:016x}\"", request.0, request.1)?;
        Ok(status >= 500)
    }

    fn java(&mut self, out: &mut String, millis: u64, needle: &str) -> Result<bool, std::fmt::Error> {
        let level = self.level();
        let is_error = level == "error";
        let (thread, class) = (1 + self.below(32), self.one(&CLASSES));
        let upper = level.to_ascii_uppercase();
        write!(out, "{}.{millis:03} {upper:<5} 1 --- [nio-8080-exec-{thread}] {:<40} : ", self.second.replace('T', " "), class.1)?;
        let (trace, user) = (self.trace(), self.user());
        if is_error && self.below(10) < 4 {
            let (exception, why) = (self.one(&EXCEPTIONS), self.one(&WRONG));
            write!(out, "Unhandled exception for trace {:016x}{:016x} {needle}\n{exception}: {why} (id={user})", trace.0, trace.1)?;
            for _ in 0..8 + self.below(20) {
                let ((package, class), method, line) = (self.one(&CLASSES), self.one(&METHODS), 30 + self.below(870));
                write!(out, "\n\tat {package}.{class}.{method}({class}.java:{line})")?;
            }
            return Ok(true);
        }
        let (what, how, latency) = (self.one(&WORDS), if is_error { self.one(&WRONG) } else { self.one(&RIGHT) }, self.latency());
        write!(out, "{what} {how} for user {user} trace {:016x}{:016x} took {latency} ms {needle}", trace.0, trace.1)?;
        Ok(is_error)
    }

    fn klog(&mut self, out: &mut String, micros: u64, needle: &str) -> Result<bool, std::fmt::Error> {
        let level = self.level();
        let is_error = level == "error";
        let letter = if is_error {
            'E'
        } else if level == "warn" {
            'W'
        } else {
            'I'
        };
        let (file, line) = (self.one(&["proxier", "reflector", "endpointslicecache", "roundrobin"]), 40 + self.below(1500));
        let message =
            if is_error { "Request timed out, retrying" } else { self.one(&["Syncing rules", "Reloading service", "Watch closed", "SyncProxyRules complete"]) };
        let (namespace, address, port) = (self.one(&["shop", "platform", "data"]), self.address(), 1024 + self.below(60_000));
        write!(
            out,
            "{letter}{}.{micros:06}       1 {file}.go:{line}] \"{message}\" namespace=\"{namespace}\" endpoint=\"{address}:{port}\" {needle}",
            self.second_klog
        )?;
        Ok(is_error)
    }
}
