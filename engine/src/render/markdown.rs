//! Reports as Markdown, for a comment on a change or a page: what was written by others stays text there: it
//! draws nothing and calls nobody.

use super::tree::{Column, Field, Kind, Line, Section, Span, Table, Tone};

/// Sections one after the other.
pub fn sections<'a>(sections: impl IntoIterator<Item = &'a Section>) -> String {
    let texts: Vec<_> = sections.into_iter().map(section).collect();
    texts.join("\n")
}

/// A section: its title as a paragraph, what belongs to it as a list, tables as tables.
pub fn section(section: &Section) -> String {
    let Section {
        title,
        fields,
        parts,
        table: things,
        more,
    } = section;
    let mut blocks = vec![inline(title) + "\n"];
    let mut list = String::new();
    for told in fields {
        match told.label.as_str() {
            "" => blocks.push(inline(&told.text) + "\n"),
            _ => item(&mut list, 0, &field(told)),
        }
    }
    for part in parts {
        branch(&mut list, part, 0);
    }
    blocks.extend(Some(list).filter(|list| !list.is_empty()));
    blocks.extend(things.as_ref().map(table));
    blocks.extend(more.as_ref().map(|more| inline(more) + "\n"));
    blocks.join("\n")
}

/// A table with its names in the first row; numbers are flush right.
pub fn table(table: &Table) -> String {
    let Table { columns, rows } = table;
    let names = columns.iter().map(|column| escaped(&column.name));
    let rules = columns.iter().map(|Column { kind, .. }| match kind {
        Kind::Number => "--:".to_owned(),
        Kind::Text | Kind::Name => "---".to_owned(),
    });
    let mut text = row(names) + &row(rules);
    for cells in rows {
        text.push_str(&row(cells.iter().map(span)));
    }
    text
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A section that belongs to another, so deep in the list.
fn branch(list: &mut String, section: &Section, depth: usize) {
    let Section {
        title,
        fields,
        parts,
        table: _,
        more,
    } = section;
    item(list, depth, &inline(title));
    for told in fields {
        item(list, depth + 1, &field(told));
    }
    for part in parts {
        branch(list, part, depth + 1);
    }
    if let Some(more) = more {
        item(list, depth + 1, &inline(more));
    }
}

fn item(list: &mut String, depth: usize, text: &str) {
    list.push_str(&format!("{:1$}- {text}\n", "", depth * 2));
}

fn field(told: &Field) -> String {
    let text = inline(&told.text);
    match told.label.as_str() {
        "" => text,
        label => format!("{}: {text}", escaped(label)),
    }
}

fn inline(line: &Line) -> String {
    line.0.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    let Span { tone, text } = span;
    match tone {
        Tone::Verdict(_) | Tone::Severity(_) => around("**", &escaped(text)),
        Tone::Id => code(text),
        Tone::Advice => advice(text),
        Tone::Plain | Tone::Dim => escaped(text),
    }
}

/// Ours, with what is to be typed between backticks.
fn advice(text: &str) -> String {
    let pieces: Vec<_> = text.split('`').collect();
    if pieces.len() % 2 == 0 {
        return escaped(text);
    }
    let pieces = pieces.iter().enumerate();
    let pieces = pieces.map(|(at, piece)| match at % 2 {
        0 => escaped(piece),
        _ => code(piece),
    });
    pieces.collect()
}

/// A mark around a text; none around nothing.
fn around(mark: &str, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{mark}{text}{mark}"),
    }
}

/// Text as it is, in a table too.
fn code(text: &str) -> String {
    match text.contains(['`', '|']) {
        true => escaped(text),
        false => around("`", text),
    }
}

/// Every character that may mean something is only itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '!' | '&' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // A name of somebody is no call.
            '@' => escaped.push_str("@\u{200b}"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verdict;

    fn report() -> Section {
        let title = Line::default()
            .and(Tone::Verdict(Verdict::Fail), "FAIL")
            .and(Tone::Plain, "  web *v1*");
        let mut section = Section::new(title);
        section.field("", "when");
        section.field("cut", "3");
        let mut part = Section::new("why".into());
        part.toned("", Tone::Advice, "remedy: `a_b`, not a_c");
        section.parts.push(part);
        section.table = Some(Table {
            columns: vec![
                Column {
                    name: "DRAIN".to_owned(),
                    kind: Kind::Text,
                },
                Column {
                    name: "CUT".to_owned(),
                    kind: Kind::Number,
                },
            ],
            rows: vec![vec![
                Span::from("a|b".to_owned()),
                Span::from("3".to_owned()),
            ]],
        });
        section.more = Some(Line::from("more: ").and(Tone::Id, "finwatch rollouts show x_1"));
        section
    }

    #[test]
    fn a_report_is_paragraphs_a_list_and_a_table() {
        let wanted = "\
**FAIL**  web \\*v1\\*

when

- cut: 3
- why
  - remedy: `a_b`, not a\\_c

| DRAIN | CUT |
| --- | --: |
| a\\|b | 3 |

more: `finwatch rollouts show x_1`
";
        assert_eq!(section(&report()), wanted);
        let two = sections([&report(), &report()]);
        assert_eq!(two, format!("{wanted}\n{wanted}"));
    }

    #[test]
    fn what_others_wrote_is_text() {
        assert_eq!(
            escaped("[x](http://y) <b> @team"),
            "\\[x\\](http://y) \\<b\\> @\u{200b}team"
        );
        assert_eq!(advice("an odd ` one"), "an odd \\` one");
        assert_eq!(code("a|b"), "a\\|b");
    }
}
