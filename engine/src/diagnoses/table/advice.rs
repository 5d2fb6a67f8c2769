//! What to do in one place, and how the table writes it. It knows no diagnosis.

use std::borrow::Cow;

/// What to do in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Servers, platform or protocol.
    pub place: Cow<'static, str>,
    /// What to do there.
    pub text: Cow<'static, str>,
}

/// Shorthand of the table.
pub(super) const fn at(place: &'static str, text: &'static str) -> Advice {
    Advice {
        place: Cow::Borrowed(place),
        text: Cow::Borrowed(text),
    }
}
