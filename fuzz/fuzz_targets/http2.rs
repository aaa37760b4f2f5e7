//! See `bearward_fuzz::http2`.

#![no_main]

use bearward_fuzz::http2;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| http2::check(data));
