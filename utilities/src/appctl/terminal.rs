//! Answers as tables with borders and colour, for a terminal. Elsewhere the plain text is printed.

use anstyle::{AnsiColor, Style};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use rustix::termios::tcgetwinsize;

const HEADING: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const BORDER: Style = Style::new().dimmed();

/// An answer as a table, if it is one of those that have columns and at least one row.
pub fn table(command: &str, text: &str) -> Option<String> {
    let (heading, rows) = match command {
        "bond/list" => split(text, |line| line.splitn(4, '\t').map(str::to_owned).collect()),
        "fdb/show" => split(text, |line| line.split_whitespace().map(str::to_owned).collect()),
        _ => None,
    }?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width());
    let numeric: Vec<usize> = (0..heading.len())
        .filter(|at| {
            rows.iter().all(|row| row.get(*at).is_some_and(|cell| cell.parse::<u64>().is_ok()))
        })
        .collect();
    table.set_header(heading);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for at in numeric {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Some(coloured(&table.to_string()))
}

/// Cuts a text into its heading and its rows; nothing if there are no rows.
fn split(
    text: &str,
    cells: impl Fn(&str) -> Vec<String>,
) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let heading = cells(lines.next()?);
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    // A line of another form: better all of it as it came.
    let even = rows.iter().all(|row| row.len() == heading.len());
    (even && !rows.is_empty()).then_some((heading, rows))
}

/// The terminal's width in columns.
fn width() -> u16 {
    let columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { 80 } else { columns }
}

/// Borders dim, the words of the heading bold.
fn coloured(plain: &str) -> String {
    let mut out = String::new();
    for (at, line) in plain.lines().enumerate() {
        // The first line is a border, the second the heading (which may go on).
        let heading = at > 0 && !plain.lines().take(at).any(|line| line.starts_with('╞'));
        let mut style = Style::new();
        for c in line.chars() {
            let wanted = match c {
                '\u{2500}'..='\u{257f}' => BORDER,
                _ if heading => HEADING,
                _ => Style::new(),
            };
            if c != ' ' && wanted != style {
                out.push_str(&format!("{}{}", style.render_reset(), wanted.render()));
                style = wanted;
            }
            out.push(c);
        }
        out.push_str(&format!("{}\n", style.render_reset()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bond_list_and_fdb_show_become_tables() {
        let bonds = "bond\ttype\trecircID\tmembers\nbond0\tbalance-tcp\t2\tp1, p2\n";
        let shown = anstream::adapter::strip_str(&table("bond/list", bonds).unwrap()).to_string();
        assert!(shown.contains("│ bond0 ┆ balance-tcp ┆        2 ┆ p1, p2  │"), "{shown}");
        assert!(table("bond/list", bonds).unwrap().contains("\u{1b}[1m"));
        let addresses =
            " port  VLAN  MAC                Age\n    1     0  aa:55:aa:55:00:01    3\n";
        let shown = table("fdb/show", addresses).unwrap();
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert!(shown.contains("aa:55:aa:55:00:01"), "{shown}");
    }

    #[test]
    fn a_text_without_rows_or_columns_is_no_table() {
        assert_eq!(table("bond/show", "x\ty\nz\tw\n"), None);
        assert_eq!(table("bond/list", "bond\ttype\trecircID\tmembers\n"), None);
        assert_eq!(table("fdb/show", "a b\nc\n"), None);
        assert_eq!(table("fdb/show", ""), None);
    }
}
