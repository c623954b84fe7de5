//! A real Kubernetes of one node, and a real containerd alone: started and taken away by the scripts of `tests/kubernetes`.
//!
//! Parts: [`Cluster`] (kubectl, images, restarts of its parts), [`Runtime`] (containers without a kubelet). Each says why it
//! cannot be had on this machine. Promises: everything lies in the folder given, in namespaces of its own, and ends with the
//! value. Must not do: touch a cluster that it did not make.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::program;

/// Programs of the machine that a cluster needs.
const WANTED: [&str; 9] = ["etcd", "containerd", "ctr", "runc", "ip", "nft", "nsenter", "openssl", "curl"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes")
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").join("target/tools")
}

fn run(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().map_err(|fault| format!("{shown}: {fault}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("{shown}: {}{}", String::from_utf8_lossy(&done.stdout).trim(), String::from_utf8_lossy(&done.stderr).trim()))
}

/// Why this machine cannot run containers; `Ok` when nothing is known against it.
fn possible(programs: &[&str], built: &[&str]) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only user 0 may make namespaces and containers".to_owned());
    }
    for name in programs {
        let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()));
        if !found {
            return Err(format!("{name} is not installed"));
        }
    }
    for name in built {
        if !tools().join(name).exists() {
            return Err(format!("target/tools/{name} is not built: tests/kubernetes/build small, or cluster"));
        }
    }
    if !Path::new("/sys/fs/cgroup/cpuset").exists() {
        return Err("the machine has no cgroup v1 hierarchies, which the scripts set up".to_owned());
    }
    Ok(())
}

/// Packs `programs` with the libraries they need as the image `name`.
fn image(dir: &Path, name: &str, programs: &[(&Path, &str)]) -> Result<(), String> {
    let images = dir.join("images");
    std::fs::create_dir_all(&images).map_err(|fault| fault.to_string())?;
    let file = images.join(format!("{}.tar", name.replace(['/', ':'], "-")));
    let mut command = Command::new(tools().join("kube-image"));
    command.arg(&file).arg(name);
    for (from, to) in programs {
        command.arg(format!("{}={to}", from.display()));
        // A static program names none.
        let libraries = run(Command::new("ldd").arg(from)).unwrap_or_default();
        for path in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            command.arg(format!("{path}={path}"));
        }
    }
    run(&mut command).map(drop)
}

/// A Kubernetes of one node, `node1`.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    name: String,
    number: u32,
}

impl Cluster {
    /// Starts one in `dir`, with the images `localhost/pod:1` and `localhost/tributary-edge:1`.
    ///
    /// # Errors
    /// Why this machine cannot.
    ///
    /// # Panics
    /// When it can, and the cluster does not start.
    pub fn start(dir: &Path) -> Result<Self, String> {
        possible(&WANTED, &["kube-cluster", "kube-image", "kube-pod", "kube-cri"])?;
        let number = std::process::id() % 250;
        let cluster = Self { dir: dir.to_path_buf(), name: format!("tkube{number}"), number };
        image(dir, "localhost/pod:1", &[(&tools().join("kube-pod"), "/pod")])?;
        let (edge, bare) = (program("tributary-edge"), dir.join("tributary-edge"));
        let stripped = run(Command::new("strip").arg("-o").arg(&bare).arg(&edge)).is_ok();
        image(dir, "localhost/tributary-edge:1", &[(if stripped { &bare } else { &edge }, "/tributary-edge")])?;
        let up = run(Command::new(sources().join("up")).arg(dir).arg(tools()).arg(&cluster.name).arg(number.to_string()));
        if let Err(why) = up {
            panic!("the cluster does not start: {why}\n{}", cluster.tails());
        }
        Ok(cluster)
    }

    /// The machine's address as the cluster sees it.
    #[must_use]
    pub fn machine(&self) -> String {
        format!("10.98.{}.1", self.number)
    }

    /// The node's folder of container logs.
    #[must_use]
    pub fn pod_logs(&self) -> PathBuf {
        self.dir.join("node/log/pods")
    }

    /// Runs kubectl; its output, or what it says.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.kubectl_command().args(arguments))
    }

    fn kubectl_command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(tools().join("kube-cluster")).arg("kubectl");
        command.arg(format!("--kubeconfig={}", self.dir.join("pki/admin.kubeconfig").display()));
        command
    }

    /// Applies a manifest.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub fn apply(&self, manifest: &str) {
        let mut child = self
            .kubectl_command()
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().expect("it has an input").write_all(manifest.as_bytes()).expect("kubectl reads");
        let done = child.wait_with_output().expect("kubectl ends");
        assert!(done.status.success(), "{}\n{manifest}", String::from_utf8_lossy(&done.stderr));
    }

    /// Waits until `kubectl ARGUMENTS` prints what `is_enough` wants.
    ///
    /// # Panics
    /// After `within`, with what it printed last.
    pub fn until(&self, what: &str, arguments: &[&str], within: Duration, is_enough: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + within;
        loop {
            let said = self.kubectl(arguments);
            match &said {
                Ok(text) if is_enough(text) => return text.clone(),
                _ if Instant::now() >= until => panic!("{what} after {within:?}: {said:?}\n{}", self.tails()),
                _ => std::thread::sleep(Duration::from_millis(250)),
            }
        }
    }

    /// A static pod: the kubelet runs it from a file.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn static_pod(&self, name: &str, manifest: &str) {
        std::fs::write(self.dir.join("static").join(format!("{name}.yaml")), manifest).expect("a static pod can be written");
    }

    fn pid(&self, what: &str) -> String {
        std::fs::read_to_string(self.dir.join(format!("{what}.pid"))).unwrap_or_default().trim().to_owned()
    }

    fn end(&self, what: &str) {
        let pid = self.pid(what);
        assert!(!pid.is_empty(), "{what} runs");
        run(Command::new("kill").args(["-9", &pid])).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Ends containerd at once and starts it again, beside the running containers.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart_containerd(&self) {
        self.end("containerd");
        let kubelet = self.pid("node");
        let mut command = Command::new("nsenter");
        command.args(["-m", "-n", "-t", &kubelet]).arg(sources().join("containerd")).arg(&self.dir);
        run(&mut command).unwrap_or_else(|why| panic!("{why}\n{}", self.tails()));
    }

    /// Ends the API server at once.
    pub fn kill_apiserver(&self) {
        self.end("apiserver");
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn start_apiserver(&self) {
        let mut command = Command::new(sources().join("apiserver"));
        run(command.arg(&self.dir).arg(tools()).arg(&self.name)).unwrap_or_else(|why| panic!("{why}\n{}", self.tails()));
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        run(Command::new("ctr").arg("-a").arg(self.dir.join("containerd.sock")).args(["-n", "k8s.io"]).args(arguments))
    }

    /// The ids of all containers `name`, dead ones too.
    fn containers(&self, name: &str) -> Vec<String> {
        let filter = format!("labels.\"io.kubernetes.container.name\"=={name}");
        let found = self.ctr(&["containers", "ls", "-q", &filter]).unwrap_or_else(|why| panic!("{why}"));
        found.lines().map(str::to_owned).collect()
    }

    /// Ends the container `name` of any pod at once, as a crash would; the kubelet starts it again.
    ///
    /// # Panics
    /// When there is none.
    pub fn crash(&self, name: &str) {
        let found = self.containers(name);
        let killed = found.iter().filter(|id| self.ctr(&["tasks", "kill", "-s", "SIGKILL", id]).is_ok()).count();
        assert!(killed > 0, "no container {name} runs: {found:?}");
    }

    /// Waits until a container `name` runs.
    ///
    /// # Panics
    /// When none does after `within`.
    pub fn until_runs(&self, name: &str, within: Duration) {
        let until = Instant::now() + within;
        loop {
            let tasks = self.ctr(&["tasks", "ls"]).unwrap_or_else(|why| panic!("{why}"));
            let found = self.containers(name);
            if tasks.lines().any(|line| line.ends_with("RUNNING") && found.iter().any(|id| line.starts_with(id))) {
                return;
            }
            assert!(Instant::now() < until, "no container {name} runs after {within:?}: {tasks}\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// The last words of every part.
    #[must_use]
    pub fn tails(&self) -> String {
        let mut out = String::new();
        for part in ["etcd", "apiserver", "controllers", "scheduler", "containerd", "node"] {
            let text = std::fs::read_to_string(self.dir.join(format!("{part}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            out.push_str(&format!("--- {part}\n{}\n", lines[lines.len().saturating_sub(5)..].join("\n")));
        }
        out
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = run(Command::new(sources().join("down")).arg(&self.dir).arg(tools()).arg(&self.name).arg(self.number.to_string()));
    }
}

/// A containerd alone.
#[derive(Debug)]
pub struct Runtime {
    dir: PathBuf,
}

impl Runtime {
    /// Starts one in `dir`, with the image `localhost/pod:1`.
    ///
    /// # Errors
    /// Why this machine cannot.
    ///
    /// # Panics
    /// When it can, and containerd does not start.
    pub fn start(dir: &Path) -> Result<Self, String> {
        possible(&["containerd", "ctr", "runc"], &["kube-image", "kube-pod", "kube-cri"])?;
        image(dir, "localhost/pod:1", &[(&tools().join("kube-pod"), "/pod")])?;
        run(Command::new(sources().join("runtime")).arg(dir)).unwrap_or_else(|why| panic!("containerd does not start: {why}"));
        Ok(Self { dir: dir.to_path_buf() })
    }

    /// Where the logs of its pods are.
    #[must_use]
    pub fn pod_logs(&self) -> PathBuf {
        self.dir.join("pods")
    }

    /// Runs `pod ARGUMENTS` in a pod of its own; its id and its log.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn run(&self, name: &str, arguments: &[&str]) -> (String, PathBuf) {
        let out = self.cri(&[&["run", &self.pod_logs().to_string_lossy(), name, "localhost/pod:1"], arguments].concat());
        let (id, log) = out.trim().split_once(' ').expect("an id and a path");
        (id.to_owned(), PathBuf::from(log))
    }

    /// Rotates a log as the kubelet does: renames it, then lets the runtime open a new one.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn rotate(&self, id: &str, log: &Path, suffix: &str) {
        std::fs::rename(log, format!("{}.{suffix}", log.display())).expect("a log can be renamed");
        let _ = self.cri(&["reopen", id]);
    }

    fn cri(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(tools().join("kube-cri"));
        run(command.arg(self.dir.join("containerd.sock")).args(arguments)).unwrap_or_else(|why| panic!("{why}"))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = run(Command::new(tools().join("kube-cri")).arg(self.dir.join("containerd.sock")).arg("clear"));
        if let Ok(pid) = std::fs::read_to_string(self.dir.join("containerd.pid")) {
            let _ = run(Command::new("kill").arg(pid.trim()));
            for _ in 0..50 {
                if !Path::new("/proc").join(pid.trim()).exists() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
