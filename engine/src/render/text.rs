//! Reports as text for a terminal or a log, in lines that fit. It knows neither how wide the terminal is nor what its
//! colours are: both are told.

use super::{
    columns::{shortened, width, wrap},
    tree::{Column, Field, Kind, Line, Section, Span, Table, Tone},
};

/// Spaces between two columns of a table.
const GAP: usize = 2;
/// What a shortened cell keeps at least.
const CELL_MIN: usize = 8;
/// What a field has for itself at least, however deep it stands.
const ROOM_MIN: usize = 20;

/// Whoever writes.
#[derive(Clone, Copy)]
pub struct Writer {
    /// Columns of a line.
    pub width: usize,
    /// A piece of text as it looks.
    pub paint: fn(Tone, &str) -> String,
}

// === impl Writer ===

impl Writer {
    /// A section with branches drawn to what belongs to it.
    pub fn tree(&self, section: &Section) -> String {
        let mut text = String::new();
        self.branch(&mut text, section, "", "");
        text
    }

    /// `first` stands before the title, `rest` before each line after it.
    fn branch(&self, text: &mut String, section: &Section, first: &str, rest: &str) {
        let Section {
            title,
            fields,
            parts,
            table,
            more,
        } = section;
        push(text, first, &self.painted(title));
        let bar = if parts.is_empty() { "   " } else { "│  " };
        self.fields(text, fields, &format!("{rest}{bar}"));
        let last = parts.len().saturating_sub(1);
        for (at, part) in parts.iter().enumerate() {
            let (branch, below) = if at == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.branch(
                text,
                part,
                &format!("{rest}{branch}"),
                &format!("{rest}{below}"),
            );
        }
        if let Some(table) = table {
            self.table_below(text, table, &format!("{rest}   "));
        }
        if let Some(more) = more {
            self.wrapped(text, more, &format!("{rest}   "));
        }
    }

    /// Fields, their texts below each other.
    fn fields(&self, text: &mut String, fields: &[Field], before: &str) {
        let labels = fields.iter().map(|field| width(&field.label));
        let labels = labels.max().unwrap_or(0);
        // A section without labels needs no column for them.
        let gap = if labels == 0 { 0 } else { GAP };
        let room = self.width.saturating_sub(width(before) + labels + gap);
        for Field { label, text: line } in fields {
            for (at, line) in broken(line, room.max(ROOM_MIN)).iter().enumerate() {
                let label = if at == 0 { label } else { "" };
                let before = format!("{before}{label:labels$}{:gap$}", "");
                push(text, &before, &self.painted(line));
            }
        }
    }

    /// Sections one after the other, what belongs to each a little further in: for a log, where branches say nothing.
    pub fn indented<'a>(&self, sections: impl IntoIterator<Item = &'a Section>) -> String {
        let mut text = String::new();
        for section in sections {
            self.indent(&mut text, section, 0);
        }
        text
    }

    fn indent(&self, text: &mut String, section: &Section, depth: usize) {
        const STEP: usize = 2;
        /// A finding's evidence stands below its name, which its severity comes before.
        const BELOW_NAME: usize = 6;

        let Section {
            title,
            fields,
            parts,
            table,
            more,
        } = section;
        push(text, &" ".repeat(depth), &self.painted(title));
        let below = if depth == 0 { STEP } else { BELOW_NAME };
        for Field {
            label: _,
            text: line,
        } in fields
        {
            self.wrapped(text, line, &" ".repeat(depth + below));
        }
        for part in parts {
            self.indent(text, part, depth + STEP);
        }
        if let Some(table) = table {
            self.table_below(text, table, &" ".repeat(depth + STEP));
        }
        if let Some(more) = more {
            self.wrapped(text, more, &" ".repeat(depth + STEP));
        }
    }

    /// A table that belongs to a section.
    fn table_below(&self, text: &mut String, table: &Table, before: &str) {
        let narrower = Self {
            width: self.width.saturating_sub(width(before)),
            ..*self
        };
        for line in narrower.table(table).lines() {
            text.push_str(&format!("{before}{line}\n"));
        }
    }

    /// A table as kubectl draws them: no borders, names in capitals. Where a line is too long, the first column of names is
    /// shortened, then the next, until it fits.
    pub fn table(&self, table: &Table) -> String {
        let Table { columns, rows } = table;
        let mut widths: Vec<_> = columns.iter().map(|column| width(&column.name)).collect();
        for row in rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(&cell.text).max(*widest);
            }
        }
        let line = widths.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1);
        let mut excess = line.saturating_sub(self.width);
        for (widest, Column { name, kind }) in widths.iter_mut().zip(columns) {
            if *kind == Kind::Name {
                let least = CELL_MIN.max(width(name));
                let taken = excess.min(widest.saturating_sub(least));
                *widest -= taken;
                excess -= taken;
            }
        }
        let names = columns.iter().map(|column| Span::from(column.name.clone()));
        let mut text = String::new();
        for row in std::iter::once(&names.collect()).chain(rows) {
            self.row(&mut text, row, columns, &widths);
        }
        text
    }

    /// One line; no space at its end.
    fn row(&self, text: &mut String, cells: &[Span], columns: &[Column], widths: &[usize]) {
        // Spaces that are due before the next character.
        let mut spaces = 0;
        for ((cell, column), widest) in cells.iter().zip(columns).zip(widths) {
            let shown = shortened(&cell.text, *widest);
            let fill = widest.saturating_sub(width(&shown));
            let (before, after) = match column.kind {
                Kind::Number => (fill, 0),
                Kind::Text | Kind::Name => (0, fill),
            };
            text.push_str(&" ".repeat(spaces + before));
            text.push_str(&(self.paint)(cell.tone, &shown));
            spaces = after + GAP;
        }
        text.push('\n');
    }

    fn wrapped(&self, text: &mut String, line: &Line, before: &str) {
        for line in broken(line, self.width.saturating_sub(width(before))) {
            push(text, before, &self.painted(&line));
        }
    }

    fn painted(&self, line: &Line) -> String {
        let spans = line.0.iter();
        spans
            .map(|span| (self.paint)(span.tone, &span.text))
            .collect()
    }
}

/// One line; no space at its end.
fn push(text: &mut String, before: &str, line: &str) {
    text.push_str(format!("{before}{line}").trim_end());
    text.push('\n');
}

/// A line broken where it is too long, each of its pieces still what it was.
fn broken(line: &Line, room: usize) -> Vec<Line> {
    let whole = line.plain();
    let mut broken = Vec::new();
    // Where the next piece begins in the whole.
    let mut at = 0;
    for part in wrap(&whole, room) {
        // Only spaces are left out between two lines.
        let from = whole[at..].find(&*part).map_or(at, |found| at + found);
        at = from + part.len();
        broken.push(cut_out(line, from, at));
    }
    broken
}

/// What stands from one place to another, in bytes.
fn cut_out(line: &Line, from: usize, until: usize) -> Line {
    let mut out = Line::default();
    let mut begins = 0;
    for Span { tone, text } in &line.0 {
        let inside = from.saturating_sub(begins)..until.saturating_sub(begins).min(text.len());
        if let Some(piece) = text.get(inside).filter(|piece| !piece.is_empty()) {
            out = out.and(*tone, piece);
        }
        begins += text.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Writer = Writer {
        width: 100,
        paint: |_, text| text.to_owned(),
    };

    #[test]
    fn a_tree_has_bars_where_something_follows() {
        let mut root = Section::new("root".into());
        root.field("a", "1");
        root.field("label", "2");
        let mut first = Section::new("first".into());
        first.field("", "fact");
        first.parts.push(Section::new("leaf".into()));
        let mut second = Section::new("second".into());
        second.field("", "w ".repeat(60));
        root.parts = vec![first, second];
        let w = |count: usize| vec!["w"; count].join(" ");
        let wanted = [
            "root".to_owned(),
            "│  a      1".to_owned(),
            "│  label  2".to_owned(),
            "├─ first".to_owned(),
            "│  │  fact".to_owned(),
            "│  └─ leaf".to_owned(),
            "└─ second".to_owned(),
            format!("      {}", w(47)),
            format!("      {}", w(13)),
        ];
        assert_eq!(PLAIN.tree(&root).lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_piece_that_is_broken_is_the_same_on_both_lines() {
        let marked = Writer {
            width: 23,
            paint: |tone, text| match tone {
                Tone::Plain => text.to_owned(),
                _ => format!("<{text}>"),
            },
        };
        let line = Line::from("see ")
            .and(Tone::Dim, "what is marked so")
            .and(Tone::Plain, " here");
        let mut section = Section::new("title".into());
        section.field("", line);
        assert_eq!(
            marked.tree(&section),
            "title\n   see <what is marked>\n   <so> here\n"
        );
    }

    fn table<const N: usize>(columns: [(&str, Kind); N], rows: &[[String; N]]) -> Table {
        let columns = columns.map(|(name, kind)| Column {
            name: name.to_owned(),
            kind,
        });
        Table {
            columns: columns.into(),
            rows: rows
                .iter()
                .map(|row| row.iter().cloned().map(Span::from).collect())
                .collect(),
        }
    }

    #[test]
    fn a_wide_table_is_made_to_fit_by_the_columns_that_may_be_shortened() {
        let columns = [
            ("ID", Kind::Text),
            ("A", Kind::Name),
            ("B", Kind::Name),
            ("N", Kind::Number),
        ];
        let row = [
            "i".repeat(30),
            "a".repeat(60),
            "b".repeat(60),
            "7".to_owned(),
        ];
        let drawn = PLAIN.table(&table(columns, &[row]));
        let widths: Vec<_> = drawn.lines().map(width).collect();
        assert_eq!(widths[1], PLAIN.width, "{drawn}");
        assert!(drawn.contains(&"i".repeat(30)), "{drawn}");
        assert!(drawn.ends_with("  7\n"), "{drawn}");
    }

    #[test]
    fn columns_stand_under_their_names_whatever_the_script() {
        let columns = [("SERVICE", Kind::Name), ("N", Kind::Number)];
        let rows = [["決済:8080", "7"], ["checkout:8080", "12"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let drawn = PLAIN.table(&table(columns, &rows));
        let wanted = [
            "SERVICE         N",
            "決済:8080       7",
            "checkout:8080  12",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), wanted);
    }
}
