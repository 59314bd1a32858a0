//! A simulated MetaTrader 5 terminal: the broker of `cambist-execution` on a tape, spoken to in MetaTrader's own words.
//!
//! [`Terminal`] answers what the `MetaTrader5` Python package answers, with its names, codes and units: prices and lots instead
//! of ticks and steps, and the server's wall clock instead of UTC. Time stands between two calls and moves only when it is told
//! to, from open to open, so that a day takes as long as its answers. Every request that may change something is in the [`Journal`] before it is
//! carried out; a terminal that dies lives through its journal again and stands where it stood, for the broker is pure.
//! [`serve`] speaks JSON lines over a socket; `bridge/standin` is the Python module on the other side.
//!
//! Where a bar is at hand, its open is known and nothing else: quotes, positions and answers show the account as it stands when
//! the open has been traded, and the bar is lived through whole when time passes its close. So a day of orders at the opens is
//! the day that the training environment steps through, fill by fill. A deal is told when a client can know of it: one inside a bar
//! at its close.
//!
//! Assumes one symbol, and orders that arrive at once. Refuses what a terminal would refuse, with its return codes; a request that is no request is answered with
//! an error of the package, and [`last_error`](Terminal::last_error) says which.

mod answers;
mod books;
mod calls;
mod faults;
mod journal;
mod orders;
mod retcode;
mod server;
mod terminal;
mod words;

pub use calls::call;
pub use faults::{Faults, Reply, Weather};
pub use journal::{Journal, JournalError};
pub use server::{Pace, ServeError, serve};
pub use terminal::{Closed, Setup, SetupError, Terminal};
pub use words::{DealRecord, OrderRecord, PositionRecord, Rate, Request, SendResult};
