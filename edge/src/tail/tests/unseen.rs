//! Files that nobody saw under their own name, and names that change while they are looked for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto_seam::{DirEntry, DiskFile, DiskLock, DiskWatch, FileState};

use super::*;

/// What the kubelet does, one step at a time.
type Step = Box<dyn FnOnce(&SimDisk) + Send>;

/// A disk on which somebody else does a step at each question from the `first` on, each `stride` questions (0 = all at once).
struct Racing {
    disk: SimDisk,
    asked: AtomicUsize,
    first: usize,
    stride: usize,
    steps: Mutex<std::collections::VecDeque<Step>>,
}

impl std::fmt::Debug for Racing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Racing")
    }
}

impl Racing {
    fn asked(&self) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        loop {
            let mut steps = self.steps.lock().unwrap();
            let is_due = asked >= self.first && (self.stride == 0 || (asked - self.first).is_multiple_of(self.stride));
            let Some(step) = (if is_due { steps.pop_front() } else { None }) else { return };
            drop(steps);
            step(&self.disk);
            if self.stride > 0 {
                return;
            }
        }
    }
}

impl Disk for Racing {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path, how)
    }

    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>> {
        self.asked();
        self.disk.open_beneath(path, roots)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.asked();
        self.disk.list(dir)
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        self.asked();
        self.disk.state(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.make_dirs(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn real_place(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.real_place(path)
    }

    fn watch(&self) -> io::Result<Box<dyn DiskWatch>> {
        self.disk.watch()
    }

    fn open_files_max(&self) -> Option<u64> {
        self.disk.open_files_max()
    }
}

fn append(disk: &SimDisk, name: &str, bytes: impl AsRef<[u8]>) {
    disk.open(&Rig::at(name), OpenHow::Append).unwrap().append(bytes.as_ref()).unwrap();
}

/// One rotation of the kubelet as its steps: the plain older file packed, the live one renamed, a new one made and written to.
fn rotation(older: Option<&'static str>, stamp: &'static str, numbers: std::ops::RangeInclusive<u32>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    if let Some(older) = older {
        let (plain, packing, packed) = (format!("0.log.{older}"), format!("0.log.{older}.tmp"), format!("0.log.{older}.gz"));
        let (from, to) = (plain.clone(), packing.clone());
        steps.push(Box::new(move |disk| append(disk, &to, packed::gzip(&disk.contents(&Rig::at(&from)).unwrap()))));
        steps.push(Box::new(move |disk| disk.rename(&Rig::at(&packing), &Rig::at(&packed)).unwrap()));
        steps.push(Box::new(move |disk| disk.remove(&Rig::at(&plain)).unwrap()));
    }
    steps.push(Box::new(move |disk| disk.rename(&Rig::at("0.log"), &Rig::at(&format!("0.log.{stamp}"))).unwrap()));
    steps.push(Box::new(|disk| append(disk, "0.log", "")));
    steps.push(Box::new(move |disk| append(disk, "0.log", text(numbers))));
    steps
}

/// A rig that reads since now.
fn rig_of(globs: &[&str]) -> Rig {
    let mut rig = Rig::new(globs);
    rig.jobs[0].since = rig.now;
    rig.restart();
    rig
}

#[test]
fn rotations_while_files_are_looked_for_lose_and_double_nothing() {
    let mut raced = 0;
    for (first, stride) in (0..60).flat_map(|first| [0, 1, 2, 5].map(|stride| (first, stride))) {
        let mut rig = rig_of(&["/logs/app/*.log"]);
        rig.append("0.log", text(1..=3));
        rig.seconds(2);
        // Away: one rotation that is whole, then two while it looks around after its start.
        rig.append("0.log", text(4..=5));
        rotation(None, "20260101-000000", 6..=7).into_iter().for_each(|step| step(&rig.disk));
        let mut steps = rotation(Some("20260101-000000"), "20260101-000003", 8..=9);
        steps.extend(rotation(Some("20260101-000003"), "20260101-000006", 10..=11));
        let all = steps.len();
        let racing = Arc::new(Racing { disk: rig.disk.clone(), asked: AtomicUsize::new(0), first, stride, steps: Mutex::new(steps.into()) });
        rig.seen = Arc::<Racing>::clone(&racing);
        rig.restart();
        rig.turn();
        rig.turn();
        raced += usize::from(racing.steps.lock().unwrap().len() < all);
        for step in std::mem::take(&mut *racing.steps.lock().unwrap()) {
            step(&rig.disk);
        }
        rig.seconds(20);
        let mut heard = rig.heard();
        heard.sort_by_key(|line| line[5..].parse::<u32>().unwrap());
        assert_eq!(heard, numbered(1..=11), "{first} {stride} {:?}", rig.missed);
        assert_eq!(rig.reasons(), [], "{first} {stride}");
    }
    assert!(raced > 50, "{raced}: the steps fell among the questions");
}

#[test]
fn what_was_rotated_before_it_was_first_seen_is_read_if_it_came_while_the_edge_was_there_or_away() {
    let mut rig = Rig::new(&["/logs/app/*/*.log"]);
    let dir = |name: &str| rig.disk.make_dirs(&Rig::at(name)).unwrap();
    ["old", "new", "away", "later"].iter().for_each(|name| dir(name));
    let write = |rig: &Rig, name: &str, from: u32| {
        rig.append(&format!("{name}/0.log"), text(from..=from + 1));
        rig.rename(&format!("{name}/0.log"), &format!("{name}/0.log.20260101-00000{}", from % 10));
        rig.append(&format!("{name}/0.log"), text(from + 2..=from + 3));
        rig.rename(&format!("{name}/0.log"), &format!("{name}/0.log.20260101-00000{}", from % 10 + 1));
        packed::pack(rig, &format!("{name}/0.log.20260101-00000{}", from % 10));
        rig.append(&format!("{name}/0.log"), text(from + 4..=from + 4));
    };
    // What lies there when an edge is put on a machine is older than it: the live file alone, as Promtail reads it.
    write(&rig, "old", 10);
    rig.now = rig.now.plus(Duration::from_secs(60));
    rig.disk.set_clock(rig.now.nanos());
    rig.jobs[0].since = rig.now;
    rig.restart();
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(14..=14));
    // Rotated twice before it was looked for.
    write(&rig, "new", 20);
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(20..=24));
    // While it was away.
    write(&rig, "away", 30);
    rig.jobs[0].since = rig.now.minus(Duration::from_secs(10));
    rig.now = rig.now.plus(Duration::from_secs(7_200));
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(30..=34));
    // A container starts anew, in a directory that is watched.
    rig.append("away/1.log", text(40..=40));
    rig.rename("away/1.log", "away/1.log.20260101-000000");
    rig.append("away/1.log", text(41..=41));
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(40..=41));
    // A job that is read for since a reload only.
    rig.tail.reload(vec![Job { name: "other".to_owned(), ..rig.jobs[0].clone() }], rig.now.plus(Duration::from_secs(3_600)));
    assert!(rig.tail.jobs()[0].since > rig.now);
    rig.restart();
    rig.seconds(20);
    assert_eq!((rig.heard(), rig.reasons()), (Vec::<String>::new(), Vec::new()));
}

#[test]
fn an_empty_file_whose_inode_is_given_anew_is_another() {
    let mut rig = rig_of(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    rig.rename("0.log", "0.log.20260101-000000");
    rig.append("0.log", "");
    rig.seconds(20);
    let empty = rig.positions[&rig.identity("0.log")].clone();
    assert_eq!(empty.head_len, 0);
    // Filled, rotated and packed while nobody looks; the file that bears the name afterwards was given its inode.
    rig.append("0.log", text(4..=6));
    rig.rename("0.log", "0.log.20260101-000010");
    packed::pack(&rig, "0.log.20260101-000000");
    rig.append("0.log", text(7..=8));
    rig.rename("0.log", "0.log.20260101-000020");
    packed::pack(&rig, "0.log.20260101-000010");
    rig.append("0.log", text(9..=9));
    let reused = rig.identity("0.log");
    rig.positions.remove(&empty.identity);
    rig.positions.insert(reused, SourcePosition { identity: reused, ..empty });
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=9));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn files_that_were_rotated_and_removed_between_two_looks_are_told() {
    let mut rig = rig_of(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    // Nobody looks for a while: four rotations, of which two are kept.
    for round in 0..4_u32 {
        rig.append("0.log", text(10 * round + 10..=10 * round + 11));
        packed::rotate(&rig, &format!("20260101-00000{round}"), 1);
    }
    rig.append("0.log", text(50..=50));
    rig.seconds(20);
    // The first through its descriptor.
    let heard = rig.heard();
    assert!(heard.starts_with(&numbered(1..=3)) && heard.ends_with(&numbered(50..=50)) && !heard.contains(&"line 20".to_owned()), "{heard:?}");
    assert_eq!(rig.reasons(), [("vanished", None)]);
    rig.restart();
    rig.seconds(20);
    assert_eq!((rig.heard(), rig.missed.len()), (Vec::<String>::new(), 1), "told once");
}

#[test]
fn what_a_file_was_packed_into_while_it_was_read_is_not_another() {
    let mut rig = rig_of(&["/logs/app/*.log"]);
    rig.append("x.log", text(1..=3));
    rig.seconds(2);
    rig.rename("x.log", "x.log.1");
    rig.seconds(1);
    // Packed before it is let go; then the program ends, and begins anew while the edge is away.
    packed::pack(&rig, "x.log.1");
    rig.seconds(20);
    rig.restart();
    rig.append("x.log", text(4..=5));
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=5));
    rig.remove("x.log");
    rig.seconds(80);
    rig.restart();
    rig.append("x.log", text(6..=6));
    rig.seconds(20);
    assert_eq!((rig.heard(), rig.reasons()), (numbered(6..=6), Vec::new()));
}
