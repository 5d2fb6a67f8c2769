//! What people are told: a report is a tree of pieces of text that say what they are, made once of the values of the
//! [`crate::model`], and written by whoever shows it: [`text`] for a terminal, [`markdown`] for a comment or a page. It
//! knows neither terminals nor colours, and prints nothing.

mod beside;
pub(crate) mod columns;
mod drain;
pub(crate) mod finding;
mod incident;
pub(crate) mod lists;
pub mod markdown;
mod not_judged;
mod rollout;
pub mod text;
pub(crate) mod tree;
pub mod units;
pub(crate) mod verdict;

pub use self::{
    beside::beside,
    columns::wrap,
    drain::drain,
    incident::incident,
    lists::{drains, incidents, rollouts, services},
    not_judged::not_judged,
    rollout::rollout,
    tree::{Cell, Column, Field, Kind, Line, Section, Span, Table, Tone},
    verdict::{Judged, judged, note, verdict_of, verdict_of_nothing},
};

/// Columns of a line for which reports are made.
pub const COLUMNS: usize = 100;
