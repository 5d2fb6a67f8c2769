//! The drains, told whole stories.

mod controllers_tests;
mod deaths_tests;
mod goodbye_tests;
mod kernel;
mod phase_tests;
mod processes;
mod property_tests;
mod reload_tests;
pub(crate) mod scenario;
mod stop_tests;
mod unclear_tests;
mod verbs;
mod waiting_tests;

use super::{Drains, Input, lasting::LASTING_MAX};
