//! See `coordinator::fuzzing::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::fuzzing::wire(input));
