//! The tree of a report: sections with a title, labelled fields and further sections in them; tables; and what each piece
//! of text is. It does not know how it will look.

use crate::model::{Severity, Verdict};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// What to do: advice beside the facts.
    Advice,
    /// What may be passed over.
    Dim,
    /// The name of one thing among others of its kind, to be copied: an id.
    Id,
    /// A verdict, or what decides one.
    Verdict(Verdict),
    /// How grave something is.
    Severity(Severity),
}

/// A piece of text that is one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub tone: Tone,
    /// The text, without control characters.
    pub text: String,
}

/// A line, or what becomes several where there is no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

/// A titled part of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub title: Line,
    /// What there is to say of it.
    pub fields: Vec<Field>,
    /// What belongs to it.
    pub parts: Vec<Section>,
    /// Things of one kind that belong to it, below all that.
    pub table: Option<Table>,
    /// Where to read more, below all.
    pub more: Option<Line>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty: the text says it all.
    pub label: String,
    /// What there is to say.
    pub text: Line,
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// From left to right.
    pub columns: Vec<Column>,
    /// A cell a column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub kind: Kind,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words, each of which matters.
    Text,
    /// A name whose middle may be left out where there is no room.
    Name,
    /// Numbers, to be compared by their length.
    Number,
}

/// What stands in one column of one row.
pub type Cell = Span;

// === impl Span ===

impl From<String> for Span {
    fn from(text: String) -> Self {
        let tone = Tone::Plain;
        Self { tone, text }
    }
}

// === impl Line ===

impl Line {
    /// Adds a piece.
    #[must_use]
    pub fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        self.0.push(Span { tone, text });
        self
    }

    /// Without what its pieces are.
    pub fn plain(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Self {
        Self::default().and(Tone::Plain, text)
    }
}

// === impl Section ===

impl Section {
    /// With nothing but a title.
    pub fn new(title: Line) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }

    /// Adds a fact.
    pub fn field(&mut self, label: &str, text: impl Into<Line>) {
        self.fields.push(Field {
            label: label.to_owned(),
            text: text.into(),
        });
    }

    /// Adds a fact that is more than plain.
    pub fn toned(&mut self, label: &str, tone: Tone, text: impl Into<String>) {
        self.field(label, Line::default().and(tone, text));
    }
}
