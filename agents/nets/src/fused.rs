//! The CPU learner: gather, forward, loss and backward of a tile of rows while it is in cache, then Adam.
//!
//! A minibatch is cut into at most [`MOST_BLOCKS`] blocks by its size alone; a block's gradient is one chain over its
//! tiles in order, and the blocks' gradients are summed pairwise in a fixed tree. Threads take blocks as they come, so
//! neither their number nor their luck changes a bit (invariant 5).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::{AdamStep, adam};
use cambist_policy::{ActorCritic, Instructions};

use crate::gate::Gate;
use crate::learner::{Batch, Experience, LearnError, Learner, N_SUMS, Snapshot, Step, Sums};
use crate::pass::{Pass, Room};
use crate::perceptron::turn;
use crate::recurrent::tile_sequences;

/// Blocks of a minibatch at most: enough for as many threads, few enough to be summed at no cost.
pub const MOST_BLOCKS: usize = 32;
/// Rows of a block at least.
const LEAST_ROWS: usize = 64;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-5;

/// An agent that learns on the CPU.
#[derive(Debug)]
pub struct FusedLearner {
    model: Model,
    isa: Instructions,
    blocks: Vec<Mutex<Block>>,
    rooms: Vec<Room>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    n_steps: u64,
}

/// The agent, and its weights the other way round for the way back.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) agent: ActorCritic,
    pub(crate) turned: Vec<f32>,
}

/// A block's gradient.
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

fn sound<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl FusedLearner {
    /// Learns on `n_threads` threads.
    #[must_use]
    pub fn new(agent: ActorCritic, n_threads: usize, isa: Instructions) -> Self {
        let n = agent.parameters.len();
        Self {
            model: Model { turned: vec![0.0; n], agent },
            isa,
            blocks: Vec::new(),
            rooms: (0..n_threads.max(1)).map(|_| Room::default()).collect(),
            first_moment: vec![0.0; n],
            second_moment: vec![0.0; n],
            n_steps: 0,
        }
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
    model: RwLock<&'a mut Model>,
    blocks: &'a [Mutex<Block>],
    batches: &'a [Batch<'a>],
    experience: Experience<'a>,
    isa: Instructions,
    next: AtomicUsize,
    gate: Gate,
}

impl Shared<'_> {
    /// Takes blocks of batch `index` until none is left.
    fn work(&self, index: usize, room: &mut Room) {
        let Batch { indices, loss } = self.batches[index];
        let model = sound(self.model.read());
        let model: &Model = &model;
        let size = block_size(indices.len(), self.experience.sequences.map_or(1, |s| s.length));
        let pass = Pass { model, isa: self.isa, experience: self.experience, loss };
        loop {
            let place = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(indices) = indices.chunks(size).nth(place) else { return };
            let mut block = sound(self.blocks[place].lock());
            pass.block(indices, room, &mut block);
        }
    }

    fn follow(&self, room: &mut Room) {
        let _open = self.gate.leave_open_on_panic();
        for index in 0..self.batches.len() {
            if !self.gate.meet() {
                return;
            }
            self.work(index, room);
            if !self.gate.meet() {
                return;
            }
        }
    }
}

impl Learner for FusedLearner {
    fn agent(&self) -> &ActorCritic {
        &self.model.agent
    }

    fn learn(
        &mut self,
        experience: Experience<'_>,
        batches: &[Batch<'_>],
        pace: &mut dyn FnMut(usize, &Sums) -> Option<Step>,
    ) -> Result<f64, LearnError> {
        let Self { model, isa, blocks, rooms, first_moment, second_moment, n_steps } = self;
        model.turn_weights();
        blocks.resize_with(MOST_BLOCKS, Mutex::default);
        let length = experience.sequences.map_or(1, |s| s.length);
        let shared = Shared {
            model: RwLock::new(model),
            blocks,
            batches,
            experience,
            isa: *isa,
            next: AtomicUsize::new(0),
            gate: Gate::new(rooms.len()),
        };
        let mut optimiser = Optimiser { isa: *isa, first_moment, second_moment, n_steps };
        let Some((mine, others)) = rooms.split_first_mut() else { return Ok(0.0) };
        std::thread::scope(|scope| {
            let shared = &shared;
            for room in others {
                scope.spawn(move || shared.follow(room));
            }
            let _open = shared.gate.leave_open();
            let mut norms = 0.0;
            for (index, batch) in batches.iter().enumerate() {
                shared.next.store(0, Ordering::Release);
                shared.gate.meet();
                shared.work(index, mine);
                shared.gate.meet();
                let n = batch.indices.len();
                let used = &shared.blocks[..n.div_ceil(block_size(n, length)).max(1)];
                let block = reduce(used);
                if block.sums.iter().any(|sum| !sum.is_finite()) {
                    return Err(LearnError::NotFinite { what: "loss".to_owned(), step: *optimiser.n_steps });
                }
                let Some(step) = pace(index, &block.sums) else { break };
                let mut model = sound(shared.model.write());
                norms += optimiser.step(step, &block.gradient, &mut model.agent)?;
                model.turn_weights();
            }
            Ok(norms)
        })
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            parameters: self.model.agent.parameters.clone(),
            first_moment: self.first_moment.clone(),
            second_moment: self.second_moment.clone(),
            n_steps: self.n_steps,
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.model.agent.parameters.copy_from_slice(&snapshot.parameters);
        self.first_moment.copy_from_slice(&snapshot.first_moment);
        self.second_moment.copy_from_slice(&snapshot.second_moment);
        self.n_steps = snapshot.n_steps;
    }

    fn last_gradient(&self) -> Vec<f32> {
        self.blocks.first().map_or_else(Vec::new, |block| sound(block.lock()).gradient.clone())
    }
}

/// Sums the blocks' gradients into the first: neighbours, then neighbours of those, and so on.
fn reduce(blocks: &[Mutex<Block>]) -> std::sync::MutexGuard<'_, Block> {
    let mut distance = 1;
    while distance < blocks.len() {
        for left in (0..blocks.len() - distance).step_by(2 * distance) {
            let (mut to, from) = (sound(blocks[left].lock()), sound(blocks[left + distance].lock()));
            to.gradient.iter_mut().zip(&from.gradient).for_each(|(a, b)| *a += b);
            to.sums.iter_mut().zip(&from.sums).for_each(|(a, b)| *a += b);
        }
        distance *= 2;
    }
    sound(blocks[0].lock())
}

/// Adam with the norm's clip.
struct Optimiser<'a> {
    isa: Instructions,
    first_moment: &'a mut [f32],
    second_moment: &'a mut [f32],
    n_steps: &'a mut u64,
}

impl Optimiser<'_> {
    /// Steps along `gradient` and returns its norm before clipping.
    fn step(&mut self, step: Step, gradient: &[f32], agent: &mut ActorCritic) -> Result<f64, LearnError> {
        let norm = norm(gradient);
        if !norm.is_finite() {
            let bad = |place: &std::ops::Range<usize>| gradient[place.clone()].iter().any(|g| !g.is_finite());
            let tensors = agent.spec().tensors();
            let tensor = tensors.into_iter().find(|(_, _, place)| bad(place)).map_or(String::new(), |t| t.0);
            let what = format!("gradient of '{tensor}'");
            return Err(LearnError::NotFinite { what, step: *self.n_steps });
        }
        *self.n_steps += 1;
        let largest = f64::from(step.max_norm);
        let scale = if norm > largest { largest / (norm + 1e-6) } else { 1.0 };
        let debias = |beta: f32| 1.0 - libm::pow(f64::from(beta), *self.n_steps as f64);
        let numbers = AdamStep {
            scale: scale as f32,
            beta1: BETA1,
            beta2: BETA2,
            rate: (f64::from(step.learning_rate) / debias(BETA1)) as f32,
            second: (1.0 / debias(BETA2).sqrt()) as f32,
            epsilon: EPSILON,
        };
        adam(self.isa, &numbers, gradient, self.first_moment, self.second_moment, &mut agent.parameters);
        Ok(norm)
    }
}

/// Euclidean norm, in eight chains summed in a fixed tree.
fn norm(gradient: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    for part in gradient.chunks(8) {
        for (lane, &g) in lanes.iter_mut().zip(part) {
            *lane += f64::from(g) * f64::from(g);
        }
    }
    let four: [f64; 4] = std::array::from_fn(|i| lanes[i] + lanes[i + 4]);
    ((four[0] + four[2]) + (four[1] + four[3])).sqrt()
}

/// Empty sums.
pub(crate) const NOTHING: Sums = [0.0; N_SUMS];
