//! How far a drain is: what surveys show of it, whether its processes are gone, and whether all that they left behind
//! has settled.

pub(crate) mod at_start;
pub(crate) mod over;
pub(crate) mod surveys;
