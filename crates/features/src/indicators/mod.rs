//! The indicators themselves. Definitions are TA-Lib's where it has one, with its way of starting up.

pub mod calendar;
pub mod directional;
pub mod momentum;
pub mod trend;
pub mod volatility;
pub mod volume;
