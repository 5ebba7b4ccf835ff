//! `bond-proc-dir` of `Open_vSwitch.other_config`.

use std::path::{Path, PathBuf};

use crate::option::Opt;

/// Where the files of bonds are kept; `None` = nowhere.
pub(crate) const PROC_DIR: &[Opt<Option<PathBuf>>] = &[Opt::text(
    "bond-proc-dir",
    "directory that has a file for each bond, with the text of /proc/net/bonding",
    "an absolute path",
    |dir: &mut Option<PathBuf>, text| {
        let path = Path::new(text);
        if !path.is_absolute() || text.contains('\0') {
            return Err("accepted is an absolute path; no files are kept".to_owned());
        }
        *dir = Some(path.to_owned());
        Ok(())
    },
)
.since("0.1.0")];
