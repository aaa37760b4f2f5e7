//! See `bearward_fuzz::path`.

#![no_main]

use bearward_fuzz::path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| path::check(data));
