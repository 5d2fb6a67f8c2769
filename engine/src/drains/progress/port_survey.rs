//! What a survey shows of one port of a drain.

use std::collections::BTreeMap;

use finwatch_common::{Process, SurveyRow, survey_kind};

/// See the module.
pub(crate) struct PortSurvey<'a> {
    /// When the survey began, on the clock of the records.
    pub(super) began_ns: u64,
    /// Rows of this port and of the drain's instances.
    pub(super) rows: &'a [(Process, &'a SurveyRow)],
    /// When the drain began for each instance.
    pub(super) since: &'a BTreeMap<Process, u64>,
    /// Connections younger than T0 count too.
    pub(super) whole: bool,
    /// When the processes were gone.
    pub(super) gone_ns: Option<u64>,
    /// The kernel shows what is open, as its instance is in a phase.
    pub(super) shows_open: bool,
    /// A mini-socket of this port's connections may still draw a late request.
    pub(super) mini_sockets: bool,
    /// Which connections are known to have ended.
    pub(super) ended: &'a dyn Fn(u64) -> bool,
}

// === impl PortSurvey ===

impl<'a> PortSurvey<'a> {
    /// Rows of one kind.
    pub(super) fn rows_of(
        &self,
        kind: u8,
    ) -> impl Iterator<Item = &'a (Process, &'a SurveyRow)> + use<'a> {
        self.rows.iter().filter(move |(_, row)| row.kind == kind)
    }
}

/// Connections in ESTABLISHED or CLOSE_WAIT.
pub(super) fn is_open(row: &SurveyRow) -> bool {
    matches!(row.kind, survey_kind::AWAITING | survey_kind::OPEN)
}
