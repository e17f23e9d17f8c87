//! See `coordinator::bus::probe::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::bus::probe::records(input));
