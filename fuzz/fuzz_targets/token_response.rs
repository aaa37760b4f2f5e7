//! See `bearward_fuzz::token_response`.

#![no_main]

use bearward_fuzz::token_response;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| token_response::check(data));
