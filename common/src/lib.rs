//! The wire contract between the kernel programs and user space: what a counter row, a record and a
//! survey row look like, byte for byte; and the few facts that both halves need. It knows nothing of kernels, sockets,
//! labels or output.
#![no_std]

mod cell;
pub mod frames;
mod offsets;
mod process;
mod record;
mod row;
mod service;
pub mod signal;
mod survey;
pub mod tcp;
mod unread;
mod wire;

pub use cell::{CELLS, Cell, CounterRow};
pub use offsets::{Features, FieldSpec, MISSING, Offsets};
pub use process::{
    Disposition, ExitRecord, Intent, KIND_EXIT, KIND_SIGNAL, Kinship, MeaningKey, PhaseEntry,
    Process, ProcessEntry, SignalRecord, comm_str,
};
pub use record::{
    CLEAN_CLOSES_SAMPLE, CloseRecord, Cut, Evidence, KIND_CLOSE, KIND_LISTENER, KIND_RESET,
    ListenerRecord, Origin, Outcome, RecordHeader, ResetRecord, TimeWait, WAITED_MS, close_flags,
    reset_flags,
};
pub use row::{
    OTHER_ROWS, ROW_LIFE_SHIFT, ROWS_MAX, ResetRow, RowCells, RowHead, RowId, first_row_id,
    next_row_id, other_row, row_index,
};
pub use service::{
    Lost, PHASES, Phase, PortKey, PortOwner, ResetKey, Role, ServiceKey, inferred_reason,
};
pub use survey::{Loss, OwnerSeed, SurveyRow, survey_kind};
pub use unread::{KIND_UNREAD, UnreadRecord};
pub use wire::{Wire, WireError};
