//! From facts to findings and verdicts: every diagnosis is declared once in the table, the judge finds them in a drain's
//! facts, and the growth test compares with ordinary time.

pub(crate) mod growth;
pub(crate) mod judge;
mod table;

pub use growth::{BASELINE_MIN_SECS, test as growth_test};
pub use judge::{JudgeOptions, judge};
pub use table::*;
