//! `convert`: another agent's file in, this edge's YAML and the table out.

use std::io::Write;
use std::path::Path;

use edge::convert::report::Verdict;
use edge::convert::{From, Wish, convert as converted};
use proto_boot::settings;
use proto_seam::Disk;

use crate::arguments::ConvertArguments;
use crate::{complain, refuse};

/// Converts. Gives the exit code.
pub(crate) fn convert(arguments: &ConvertArguments, disk: &dyn Disk, expand_env: bool) -> u8 {
    let name = arguments.file.to_string_lossy();
    let text = match settings::read_text(disk, &arguments.file) {
        Ok(text) => text,
        Err(mistake) => return refuse(&[mistake]),
    };
    let from = match arguments.from.as_deref() {
        None => From::guess(&name, &text),
        Some("promtail") => From::Promtail,
        Some("alloy") => From::Alloy,
        Some(other) => {
            complain(&format!("--from {other:?} is not known; write promtail or alloy"));
            return 2;
        }
    };
    for file in arguments.output.iter().chain(&arguments.report) {
        if disk.state(file).is_ok() {
            complain(&format!("{} is there already and is not overwritten; remove it, or name another file", file.display()));
            return 3;
        }
    }
    let wish = Wish {
        hub: arguments.hub.clone(),
        identity_dir: arguments.identity_dir.clone(),
        alloy_storage: arguments.alloy_storage.clone(),
        state_dir: arguments.state_dir.clone(),
        variables: expand_env.then(settings::process_environment),
    };
    let result = match converted(from, &name, &text, &wish, disk) {
        Ok(result) => result,
        Err(mistakes) => return refuse(&mistakes),
    };
    let table = result.report.table();
    drop(std::io::stderr().write_all(table.as_bytes()));
    let written = match &arguments.output {
        Some(file) => write(disk, file, &result.yaml),
        None => std::io::stdout()
            .write_all(result.yaml.as_bytes())
            .and_then(|()| std::io::stdout().flush())
            .map_err(|fault| format!("the result cannot be written: {fault}")),
    };
    let written = written.and_then(|()| arguments.report.as_ref().map_or(Ok(()), |file| write(disk, file, &table)));
    if let Err(why) = written {
        complain(&why);
        return 1;
    }
    let count = |verdict| result.report.count(verdict);
    let is_short = count(Verdict::Refused) > 0 || (arguments.strict && count(Verdict::Changed) + count(Verdict::Ignored) > 0);
    u8::from(is_short)
}

fn write(disk: &dyn Disk, file: &Path, text: &str) -> Result<(), String> {
    disk.write_all(file, text.as_bytes()).map_err(|fault| format!("{} cannot be written: {fault}", file.display()))
}
