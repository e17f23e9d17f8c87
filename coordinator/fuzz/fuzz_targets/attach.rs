//! See `coordinator::fuzzing::attach`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::fuzzing::attach(input));
