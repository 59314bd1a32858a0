//! Metrics, one a file. Returns are simple and per bar unless a name says otherwise; ratios are annualised by the
//! square root of bars a year; money that is not there is never invented: what cannot be computed is NaN.

pub mod band;
pub mod bootstrap;
pub mod break_even;
pub mod calmar;
pub mod deflated_sharpe;
pub mod drawdown;
pub mod growth;
pub mod hit_rate;
pub mod market;
pub mod moments;
pub mod newey_west;
pub mod probabilistic_sharpe;
pub mod profit_factor;
pub mod seeds;
pub mod sharpe;
pub mod sortino;
pub mod tail;
pub mod turnover;
