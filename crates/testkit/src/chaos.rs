//! What a test of faults needs: a daemon that is a process and can be killed, an engine that can be
//! killed, stopped and asked, callers who remember what they were told, and a look whether anything
//! was left behind.

mod calls;
mod clean;
mod faults;
mod hang;
mod life;
mod points;
mod rounds;
mod tally;
mod under;
mod worker;

pub use calls::{Calls, Outcome, key};
pub use clean::{CLEAN, clean};
pub use faults::Fault;
pub use hang::hang;
pub use life::Life;
pub use points::{die_at, prepare};
pub use rounds::{Settings, run};
pub use tally::Tally;
pub use under::Under;
