//! Readers: one module for each format. Each turns the text of one file into profiles.

mod ifcfg;
mod ini;
mod interfaces;
mod keyfile;
mod links;
mod modprobe;
mod netplan;
mod networkd;
mod proc;
mod teamd;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use crate::profile::Profile;
pub(crate) use modprobe::EVERY;

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// RHEL's `ifcfg-*` with `BONDING_OPTS`, or `route-*` beside it.
    Ifcfg,
    /// NetworkManager's keyfiles.
    Keyfile,
    /// Debian's `interfaces`.
    Interfaces,
    /// netplan's YAML.
    Netplan,
    /// `.netdev` and `.network` of systemd-networkd.
    Networkd,
    /// The JSON configuration of teamd.
    Teamd,
    /// A file of `/proc/net/bonding`.
    Proc,
    /// The output of `ip -d -j link`.
    Link,
    /// `options bonding …` of modprobe.d.
    Modprobe,
}

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or folder cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, std::io::Error),
    /// Its format is not known.
    #[error(
        "{}: the format is not recognised; name it with --format (ifcfg, keyfile, interfaces, \
         netplan, networkd, teamd, proc, link, modprobe)",
        .0.display()
    )]
    Unknown(PathBuf),
    /// It is not of its format.
    #[error("{}: {}", .0.display(), .1)]
    Syntax(PathBuf, String),
    /// A folder has no file of a known format.
    #[error("{}: no file of a known format in this folder", .0.display())]
    Empty(PathBuf),
}

/// Reads a file, or all files of known formats in a folder and the folders below.
///
/// # Errors
///
/// The first file that cannot be read.
pub fn path(path: &Path, format: Option<Format>) -> Result<Vec<Profile>, Error> {
    let io = |e| Error::Io(path.to_owned(), e);
    if fs::metadata(path).map_err(io)?.is_dir() {
        let mut files = Vec::new();
        files_below(path, &mut files).map_err(io)?;
        files.sort();
        let mut profiles = Vec::new();
        for file in files {
            match read_file(&file, format) {
                Ok(more) => profiles.extend(more),
                // Folders of configuration hold other files too.
                Err(Error::Unknown(_)) => {}
                Err(other) => return Err(other),
            }
        }
        if profiles.is_empty() {
            return Err(Error::Empty(path.to_owned()));
        }
        return Ok(profiles);
    }
    read_file(path, format)
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let backup = path.extension().is_some_and(|e| {
            ["bak", "orig", "rpmnew", "rpmsave", "old", "dpkg-old", "dpkg-dist"]
                .iter()
                .any(|b| e == *b)
        });
        if hidden || backup || path.to_string_lossy().ends_with('~') {
            continue;
        }
        // A link to a folder could lead back to it.
        if entry.file_type()?.is_dir() {
            files_below(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path, format: Option<Format>) -> Result<Vec<Profile>, Error> {
    let bytes = fs::read(path).map_err(|e| Error::Io(path.to_owned(), e))?;
    let text = String::from_utf8_lossy(&bytes);
    let format =
        format.or_else(|| recognise(path, &text)).ok_or_else(|| Error::Unknown(path.to_owned()))?;
    text_of(path, &text, format).map_err(|what| Error::Syntax(path.to_owned(), what))
}

/// Reads a text of a known format.
///
/// # Errors
///
/// Why the text is not of the format.
pub fn text_of(path: &Path, text: &str, format: Format) -> Result<Vec<Profile>, String> {
    let mut profiles = match format {
        Format::Ifcfg => ifcfg::read(path, text)?,
        Format::Keyfile => keyfile::read(text)?,
        Format::Interfaces => interfaces::read(text),
        Format::Netplan => netplan::read(text)?,
        Format::Networkd => networkd::read(path, text)?,
        Format::Teamd => vec![teamd::read(text)?],
        Format::Proc => vec![proc::read(path, text)?],
        Format::Link => links::read(text)?,
        Format::Modprobe => modprobe::read(text),
    };
    for p in &mut profiles {
        if p.source.is_empty() {
            p.source = path.display().to_string();
        }
    }
    Ok(profiles)
}

/// The format by the file's name and its first lines.
fn recognise(path: &Path, text: &str) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let first = text.trim_start();
    if name.starts_with("ifcfg-") || name.starts_with("route-") || name.starts_with("route6-") {
        return Some(Format::Ifcfg);
    }
    match extension.as_ref() {
        "nmconnection" => return Some(Format::Keyfile),
        "netdev" | "network" => return Some(Format::Networkd),
        "yaml" | "yml" => return first.contains("network:").then_some(Format::Netplan),
        _ => {}
    }
    if first.starts_with("Ethernet Channel Bonding Driver") {
        return Some(Format::Proc);
    }
    if first.starts_with('[') && serde_json::from_str::<Vec<serde_json::Value>>(first).is_ok() {
        return Some(Format::Link);
    }
    if first.starts_with('{') {
        return Some(Format::Teamd);
    }
    let has = |what: &dyn Fn(&str) -> bool| {
        text.lines().map(str::trim).any(|l| !l.starts_with('#') && what(l))
    };
    if has(&|l| l == "[connection]") {
        return Some(Format::Keyfile);
    }
    if has(&|l| l == "[NetDev]" || l == "[Match]") {
        return Some(Format::Networkd);
    }
    if has(&|l| l.starts_with("iface ")) {
        return Some(Format::Interfaces);
    }
    if has(&|l| l.starts_with("options bonding") || l.ends_with(" bonding")) {
        return Some(Format::Modprobe);
    }
    if has(&|l| l == "network:") {
        return Some(Format::Netplan);
    }
    None
}
