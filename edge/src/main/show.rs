//! `-dry-run`: lines are printed, not sent. `-stdin`: lines come from the standard input, until it ends.

use std::collections::VecDeque;
use std::io::{Read as _, Write};
use std::sync::Arc;

use bytes::Bytes;
use edge::flags::Flags;
use edge::gather::Tap;
use edge::receive::sender::Sender;
use edge::receive::{Arrival, Durable, Inlet, Intake, NotTaken};
use edge::settings::{Prepared, Purpose};
use edge::show::{Show, line, positions, stdin_source};
use edge::tail::split::Splitter;
use edge_pipeline::{Program, Run};
use proto_boot::{Stop, settings};
use proto_model::{Labels, Timestamp};
use proto_seam::World;
use tokio::sync::mpsc;

use crate::load::{From, host};
use crate::run::{begin, log};
use crate::{complain, refuse, wal_failed};

/// Lines of the standard input handed in together.
const LINES_MAX: usize = 1_000;
/// So many of these wait together for the WAL.
const UNDER_WAY_MAX: usize = 32;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Prints what would be sent.
pub(crate) async fn dry_run(from: &From, world: World, flags: &Flags) -> u8 {
    let loaded = match from.load(world.disk.as_ref(), Purpose::Show) {
        Ok((_, loaded)) => loaded,
        Err(mistakes) => return refuse(&mistakes),
    };
    if let Err(code) = log(&loaded.settings.server, &world) {
        return code;
    }
    begin(&loaded, flags);
    let (mut prepared, every) = (loaded.prepared, loaded.settings.target_config.sync_period.0);
    let stop = Stop::new();
    if let Err(fault) = stop.on_signals() {
        complain(&format!("signals cannot be handled: {fault}"));
        return 1;
    }
    if loaded.settings.target_config.stdin {
        let source = source(&prepared, &world);
        prepared.jobs.clear();
        let show = Show::new(&prepared, Vec::new(), every, &world, tap());
        return show_stdin(source, show, &world, &stop).await;
    }
    for job in prepared.jobs.iter().filter(|job| !matches!(*job.origin, edge::settings::Origin::Files(_))) {
        complain(&format!("job {:?} is left out: only files and the standard input are read in a dry run", job.name));
    }
    if let Err(mistakes) = edge::import::take(&mut prepared, &world).await {
        return refuse(&mistakes);
    }
    match positions(&mut prepared, &world).await {
        Ok(positions) => {
            Show::new(&prepared, positions, every, &world, tap()).run(prepared, &world, &stop.token()).await;
            0
        }
        Err(fault) => wal_failed(&fault),
    }
}

/// Prints lines as they come; the reader of a pipe may go away.
fn tap() -> Tap {
    Box::new(|labels, time, _, text| {
        let mut out = std::io::stdout().lock();
        drop(out.write_all(&line(labels, time, text)).and_then(|()| out.flush()));
    })
}

/// The standard input as a source.
pub(crate) struct Source {
    inlet: Inlet,
    labels: Arc<Labels>,
}

/// What the standard input is read as.
pub(crate) fn source(prepared: &Prepared, world: &World) -> Source {
    let host = host(world.disk.as_ref(), &settings::process_environment());
    let (name, program, labels) = stdin_source(prepared, &host);
    let program = program.or_else(|| Program::compile(&[]).ok()).expect("no stages compile");
    if prepared.jobs.len() > 1 {
        tracing::warn!("only the first of scrape_configs is used for the standard input");
    }
    Source { inlet: Inlet { name, program }, labels: Arc::new(labels) }
}

async fn show_stdin(source: Source, mut show: Show, world: &World, stop: &Stop) -> u8 {
    let mut run = Run::new(Arc::clone(&source.inlet.program), Arc::clone(&source.labels));
    let clock = world.clock.clone();
    let now = || Timestamp(clock.now_ns());
    let ended = each_line(stop, async |lines| {
        for line in lines {
            show.line(&mut run, &line, now());
        }
        Ok(())
    })
    .await;
    show.end(&mut run, now());
    ended
}

/// Hands the standard input in, until it ends and all of it is durable, with what the stages held.
pub(crate) async fn deliver_stdin(source: Source, intake: Intake, stop: &Stop) -> u8 {
    let (sender, mut under_way) = (Arc::<Sender>::default(), VecDeque::<Durable>::new());
    let code = each_line(stop, async |lines| {
        let arrival = |line| Arrival { labels: Arc::clone(&source.labels), time: None, line, metadata: Vec::new() };
        sender.ready().await;
        under_way.push_back(intake.deliver(&source.inlet, &sender, lines.into_iter().map(arrival).collect(), Vec::new()).await?);
        if under_way.len() > UNDER_WAY_MAX
            && let Some(first) = under_way.pop_front()
        {
            first.wait().await
        } else {
            Ok(())
        }
    })
    .await;
    if code != 0 || stop.has_begun() {
        return code;
    }
    let rest = async {
        under_way.push_back(intake.end(&source.inlet, &sender).await?);
        for durable in under_way {
            durable.wait().await?;
        }
        Ok::<(), NotTaken>(())
    };
    match rest.await {
        Err(why) if !stop.has_begun() => not_taken(why),
        Ok(()) | Err(NotTaken) => 0,
    }
}

fn not_taken(why: NotTaken) -> u8 {
    complain(&format!("lines of the standard input were not taken: {why}"));
    1
}

/// Reads the standard input to its end, or until told to stop. Gives the exit code.
async fn each_line(stop: &Stop, mut each: impl AsyncFnMut(Vec<Bytes>) -> Result<(), NotTaken>) -> u8 {
    let (mut input, mut splitter) = (chunks(), Splitter::default());
    loop {
        let got = tokio::select! {
            biased;
            () = stop.begun() => return 0,
            got = input.recv() => got,
        };
        let mut lines = Vec::new();
        let mut keep = |line: edge::tail::split::Line<'_>| {
            // An empty line is no entry, as in Promtail.
            if !line.bytes.is_empty() {
                lines.push(Bytes::copy_from_slice(line.bytes));
            }
            true
        };
        let is_end = match got {
            None => {
                splitter.finish(&mut keep);
                true
            }
            Some(Ok(bytes)) => {
                splitter.feed(&bytes, &mut keep);
                false
            }
            Some(Err(fault)) => {
                complain(&format!("the standard input cannot be read: {fault}"));
                return 1;
            }
        };
        while !lines.is_empty() {
            let rest = lines.split_off(lines.len().min(LINES_MAX));
            if let Err(why) = each(std::mem::replace(&mut lines, rest)).await {
                return not_taken(why);
            }
        }
        if is_end {
            return 0;
        }
    }
}

/// The standard input, read by a thread of its own that nobody can wake: it ends with the input or the program.
fn chunks() -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    let read = move || {
        let (mut input, mut buffer) = (std::io::stdin().lock(), vec![0; READ_BYTES]);
        loop {
            let got = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(got) => Ok(Bytes::copy_from_slice(&buffer[..got])),
                Err(interrupted) if interrupted.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(fault) => Err(fault),
            };
            let failed = got.is_err();
            if sender.blocking_send(got).is_err() || failed {
                return;
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a worker that waits for input would keep the program from ending")]
    drop(std::thread::spawn(read));
    receiver
}
