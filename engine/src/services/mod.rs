//! Readings of the kernel's rows in, series that never go backwards out; names, limits, retirement, baselines.

mod filter;
mod ledger;
mod names;
mod now;
mod refusals;
mod retired;
mod series;
mod settle;
mod smalls;
mod survey;
mod time_wait;
mod unsettled;
mod view;
mod windows;

pub use filter::{Filter, Pattern};
pub(crate) use ledger::Ledger;
pub use names::Names;
pub(crate) use now::name;
pub use now::states;
pub use refusals::Refusals;
pub(crate) use refusals::Refused;
pub use series::Limits;
pub use settle::SettledRow;
pub use smalls::Smalls;
pub use survey::{Surveyed, Surveys};
pub use time_wait::{MiniSockets, TimeWaits};
pub use view::{Folded, Gauges, ResetSeries, SeriesLabels, SeriesView, View};
pub use windows::{SERVICES_MAX, Windows};

/// Most services known at once, by key; about 150 bytes each. What comes on top is counted in `other`.
pub const KEYS_MAX: usize = 16_384;
