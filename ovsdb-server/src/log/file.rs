//! Records in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use crate::error::{Error, Result};
use crate::log::LockFile;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To be read; neither locked nor changed.
    Read,
    /// To be read and appended to.
    ReadWrite,
    /// It must not exist.
    Create,
}

/// The longest header line; the reference reads no longer one.
const MAX_HEADER: usize = 127;
const SHA1_HEX: usize = 40;
/// Bytes that a header of ours takes at most.
const HEADER_ROOM: usize = "OVSDB JSON  \n".len() + 20 + SHA1_HEX;

/// A log file. First it is read to the end, then appended to.
#[derive(Debug)]
pub struct Log {
    /// As given, for messages.
    pub(super) display: String,
    /// Where the file really is, symbolic links followed.
    pub(super) path: PathBuf,
    pub(super) reader: Option<BufReader<File>>,
    pub(super) file: File,
    /// The end of the last good record.
    pub(super) offset: u64,
    /// The end of the one before.
    pub(super) previous: u64,
    /// There are bytes after `offset` that are to go before anything is appended.
    pub(super) torn: bool,
    /// Size after the last compaction.
    pub(super) base: u64,
    pub(super) records: u64,
    pub(super) unsynced: bool,
    /// Why nothing may be written any more.
    pub(super) broken: Option<Error>,
    lock: Option<LockFile>,
}

pub(super) fn open_error(display: &str, what: &str, error: &std::io::Error) -> Error {
    Error::io(format!("{display}: {what} failed"), error)
}

/// The parts of a header line: magic, length, hash.
fn parse_header(line: &[u8]) -> Option<(&str, u64, &str)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.strip_prefix("OVSDB ")?.split(' ');
    let (magic, length, hash) = (words.next()?, words.next()?, words.next()?);
    let length = length.parse().ok().filter(|length| *length > 0)?;
    let hex = hash.len() == SHA1_HEX && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && words.next().is_none()).then_some((magic, length, hash))
}

fn sha1_hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a directory's entries to disk.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// A whole record: `record` begins with [`HEADER_ROOM`] bytes, which are overwritten by the header
/// as far as it needs them. Gives where the record begins.
pub(super) fn finish_record(record: &mut Vec<u8>) -> usize {
    record.push(b'\n');
    let body = &record[HEADER_ROOM..];
    let header = format!("OVSDB JSON {} {}\n", body.len(), sha1_hex(body));
    let begin = HEADER_ROOM - header.len();
    record[begin..HEADER_ROOM].copy_from_slice(header.as_bytes());
    begin
}

/// A record with its header, ready to be appended.
#[derive(Debug)]
pub struct Record {
    bytes: Vec<u8>,
    begin: usize,
}

impl Record {
    /// From bytes that began with [`Log::new_record`].
    pub fn new(mut bytes: Vec<u8>) -> Record {
        let begin = finish_record(&mut bytes);
        Record { bytes, begin }
    }
}

impl Log {
    /// Room for a record's header, to which its JSON is to be appended.
    pub fn new_record() -> Vec<u8> {
        vec![0; HEADER_ROOM]
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// `I/O error`, also when another server has locked it; or the file is not a log of a
    /// standalone database.
    pub fn open(path: &Path, mode: Mode) -> Result<Log> {
        let display = path.display().to_string();
        let real = real_path(path).map_err(|error| open_error(&display, "open", &error))?;
        let lock = match mode {
            Mode::Read => None,
            Mode::ReadWrite | Mode::Create => Some(LockFile::lock(&real).map_err(|error| {
                Error::io(format!("{display}: failed to lock lockfile"), &error)
            })?),
        };
        let (create, what) = match mode {
            Mode::Read | Mode::ReadWrite => (false, "open"),
            Mode::Create => (true, "create"),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(mode != Mode::Read)
            .create_new(create)
            .mode(0o660)
            .open(&real)
            .map_err(|error| open_error(&display, what, &error))?;
        if create {
            sync_parent(&real).map_err(|error| open_error(&display, "fsync", &error))?;
        }
        let reader = file.try_clone().map_err(|error| open_error(&display, what, &error))?;
        let log = Log {
            display,
            path: real,
            reader: Some(BufReader::with_capacity(1 << 16, reader)),
            file,
            offset: 0,
            previous: 0,
            torn: false,
            base: 0,
            records: 0,
            unsynced: false,
            broken: None,
            lock,
        };
        log.check_kind()?;
        Ok(log)
    }

    /// The name that the file was opened by.
    pub fn name(&self) -> &str {
        &self.display
    }

    /// Why nothing can be appended any more, if so.
    pub fn broken(&self) -> Option<&Error> {
        self.broken.as_ref()
    }

    /// Bytes of good records.
    pub fn size(&self) -> u64 {
        self.offset
    }

    /// Records read and written since the file was opened or compacted.
    pub fn records(&self) -> u64 {
        self.records
    }

    fn check_kind(&self) -> Result<()> {
        let mut line = [0; MAX_HEADER];
        let read = self.file.read_at(&mut line, 0);
        let read = read.map_err(|error| open_error(&self.display, "read", &error))?;
        if read == 0 {
            return Ok(());
        }
        let end = line[..read].iter().position(|byte| *byte == b'\n').map_or(read, |at| at + 1);
        match parse_header(&line[..end]) {
            Some(("JSON", ..)) => Ok(()),
            Some(("CLUSTER", ..)) => Err(Error::new(
                "ovsdb error",
                format!(
                    "{}: is a clustered database, only standalone ones are served",
                    self.display
                ),
            )),
            Some(_) => Err(Error::new(
                "ovsdb error",
                format!("{}: cannot identify file type", self.display),
            )),
            None => {
                Err(Error::new("ovsdb error", format!("{}: unexpected file format", self.display)))
            }
        }
    }

    /// Reads the next record's JSON into `record`; false at the end of the file. After an error
    /// there is no more to read, and the next record written takes the place of the bad one.
    ///
    /// # Errors
    ///
    /// `I/O error`, or `syntax error` for a record that is cut off or damaged.
    pub fn read(&mut self, record: &mut Vec<u8>) -> Result<bool> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        match read_record(reader, &self.display, self.offset, record) {
            Ok(Some(size)) => {
                self.previous = self.offset;
                self.offset += size;
                self.records += 1;
                return Ok(true);
            }
            Ok(None) => {}
            Err(error) => {
                self.torn = true;
                self.end_reading();
                return Err(error);
            }
        }
        self.end_reading();
        Ok(false)
    }

    fn end_reading(&mut self) {
        self.reader = None;
        self.base = self.offset;
    }

    /// Gives the last record read back: it makes no sense, and the next record written takes its
    /// place.
    pub fn unread(&mut self) {
        self.offset = self.previous;
        self.torn = true;
        self.end_reading();
    }

    /// Appends a record that began with [`Log::new_record`], as [`Log::append_record`].
    ///
    /// # Errors
    ///
    /// `I/O error`.
    pub fn append(&mut self, record: &mut Vec<u8>) -> Result<()> {
        self.append_record(&Record::new(std::mem::take(record)))
    }

    /// Appends a record. It is in the file, if not on the disk,
    /// when this returns; if it fails, it is not there at all.
    ///
    /// # Errors
    ///
    /// `I/O error`.
    pub fn append_record(&mut self, record: &Record) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.reader = None;
        let failed =
            |error: &std::io::Error| Error::io(format!("{}: write failed", self.display), error);
        if self.torn {
            self.file.set_len(self.offset).map_err(|error| {
                let what = format!("cannot truncate to length {}", self.offset);
                Error::io(format!("{}: {what}", self.display), &error)
            })?;
            self.torn = false;
        }
        let bytes = &record.bytes[record.begin..];
        if let Err(error) = self.file.write_all_at(bytes, self.offset) {
            let error = failed(&error);
            // A part of it may be there.
            self.torn = self.file.set_len(self.offset).is_err();
            return Err(error);
        }
        self.previous = self.offset;
        self.offset += bytes.len() as u64;
        self.records += 1;
        self.unsynced = true;
        Ok(())
    }

    /// Brings everything that was appended to the disk. If that fails it is unknown what is there:
    /// nothing more is written until the file is replaced.
    ///
    /// # Errors
    ///
    /// `I/O error`.
    pub fn sync(&mut self) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if self.unsynced {
            if let Err(error) = self.file.sync_data() {
                let error = Error::io(format!("{}: fsync failed", self.display), &error);
                self.broken = Some(error.clone());
                return Err(error);
            }
            self.unsynced = false;
        }
        Ok(())
    }

    /// True if the file has grown so much that compaction is worth its while: to more than 10 MiB
    /// and twice its size after the last one.
    pub fn grew_lots(&self) -> bool {
        self.offset > 10 << 20 && self.offset / 2 > self.base
    }

    /// Locks out other servers? Only a log that was opened to be written does.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

/// Follows symbolic links also where the last component does not exist yet.
fn real_path(path: &Path) -> std::io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let link = std::fs::read_link(path).unwrap_or_else(|_| path.to_owned());
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = std::fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
            Ok(if link == path {
                parent.join(path.file_name().unwrap_or_default())
            } else {
                parent.join(link)
            })
        }
        other => other,
    }
}

/// Reads one record; gives the bytes it takes, `None` at the end of the file.
fn read_record(
    reader: &mut BufReader<File>,
    display: &str,
    offset: u64,
    record: &mut Vec<u8>,
) -> Result<Option<u64>> {
    let io = |what: &str, error: std::io::Error| Error::io(format!("{display}: {what}"), &error);
    let mut header = Vec::with_capacity(HEADER_ROOM);
    let limited = std::io::BufRead::read_until(
        &mut Read::by_ref(reader).take(MAX_HEADER as u64),
        b'\n',
        &mut header,
    );
    limited.map_err(|error| io("read failed", error))?;
    if header.is_empty() {
        return Ok(None);
    }
    let Some(("JSON", length, expected)) = parse_header(&header) else {
        let line = String::from_utf8_lossy(&header);
        let line = line.trim_end_matches('\n');
        let details =
            format!("{display}: parse error at offset {offset} in header line \"{line}\"");
        return Err(Error::new("syntax error", details));
    };
    let data = offset + header.len() as u64;
    record.clear();
    let read = Read::by_ref(reader).take(length).read_to_end(record);
    let read = read.map_err(|error| io("read failed", error))? as u64;
    if read < length {
        return Err(Error::io(
            format!("{display}: error reading {} bytes starting at offset {data}", length - read),
            &std::io::Error::other("End of file"),
        ));
    }
    let actual = sha1_hex(record);
    if !actual.eq_ignore_ascii_case(expected) {
        return Err(Error::new(
            "syntax error",
            format!(
                "{display}: {length} bytes starting at offset {data} have SHA-1 hash {actual} but \
                 should have hash {expected}"
            ),
        ));
    }
    Ok(Some(header.len() as u64 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let name = format!("braid-ovsdb-log-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn record(text: &str) -> Vec<u8> {
        let mut record = Log::new_record();
        record.extend_from_slice(text.as_bytes());
        record
    }

    fn all(path: &Path) -> Vec<String> {
        let mut log = Log::open(path, Mode::Read).unwrap();
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        while log.read(&mut bytes).unwrap() {
            records.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
        records
    }

    #[test]
    fn record_that_could_not_be_written_is_not_read() {
        let dir = Dir::new("write");
        let path = dir.0.join("db");
        let mut log = Log::open(&path, Mode::Create).unwrap();
        log.append(&mut record("{\"a\":1}")).unwrap();
        // Nothing can be written to a file that was opened to be read.
        let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        let error = log.append(&mut record("{\"b\":2}")).unwrap_err();
        assert_eq!(error.tag, "I/O error");
        assert!(error.io.is_some() && !error.text().contains("os error"), "{error}");
        log.file = good;
        log.append(&mut record("{\"c\":3}")).unwrap();
        log.sync().unwrap();
        assert_eq!(all(&path), ["{\"a\":1}", "{\"c\":3}"]);
    }

    #[test]
    fn after_a_failed_fsync_nothing_is_written_until_the_file_is_replaced() {
        let dir = Dir::new("sync");
        let path = dir.0.join("db");
        let mut log = Log::open(&path, Mode::Create).unwrap();
        log.append(&mut record("{\"a\":1}")).unwrap();
        // A device that takes everything and cannot be synced.
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        let good = std::mem::replace(&mut log.file, null);
        assert_eq!(log.sync().unwrap_err().tag, "I/O error");
        log.file = good;
        assert!(log.append(&mut record("{\"b\":2}")).is_err());
        assert!(log.sync().is_err());
        log.replace(vec![record("{\"c\":3}")]).unwrap();
        log.append(&mut record("{\"d\":4}")).unwrap();
        log.sync().unwrap();
        assert_eq!(all(&path), ["{\"c\":3}", "{\"d\":4}"]);
    }

    #[test]
    fn headers_are_strict() {
        let hash = "0".repeat(SHA1_HEX);
        let good = format!("OVSDB JSON 12 {hash}\n");
        assert_eq!(parse_header(good.as_bytes()), Some(("JSON", 12, hash.as_str())));
        for bad in [
            good.trim_end().to_owned(),
            good.replace("12", "0"),
            good.replace("12", "-1"),
            good.replace("12", "99999999999999999999999"),
            good.replace("OVSDB", "OVSDC"),
            good.replace('0', "g"),
            good.replace("JSON 12", "JSON  12"),
            format!("OVSDB JSON 12 {hash} \n"),
        ] {
            assert_eq!(parse_header(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn files_of_other_kinds_are_refused() {
        let dir = Dir::new("kind");
        let path = dir.0.join("db");
        let hash = "0".repeat(SHA1_HEX);
        for (text, says) in [
            ("hello\n".to_owned(), "unexpected file format"),
            (format!("OVSDB CLUSTER 12 {hash}\n"), "clustered"),
            (format!("OVSDB OTHER 12 {hash}\n"), "cannot identify file type"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Log::open(&path, Mode::ReadWrite).unwrap_err();
            assert!(error.text().contains(says), "{error}");
        }
        let error = Log::open(&dir.0.join("none"), Mode::ReadWrite).unwrap_err();
        assert!(error.text().ends_with("open failed (No such file or directory)"), "{error}");
    }
}
