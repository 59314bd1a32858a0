//! Indicators, timeframes and the normaliser: one definition, run over a whole column or one bar at a time with the
//! same bits.
//!
//! The batch is the stream run over a column, so there is one piece of arithmetic. What makes a stream begun anywhere
//! equal to the batch is that nothing remembers further back than it says: windows are recomputed, never cancelled,
//! and recursive averages restart at fixed UTC anchors ([`cambist_core::indicator`]). A row exists only once every column is warmed
//! up; a bar of a longer timeframe is seen from its end on.

pub mod family;
pub mod indicators;
pub mod normaliser;
pub mod spec;
pub mod stream;
pub mod view;
mod window;

pub use normaliser::Normaliser;
pub use spec::{FeatureError, FeatureSpec};
pub use stream::{FeatureStream, look_back};
pub use view::{FeatureView, Past};
