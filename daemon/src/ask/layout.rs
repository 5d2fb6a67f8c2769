//! A tree of titled nodes with facts under each, drawn in lines that fit. It does not know what the facts are.

use super::table::WIDTH;
use crate::columns::{self, wrap};

/// One node.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// First line; colours are written into it.
    pub(super) title: String,
    /// Lines below: a label and what there is to say.
    pub(super) facts: Vec<Fact>,
    pub(super) children: Vec<Node>,
}

/// A line of a node.
#[derive(Debug)]
pub(super) struct Fact {
    label: String,
    text: String,
    style: anstyle::Style,
}

// === impl Node ===

impl Node {
    pub(super) fn new(title: String) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }

    /// Adds a line.
    pub(super) fn fact(&mut self, label: &str, text: impl Into<String>) {
        self.styled(label, text, anstyle::Style::new());
    }

    /// Adds a line in a style.
    pub(super) fn styled(&mut self, label: &str, text: impl Into<String>, style: anstyle::Style) {
        self.facts.push(Fact {
            label: label.to_owned(),
            text: text.into(),
            style,
        });
    }

    /// The tree from here on.
    pub(super) fn draw(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, "", "");
        text
    }

    /// `first` stands before the title, `rest` before each line after it.
    fn write(&self, text: &mut String, first: &str, rest: &str) {
        text.push_str(&format!("{first}{}\n", self.title));
        let bar = if self.children.is_empty() {
            "   "
        } else {
            "│  "
        };
        let labels = self.facts.iter().map(|fact| columns::width(&fact.label));
        let labels = labels.max().unwrap_or(0);
        // A node without labels needs no column for them.
        let gap = if labels == 0 { 0 } else { 2 };
        for Fact {
            label,
            text: words,
            style,
        } in &self.facts
        {
            let room = WIDTH.saturating_sub(columns::width(rest) + 3 + labels + gap);
            for (at, line) in wrap(words, room.max(20)).iter().enumerate() {
                let label = if at == 0 { label } else { "" };
                let line = format!(
                    "{rest}{bar}{label:labels$}{:gap$}{style}{line}{style:#}",
                    ""
                );
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        let last = self.children.len().saturating_sub(1);
        for (at, child) in self.children.iter().enumerate() {
            let (branch, below) = if at == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            child.write(text, &format!("{rest}{branch}"), &format!("{rest}{below}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_bars_where_something_follows() {
        let mut root = Node::new("root".to_owned());
        root.fact("a", "1");
        root.fact("label", "2");
        let mut first = Node::new("first".to_owned());
        first.fact("", "fact");
        first.children.push(Node::new("leaf".to_owned()));
        let mut second = Node::new("second".to_owned());
        second.fact("", "w ".repeat(60));
        root.children = vec![first, second];
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
        assert_eq!(root.draw().lines().collect::<Vec<_>>(), wanted);
    }
}
