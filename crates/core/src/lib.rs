//! The words of the field, as types and small traits, shared by every other crate.
//!
//! Nothing here reads a file, a clock or a random device: time comes through [`clock::Clock`], randomness
//! through [`rng::Stream`].

pub mod aggregate;
pub mod check;
pub mod clock;
pub mod env;
pub mod event;
pub mod indicator;
pub mod order;
pub mod policy;
pub mod rng;
pub mod server_clock;
pub mod state;
pub mod tape;
pub mod time;
pub mod units;

pub use env::{ActionSpec, AutoReset, BatchedEnv, End, ObservationSpec, StepBuffers};
pub use event::{BarEvent, BookDelta, MarketEvent, Quote, Trade};
pub use order::{Expiry, FillPolicy, OrderKind, Side, Ticket};
pub use server_clock::{DaylightSaving, ServerClock};
pub use state::StateError;
pub use tape::{Bar, InstrumentId, MarketTape, PriceSide, VolumeKind};
pub use time::{Timeframe, UnixNanos};
pub use units::BasisPoints;
