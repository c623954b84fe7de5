//! Tests of `frame`.

use proptest::prelude::*;
use proto_wire::edge_hub::{Batch, Bye, Position, Welcome, message::Kind};

use super::*;

fn bye(text: &str) -> Message {
    Message { kind: Some(Kind::Bye(Bye { text: text.to_owned() })) }
}

/// Feeds `bytes` in pieces of the given sizes, over and over.
fn decode(bytes: &Bytes, pieces: &[usize]) -> Result<(Vec<Bytes>, Decoder), FrameFault> {
    let (mut decoder, mut frames, mut rest) = (Decoder::default(), Vec::new(), bytes.clone());
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let mut chunk = rest.split_to((*piece).clamp(1, rest.len()));
        while let Some(frame) = decoder.take(&mut chunk)? {
            frames.push(frame);
        }
    }
    Ok((frames, decoder))
}

#[test]
fn a_length_is_judged_before_anything_is_set_aside() {
    for stated in [0, FRAME_BYTES_MAX as u64 + 1, u64::from(u32::MAX)] {
        let mut chunk = Bytes::copy_from_slice(&u32::try_from(stated).unwrap().to_be_bytes());
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(&mut chunk), Err(FrameFault::Length(stated)));
        assert_eq!(decoder.body.capacity(), 0);
    }
}

#[test]
fn what_is_set_aside_follows_what_came() {
    let stated = u32::try_from(FRAME_BYTES_MAX).unwrap();
    let (mut decoder, mut came) = (Decoder::default(), 0);
    assert_eq!(decoder.take(&mut Bytes::copy_from_slice(&stated.to_be_bytes())), Ok(None));
    assert_eq!(decoder.body.capacity(), 0);
    while came + 1200 < FRAME_BYTES_MAX {
        assert_eq!(decoder.take(&mut Bytes::from_static(&[7; 1200])), Ok(None));
        came += 1200;
        assert!(decoder.body.capacity() <= (2 * came).clamp(FRAME_AHEAD_BYTES, FRAME_BYTES_MAX), "{came}: {}", decoder.body.capacity());
    }
    let frame = decoder.take(&mut Bytes::from(vec![7; FRAME_BYTES_MAX - came])).unwrap().unwrap();
    assert!(frame.len() == FRAME_BYTES_MAX && frame.iter().all(|byte| *byte == 7));
    assert!(!decoder.within_frame());
}

#[test]
fn the_end_of_a_stream_within_a_frame_is_seen() {
    let frame = encode(&bye("whole"));
    for cut in 1..frame.len() {
        let (frames, decoder) = decode(&frame.slice(..cut), &[3]).unwrap();
        assert!(frames.is_empty() && decoder.within_frame(), "{cut}");
    }
    let (frames, decoder) = decode(&frame, &[3]).unwrap();
    assert!(frames.len() == 1 && !decoder.within_frame());
}

#[test]
fn fields_are_counted_before_memory_is_spent_on_them() {
    let batch = |count| Message { kind: Some(Kind::Batch(Batch { positions: vec![Position::default(); count], ..Batch::default() })) };
    let allowed = MESSAGE_FIELDS_MAX - 1;
    assert_eq!(decode_message(batch(allowed).encode_to_vec().into()), Ok(batch(allowed)));
    assert_eq!(decode_message(batch(allowed + 1).encode_to_vec().into()), Err(FrameFault::Fields));
    // The same in pieces that the decoder would merge.
    let half = batch(allowed / 2 + 1).encode_to_vec();
    assert_eq!(decode_message([half.clone(), half].concat().into()), Err(FrameFault::Fields));
    let welcome = Message { kind: Some(Kind::Welcome(Welcome { positions: vec![Position::default(); 2_000_000], ..Welcome::default() })) };
    assert_eq!(decode_message(welcome.encode_to_vec().into()), Err(FrameFault::Fields));
    assert_eq!(decode_message([0x08, 0].repeat(1_000_000).into()), Err(FrameFault::Fields));
}

#[test]
fn every_kind_of_the_schema_is_counted() {
    let schema = include_str!("../../../wire/edge_hub.proto");
    let kinds = schema.split("oneof kind {").nth(1).unwrap().split('}').next().unwrap();
    let numbers: Vec<u64> = kinds.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.len() >= 11);
    assert_eq!(numbers.iter().max(), Some(&KIND_MAX));
}

proptest! {
    #[test]
    fn frames_pass_whole_however_they_are_cut(texts in prop::collection::vec(".{0,200}", 1..20), pieces in prop::collection::vec(1_usize..300, 1..10)) {
        let messages: Vec<Message> = texts.iter().map(|text| bye(text)).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|message| encode(message).to_vec()).collect();
        let (frames, decoder) = decode(&bytes.into(), &pieces).unwrap();
        let decoded: Vec<Message> = frames.into_iter().map(|frame| decode_message(frame).unwrap()).collect();
        prop_assert_eq!(decoded, messages);
        prop_assert!(!decoder.within_frame());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000), pieces in prop::collection::vec(1_usize..100, 1..5)) {
        if let Ok((frames, _)) = decode(&bytes.clone().into(), &pieces) {
            for frame in frames {
                drop(decode_message(frame));
            }
        }
        drop(decode_message(bytes.into()));
    }

    #[test]
    fn what_passes_the_count_decodes_as_without_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        // The check refuses nothing that protobuf takes, but groups and what has too many fields.
        if let Ok(message) = Message::decode(Bytes::from(bytes.clone())) {
            let groups = |fault: &FrameFault| *fault == FrameFault::Malformed("a field has an unknown wire type".to_owned());
            match decode_message(bytes.into()) {
                Ok(found) => prop_assert_eq!(found, message),
                Err(fault) => prop_assert!(groups(&fault), "{}", fault),
            }
        }
    }
}
