//! A report, before it is HTML, Markdown or plain text.
//!
//! Within texts, `` `code` `` is set as code.

/// How a cell is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Nothing to see.
    Quiet,
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it is to be read.
    pub tone: Tone,
}

impl Cell {
    /// A cell of some tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        Self { text, tone }
    }

    /// A cell in which there is nothing.
    pub fn empty() -> Self {
        Self::new("–", Tone::Quiet)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The heads of its columns.
    pub heads: Vec<String>,
    /// The first this many columns are names, the others figures, which stand to the right.
    pub names: usize,
    /// Its rows, each as long as the heads.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(names: usize, heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            heads: heads.into_iter().map(Into::into).collect(),
            names,
            rows: Vec::new(),
        }
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its file's name without `.svg`.
    pub name: String,
    /// What it shows, for those who do not see it.
    pub alternative: String,
    /// What to look at.
    pub caption: String,
    /// The picture: SVG, dark on white.
    pub svg: String,
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Sentences.
    Paragraph(String),
    /// Short texts.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A picture.
    Figure(Figure),
    /// Lines for a shell.
    Commands(String),
}

/// A part of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section.
    pub fn new(title: impl Into<String>, blocks: Vec<Block>) -> Self {
        let title = title.into();
        Self { title, blocks }
    }
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What stands before the first section.
    pub lead: Vec<Block>,
    /// Its sections.
    pub sections: Vec<Section>,
}

impl Document {
    /// Every picture.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let sections = self.sections.iter().flat_map(|section| &section.blocks);
        self.lead
            .iter()
            .chain(sections)
            .filter_map(|block| match block {
                Block::Figure(figure) => Some(figure),
                _ => None,
            })
    }
}

/// Cuts a text into pieces, every second of which is code.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let pieces = text.split('`').enumerate();
    pieces.map(|(index, piece)| (piece, index % 2 == 1))
}
