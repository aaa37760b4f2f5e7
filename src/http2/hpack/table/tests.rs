//! Entries come, go, and lie in a bounded memory.

use super::*;

fn names(table: &Table) -> Vec<Vec<u8>> {
    (62..)
        .map_while(|index| table.field(index).ok())
        .map(|(name, _)| name.to_vec())
        .collect()
}

#[test]
fn the_static_table_is_the_one_of_the_rfc() {
    let table = Table::new(0);
    for (index, name, value) in [
        (1, ":authority", ""),
        (2, ":method", "GET"),
        (7, ":scheme", "https"),
        (8, ":status", "200"),
        (14, ":status", "500"),
        (15, "accept-charset", ""),
        (16, "accept-encoding", "gzip, deflate"),
        (28, "content-length", ""),
        (31, "content-type", ""),
        (38, "host", ""),
        (45, "link", ""),
        (58, "user-agent", ""),
        (61, "www-authenticate", ""),
    ] {
        assert_eq!(table.field(index), Ok((name.as_bytes(), value.as_bytes())));
    }
    for index in [0, 62, 63, usize::MAX] {
        assert_eq!(table.field(index), Err(Malformed));
    }
}

#[test]
fn every_static_field_is_found_in_any_case() {
    for (index, (name, value)) in (1..).zip(STATIC) {
        let first = static_name(name).unwrap();
        assert_eq!(STATIC[first - 1].0, name);
        assert!(
            first == 1 || STATIC[first - 2].0 != name,
            "it is not the first of its name"
        );
        assert_eq!(static_name(&name.to_ascii_uppercase()), Some(first));
        assert_eq!(static_value(first, value), Some(index));
        assert_eq!(static_value(first, b"no such value"), None);
    }
}

#[test]
fn other_names_are_not_found() {
    for name in [
        "",
        "x-request-id",
        "hosts",
        "ho-t",
        "HOs",
        ":",
        "authorizatiom",
        "aage",
        "\u{1a}authority",
    ] {
        assert_eq!(static_name(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn an_entry_counts_its_bytes_and_32() {
    let mut table = Table::new(2 * (1 + 2 + 32));
    table.insert(b"a", b"11");
    table.insert(b"b", b"22");
    assert_eq!(names(&table), [b"b", b"a"]);
    table.insert(b"c", b"");
    assert_eq!(names(&table), [b"c", b"b"]);
    table.insert(b"d", b"1234");
    assert_eq!(names(&table), [b"d", b"c"]);
    table.insert(b"e", b"12345");
    assert_eq!(names(&table), [b"e"], "one byte more than fits with `d`");
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut table = Table::new(40);
    table.insert(b"name", b"1234");
    assert_eq!(table.field(62), Ok((&b"name"[..], &b"1234"[..])));
    table.insert(b"name", b"12345");
    assert_eq!(names(&table), [b""; 0]);
    table.insert(b"name", b"");
    assert_eq!(names(&table), [b"name"]);
    table.insert_named(62, b"12345").unwrap();
    assert_eq!(names(&table), [b""; 0]);
}

#[test]
fn a_name_outlives_its_entry() {
    let mut table = Table::new(64);
    table.insert(b"the-name", b"1");
    for number in 0..100_usize {
        let value = vec![b'a' + (number % 26) as u8; number % 20];
        table.insert_named(62, &value).unwrap();
        assert_eq!(table.field(62), Ok((&b"the-name"[..], &value[..])));
        assert_eq!(table.field(63), Err(Malformed), "two have no room");
    }
    assert_eq!(table.insert_named(63, b""), Err(Malformed));
}

#[test]
fn a_smaller_bound_evicts_and_a_larger_one_makes_room() {
    let mut table = Table::new(120);
    for name in [b"a", b"b", b"c"] {
        table.insert(name, b"");
    }
    assert_eq!(names(&table), [b"c", b"b", b"a"]);
    table.resize(66);
    assert_eq!(names(&table), [b"c", b"b"]);
    table.resize(0);
    assert_eq!(names(&table), [b""; 0]);
    table.insert(b"d", b"");
    table.resize(120);
    assert_eq!(names(&table), [b""; 0]);
    table.insert(b"e", b"");
    assert_eq!(names(&table), [b"e"]);
}

#[test]
fn memory_does_not_grow_with_what_was_added() {
    let mut table = Table::new(4096);
    for number in 0..10_000_usize {
        let value = vec![b'x'; number * 7 % 900];
        table.insert(b"name", &value);
        assert_eq!(table.field(62), Ok((&b"name"[..], &value[..])));
        assert!(table.bytes.len() <= 2 * 4096);
    }
    assert!(table.bytes.capacity() <= 4 * 4096 && table.entries.capacity() <= 256);
}
