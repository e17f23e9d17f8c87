//! The program `coordinator`.
fn main() {}
