//! A trained policy at work: forward passes, heads, weights. Small and exact, without a tensor library.
//!
//! Every output element is one chain of fused multiply-adds in index order, and exp and tanh are our own, so AVX-512,
//! AVX2 and plain code give equal bits (invariant 5). [`kernels`] is the one module of the workspace with `unsafe`.

pub mod acting;
pub mod actor_critic;
pub mod ensemble;
pub mod head;
pub mod kernels;
pub mod math;
pub mod mlp;
pub mod trained;
pub mod trunk;
pub mod weights;
pub mod window;

pub use acting::AgentPolicy;
pub use actor_critic::{ActorCritic, ActorCriticSpec, Outputs, Scratch};
pub use ensemble::{Combination, Ensemble, EnsemblePolicy, EnsembleSpec, MemberSpec, Wish};
pub use head::Head;
pub use kernels::Instructions;
pub use mlp::{Activation, Layer, MlpSpec};
pub use trained::{PolicySpec, Runner, TrainedPolicy};
pub use trunk::Trunk;
pub use weights::WeightsError;
