//! See `bearward_fuzz::admission`.

#![no_main]

use bearward_fuzz::admission;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| admission::check(data));
