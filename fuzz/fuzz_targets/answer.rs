//! See `bearward_fuzz::answer`.

#![no_main]

use bearward_fuzz::answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| answer::check(data));
