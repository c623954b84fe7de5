//! Flags that are settings: `--a.b value` and `--a.b=value`, taken out of a command line.
//!
//! [`split`] leaves the program's own flags and words for its argument parser and gives the rest as
//! the overrides of [`crate::settings`]. Promises: order is kept; after `--` nothing is taken; a value
//! is whatever follows, but for another `--flag`. Must not do: know which settings exist (reading
//! them does).

use crate::mistake::Mistake;

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// What the program's own parser reads.
    pub rest: Vec<String>,
    /// Dotted keys and values of settings, for [`crate::settings::Layers::overrides`].
    pub overrides: Vec<(String, String)>,
}

/// Takes the settings out of `arguments`; `own` are the long flags (without dashes) that are no settings.
///
/// # Errors
/// One mistake for each setting without a value.
pub fn split(arguments: impl IntoIterator<Item = String>, own: &[&str]) -> Result<Arguments, Vec<Mistake>> {
    let mut taken = Arguments::default();
    let mut mistakes = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            taken.rest.push(argument);
            taken.rest.extend(arguments);
            break;
        }
        let Some(flag) = argument.strip_prefix("--") else {
            taken.rest.push(argument);
            continue;
        };
        let (key, value) = flag.split_once('=').map_or((flag, None), |(key, value)| (key, Some(value.to_owned())));
        if own.contains(&key) {
            taken.rest.push(argument);
            continue;
        }
        match value.or_else(|| arguments.next_if(|next| !next.starts_with("--"))) {
            Some(value) => taken.overrides.push((key.to_owned(), value)),
            None => mistakes.push(Mistake::new(format!("--{key}"), (0, 0), "the flag has no value", format!("write --{key}=VALUE"))),
        }
    }
    if mistakes.is_empty() { Ok(taken) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use super::split;

    fn taken(line: &str) -> Result<(String, String), Vec<String>> {
        let split =
            split(line.split_whitespace().map(str::to_owned), &["config", "json"]).map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let overrides: Vec<String> = split.overrides.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok((split.rest.join(" "), overrides.join(" ")))
    }

    #[test]
    fn settings_are_told_from_the_programs_own_flags() {
        for (line, rest, overrides) in [
            ("serve --config hub.yaml", "serve --config hub.yaml", ""),
            (
                "serve --http.listen 127.0.0.1:0 --config=hub.yaml --store=file:///x?a=b",
                "serve --config=hub.yaml",
                "http.listen=127.0.0.1:0 store=file:///x?a=b",
            ),
            ("status --json --lane.linger -1s x", "status --json x", "lane.linger=-1s"),
            ("-config.file=x -dry-run --wal.dir d", "-config.file=x -dry-run", "wal.dir=d"),
            ("show -- --a.b c", "show -- --a.b c", ""),
            ("--a.b= x", "x", "a.b="),
        ] {
            assert_eq!(taken(line), Ok((rest.to_owned(), overrides.to_owned())), "{line}");
        }
    }

    #[test]
    fn a_setting_without_a_value_is_a_mistake() {
        let expected = vec![
            "--a.b:0:0: error: the flag has no value; fix: write --a.b=VALUE".to_owned(),
            "--c:0:0: error: the flag has no value; fix: write --c=VALUE".to_owned(),
        ];
        assert_eq!(taken("run --a.b --json --c"), Err(expected));
    }
}
