//! What it costs to announce work: the bell, and the bitmap of rings that have some.

use benches::Bus;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};

const WORKERS: u32 = 100;

/// Without a sleeper, a ring should cost about its fence, and nothing like a system call.
fn doorbell(criterion: &mut Criterion) {
    let bell = Bus::new(1, 0).control.client_bell();
    let word = AtomicU64::new(0);
    let mut group = criterion.benchmark_group("doorbell");
    group.bench_function("a fence and a load", |bencher| {
        bencher.iter(|| {
            fence(Ordering::SeqCst);
            black_box(word.load(Ordering::Relaxed))
        });
    });
    group.bench_function("ring, no sleeper", |bencher| {
        bencher.iter(|| assert!(!bell.ring(), "no process sleeps here"));
    });
    group.bench_function("wake (a system call)", |bencher| bencher.iter(|| bell.wake()));
    group.finish();
}

/// What the bitmap saves: to look into every ring.
fn bitmap(criterion: &mut Criterion) {
    let region = Bus::new(WORKERS, 0).region;
    let ready = region.ready();
    let mut rings: Vec<_> =
        (0..WORKERS).map(|worker| region.worker_up(worker).consumer().expect("the end is free")).collect();
    let mut group = criterion.benchmark_group(format!("who of {WORKERS} has work"));
    group.bench_function("a look into every ring", |bencher| {
        bencher.iter(|| rings.iter_mut().filter_map(|ring| ring.is_ready().then_some(())).count());
    });
    group.bench_function("bitmap, no sleeper", |bencher| bencher.iter(|| black_box(ready).is_clear()));
    group.bench_function("bitmap, one", |bencher| {
        bencher.iter(|| {
            ready.set(black_box(70));
            ready.take(|worker| assert_eq!(worker, 70));
        });
    });
    group.throughput(Throughput::Elements(u64::from(WORKERS)));
    group.bench_function("bitmap, all", |bencher| {
        bencher.iter(|| {
            (0..WORKERS as usize).for_each(|worker| ready.set(worker));
            let mut taken = 0;
            ready.take(|_| taken += 1);
            assert_eq!(taken, WORKERS);
        });
    });
    group.finish();
}

criterion_group!(benches, doorbell, bitmap);
criterion_main!(benches);
