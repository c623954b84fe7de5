//! Sound inputs: recorded queries and templates, pushes, batches, segments and lane objects made by their writers.

use std::io::Write as _;
use std::sync::Arc;

use futures::StreamExt as _;
use hub_segment::{Kind, SegmentBuilder};
use hub_store::{BatchDraft, Draft, HubRow, LaneRecord, Origin, SectionDraft, Store, StoreSettings};
use object_store::memory::InMemory;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use proto_model::{ClusterId, Labels, Timestamp};
use proto_seam::World;
use proto_wire::batch::{BatchBuilder, Compression};
use serde_json::Value;

fn recorded(file: &str) -> Vec<Value> {
    let path = format!("{}/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Queries that Loki's own parser was asked.
pub fn queries() -> Vec<Vec<u8>> {
    recorded("parser.json").iter().map(|case| case["query"].as_str().unwrap().as_bytes().to_vec()).collect()
}

/// Templates in the recorded queries.
pub fn templates() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for case in recorded("engine.jsonl") {
        let query = case["query"].as_str().unwrap();
        all.extend(query.split('`').filter(|part| part.contains("{{")).map(|part| part.as_bytes().to_vec()));
    }
    assert!(!all.is_empty());
    all
}

/// A varint-framed field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7F).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(bytes);
    out
}

/// A push request, not packed: entries with time, line and metadata.
pub fn push_protobuf() -> Vec<Vec<u8>> {
    let time = [0x08, 0x80, 0xe0, 0xcc, 0xb6, 0x06, 0x10, 0x05];
    let pair = [field(1, b"trace"), field(2, b"t1")].concat();
    let entry = [field(1, &time), field(2, b"a line"), field(3, &pair)].concat();
    let stream = [field(1, b"{app=\"web\", env='x'}"), field(2, &entry), field(2, &entry)].concat();
    vec![field(1, &stream), [field(1, &stream), field(1, &stream)].concat()]
}

/// The same as sent.
pub fn push_snappy() -> Vec<Vec<u8>> {
    push_protobuf().iter().map(|raw| snap::raw::Encoder::new().compress_vec(raw).unwrap()).collect()
}

/// A push in JSON, in gzip and deflate; and one that unpacks to a thousand times its size.
pub fn push_gzip() -> Vec<Vec<u8>> {
    let json = br#"{"streams":[{"stream":{"app":"web"},"values":[["1700000000000000000","a line",{"k":"v"}]]}]}"#;
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(json).unwrap();
    vec![gzip(json), deflate.finish().unwrap(), gzip(&vec![b' '; 4 << 20])]
}

fn builder(lines: usize) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for at in 0..lines {
        let labels = Arc::new(Labels::from_pairs([("app", if at % 2 == 0 { "web" } else { "db" }), ("service_name", "x")]));
        let metadata = if at % 3 == 0 { vec![("trace".to_owned(), format!("t{at}"))] } else { Vec::new() };
        let time = Timestamp(1_700_000_000_000_000_000 + i64::try_from(at).unwrap() * 1_000);
        builder.push(&labels, time, u8::try_from(at % 5).unwrap(), &metadata, format!("line number {at}").as_bytes());
    }
    builder
}

/// Batches in every packing.
pub fn batches() -> Vec<Vec<u8>> {
    let all = [Compression::None, Compression::Zstd, Compression::Snappy];
    all.into_iter().flat_map(|packing| [1, 40].map(|lines| builder(lines).freeze(packing).unwrap().body.to_vec())).collect()
}

/// Segments of a few and of some more lines.
pub fn segments() -> Vec<Vec<u8>> {
    let make = |lines: usize| {
        let mut builder = SegmentBuilder::new(Kind::Odd);
        for at in 0..lines {
            let labels = Arc::new(Labels::from_pairs([("app", format!("a{}", at % 3)), ("env", "test".to_owned())]));
            let trace = format!("t{}", at % 7);
            let metadata = if at % 2 == 0 { vec![("trace", trace.as_str())] } else { Vec::new() };
            builder.push(&labels, Timestamp(i64::try_from(at).unwrap()), 1, metadata, format!("line {at}").as_bytes());
        }
        builder.finish().unwrap().bytes.to_vec()
    };
    vec![make(1), make(5), make(300)]
}

/// Lane objects as a hub writes them: the genesis and some with sections and records.
pub fn lanes() -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let memory = Arc::new(InMemory::new());
        let settings = StoreSettings::new(Arc::clone(&memory) as Arc<dyn object_store::ObjectStore>, object_store::path::Path::default());
        let store = Store::open(settings, World::real()).await.unwrap();
        let tenants = hub_tenant::Tenants::parse("tenants.yaml", "version: 1\ntenants: {acme: {clusters: [alpha]}}").unwrap();
        let grant = tenants.identify(&ClusterId::new("alpha").unwrap()).unwrap();
        let mut writer = store.writer().await.unwrap();
        for key in 0..3_u8 {
            let body = builder(3).freeze(Compression::Zstd).unwrap().body;
            let view = proto_wire::BatchView::parse(body.clone()).unwrap();
            let rows = HubRow::as_sent(&view.table().streams);
            let batch = BatchDraft { origin: Origin::Push { key: vec![key] }, cluster: None, body, rows };
            let record = LaneRecord::PushKey { tenant: grant.tenant().clone(), key: vec![key], at: Timestamp(5) };
            writer
                .put(Draft { records: vec![record], sections: vec![SectionDraft { grant: grant.clone(), batches: vec![batch] }], map_version: 1 })
                .await
                .unwrap();
        }
        let mut listed = memory.list(Some(&object_store::path::Path::from("lanes")));
        let mut all = Vec::new();
        while let Some(found) = listed.next().await {
            let bytes = memory.get(&found.unwrap().location).await.unwrap().bytes().await.unwrap();
            if bytes.starts_with(b"TRIBLANE") {
                all.push(bytes.to_vec());
            }
        }
        assert!(all.len() >= 3);
        all
    })
}
