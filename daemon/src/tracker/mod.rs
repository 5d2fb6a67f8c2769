//! The pure middle: kernel readings and records in, series and stories out. No I/O, no clock, nothing that can
//! fail; the same input gives the same output, byte for byte.

mod drains;
mod filter;
mod gaps;
mod late;
mod ledger;
mod merge;
mod retired;
mod settle;
mod shelf;
mod survey;
mod time_wait;
mod unsettled;
mod view;
mod windows;

pub(crate) use drains::names;
#[cfg(test)]
pub(crate) use drains::scenario;
pub use drains::{Drains, Input as DrainInput, Options as DrainOptions, Want, World};
pub use filter::{Filter, Pattern};
pub use late::late_in_steady_time;
pub use ledger::{KEYS_MAX, Ledger, Limits};
pub use merge::{ClosedConnection, HELD_MAX, HOLD_NS, Merger};
pub use retired::Folded;
pub use settle::SettledRow;
pub use survey::{Surveyed, Surveys};
pub use time_wait::{MiniSockets, TimeWaits};
pub use view::{Gauges, ResetSeries, SeriesLabels, SeriesView, View};
pub use windows::{SERVICES_MAX, Windows};
