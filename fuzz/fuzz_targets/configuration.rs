//! See `bearward_fuzz::configuration`.

#![no_main]

use bearward_fuzz::configuration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| configuration::check(data));
