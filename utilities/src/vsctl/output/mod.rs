//! Tables of rows, in the forms that `--format` and `--data` name.

mod csv;
mod html;
mod json;
mod list;
mod plain;

use ovsdb::schema::ColumnType;
use ovsdb::{Atom, Datum, Uuid};

use super::grammar::text;

pub use json::pretty;

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns side by side.
    Table,
    /// A line for each column, a paragraph for each row.
    List,
    /// An HTML table.
    Html,
    /// Commas.
    Csv,
    /// One JSON object.
    Json,
}

/// `--data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFormat {
    /// As commands take it.
    String,
    /// With as little punctuation as possible.
    Bare,
    /// As RFC 7047 writes it.
    Json,
}

/// How tables are printed.
#[derive(Debug, Clone)]
pub struct Style {
    /// The form of the whole.
    pub format: Format,
    /// The form of a value.
    pub cells: CellFormat,
    /// With the columns' names.
    pub headings: bool,
    /// JSON over several lines.
    pub pretty: bool,
    /// Widest column of [`Format::Table`] in bytes; 0 means no bound.
    pub max_width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            format: Format::List,
            cells: CellFormat::String,
            headings: true,
            pretty: false,
            max_width: 0,
        }
    }
}

impl Style {
    /// `--format`.
    ///
    /// # Errors
    ///
    /// An unknown word.
    pub fn set_format(&mut self, word: &str) -> Result<(), String> {
        self.format = match word {
            "table" => Format::Table,
            "list" => Format::List,
            "html" => Format::Html,
            "csv" => Format::Csv,
            "json" => Format::Json,
            _ => return Err(format!("unknown output format \"{word}\"")),
        };
        Ok(())
    }

    /// `--data`.
    ///
    /// # Errors
    ///
    /// An unknown word.
    pub fn set_data(&mut self, word: &str) -> Result<(), String> {
        self.cells = match word {
            "string" => CellFormat::String,
            "bare" => CellFormat::Bare,
            "json" => CellFormat::Json,
            _ => return Err(format!("unknown data format \"{word}\"")),
        };
        Ok(())
    }

    /// `--bare`.
    pub fn set_bare(&mut self) {
        self.format = Format::List;
        self.cells = CellFormat::Bare;
        self.headings = false;
    }
}

/// A value in a table.
#[derive(Debug, Clone)]
pub enum Cell {
    /// A row's own identifier.
    Uuid(Uuid),
    /// A column's value and type.
    Value(Datum, ColumnType),
}

impl Cell {
    fn text(&self, style: &Style) -> String {
        match (self, style.cells) {
            (_, CellFormat::Json) => self.json(),
            (Cell::Uuid(uuid), _) => uuid.to_string(),
            (Cell::Value(datum, column), CellFormat::String) => text::datum(datum, column),
            (Cell::Value(datum, _), CellFormat::Bare) => text::bare(datum),
        }
    }

    fn json(&self) -> String {
        match self {
            Cell::Uuid(uuid) => Datum::scalar(Atom::Uuid(*uuid)).to_json(),
            Cell::Value(datum, _) => datum.to_json(),
        }
    }
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: Vec<String>) -> Table {
        Table { headings, rows: Vec::new() }
    }

    /// Adds a row with a cell for each heading.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The table as text. `first` tells whether nothing was printed before it; it is false after.
    pub fn render(&self, style: &Style, first: &mut bool) -> String {
        let mut out = String::new();
        if !matches!(style.format, Format::Html | Format::Json) {
            if !*first {
                out.push('\n');
            }
            *first = false;
        }
        let cells = || -> Vec<Vec<String>> {
            self.rows.iter().map(|row| row.iter().map(|cell| cell.text(style)).collect()).collect()
        };
        match style.format {
            Format::Table => plain::push(&mut out, &self.headings, &cells(), style),
            Format::List => list::push(&mut out, &self.headings, &cells(), style),
            Format::Html => html::push(&mut out, &self.headings, &cells(), style),
            Format::Csv => csv::push(&mut out, &self.headings, &cells(), style),
            Format::Json => json::push(&mut out, &self.headings, &self.rows, style),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec!["_uuid".to_owned(), "name".to_owned()]);
        let string = ColumnType::from_json(&serde_json::json!("string")).unwrap();
        for (uuid, name) in [(1, "a,\"b\""), (2, "é<1>")] {
            table.push(vec![
                Cell::Uuid(Uuid::from_u128(uuid)),
                Cell::Value(Datum::scalar(Atom::String(name.to_owned())), string.clone()),
            ]);
        }
        table
    }

    fn render(format: &str, data: &str) -> String {
        let mut style = Style::default();
        style.set_format(format).unwrap();
        style.set_data(data).unwrap();
        table().render(&style, &mut true)
    }

    #[test]
    fn forms() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(
            render("list", "bare"),
            format!(
                "_uuid               : {one}\nname                : a,\"b\"\n\n\
                 _uuid               : {two}\nname                : é<1>\n"
            )
        );
        assert_eq!(
            render("csv", "bare"),
            format!("_uuid,name\n{one},\"a,\"\"b\"\"\"\n{two},é<1>\n")
        );
        let dashes = "-".repeat(36);
        assert_eq!(
            render("table", "bare"),
            format!("{:36} name\n{dashes} -----\n{one} a,\"b\"\n{two} é<1>\n", "_uuid")
        );
        assert_eq!(
            render("json", "string"),
            format!(
                "{{\"data\":[[[\"uuid\",\"{one}\"],\"a,\\\"b\\\"\"],[[\"uuid\",\"{two}\"],\"é<1>\"]],\
                 \"headings\":[\"_uuid\",\"name\"]}}\n"
            )
        );
        let html = render("html", "string");
        assert!(html.contains("<td>&quot;é&lt;1&gt;&quot;</td>"), "{html}");
        assert!(html.contains(&format!("<a name=\"{one}\">00000000</a>")), "{html}");
        assert!(Style::default().set_format("xml").is_err());
        assert!(Style::default().set_data("xml").is_err());
    }

    #[test]
    fn narrow_columns_cut_whole_characters() {
        let mut style = Style { format: Format::Table, max_width: 2, ..Style::default() };
        style.cells = CellFormat::Bare;
        style.headings = false;
        assert_eq!(table().render(&style, &mut false), "\n00 a,\n00 é\n");
    }
}
