//! What a message costs on the way through a ring, against a channel of the standard library and
//! against the two copies that no queue can do without.

use benches::Bus;
use coordinator::bus::ring::{HEADER, Record};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::mpsc::sync_channel;

/// Messages that are published, and acknowledged, together.
const BATCH: u64 = 32;

fn ring(criterion: &mut Criterion) {
    messages::<64>(criterion);
    messages::<1024>(criterion);
}

fn messages<const BYTES: usize>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("message of {BYTES} B"));
    let body = [7_u8; BYTES];
    copies(&mut group, &body);
    channel(&mut group, &body);
    one_by_one(&mut group, &body);
    in_place(&mut group, &body);
    batched(&mut group, &body);
    group.finish();
}

/// In and out: the reference.
fn copies<const BYTES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8; BYTES]) {
    let (mut slot, mut out) = (vec![0_u8; BYTES], vec![0_u8; BYTES]);
    group.throughput(Throughput::Elements(1));
    group.bench_function("two copies", |bencher| {
        bencher.iter(|| {
            slot.copy_from_slice(black_box(body));
            out.copy_from_slice(black_box(&slot));
            black_box(&mut out);
        });
    });
}

fn channel<const BYTES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8; BYTES]) {
    let (sender, receiver) = sync_channel::<[u8; BYTES]>(BATCH as usize);
    group.throughput(Throughput::Elements(1));
    group.bench_function("sync_channel", |bencher| {
        bencher.iter(|| {
            sender.send(*black_box(body)).expect("the receiver is here");
            black_box(receiver.recv().expect("it was sent"));
        });
    });
}

fn one_by_one<const BYTES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8; BYTES]) {
    let ring = Bus::new(4, BYTES as u32).region.client_down();
    let mut producer = ring.producer().expect("the end is free");
    let mut consumer = ring.consumer().expect("the end is free");
    let mut record = Record::empty();
    group.throughput(Throughput::Elements(1));
    group.bench_function("ring", |bencher| {
        bencher.iter(|| {
            producer.push(1, &[0; HEADER], black_box(body)).expect("there is room");
            producer.publish();
            assert_eq!(consumer.pop(&mut record), Ok(true));
            consumer.acknowledge();
            black_box(&mut record);
        });
    });
}

/// As a channel does it: published at once, polled, read where it lies, acknowledged in passing.
fn in_place<const BYTES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8; BYTES]) {
    let ring = Bus::new(4, BYTES as u32).region.client_up();
    let mut producer = ring.producer().expect("the end is free");
    let mut consumer = ring.consumer().expect("the end is free");
    let mut out = [0; BYTES];
    group.throughput(Throughput::Elements(1));
    group.bench_function("put and poll", |bencher| {
        bencher.iter(|| {
            producer.put(1, black_box(body)).expect("there is room");
            producer.publish();
            let taken = consumer.poll(1, |message| {
                black_box(message.copy_to(&mut out));
            });
            assert_eq!(taken, Ok(1));
            consumer.acknowledge();
        });
    });
}

fn batched<const BYTES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8; BYTES]) {
    let ring = Bus::new(4, BYTES as u32).region.client_down();
    let mut producer = ring.producer().expect("the end is free");
    let mut consumer = ring.consumer().expect("the end is free");
    let mut record = Record::empty();
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(format!("ring, {BATCH} at a time"), |bencher| {
        bencher.iter(|| {
            for _ in 0..BATCH {
                producer.push(1, &[0; HEADER], black_box(body)).expect("there is room");
            }
            producer.publish();
            for _ in 0..BATCH {
                assert_eq!(consumer.pop(&mut record), Ok(true));
                black_box(&mut record);
            }
            consumer.acknowledge();
        });
    });
}

criterion_group!(benches, ring);
criterion_main!(benches);
