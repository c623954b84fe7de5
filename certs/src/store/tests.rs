//! Tests of material on disk: what is refused, and what a running program picks up.

use std::time::Duration;

use proto_seam::disk::real::RealDisk;
use proto_seam::{Clock, Entropy, Workers};

use super::*;
use crate::{Authority, Issued, TrustDomain, Validity};

struct Site {
    dir: tempfile::TempDir,
    world: World,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        let world = World { clock: Clock::real(), entropy: Entropy::seeded(1), disk: Arc::new(RealDisk::new()), workers: Workers::Inline };
        let authority = Authority::generate(&TrustDomain::new("td.example").unwrap(), &world.clock).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), world, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        self.world.disk.write_all(&self.path(name), text.as_bytes()).unwrap();
    }

    fn issue(&self) -> Issued {
        self.authority.issue_edge(&"a".parse().unwrap(), &"n".parse().unwrap(), Validity::days(&self.world.clock, 1).unwrap()).unwrap()
    }

    fn install(&self) -> String {
        let issued = self.issue();
        issued.save(self.world.disk.as_ref(), self.dir.path(), "edge").unwrap();
        Description::of(&pem::certificates(Path::new("x"), issued.cert_pem.as_bytes()).unwrap()[0]).unwrap().serial
    }

    fn client_paths(&self) -> ClientPaths {
        ClientPaths::new(self.dir.path(), &self.path("ca.crt"))
    }

    fn watch(&self) -> watch::Receiver<ClientState> {
        watch_client(self.dir.path(), &self.path("ca.crt"), self.world.clone())
    }

    async fn client_fault(&self) -> String {
        load_client(&self.client_paths(), &self.world).await.unwrap_err().to_string()
    }
}

async fn serial_of(receiver: &mut watch::Receiver<ClientState>) -> String {
    match &*receiver.wait_for(|state| matches!(state, ClientState::Ready(_))).await.unwrap() {
        ClientState::Ready(material) => material.own.serial().to_owned(),
        ClientState::Missing(why) => panic!("missing: {why}"),
    }
}

async fn missing(receiver: &mut watch::Receiver<ClientState>, part: &str) {
    let found = receiver.wait_for(|state| matches!(state, ClientState::Missing(why) if why.contains(part)));
    tokio::time::timeout(3 * POLL_INTERVAL, found).await.unwrap_or_else(|_| panic!("never missing for {part:?}")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_edge_starts_without_files_and_takes_them_when_they_come() {
    let site = Site::new();
    let mut receiver = site.watch();
    missing(&mut receiver, "ca.crt").await;
    site.write("ca.crt", site.authority.ca_pem());
    missing(&mut receiver, "edge.crt").await;
    site.write("edge.crt", "nonsense");
    site.write("edge.key", "nonsense");
    missing(&mut receiver, "no BEGIN CERTIFICATE").await;
    let serial = site.install();
    assert_eq!(tokio::time::timeout(2 * POLL_INTERVAL, serial_of(&mut receiver)).await.unwrap(), serial);
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_is_taken_and_a_bad_one_is_not() {
    let site = Site::new();
    let first = site.install();
    let mut receiver = site.watch();
    assert_eq!(serial_of(&mut receiver).await, first);
    receiver.mark_unchanged();

    for (name, text) in [("edge.crt", ""), ("edge.key", "nonsense"), ("ca.crt", "nonsense"), ("edge.crt", site.issue().cert_pem.as_str())] {
        let before = site.world.disk.read_all(&site.path(name), 1 << 20).unwrap();
        site.write(name, text);
        assert!(tokio::time::timeout(3 * POLL_INTERVAL, receiver.changed()).await.is_err(), "{name} {text:?} was taken");
        assert_eq!(serial_of(&mut receiver).await, first);
        site.world.disk.write_all(&site.path(name), &before).unwrap();
        // The same good files again are published again: no harm, and the holder may rebuild.
        tokio::time::timeout(2 * POLL_INTERVAL, receiver.changed()).await.unwrap().unwrap();
        assert_eq!(serial_of(&mut receiver).await, first);
        receiver.mark_unchanged();
    }
    let second = site.install();
    tokio::time::timeout(2 * POLL_INTERVAL, receiver.changed()).await.unwrap().unwrap();
    assert_eq!(serial_of(&mut receiver).await, second);
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_state_is_looked_at_but_told_once() {
    let site = Site::new();
    let mut seen = None;
    let paths = site.client_paths();
    assert!(look(&site.world, Sources::from(&paths), &mut seen).await.unwrap().is_err());
    assert!(look(&site.world, Sources::from(&paths), &mut seen).await.is_none());
    site.install();
    assert!(look(&site.world, Sources::from(&paths), &mut seen).await.unwrap().is_ok());
    assert!(look(&site.world, Sources::from(&paths), &mut seen).await.is_none());
    site.install();
    assert!(look(&site.world, Sources::from(&paths), &mut seen).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_is_followed_until_nobody_listens() {
    let site = Site::new();
    let paths = ServerPaths { cert_file: site.path("hub.crt"), key_file: site.path("hub.key"), client_ca_file: Some(site.path("ca.crt")) };
    assert!(load_server(&paths, &site.world).await.unwrap_err().to_string().contains("cannot read"));
    let mut receiver = watch_server(paths.clone(), site.world.clone());
    assert!(receiver.borrow().is_none());
    let issue = || site.authority.issue_hub(&["hub".to_owned()], Validity::days(&site.world.clock, 1).unwrap()).unwrap();
    issue().save(site.world.disk.as_ref(), site.dir.path(), "hub").unwrap();
    let first = receiver.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(first.client_roots.as_ref().unwrap().len(), 1);
    assert_eq!(load_server(&paths, &site.world).await.unwrap().own.serial(), first.own.serial());
    // A second CA in the bundle, then a new leaf: each is taken.
    let other = Authority::generate(&TrustDomain::new("td.example").unwrap(), &site.world.clock).unwrap();
    site.write("ca.crt", &format!("{}{}", site.authority.ca_pem(), other.ca_pem()));
    receiver.wait_for(|now| now.as_ref().is_some_and(|now| now.client_roots.as_ref().is_some_and(|roots| roots.len() == 2))).await.unwrap();
    let renewed = issue();
    site.write("hub.key", &renewed.key_pem);
    // The new key stands beside the old certificate: the old pair stays.
    receiver.mark_unchanged();
    assert!(tokio::time::timeout(3 * POLL_INTERVAL, receiver.changed()).await.is_err());
    assert_eq!(receiver.borrow().as_ref().map(|now| now.own.serial().to_owned()), Some(first.own.serial().to_owned()));
    site.write("hub.crt", &renewed.cert_pem);
    receiver.wait_for(|now| now.as_ref().is_some_and(|now| now.own.serial() != first.own.serial())).await.unwrap();
    drop(receiver);
    tokio::time::sleep(2 * POLL_INTERVAL).await;
    assert_eq!(Arc::strong_count(&site.world.disk), 1, "the watching task still holds the world");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    let site = Site::new();
    site.install();
    assert!(load_client(&site.client_paths(), &site.world).await.is_ok());
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        rustix::fs::chmod(site.path("edge.key"), rustix::fs::Mode::from_raw_mode(mode)).unwrap();
        let fault = site.client_fault().await;
        assert!(fault.contains(&format!("mode 0{mode:o}")) && fault.contains("chmod 600"), "{fault}");
    }
    rustix::fs::chmod(site.path("edge.key"), rustix::fs::Mode::from_raw_mode(0o400)).unwrap();
    assert!(load_client(&site.client_paths(), &site.world).await.is_ok());
}

#[tokio::test]
async fn each_bad_file_is_named_with_its_reason() {
    let site = Site::new();
    site.install();
    let (cert, key) = (site.issue().cert_pem, site.issue().key_pem);
    let leaf = cert.clone();
    let table: [(&str, &str, &str); 9] = [
        ("edge.crt", "", "edge.crt is empty"),
        ("edge.key", "", "edge.key is empty"),
        ("ca.crt", "", "ca.crt is empty"),
        ("edge.key", &key, "does not belong to the certificate"),
        ("edge.crt", &cert, "does not belong to the certificate"),
        ("edge.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "is encrypted"),
        ("edge.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no supported kind"),
        ("edge.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
        ("ca.crt", &leaf, "is no ca certificate"),
    ];
    for (name, text, reason) in table {
        let before = site.world.disk.read_all(&site.path(name), 1 << 20).unwrap();
        site.write(name, text);
        let fault = site.client_fault().await;
        assert!(fault.contains(reason) && fault.contains(name), "{name}: {fault:?} lacks {reason:?}");
        site.world.disk.write_all(&site.path(name), &before).unwrap();
    }
    site.write("edge.key", &"x".repeat(KEY_FILE_BYTES_MAX + 1));
    assert!(site.client_fault().await.contains("longer than 65536"));
    site.install();
    site.write("ca.crt", &"x".repeat(CERTIFICATE_FILE_BYTES_MAX + 1));
    assert!(site.client_fault().await.contains("longer than 1048576"));
}

#[tokio::test]
async fn real_workers_do_the_same() {
    let site = Site::new();
    let serial = site.install();
    let world = World { workers: Workers::Threads, ..site.world.clone() };
    let mut receiver = watch_client(site.dir.path(), &site.path("ca.crt"), world);
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), serial_of(&mut receiver)).await.unwrap(), serial);
}

#[tokio::test]
async fn no_debug_text_shows_a_key() {
    let site = Site::new();
    site.install();
    let material = load_client(&site.client_paths(), &site.world).await.unwrap();
    let shown = format!("{material:?} {:?}", ClientState::Ready(Arc::clone(&material)));
    let key = String::from_utf8(site.world.disk.read_all(&site.path("edge.key"), 1 << 20).unwrap()).unwrap();
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(line));
    }
    assert!(shown.contains("spiffe://td.example/cluster/a/edge/n"));
}
