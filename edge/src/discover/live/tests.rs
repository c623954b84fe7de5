use edge_pipeline::{RelabelSettings, Relabeling};
use proto_seam::disk::real::RealDisk;

use super::*;
use crate::discover::groups::{FeedSender, feed};

fn relabel(dir: &str) -> Relabel {
    let yaml = format!(
        "- {{source_labels: [phase], regex: Done, action: drop}}\n\
         - {{source_labels: [uid, name], separator: /, target_label: __path__, replacement: {dir}/*$1/*.log}}\n\
         - {{action: labelmap, regex: meta_(.+)}}\n- {{source_labels: [__host__], target_label: host}}\n"
    );
    let rules: Vec<RelabelSettings> = serde_saphyr::from_str(&yaml).unwrap();
    Relabel { rules: Relabeling::compile(&rules).unwrap(), host: "here".to_owned() }
}

fn group(source: &str, sets: &[&[(&str, &str)]]) -> Arc<TargetGroup> {
    let labels = sets.iter().map(|pairs| Labels::from_pairs(pairs.iter().copied())).collect();
    Arc::new(TargetGroup { source: source.to_owned(), labels })
}

fn say(sender: &FeedSender, groups: &[Arc<TargetGroup>]) {
    let groups = groups.iter().map(|group| (group.source.clone(), Arc::clone(group))).collect();
    sender.send_replace(Arc::new(Groups { known: true, groups, trouble: String::new() }));
}

fn shown(live: &Live) -> Vec<(String, String)> {
    live.targets()
        .map(|target| (target.pattern.as_str().rsplit_once('*').unwrap().0.rsplit_once('*').unwrap().1.to_owned(), target.labels.to_string()))
        .collect()
}

struct Bed {
    dir: tempfile::TempDir,
    disk: RealDisk,
    relabel: Relabel,
    live: Live,
    sender: FeedSender,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let relabel = relabel(dir.path().to_str().unwrap());
        let (sender, receiver) = feed();
        let mut live = Live::default();
        live.add(receiver);
        Self { dir, disk: RealDisk::new(), relabel, live, sender }
    }

    fn refresh(&mut self, seconds: i64) -> bool {
        self.live.refresh(&self.relabel, &self.disk, Timestamp(seconds * 1_000_000_000))
    }

    fn write(&self, name: &str) {
        let path = self.dir.path().join(name);
        self.disk.make_dirs(path.parent().unwrap()).unwrap();
        self.disk.write_all(&path, b"x\n").unwrap();
    }
}

#[test]
fn many_label_sets_of_one_file_are_one_target() {
    let mut bed = Bed::new();
    let port = |port| -> Vec<(&str, &str)> { vec![("uid", "u1"), ("name", "c"), ("port", port), ("meta_app", "web")] };
    let (one, two) = (port("80"), port("81"));
    say(&bed.sender, &[group("pod/a", &[&one, &two])]);
    assert!(bed.refresh(1));
    let labels = r#"{app="web", meta_app="web", name="c", port="80", uid="u1"}"#;
    assert_eq!(shown(&bed.live), [("u1/c/".to_owned(), labels.to_owned())]);
    assert!(!bed.refresh(2), "nothing changed");
    assert_eq!(bed.live.discovered().sets.len(), 2);
}

#[test]
fn new_labels_replace_old_ones_and_dropped_ones_leave_soon() {
    let mut bed = Bed::new();
    bed.write("x_u1/c/0.log");
    say(&bed.sender, &[group("pod/a", &[&[("uid", "u1"), ("name", "c"), ("v", "1")]])]);
    bed.refresh(1);
    say(&bed.sender, &[group("pod/a", &[&[("uid", "u1"), ("name", "c"), ("v", "2")]])]);
    assert!(bed.refresh(2));
    assert_eq!(shown(&bed.live).len(), 1);
    assert!(shown(&bed.live)[0].1.contains(r#"v="2""#));
    say(&bed.sender, &[group("pod/a", &[&[("uid", "u1"), ("name", "c"), ("v", "2"), ("phase", "Done")]])]);
    bed.refresh(3);
    assert_eq!((shown(&bed.live).len(), bed.live.discovered().dropped), (1, 1), "what was written before is read first");
    bed.refresh(3 + 31);
    assert!(shown(&bed.live).is_empty());
}

#[test]
fn a_target_that_is_gone_stays_while_it_has_files_and_not_for_ever() {
    let mut bed = Bed::new();
    bed.write("x_u1/c/0.log");
    let both = [group("pod/a", &[&[("uid", "u1"), ("name", "c")]]), group("pod/b", &[&[("uid", "u2"), ("name", "c")]])];
    say(&bed.sender, &both);
    bed.refresh(1);
    assert_eq!(shown(&bed.live).len(), 2);
    say(&bed.sender, &[]);
    bed.refresh(2);
    assert_eq!(shown(&bed.live), [("u1/c/".to_owned(), r#"{name="c", uid="u1"}"#.to_owned())], "the other has no files");
    bed.refresh(3_000);
    assert_eq!(shown(&bed.live).len(), 1);
    // It comes back: it is there once, and leaves anew.
    say(&bed.sender, &both[..1]);
    bed.refresh(3_100);
    assert_eq!(shown(&bed.live).len(), 1);
    say(&bed.sender, &[]);
    bed.refresh(3_200);
    bed.refresh(3_200 + 3_601);
    assert!(shown(&bed.live).is_empty());
    // Files that go away end it sooner.
    say(&bed.sender, &both[..1]);
    bed.refresh(8_000);
    say(&bed.sender, &[]);
    bed.refresh(8_001);
    assert_eq!(shown(&bed.live).len(), 1);
    bed.disk.remove(&bed.dir.path().join("x_u1/c/0.log")).unwrap();
    assert!(bed.refresh(8_002));
    assert!(shown(&bed.live).is_empty());
}

#[test]
fn at_most_a_hundred_dropped_sets_are_shown() {
    let mut bed = Bed::new();
    let groups: Vec<_> = (0..150).map(|at| group(&format!("pod/{at}"), &[&[("phase", "Done"), ("uid", "u")]])).collect();
    say(&bed.sender, &groups);
    bed.refresh(1);
    let shown = bed.live.discovered();
    assert_eq!((shown.sets.len(), shown.dropped), (DROPPED_SHOWN_MAX, 150));
}
