//! `--format=csv` (RFC 4180, lines ending in a line feed).

use super::Style;

pub(super) fn push(out: &mut String, headings: &[&str], rows: &[Vec<String>], style: &Style) {
    if style.headings {
        push_line(out, headings);
    }
    rows.iter().for_each(|row| push_line(out, row));
}

fn push_line<S: AsRef<str>>(out: &mut String, cells: &[S]) {
    for (at, text) in cells.iter().map(AsRef::as_ref).enumerate() {
        if at > 0 {
            out.push(',');
        }
        if text.contains(['\n', '"', ',']) {
            out.push('"');
            out.push_str(&text.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(text);
        }
    }
    out.push('\n');
}
