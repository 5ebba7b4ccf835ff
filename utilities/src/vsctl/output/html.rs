//! `--format=html`: a table whose identifiers link to each other.

use ovsdb::Uuid;

use super::Style;

pub(super) fn push(out: &mut String, headings: &[&str], rows: &[Vec<String>], style: &Style) {
    out.push_str("<table border=1>\n");
    if style.headings {
        out.push_str("  <tr>\n");
        headings.iter().for_each(|heading| push_cell(out, "th", heading));
        out.push_str("  </tr>\n");
    }
    for row in rows {
        out.push_str("  <tr>\n");
        for (heading, text) in headings.iter().zip(row) {
            if *heading == "_uuid" {
                out.push_str("    <td><a name=\"");
                push_escaped(out, text);
                out.push_str("\">");
                push_escaped(out, text.get(..8).unwrap_or(text));
                out.push_str("</a></td>\n");
            } else {
                push_cell(out, "td", text);
            }
        }
        out.push_str("  </tr>\n");
    }
    out.push_str("</table>\n");
}

fn push_cell(out: &mut String, element: &str, text: &str) {
    out.push_str(&format!("    <{element}>"));
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(uuid) = rest.get(..36).filter(|t| Uuid::parse_bytes(t.as_bytes()).is_some()) {
            out.push_str(&format!("<a href=\"#{uuid}\">{}</a>", &uuid[..8]));
            rest = &rest[36..];
        } else {
            push_escaped(out, c.encode_utf8(&mut [0; 4]));
            rest = &rest[c.len_utf8()..];
        }
    }
    out.push_str(&format!("</{element}>\n"));
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}
