//! `--format=list`.

use std::fmt::Write;

use super::Style;

pub(super) fn push(out: &mut String, headings: &[&str], rows: &[Vec<String>], style: &Style) {
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (heading, text) in headings.iter().zip(row) {
            if style.headings {
                let _ = write!(out, "{heading:<20}: ");
            }
            out.push_str(text);
            out.push('\n');
        }
    }
}
