//! RFC 7541 appendix C: each block, its fields, and what is in the table behind it.

use super::*;

const HOST: (&str, &str) = (":authority", "www.example.com");
const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
const CUSTOM: (&str, &str) = ("custom-key", "custom-value");

const FOUND: (&str, &str) = (":status", "302");
const MOVED: (&str, &str) = (":status", "307");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const DATE: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const LATER: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const COOKIE: (&str, &str) = (
    "set-cookie",
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

#[track_caller]
fn reads(decoder: &mut Decoder, block: &str, expected: &[(&str, &str)], left: &[(&str, &str)]) {
    assert_eq!(decode(decoder, &bytes(block)), Ok(fields(expected)));
    assert_eq!(table(decoder), fields(left));
}

#[test]
fn single_representations() {
    let indexed = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    let field = ("custom-key", "custom-header");
    reads(&mut Decoder::new(4096), indexed, &[field], &[field]);
    reads(
        &mut Decoder::new(4096),
        "040c 2f73 616d 706c 652f 7061 7468",
        &[(":path", "/sample/path")],
        &[],
    );
    reads(
        &mut Decoder::new(4096),
        "1008 7061 7373 776f 7264 0673 6563 7265 74",
        &[("password", "secret")],
        &[],
    );
    reads(&mut Decoder::new(4096), "82", &[(":method", "GET")], &[]);
}

fn requests(blocks: [&str; 3]) {
    let mut decoder = Decoder::new(4096);
    let (get, http, root) = ((":method", "GET"), (":scheme", "http"), (":path", "/"));
    reads(&mut decoder, blocks[0], &[get, http, root, HOST], &[HOST]);
    reads(
        &mut decoder,
        blocks[1],
        &[get, http, root, HOST, NO_CACHE],
        &[NO_CACHE, HOST],
    );
    let (https, index) = ((":scheme", "https"), (":path", "/index.html"));
    reads(
        &mut decoder,
        blocks[2],
        &[get, https, index, HOST, CUSTOM],
        &[CUSTOM, NO_CACHE, HOST],
    );
}

#[test]
fn requests_without_huffman() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn requests_with_huffman() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

/// Three answers with a table of 256, so that entries have to go.
fn answers(blocks: [&str; 3]) {
    let mut decoder = Decoder::new(256);
    reads(
        &mut decoder,
        blocks[0],
        &[FOUND, PRIVATE, DATE, LOCATION],
        &[LOCATION, DATE, PRIVATE, FOUND],
    );
    reads(
        &mut decoder,
        blocks[1],
        &[MOVED, PRIVATE, DATE, LOCATION],
        &[MOVED, LOCATION, DATE, PRIVATE],
    );
    let ok = (":status", "200");
    reads(
        &mut decoder,
        blocks[2],
        &[ok, PRIVATE, LATER, LOCATION, GZIP, COOKIE],
        &[COOKIE, GZIP, LATER],
    );
}

#[test]
fn answers_without_huffman() {
    answers([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
         2076 6572 7369 6f6e 3d31",
    ]);
}

#[test]
fn answers_with_huffman() {
    answers([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}
