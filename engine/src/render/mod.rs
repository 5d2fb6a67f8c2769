//! What people are told: a report is a tree of pieces of text that say what they are, made once of the values of the
//! [`crate::model`], and written by whoever shows it: [`text`] for a terminal. It knows neither terminals nor colours, and
//! prints nothing.

mod columns;
mod drain;
mod finding;
mod lists;
mod not_judged;
mod rollout;
pub mod text;
mod tree;
pub mod units;
mod verdict;

pub use self::{
    columns::wrap,
    drain::drain,
    lists::{drains, rollouts, services},
    not_judged::not_judged,
    rollout::rollout,
    tree::{Cell, Column, Field, Kind, Line, Section, Span, Table, Tone},
    verdict::{Judged, verdict},
};
