//! Durable files and databases: nothing is ever half-saved.
//!
//! [`files`] writes by write, fsync, rename; [`database`] owns the one kind of SQL pool and its migrations. Both are
//! used by the data catalogue and by the run registry. No meaning lives here, only durability.

pub mod database;
pub mod files;

pub use database::{Database, DatabaseError, Dialect, Patience};
pub use files::{FileError, create_folder, replace_folder, write_atomic};
