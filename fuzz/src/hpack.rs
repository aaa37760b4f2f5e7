//! Field blocks of one connection: they are read in one way, and what they say is the same when it is written afresh.

use bearward::{
    http1::buffer::Buffer,
    http2::hpack::{Decoder, Malformed, encode},
};

const CAPACITIES: [usize; 4] = [4096, 256, 0, 16 * 1024];

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads `data` as a byte that picks the capacity, and blocks with a byte in front of each that says how long it is.
pub fn check(data: &[u8]) {
    let [capacity, rest @ ..] = data else { return };
    let capacity = CAPACITIES[usize::from(*capacity) % CAPACITIES.len()];
    let (mut decoder, mut other) = (Decoder::new(capacity), Decoder::new(capacity));
    for block in blocks(rest) {
        let (fields, read) = decode(&mut decoder, block);
        assert_eq!(
            decode(&mut other, block),
            (fields.clone(), read),
            "two decoders read two things"
        );
        sizes(&fields, block, capacity);
        afresh(&fields);
        if read.is_err() {
            return;
        }
    }
}

fn blocks(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let [length, behind @ ..] = rest {
        let (block, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        blocks.push(block);
        rest = behind;
    }
    blocks
}

/// The fields up to the end of the block, or to what is malformed.
fn decode(decoder: &mut Decoder, block: &[u8]) -> (Fields, Result<(), Malformed>) {
    let mut fields = Fields::new();
    let read = decoder.decode(block, |name, value| {
        fields.push((name.to_vec(), value.to_vec()))
    });
    (fields, read)
}

/// A field is no larger than the table, if it was in there, or than the shortest codes make of the block.
fn sizes(fields: &Fields, block: &[u8], capacity: usize) {
    assert!(fields.len() <= block.len());
    let most = block.len() * 8 / 5 + capacity.max("access-control-allow-origin".len());
    assert!(
        fields
            .iter()
            .all(|(name, value)| name.len() + value.len() <= most)
    );
}

/// What is written says the same in lower case, names and values alike wherever they are secret, and is not remembered.
fn afresh(fields: &Fields) {
    let mut wire = Buffer::new();
    encode::no_table(&mut wire);
    for (number, (name, value)) in fields.iter().enumerate() {
        let before = wire.len();
        encode::field(&mut wire, name, value, number % 2 == 1);
        if let (b":status", [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']) = (&name[..], &value[..]) {
            same_status(&wire.filled()[before..], value, number % 2 == 1);
        }
    }
    let mut decoder = Decoder::new(4096);
    let (again, read) = decode(&mut decoder, wire.filled());
    assert_eq!(read, Ok(()), "what is written cannot be read");
    let lower: Fields = fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    assert_eq!(again, lower, "what is written says something else");
    // The first index behind the static table.
    assert_eq!(
        decoder.decode(&[0x80 | 62], |_, _| {}),
        Err(Malformed),
        "something is remembered"
    );
}

fn same_status(written: &[u8], digits: &[u8], is_secret: bool) {
    let status = digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let mut wire = Buffer::new();
    encode::status(&mut wire, status);
    assert!(
        is_secret || wire.filled() == written,
        "a status is written in two ways"
    );
}
