//! Tables of rows, in the forms that `--format` and `--data` name.

mod csv;
mod html;
mod json;
mod list;
mod plain;
mod style;

use ovsdb::Datum;
use ovsdb::schema::{AtomicType, BaseType, ColumnType};

use super::grammar::text;

pub use json::pretty;
pub use style::{CellFormat, Format, Style};

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Heading {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub kind: ColumnType,
}

impl Heading {
    /// The column of rows' own identifiers.
    pub fn uuid() -> Heading {
        let key = BaseType::plain(AtomicType::Uuid);
        Heading { name: "_uuid".to_owned(), kind: ColumnType { key, value: None, min: 1, max: 1 } }
    }

    fn text(&self, datum: &Datum, style: &Style) -> String {
        match style.cells {
            CellFormat::String => text::datum(datum, &self.kind),
            CellFormat::Bare => text::bare(datum),
            CellFormat::Json => datum.to_json(),
        }
    }
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub struct Table {
    headings: Vec<Heading>,
    rows: Vec<Vec<Datum>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: Vec<Heading>) -> Table {
        Table { headings, rows: Vec::new() }
    }

    /// Adds a row with a value for each heading.
    pub fn push(&mut self, row: Vec<Datum>) {
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
        let names: Vec<&str> = self.headings.iter().map(|heading| heading.name.as_str()).collect();
        if style.format == Format::Json {
            json::push(&mut out, &names, &self.rows, style);
            return out;
        }
        let texts = self.rows.iter().map(|row| {
            let cells = self.headings.iter().zip(row);
            cells.map(|(heading, datum)| heading.text(datum, style)).collect()
        });
        let texts: Vec<Vec<String>> = texts.collect();
        match style.format {
            Format::Table => plain::push(&mut out, &names, &texts, style),
            Format::List => list::push(&mut out, &names, &texts, style),
            Format::Html => html::push(&mut out, &names, &texts, style),
            Format::Csv => csv::push(&mut out, &names, &texts, style),
            Format::Json => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::{Atom, Uuid};

    fn table() -> Table {
        let kind = ColumnType::from_json(&serde_json::json!("string")).unwrap();
        let name = Heading { name: "name".to_owned(), kind };
        let mut table = Table::new(vec![Heading::uuid(), name]);
        for (uuid, name) in [(1, "a,\"b\""), (2, "é<1>")] {
            table.push(vec![
                Datum::scalar(Atom::Uuid(Uuid::from_u128(uuid))),
                Datum::scalar(Atom::String(name.to_owned())),
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
