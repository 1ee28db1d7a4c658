//! What the log and the native frames cost per token.
//!
//! ```sh
//! cargo bench --bench log
//! ```

#![allow(missing_docs)]

use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use tokenwire::generation::{
    frame,
    log::{Log, Next, Part, Writer},
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// Tokens per measured generation.
const TOKENS: usize = 1000;
const TOKEN: &str = " tok";

fn main() {
    divan::main();
}

fn new_log() -> (std::sync::Arc<Log>, Writer) {
    let Ok(id) = "g1".parse() else { unreachable!("a valid id") };
    Log::new(id, "epoch".into(), 16 << 20, std::sync::Arc::default())
}

fn append(writer: &mut Writer) {
    for _ in 0..TOKENS {
        let _ = writer.delta(&Part::Text, divan::black_box(TOKEN));
    }
}

#[divan::bench]
fn append_tokens(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(TOKENS)).with_inputs(new_log).bench_values(|(log, mut writer)| {
        append(&mut writer);
        (log, writer)
    });
}

/// Live delivery: each token is read when it was appended.
#[divan::bench(args = [1, 2, 10])]
fn append_and_read_each(bencher: Bencher<'_, '_>, readers: usize) {
    bencher.counter(ItemsCount::new(TOKENS)).with_inputs(new_log).bench_values(|(log, mut writer)| {
        let mut readers: Vec<_> = (0..readers).map(|_| log.reader(0)).collect();
        for _ in 0..TOKENS {
            let _ = writer.delta(&Part::Text, divan::black_box(TOKEN));
            for reader in &mut readers {
                divan::black_box(reader.next_frame());
            }
        }
        writer
    });
}

/// Catching up: all tokens are read when all were appended.
#[divan::bench]
fn read_merged(bencher: Bencher<'_, '_>) {
    let (log, mut writer) = new_log();
    append(&mut writer);
    bencher.counter(ItemsCount::new(TOKENS)).bench_local(|| {
        let mut reader = log.reader(0);
        while let Next::Some(frame) = reader.next_frame() {
            divan::black_box(frame);
        }
    });
}

/// The cost of a token must not depend on how many came before.
#[divan::bench(args = [200, 10_000, 100_000])]
fn append_and_read_the_last_of(bencher: Bencher<'_, '_>, tokens: usize) {
    let (log, mut writer) = new_log();
    for _ in 0..tokens {
        let _ = writer.delta(&Part::Text, TOKEN);
    }
    let mut reader = log.reader(log.tail());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let _ = writer.delta(&Part::Text, divan::black_box(TOKEN));
        divan::black_box(reader.next_frame());
    });
}

#[divan::bench(args = [" tok", " \"quoted\"\n", "a sentence of some length, as it comes from a model that is fast"])]
fn encode_a_frame(bencher: Bencher<'_, '_>, text: &str) {
    let Ok(id) = "g1".parse() else { unreachable!("a valid id") };
    bencher.bench_local(|| frame::deltas(divan::black_box(&id), 12_345, &Part::Text, text));
}
