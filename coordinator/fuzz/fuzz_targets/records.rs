//! See `coordinator::fuzzing::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::fuzzing::records(input));
