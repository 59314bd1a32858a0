//! The kernels, one shape at a time: `cargo bench --bench kernels`. Throughput is in floating point operations.
#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use cambist_core::rng::{Purpose, Stream};
use cambist_policy::Instructions;
use cambist_policy::head::log_softmax;
use cambist_policy::kernels::{AdamStep, After, Start, Strided, adam, matmul};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn normals(n: usize) -> Vec<f32> {
    let mut stream = Stream::new(1, Purpose::Check, 0);
    (0..n).map(|_| stream.normal() as f32).collect()
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    let (a, b, y) = (normals(256 * 256), normals(256 * 384), normals(256 * 384));
    for isa in Instructions::ALL.into_iter().filter(|i| i.is_available() && *i != Instructions::Plain) {
        for (name, m, n, k) in [
            ("layer", 128, 64, 64),
            ("layer+tanh", 128, 64, 64),
            ("back", 128, 64, 64),
            ("head", 128, 3, 64),
            ("gru step", 16, 384, 128),
        ] {
            group.throughput(Throughput::Elements((2 * m * n * k) as u64));
            let mut c = vec![0.0; m * n];
            group.bench_function(BenchmarkId::new(name, isa.name()), |bencher| {
                bencher.iter(|| {
                    let left = Strided { data: &a, row_stride: k, column_stride: 1 };
                    let after = match name {
                        "layer+tanh" => After::Tanh,
                        "back" => After::TanhBack(&y),
                        _ => After::Nothing,
                    };
                    matmul(isa, m, n, k, left, &b, Start::Zero, black_box(&mut c), after);
                });
            });
        }
        // The gradient of a weight: the left side is read down its columns.
        let (m, n, k) = (64, 64, 128);
        group.throughput(Throughput::Elements((2 * m * n * k) as u64));
        let mut c = vec![0.0; m * n];
        group.bench_function(BenchmarkId::new("weight gradient", isa.name()), |bencher| {
            bencher.iter(|| {
                let left = Strided { data: &a, row_stride: 1, column_stride: m };
                matmul(isa, m, n, k, left, &b, Start::Result, black_box(&mut c), After::Nothing);
            });
        });
    }
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rows");
    let isa = Instructions::detect();
    let n = 16_384;
    group.throughput(Throughput::Elements(n as u64));
    let (mut logits, gradient) = (normals(3 * n), normals(n));
    group
        .bench_function("log softmax of 3", |b| b.iter(|| log_softmax(isa, 3, black_box(&mut logits), None)));
    let (mut m, mut v, mut w) = (vec![0.0; n], vec![0.0; n], normals(n));
    let step = AdamStep { scale: 1.0, beta1: 0.9, beta2: 0.999, rate: 1e-9, second: 1.0, epsilon: 1e-5 };
    group.bench_function("adam", |b| {
        b.iter(|| adam(isa, &step, &gradient, &mut m, &mut v, black_box(&mut w)));
    });
    group.finish();
}

criterion_group!(benches, products, rows);
criterion_main!(benches);
