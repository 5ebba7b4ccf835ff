//! How tables are printed.

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
