//! The live stream of closes: records come in from programs of its own, lines go out. It needs no daemon,
//! and a daemon that runs beside it does not notice.

mod event;
mod filter;
mod instances;
mod options;
mod printer;
mod session;
mod stream;
mod text;

#[cfg(test)]
mod samples;

pub(crate) use self::{
    filter::{Cuts, Filter, Name, Ports},
    options::{Form, WatchOptions},
    session::run,
};
