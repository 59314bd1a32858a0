//! The CPU learner: gather, forward, loss and backward of a tile of rows while it is in cache, then Adam.
//!
//! A minibatch is cut into at most [`MOST_BLOCKS`] blocks by its size alone; a block's gradient is one chain over its
//! tiles in order, and the blocks' gradients are summed pairwise in a fixed tree. Threads take blocks as they come, so
//! neither their number nor their luck changes a bit (invariant 5). Every thread keeps weights and moments of its own and
//! takes every step itself: a step costs less than sending weights from core to core.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::add_into;
use cambist_policy::{ActorCritic, Instructions};

use crate::gate::Gate;
use crate::learner::{Batch, Experience, LearnError, Learner, N_SUMS, Snapshot, Step, Sums};
use crate::optimiser::{Optimiser, finite};
use crate::pass::{Pass, Room};
use crate::perceptron::turn;
use crate::recurrent::tile_sequences;

/// Blocks of a minibatch at most: enough for as many threads, few enough to be summed at no cost.
pub const MOST_BLOCKS: usize = 32;
/// Bunches a thread takes of a minibatch, where there are enough blocks: one that is held up leaves the rest to others.
const TURNS: usize = 2;
/// Rows of a block at least.
const LEAST_ROWS: usize = 64;

/// An agent that learns on the CPU.
#[derive(Debug)]
pub struct FusedLearner {
    isa: Instructions,
    bunches: Vec<RwLock<Block>>,
    workers: Vec<Worker>,
}

/// A thread's own copy of everything that a step changes. All copies take the same steps, so nothing but gradients goes
/// from core to core.
#[derive(Debug)]
struct Worker {
    model: Model,
    gradient: Vec<f32>,
    optimiser: Optimiser,
    room: Room,
    /// Gradients of blocks on their way into a sum, one a level of the tree.
    spare: Vec<Block>,
}

/// The agent, and its weights the other way round for the way back.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) agent: ActorCritic,
    pub(crate) turned: Vec<f32>,
}

/// The gradient of a block, or of a bunch of them.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) gradient: Vec<f32>,
    pub(crate) sums: Sums,
}

/// Rows, or sequences of `length` rows, in a block of a minibatch of `n`.
fn block_size(n: usize, length: usize) -> usize {
    let tile = if length > 1 { tile_sequences(length) } else { TILE_ROWS };
    let least = (LEAST_ROWS / length).max(1);
    let even = n.div_ceil(MOST_BLOCKS).max(least);
    // Whole tiles where there are many.
    if even > tile { even.next_multiple_of(tile) } else { even }
}

/// Neighbouring blocks that a thread takes at once and sums by itself: a power of two, so that the sums of bunches are the tree's own
/// and their size changes no bit. A sum made near the core costs less than parts sent to another.
fn bunch_size(n_blocks: usize, n_threads: usize) -> usize {
    let most = n_blocks / (TURNS * n_threads);
    if most == 0 { 1 } else { 1 << most.ilog2() }
}

/// What a lock holds, whether or not a thread died with it: a gate that is left open ends everything anyway.
fn sound<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl FusedLearner {
    /// Learns on `n_threads` threads.
    #[must_use]
    pub fn new(agent: ActorCritic, n_threads: usize, isa: Instructions) -> Self {
        let n = agent.parameters.len();
        let worker = || Worker {
            model: Model { turned: vec![0.0; n], agent: agent.clone() },
            gradient: vec![0.0; n],
            optimiser: Optimiser::new(n),
            room: Room::default(),
            spare: Vec::new(),
        };
        let bunches = (0..MOST_BLOCKS).map(|_| RwLock::default()).collect();
        Self { isa, bunches, workers: (0..n_threads.max(1)).map(|_| worker()).collect() }
    }
}

impl Model {
    fn turn_weights(&mut self) {
        for (place, rows, columns) in self.agent.spec().matrices() {
            turn(&self.agent.parameters[place.clone()], rows, columns, &mut self.turned[place]);
        }
    }
}

/// What the threads of an update share.
struct Shared<'a> {
    bunches: &'a [RwLock<Block>],
    batches: &'a [Batch<'a>],
    experience: Experience<'a>,
    isa: Instructions,
    next: AtomicUsize,
    gate: Gate,
    step: Mutex<Option<Step>>,
}

impl Shared<'_> {
    /// Goes through the batches: takes blocks until none is left, sums all blocks, and steps as `decide` (of the thread
    /// that leads) says. Returns the sum of norms.
    fn run(&self, worker: &mut Worker, mut decide: Option<&mut Decide<'_>>) -> Result<f64, LearnError> {
        let _open = if decide.is_some() { self.gate.leave_open() } else { self.gate.leave_open_on_panic() };
        worker.model.turn_weights();
        let mut norms = 0.0;
        for (index, batch) in self.batches.iter().enumerate() {
            let size = block_size(batch.indices.len(), self.experience.sequences.map_or(1, |s| s.length));
            let bunch = bunch_size(batch.indices.len().div_ceil(size), self.gate.n());
            self.work(batch, size, bunch, worker);
            if !self.gate.meet() {
                break;
            }
            let n_bunches = batch.indices.len().div_ceil(size * bunch).max(1);
            let sums = self.reduce(&self.bunches[..n_bunches], &mut worker.gradient);
            if let Some(decide) = &mut decide {
                finite(&sums, &worker.gradient, &worker.model.agent, worker.optimiser.n_steps)?;
                let step = decide(index, &sums);
                *sound(self.step.lock()) = step;
                self.next.store(0, Ordering::Release);
            }
            if !self.gate.meet() {
                break;
            }
            let Some(step) = *sound(self.step.lock()) else { break };
            let Worker { model, gradient, optimiser, .. } = &mut *worker;
            norms += optimiser.step(self.isa, step, gradient, &mut model.agent)?;
            model.turn_weights();
        }
        Ok(norms)
    }

    fn work(&self, batch: &Batch<'_>, size: usize, bunch: usize, worker: &mut Worker) {
        let Worker { model, room, spare, .. } = worker;
        let pass = Pass { model, isa: self.isa, experience: self.experience, loss: batch.loss };
        spare.resize_with(bunch.ilog2() as usize, Block::default);
        loop {
            let place = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(indices) = batch.indices.chunks(size * bunch).nth(place) else { return };
            let mut bunch = sound(self.bunches[place].write());
            sum_blocks(&pass, indices, size, room, &mut bunch, spare);
        }
    }

    /// Sums the bunches' gradients into `out`: neighbours, then neighbours of those, and so on.
    fn reduce(&self, blocks: &[RwLock<Block>], out: &mut [f32]) -> Sums {
        /// Parameters summed at a time, in the nearest cache.
        const STRIP: usize = 1024;
        let blocks: Vec<_> = blocks.iter().map(|block| sound(block.read())).collect();
        let mut parts = vec![[0.0f32; STRIP]; if blocks.len() > 1 { blocks.len() } else { 0 }];
        for (strip, out) in out.chunks_mut(STRIP).enumerate() {
            let place = strip * STRIP..strip * STRIP + out.len();
            if let [only] = &blocks[..] {
                out.copy_from_slice(&only.gradient[place]);
                continue;
            }
            for (part, block) in parts.iter_mut().zip(&blocks) {
                part[..out.len()].copy_from_slice(&block.gradient[place.clone()]);
            }
            in_pairs(&mut parts, |to, from| add_into(self.isa, &from[..out.len()], &mut to[..out.len()]));
            out.copy_from_slice(&parts[0][..out.len()]);
        }
        let mut sums: Vec<Sums> = blocks.iter().map(|block| block.sums).collect();
        in_pairs(&mut sums, |to, from| to.iter_mut().zip(from).for_each(|(a, b)| *a += b));
        sums.first().copied().unwrap_or(NOTHING)
    }
}

/// The gradient of the blocks of `size` rows that `indices` are, summed as [`in_pairs`] would, into `out`; `spare` has a block a level.
fn sum_blocks(
    pass: &Pass<'_>,
    indices: &[u32],
    size: usize,
    room: &mut Room,
    out: &mut Block,
    spare: &mut [Block],
) {
    let n_blocks = indices.len().div_ceil(size);
    let Some((right, rest)) = spare.split_first_mut().filter(|_| n_blocks > 1) else {
        return pass.block(indices, room, out);
    };
    let (near, far) = indices.split_at(n_blocks.next_power_of_two() / 2 * size);
    sum_blocks(pass, near, size, room, out, rest);
    sum_blocks(pass, far, size, room, right, rest);
    add_into(pass.isa, &right.gradient, &mut out.gradient);
    out.sums.iter_mut().zip(&right.sums).for_each(|(a, b)| *a += b);
}

/// What the leading thread makes of a batch's sums: the step to take, or none to end.
type Decide<'a> = dyn FnMut(usize, &Sums) -> Option<Step> + 'a;

/// Adds neighbours, then neighbours of those, and so on, into the first.
fn in_pairs<T>(items: &mut [T], mut add: impl FnMut(&mut T, &T)) {
    let mut distance = 1;
    while distance < items.len() {
        for left in (0..items.len() - distance).step_by(2 * distance) {
            let (head, tail) = items.split_at_mut(left + distance);
            add(&mut head[left], &tail[0]);
        }
        distance *= 2;
    }
}

impl Learner for FusedLearner {
    fn agent(&self) -> &ActorCritic {
        &self.workers[0].model.agent
    }

    fn learn(
        &mut self,
        experience: Experience<'_>,
        batches: &[Batch<'_>],
        pace: &mut dyn FnMut(usize, &Sums) -> Option<Step>,
    ) -> Result<f64, LearnError> {
        let Self { isa, bunches, workers } = self;
        let shared = Shared {
            bunches,
            batches,
            experience,
            isa: *isa,
            next: AtomicUsize::new(0),
            gate: Gate::new(workers.len()),
            step: Mutex::new(None),
        };
        let Some((mine, others)) = workers.split_first_mut() else { return Ok(0.0) };
        std::thread::scope(|scope| {
            let shared = &shared;
            for worker in others {
                scope.spawn(move || shared.run(worker, None));
            }
            shared.run(mine, Some(pace))
        })
    }

    /// `4 P (5 n_threads + sums)`: weights, the same turned, gradient and two moments a thread, and at most
    /// [`MOST_BLOCKS`] sums of gradients on their way.
    fn bytes(&self) -> usize {
        let parameters = self.agent().parameters.len();
        let bunches: usize = self.bunches.iter().map(|bunch| sound(bunch.read()).gradient.len()).sum();
        let spare = self.workers.iter().flat_map(|worker| &worker.spare).map(|block| block.gradient.len());
        4 * (5 * parameters * self.workers.len() + bunches + spare.sum::<usize>())
    }

    fn snapshot(&self) -> Snapshot {
        let Worker { model, optimiser, .. } = &self.workers[0];
        optimiser.snapshot(&model.agent)
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        for Worker { model, optimiser, .. } in &mut self.workers {
            optimiser.restore(snapshot, &mut model.agent);
        }
    }

    fn last_gradient(&self) -> Vec<f32> {
        self.workers[0].gradient.clone()
    }
}

/// Empty sums.
pub(crate) const NOTHING: Sums = [0.0; N_SUMS];
