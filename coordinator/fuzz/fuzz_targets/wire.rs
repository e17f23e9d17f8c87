//! See `coordinator::bus::probe::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::bus::probe::wire(input));
