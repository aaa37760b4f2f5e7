//! See `bearward_fuzz::framing_gate`.

#![no_main]

use bearward_fuzz::framing_gate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| framing_gate::check(data));
