//! See `coordinator::bus::probe::attach`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::bus::probe::attach(input));
