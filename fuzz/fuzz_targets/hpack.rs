//! See `bearward_fuzz::hpack`.

#![no_main]

use bearward_fuzz::hpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| hpack::check(data));
