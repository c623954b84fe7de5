//! `tributary-hub`: serve, token, producer, revoke, fsck, segment, check-config. Arguments, then [`act`] says who does it.
//!
//! Parts: [`arguments`], [`given`] (settings and store), [`serve`] (run, check-config), [`access`] (tokens, producers, revocations),
//! [`look`] (fsck, segments). Exit codes: 0 done, 1 failed at work, 2 usage or configuration, 3 refused so as not to overwrite,
//! 4 damage found.

#[path = "main/access.rs"]
mod access;
#[path = "main/arguments.rs"]
mod arguments;
#[path = "main/given.rs"]
mod given;
#[path = "main/look.rs"]
mod look;
#[path = "main/serve.rs"]
mod serve;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use arguments::{Command, ProducerCommand, SegmentCommand, TokenCommand};
use given::Given;
use hub::fsck::Asked;
use hub::producers::Action;
use proto_boot::Mistake;

fn main() -> ExitCode {
    proto_boot::memory::settle();
    let (command, overrides) = match arguments::read(std::env::args()) {
        Ok(asked) => asked,
        Err(code) => return ExitCode::from(code),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return ExitCode::from(failed(format!("the runtime cannot start: {fault}"))),
    };
    ExitCode::from(runtime.block_on(act(command, overrides)).err().unwrap_or(0))
}

async fn act(command: Command, overrides: Vec<(String, String)>) -> Result<(), u8> {
    let at = |file| Given::new(file, overrides);
    match command {
        Command::Serve { file } => serve::serve(at(file)).await,
        Command::CheckConfig { file } => serve::check_config(&at(file)).await,
        Command::Revoke { uri, file } => access::revoke(&at(file), &uri).await,
        Command::Fsck { file, blocks, repair, skip_object, json } => look::fsck(&at(file), Asked { blocks, repair }, &skip_object, json).await,
        Command::Segment { command: SegmentCommand::List { tenant, file, json } } => look::segments(&at(file), &tenant, None, json).await,
        Command::Segment { command: SegmentCommand::Show { key, file, json } } => look::segment(&at(file), &key, json).await,
        Command::Producer { command: ProducerCommand::List { file, tenant, json } } => access::producer_list(&at(file), tenant.as_ref(), json).await,
        Command::Producer { command: ProducerCommand::Release { id, file } } => access::producer_act(&at(file), id, Action::Release).await,
        Command::Producer { command: ProducerCommand::Retire { id, file } } => access::producer_act(&at(file), id, Action::Retire).await,
        Command::Token { command: TokenCommand::New { file, role, tenant, id, expires } } => {
            access::token_new(&at(file), (id, role, tenant), expires.as_deref()).await
        }
        Command::Token { command: TokenCommand::List { file, json } } => access::token_list(&at(file), json).await,
        Command::Token { command: TokenCommand::Revoke { id, file } } => access::token_revoke(&at(file), &id).await,
    }
}

fn complain(text: impl Display) {
    drop(writeln!(std::io::stderr(), "tributary-hub: {text}"));
}

/// Exit code 1, after it was told why.
fn failed(why: impl Display) -> u8 {
    complain(why);
    1
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        drop(writeln!(std::io::stderr(), "{mistake}"));
    }
    2
}
