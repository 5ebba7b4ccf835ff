//! Files of captured frames, in the classic format (draft-ietf-opsawg-pcap).

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A capture file that grows.
pub(super) struct Pcap(File);

impl Pcap {
    /// Opens a file to append to; a new or empty one gets a header.
    pub(super) fn append(path: &Path) -> io::Result<Pcap> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.seek(SeekFrom::End(0))? == 0 {
            let mut header = Vec::with_capacity(24);
            // Magic of microseconds, version 2.4, snapshot length, Ethernet.
            header.extend(0xa1b2_c3d4_u32.to_ne_bytes());
            header.extend(2_u16.to_ne_bytes());
            header.extend(4_u16.to_ne_bytes());
            for word in [0, 0, 1518, 1_u32] {
                header.extend(word.to_ne_bytes());
            }
            file.write_all(&header)?;
        }
        Ok(Pcap(file))
    }

    /// Adds a frame with the time of day. When the disk is full, the frame is lost.
    pub(super) fn write(&mut self, frame: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let len = frame.len() as u32;
        let mut record = Vec::with_capacity(16 + frame.len());
        for word in [now.as_secs() as u32, now.subsec_micros(), len, len] {
            record.extend(word.to_ne_bytes());
        }
        record.extend_from_slice(frame);
        // In one write, so that concurrent readers see whole records.
        let _ = self.0.write_all(&record);
    }
}
