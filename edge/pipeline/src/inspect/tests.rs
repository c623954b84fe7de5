use std::sync::Mutex;

use crate::testing::stages as parse;

use super::*;
use crate::{Program, Run, Surroundings};

/// All that is told of one line.
fn inspected(stages: &str, line: &str) -> String {
    let stages = parse(stages);
    let heard = Arc::new(Mutex::new(String::new()));
    let ear = Arc::clone(&heard);
    let inspector = Some(Inspector::new(move |text: &str| ear.lock().unwrap().push_str(text)));
    let program = Program::compile_in(&stages, &Surroundings { inspector, ..Surroundings::default() }).unwrap();
    let mut run = Run::new(program, Arc::new(Labels::from_pairs([("job", "a")])));
    run.line(line.as_bytes(), Timestamp(1), &mut |_| ());
    drop(run);
    Arc::into_inner(heard).map(|heard| heard.into_inner().unwrap()).unwrap_or_default()
}

#[test]
fn every_stage_tells_what_it_changed() {
    let stages =
        "[{json: {expressions: {level: , msg: message, other: }}}, {labels: {level: }}, {output: {source: msg}}, {decolorize: {}}, {drop: {expression: 'x'}}]";
    let told = inspected(stages, r#"{"level":"warn","message":"tab\there","other":"not read"}"#);
    let expected = "[inspect: json stage]:\nextracted[\"level\"]:\n\t+: warn\nextracted[\"msg\"]:\n\t+: tab\\there\n\
                    [inspect: labels stage]:\nlabels:\n\t-: {job=\"a\"}\n\t+: {job=\"a\", level=\"warn\"}\n\
                    [inspect: output stage]:\nline:\n\t-: {\"level\":\"warn\",\"message\":\"tab\\there\",\"other\":\"not read\"}\n\t+: tab\\there\n\
                    [inspect: decolorize stage]: none\n[inspect: drop stage]: none\n";
    assert_eq!(told, expected);
    assert_eq!(inspected("[{drop: {expression: x}}]", "x"), "[inspect: drop stage]: dropped or held\n");
    assert_eq!(inspected("[{timestamp: {source: job, format: Unix}}]", "x"), "[inspect: timestamp stage]: none\n");
    let told = inspected("[{regex: {expression: '(?P<t>.*)'}}, {timestamp: {source: t, format: UnixMs}}]", "1700000000250");
    assert!(told.ends_with("timestamp:\n\t-: 1970-01-01T00:00:00.000000001Z\n\t+: 2023-11-14T22:13:20.25Z\n"), "{told}");
}
