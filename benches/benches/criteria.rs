//! What it costs to read a criterion: scenarios have a dozen, phases have hundreds, and a slip of the
//! pen is looked up among all names.

use criterion::{Criterion, criterion_group, criterion_main};
use reports::criterion::Criterion as Asked;
use std::hint::black_box;

const ASKED: [(&str, &str); 3] = [
    ("short", "incidents == 0"),
    ("aggregated", "coordination.time p99 < 5s"),
    ("windowed", "delivery.rate >= 95% every 15m"),
];
const SLIP: &str = "delivrey.rate >= 95% every 15m";

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("criterion");
    // The reference: to cut one of them into words.
    group.bench_function("split into words", |bencher| {
        bencher.iter(|| black_box(ASKED[1].1).split_whitespace().map(str::len).sum::<usize>());
    });
    for (name, text) in ASKED {
        group.bench_function(name, |bencher| {
            bencher.iter(|| Asked::parse(black_box(text)).expect("it is right"));
        });
    }
    group.bench_function("misspelled", |bencher| {
        bencher.iter(|| Asked::parse(black_box(SLIP)).expect_err("there is no such metric"));
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
